//! What was looked at, what came of it, and what to write where. Everything in it is ours: host
//! names, status codes and words of this program, so that it can be pasted into a ticket.

use attache_core::{IssuerId, Timestamp, UpstreamName};
use serde::{Serialize, Serializer};

#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Of this program.
    pub(super) version: &'static str,
    pub(super) at: Timestamp,
    pub(super) public_url: String,
    pub(super) wrong: usize,
    pub(super) warnings: usize,
    pub(super) sections: Vec<Section>,
}

#[derive(Debug, Serialize)]
pub(super) struct Section {
    #[serde(flatten)]
    pub(super) part: Part,
    pub(super) findings: Vec<Finding>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(tag = "part", content = "name", rename_all = "snake_case")]
pub(super) enum Part {
    Gateway,
    /// Of `[identity.oidc]`.
    IdentityProvider(IssuerId),
    /// Of `[[identity.jwt]]`.
    TokenIssuer(IssuerId),
    Upstream(UpstreamName),
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Finding {
    pub(super) check: Check,
    pub(super) outcome: Outcome,
    /// In words.
    pub(super) found: String,
    #[serde(flatten)]
    pub(super) advice: Option<Advice>,
}

/// What to do about it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Advice {
    pub(super) whose_move: Mover,
    /// Where in the configuration, when it is there.
    pub(super) key: Option<&'static str>,
    pub(super) next: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    Ok,
    /// It works, and yet.
    Warning,
    /// People will be turned away.
    Wrong,
    /// What it builds on is not there, or it cannot be seen from here.
    NotLookedAt,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Mover {
    /// Whoever runs this gateway.
    Operator,
    /// Whoever runs the server at the other end.
    Provider,
    /// It may pass by itself.
    Nobody,
}

macro_rules! checks {
    ($($(#[$note:meta])* $variant:ident = $name:literal,)+) => {
        /// What can be looked at.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Check { $($(#[$note])* $variant,)+ }

        impl Check {
            pub(super) fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }
    };
}

checks! {
    // The gateway.
    Configuration = "configuration",
    Keys = "keys",
    Store = "store",
    PublicUrl = "public_url",
    // A server, of whatever kind.
    Address = "address",
    Metadata = "metadata",
    Clock = "clock",
    SigningKeys = "signing_keys",
    Pkce = "pkce",
    Scopes = "scopes",
    SubjectClaim = "subject_claim",
    /// What the token endpoint says to a code that nobody issued.
    Client = "client",
    /// The same, with the second of two client secrets.
    SecondSecret = "second_secret",
    RedirectUri = "redirect_uri",
    // An upstream.
    Answer = "answer",
    ResourceMetadata = "resource_metadata",
    Resource = "resource",
    Issuer = "issuer",
    Endpoints = "endpoints",
    Registration = "registration",
    ClientAuth = "client_auth",
    RefreshTokens = "refresh_tokens",
    PushedRequests = "pushed_requests",
    IssParameter = "iss_parameter",
    Revocation = "revocation",
    SubjectToken = "subject_token",
}

impl Serialize for Check {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl Report {
    pub(super) fn new(at: Timestamp, public_url: String, sections: Vec<Section>) -> Self {
        let count = |outcome| {
            let findings = sections.iter().flat_map(|section| &section.findings);
            findings.filter(|finding| finding.outcome == outcome).count()
        };
        let (wrong, warnings) = (count(Outcome::Wrong), count(Outcome::Warning));
        Self { version: env!("CARGO_PKG_VERSION"), at, public_url, wrong, warnings, sections }
    }
}

impl Finding {
    pub(super) fn new(check: Check, outcome: Outcome, found: impl Into<String>) -> Self {
        Self { check, outcome, found: found.into(), advice: None }
    }

    pub(super) fn ok(check: Check, found: impl Into<String>) -> Self {
        Self::new(check, Outcome::Ok, found)
    }

    pub(super) fn warning(check: Check, found: impl Into<String>) -> Self {
        Self::new(check, Outcome::Warning, found)
    }

    pub(super) fn wrong(check: Check, found: impl Into<String>) -> Self {
        Self::new(check, Outcome::Wrong, found)
    }

    pub(super) fn not_looked_at(check: Check, why: impl Into<String>) -> Self {
        Self::new(check, Outcome::NotLookedAt, why)
    }

    /// The operator's move: what to do about this key of the configuration.
    #[must_use]
    pub(super) fn write(self, key: &'static str, next: impl Into<String>) -> Self {
        self.then(Mover::Operator, Some(key), next)
    }

    #[must_use]
    pub(super) fn then(
        self,
        whose_move: Mover,
        key: Option<&'static str>,
        next: impl Into<String>,
    ) -> Self {
        Self { advice: Some(Advice { whose_move, key, next: next.into() }), ..self }
    }
}
