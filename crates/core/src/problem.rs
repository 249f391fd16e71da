//! Everything the gateway refuses, as one closed list: what a kind of problem is called, and what
//! it means to whoever meets it.
//!
//! Each has a page at `/problems/{slug}`, whose address is the `type` of an answer (RFC 9457). An
//! upstream that is not there and one that is for others are the same kind.

use http::StatusCode;

use crate::authenticator::AuthnError;

/// What a [`Kind`] says. The sentences are ours; an answer may have a more exact one of the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The last part of its address, for ever.
    pub slug: &'static str,
    pub status: StatusCode,
    pub title: &'static str,
    pub happened: &'static str,
    /// Whose move it is, and which.
    pub next: &'static str,
}

macro_rules! kinds {
    ($(
        $kind:ident: $status:ident $slug:literal, $title:literal,
        $happened:literal, $next:literal;
    )+) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Kind { $($kind,)+ }

        impl Kind {
            pub const ALL: &[Self] = &[$(Self::$kind,)+];

            pub fn facts(self) -> Facts {
                match self {
                    $(Self::$kind => Facts {
                        slug: $slug,
                        status: StatusCode::$status,
                        title: $title,
                        happened: $happened,
                        next: $next,
                    },)+
                }
            }
        }
    };
}

kinds! {
    // Who is calling, and from where.
    ForeignHost: FORBIDDEN "foreign-host", "Wrong host name",
        "The request was for a host name that this gateway does not answer for.",
        "Use the address you were given. If it is this one, whoever runs this gateway sets \
         public_url to it, and the proxy in front passes Host on unchanged.";
    ForeignOrigin: FORBIDDEN "foreign-origin", "This came from another site",
        "Another site asked your browser to do this in your name. Nothing was done.",
        "If you meant it, do it from your connections.";
    Unauthenticated: UNAUTHORIZED "unauthenticated", "Sign in first",
        "This needs to know who you are, and nothing that was sent proves it.",
        "In a browser, sign in. A program sends an access token of yours, as a Bearer token in \
         the Authorization header.";
    InvalidToken: UNAUTHORIZED "invalid-token", "Not a valid access token",
        "What was presented is expired, revoked, or not for this gateway.",
        "Sign in again, or present another token.";
    SignInAgain: UNAUTHORIZED "sign-in-again", "Its owner has to sign in again",
        "The token is good, but whose it is has not signed in here for longer than it may outlive.",
        "Sign in once in a browser, as its owner. It then works again.";
    MalformedCredentials: BAD_REQUEST "malformed-credentials", "Malformed credentials",
        "The request says who is calling twice, or in a place where it must not be said.",
        "Correct the program that sent it.";
    UnknownProxy: UNAUTHORIZED "unknown-proxy", "Which proxy is asking?",
        "Only a proxy that sends its own secret is told anything here, and only about its own \
         upstreams.",
        "Whoever runs the proxy compares the secret it sends, and the upstreams it asks for, with \
         forward_auth in the gateway's configuration.";
    IdentityUnavailable: SERVICE_UNAVAILABLE "identity-unavailable",
        "You cannot be recognized right now",
        "The issuer of your token, or this gateway's own storage, does not answer.",
        "Try again shortly.";

    BrowserNeeded: FORBIDDEN "browser-needed", "This takes your browser",
        "A token proves whose it is, and this is only done where that person signed in themselves.",
        "Do it in a browser in which you are signed in.";
    ReadOnly: FORBIDDEN "read-only", "This token is for reading only",
        "The token that was presented may look and not act, and this would act.",
        "Use a token that is not for reading only.";

    // What was asked for.
    NotFound: NOT_FOUND "not-found", "There is nothing here",
        "No page and no address of the API is called this.",
        "Begin from your connections.";
    NoSuchUpstream: NOT_FOUND "no-such-upstream", "No such upstream",
        "There is no upstream of this name that you may use here.",
        "Look at your connections. If one is missing, ask whoever runs this gateway.";
    AccountUnclear: BAD_REQUEST "account-unclear", "Which account?",
        "The request names two accounts, or one in words that are no account's name.",
        "Name one, in the path after the upstream's name and an @, or in Attache-Account: 1 to 32 \
         of a-z, 0-9 and -, beginning with a letter or a digit.";
    MethodNotAllowed: METHOD_NOT_ALLOWED "method-not-allowed", "That cannot be done here",
        "This address exists, but not for this method.",
        "Begin from your connections.";
    UnsafePath: BAD_REQUEST "unsafe-path", "Unsafe path",
        "The path has a segment of one or two dots or a control character, perhaps encoded.",
        "Send the path you mean.";
    PathClosed: FORBIDDEN "path-closed", "This path is not open",
        "Of this upstream, only some paths are open here.",
        "Ask whoever runs this gateway for it, if you need it.";
    ClosedByRule: FORBIDDEN "closed-by-rule", "A rule closes this",
        "Whoever runs this gateway closed this to you by a rule, for some hours or for good.",
        "Try again at the hour that the answer names, if it names one. Else ask them.";
    TooManyHeaders: REQUEST_HEADER_FIELDS_TOO_LARGE "too-many-headers", "Too many headers",
        "The request has more header fields than this gateway reads.",
        "Send fewer.";
    UnknownSession: NOT_FOUND "unknown-session", "Unknown session",
        "This Mcp-Session-Id is not one of yours any more.",
        "Begin a new session.";
    BodyTooLarge: PAYLOAD_TOO_LARGE "body-too-large", "Body too large",
        "This message is larger than what the gateway reads itself, which it has to here.",
        "If the upstream is not connected yet, connect it first. If it is, send less at once.";
    UnclearMessage: BAD_REQUEST "unclear-message", "Unclear message",
        "The gateway has to know here what a message asks for, and two readers could take this one \
         for different things.",
        "Send one JSON-RPC message as application/json in UTF-8, without a content coding, each \
         key once.";
    BodyTooSlow: REQUEST_TIMEOUT "body-too-slow", "Body too slow",
        "The message did not arrive in time.",
        "Send it again.";
    TooOften: TOO_MANY_REQUESTS "too-often", "Too often",
        "You asked more often than this gateway answers one person.",
        "Wait as long as Retry-After says.";

    // A person's credential.
    NotConnected: FORBIDDEN "not-connected", "Connect this upstream first",
        "There is no credential of yours for this upstream, or its provider ended it.",
        "Connect it to use it.";
    InsufficientScope: FORBIDDEN "insufficient-scope", "Approve more permissions first",
        "The upstream needs permissions for this that you did not give it yet.",
        "Connect it again to approve them. Until then everything else goes on working.";
    ScopesNotGranted: FORBIDDEN "scopes-not-granted", "Permissions that are not granted",
        "The upstream needs permissions for this that its provider does not grant, however often \
         you approve. Everything else goes on working.",
        "Tell whoever runs this gateway; there is nothing you can change.";
    NothingToDisconnect: NOT_FOUND "nothing-to-disconnect", "You are not connected",
        "There is no credential of yours for this upstream.",
        "To use it, connect it.";
    ExchangeRefused: FORBIDDEN "exchange-refused", "Your sign-in does not open this upstream",
        "Its tokens are had by exchanging the access token you call with, and that was refused, or \
         is of another issuer.",
        "Sign in again where you call from. If that does not help, ask whoever runs this gateway.";
    KeyNotAccepted: UNPROCESSABLE_ENTITY "key-not-accepted", "The key was not accepted",
        "The upstream refuses it, or it is not a key that can be sent. Nothing was stored.",
        "Use one that works there.";
    CredentialUnavailable: SERVICE_UNAVAILABLE "credential-unavailable",
        "Your credential is not available right now",
        "The provider that renews it, or this gateway's own storage or keys, does not answer.",
        "Try again shortly. There is no need to connect again.";
    CredentialMisconfigured: BAD_GATEWAY "credential-misconfigured",
        "Your credential cannot be used",
        "The provider, or this gateway, is not set up for it correctly.",
        "Tell whoever runs this gateway; there is nothing you can change.";
    SendAgain: SERVICE_UNAVAILABLE "send-again", "Send this request again",
        "The upstream refused an outdated credential. It has been renewed, but this request was \
         too large to be repeated for you.",
        "Send it again.";

    // The upstream.
    UpstreamUnreachable: BAD_GATEWAY "upstream-unreachable", "The upstream cannot be reached",
        "It refused the connection or broke it off.",
        "Whoever runs it has to look.";
    TooManyRequests: TOO_MANY_REQUESTS "too-many-requests", "Too many requests at once",
        "As many requests of yours are under way to this upstream as one person may have.",
        "Wait for one of them to end.";
    RateLimited: TOO_MANY_REQUESTS "rate-limited", "The upstream wants you to wait",
        "It answered the same request of yours a moment ago with when to ask again, which is not \
         yet. This one was not sent.",
        "Wait for as long as Retry-After says.";
    UpstreamBusy: SERVICE_UNAVAILABLE "upstream-busy", "The upstream is busy",
        "As many requests are under way to it as this gateway lets through.",
        "Try again shortly.";
    UpstreamBlocked: BAD_GATEWAY "upstream-blocked", "The upstream's address is not allowed",
        "Its name leads to an address that the gateway's egress rules refuse.",
        "Whoever runs this gateway has to change egress.allow_private or the upstream's URL.";
    UpstreamSilent: GATEWAY_TIMEOUT "upstream-silent", "The upstream does not answer",
        "It took the request and sent no answer in time. It may still have acted on it.",
        "Look there before you send it again.";

    UpstreamUnreadable: BAD_GATEWAY "upstream-unreadable", "The upstream's answer cannot be read",
        "It should be a list of tools, of which you see those that are open to you, and it is not \
         one that this gateway can read, or is too large.",
        "Whoever runs it has to look.";

    // The gateway itself.
    Unavailable: SERVICE_UNAVAILABLE "unavailable", "Not possible just now",
        "Something this gateway needs does not answer: its storage, its keys, or the identity \
         provider.",
        "Try again in a few minutes. Nothing you have is lost.";
    Internal: INTERNAL_SERVER_ERROR "internal", "That went wrong here",
        "This gateway made a mistake.",
        "Tell whoever runs it, with the id of the request.";
}

impl Kind {
    pub fn parse(slug: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.facts().slug == slug)
    }
}

impl From<&AuthnError> for Kind {
    fn from(error: &AuthnError) -> Self {
        match error {
            AuthnError::Missing => Self::Unauthenticated,
            AuthnError::Rejected(_) => Self::InvalidToken,
            AuthnError::SignInAgain => Self::SignInAgain,
            AuthnError::Malformed(_) => Self::MalformedCredentials,
            AuthnError::Unavailable(_) => Self::IdentityUnavailable,
        }
    }
}

impl Facts {
    /// The path of the page that explains it.
    pub fn path(&self) -> String {
        format!("/problems/{}", self.slug)
    }

    /// For an answer that has nothing more exact to say.
    pub fn detail(&self) -> String {
        format!("{} {}", self.happened, self.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slug_is_its_own_and_fits_a_path() {
        for kind in Kind::ALL {
            let Facts { slug, status, .. } = kind.facts();
            assert_eq!(Kind::parse(slug), Some(*kind));
            assert!(slug.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{slug}");
            assert!(status.is_client_error() || status.is_server_error(), "{slug}");
        }
        assert_eq!(Kind::parse("no-such-kind"), None);
    }
}
