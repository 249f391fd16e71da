//! Whether a token endpoint knows us, asked with a code that nobody issued.
//!
//! The code is no one's, so nothing is granted and nothing is spent: a server that does not know
//! the client says `invalid_client`, one that does says `invalid_grant` (RFC 6749 section 5.2).

use std::collections::BTreeMap;

use attache_core::{Secret, audit::Reason};
use attache_crypto::random;
use attache_oauth::{
    error::TokenError,
    token::{CodeGrant, TokenEndpoint},
};

use super::{
    Tools, explain,
    journal::{Journal, origin},
    report::{Check, Finding, Mover, Outcome},
};

/// Says to whoever reads the server's log who that was.
const CODE: &str = "attache-doctor";

/// Where the client is written down.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keys {
    pub(super) client_secret: &'static str,
    pub(super) token_endpoint: &'static str,
}

pub(super) async fn examine(
    tools: &Tools<'_>,
    journal: &Journal,
    endpoint: &TokenEndpoint,
    redirect_uri: &str,
    resource: Option<&str>,
    keys: Keys,
) -> Finding {
    if !tools.probes {
        return Finding::not_looked_at(Check::Client, "--no-probe was given");
    }
    let grant = CodeGrant {
        code: &Secret::new(CODE),
        verifier: &Secret::new(random::token(&*tools.random)),
        redirect_uri,
        resource,
        captured: &BTreeMap::new(),
    };
    let mark = journal.mark();
    let host = origin(&endpoint.url);
    let wrong = |found: String| Finding::wrong(Check::Client, found);
    let unclear = |found: String| {
        Finding::warning(Check::Client, found).then(
            Mover::Nobody,
            None,
            "see what happens when somebody connects; this was no real code",
        )
    };
    let Err(error) = endpoint.exchange_code(journal, grant).await else {
        return wrong(format!("{host} gave a token for a code that nobody issued")).then(
            Mover::Provider,
            None,
            "let nobody connect there before it checks codes",
        );
    };
    match error {
        TokenError::Refused(Reason::InvalidGrant) => Finding::ok(
            Check::Client,
            format!("{host} takes the client, and refused a made-up code with invalid_grant"),
        ),
        TokenError::Refused(Reason::InvalidClient | Reason::UnauthorizedClient) => {
            wrong(format!("{host} refuses the client: {}", error.reason().as_str())).write(
                keys.client_secret,
                "write the secret of this client_id as it is registered there, and check client_id \
                 and client_auth",
            )
        }
        TokenError::Refused(Reason::InvalidTarget) => {
            wrong(format!("{host} refuses the resource: invalid_target"))
                .write("upstream.auth_broker.resource", "write the resource that it knows")
        }
        TokenError::Refused(Reason::UnsupportedGrantType) => wrong(format!(
            "{host} takes no authorization codes: unsupported_grant_type"
        ))
        .then(Mover::Provider, None, "allow the authorization code grant for this client"),
        TokenError::Refused(reason) => {
            unclear(format!("{host} refused a made-up code with {}", reason.as_str()))
        }
        TokenError::Malformed(_) => wrong(format!(
            "what answers is no token endpoint: {}",
            explain::told(&journal.since(mark))
        ))
        .write(keys.token_endpoint, "write the URL that answers POST with JSON"),
        TokenError::Unavailable { .. } | TokenError::Lost | TokenError::Blocked => {
            match journal.since(mark).last() {
                Some(last) => explain::entry(Check::Client, Outcome::Wrong, last),
                None => wrong(format!("{host}: {error}")),
            }
        }
    }
}

/// What was found with each of two secrets, as what is left to do to replace one by the other.
pub(super) fn rotation(first: Finding, second: Finding, keys: Keys) -> Vec<Finding> {
    let second = Finding { check: Check::SecondSecret, ..second };
    match (first.outcome, second.outcome) {
        (Outcome::Wrong, Outcome::Ok) => {
            let found = format!("{}; with the second secret it takes it", first.found);
            let next = "people notice nothing: leave the first of the two secrets out";
            vec![Finding::warning(first.check, found).write(keys.client_secret, next), second]
        }
        (Outcome::Ok, Outcome::Wrong) => {
            let next = "leave the second of the two secrets out, unless it is still to be made";
            let second = Finding { outcome: Outcome::Warning, ..second };
            vec![first, second.write(keys.client_secret, next)]
        }
        _ => vec![first, second],
    }
}
