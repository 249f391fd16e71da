//! What each [`Reason`] means to the person who reads it: what happened, and what to do next; and what
//! each [`Action`] was.

use crate::audit::{Action, Reason};

/// Two sentences of ours; nothing a remote server wrote is ever in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Explanation {
    pub happened: &'static str,
    pub next: &'static str,
}

/// What was done, for whoever looks at it later.
pub fn deed(action: Action) -> &'static str {
    match action {
        Action::Acquire => "A credential was obtained",
        Action::Refresh => "The credential was renewed",
        Action::Inject => "Used for a request",
        Action::Vend => "Given to a proxy for a request",
        Action::Connect => "Connected",
        Action::Deny => "Declined at the provider",
        Action::Disconnect => "Disconnected",
        Action::Revoke => "Ended at the provider",
        Action::SignIn => "Signed in",
        Action::SignOut => "Signed out",
        Action::TokenCreate => "An access token was made",
        Action::TokenRevoke => "An access token was revoked",
        Action::Notify => "The end of the connection was announced",
        Action::Disable => "Switched off",
        Action::Enable => "Switched on",
        Action::Offboard => "Erased",
        Action::Administer => "Administered the gateway",
        Action::ClientRegister => "A program registered itself",
        Action::ClientApprove => "A program was let in",
        Action::TokenIssue => "A program got its tokens",
        Action::TokenRefresh => "A program renewed its tokens",
        Action::GrantRevoke => "A program's access was ended",
        Action::TokenReplay => {
            "A spent code or token came back, and its program's access was ended"
        }
        Action::Dropped => "Uses were not written down",
        Action::LogBegin => "A process began to write here",
        Action::LogCheckpoint => "A process told how far the others are",
        Action::LogExpire => "Old entries were removed",
        Action::LogEnd => "A process ended in good order",
    }
}

/// Who can do something about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    Person,
    Operator,
    /// Time mends it.
    Nobody,
}

/// As [`Reason`] sorts its words.
pub fn turn(reason: Reason) -> Turn {
    match reason {
        Reason::InvalidClient
        | Reason::UnauthorizedClient
        | Reason::InvalidScope
        | Reason::InvalidRequest
        | Reason::InvalidTarget
        | Reason::UnsupportedGrantType
        | Reason::UnsupportedResponseType
        | Reason::ScopesNotGranted
        | Reason::MetadataMissing
        | Reason::MetadataMismatch
        | Reason::PkceUnsupported
        | Reason::IssuerChanged
        | Reason::SubjectUnfit
        | Reason::ExchangeRejected
        | Reason::ConsentRequired
        | Reason::RegistrationRefused
        | Reason::Misconfigured
        | Reason::Unreadable
        | Reason::KeyMissing
        | Reason::NotDelivered => Turn::Operator,
        Reason::ServerError
        | Reason::TemporarilyUnavailable
        | Reason::ProviderUnavailable
        | Reason::UpstreamUnavailable
        | Reason::MalformedResponse
        | Reason::StoreUnavailable
        | Reason::KeysUnavailable
        | Reason::Conflict
        | Reason::RevocationUnsupported
        | Reason::Other => Turn::Nobody,
        _ => Turn::Person,
    }
}

/// Exhaustive: a new word does not compile until somebody has said what it means.
#[expect(clippy::too_many_lines, reason = "a table, one row a word")]
pub fn explain(reason: Reason) -> Explanation {
    let (happened, next) = match reason {
        Reason::AccessDenied => (
            "The request was declined.",
            "If that was not what you meant, begin again and approve it.",
        ),
        Reason::NotConnected => ("It is not connected.", "Connect it to use it."),
        Reason::NeedsReconnect => ("The provider ended the connection.", "Reconnect to go on."),
        Reason::InvalidGrant => (
            "The provider no longer accepts the approval: it expired, was withdrawn or was already used.",
            "Connect again.",
        ),
        Reason::RefreshInterrupted => (
            "Renewing the credential was interrupted, and the provider no longer accepts the old one.",
            "Reconnect to go on.",
        ),
        Reason::UpstreamRejected => (
            "The server refuses the credential that its own provider gave.",
            "Reconnect. If that does not help, tell whoever runs this gateway.",
        ),
        Reason::UpstreamMoved => (
            "The server is at another address than the one that was approved.",
            "Reconnect to use it where it is now.",
        ),
        Reason::InsufficientScope => (
            "The server asks for more permissions than were approved.",
            "Connect again to approve them.",
        ),
        Reason::KeyRefused => {
            ("The server does not accept the key.", "Enter one that works there.")
        }
        Reason::TermEnded => {
            ("The time is up for which you connected it.", "Connect it again to go on.")
        }
        Reason::KeyMalformed => (
            "What was entered is not a key that can be sent.",
            "Copy it again, whole and without anything around it.",
        ),
        Reason::SubjectMissing => (
            "What you called with cannot be exchanged for a token of this server.",
            "Call with an access token of your company's identity provider for this gateway.",
        ),
        Reason::SignInMissing => (
            "This gateway has no sign-in of yours that could be exchanged for a token of this server, or it ended.",
            "Sign in to this gateway with your browser, then try again.",
        ),
        Reason::SubjectUnfit => (
            "What the identity provider gives when you sign in is not for this gateway, so it was shown to nobody.",
            TELL_OPERATOR,
        ),
        Reason::SubjectRefused => (
            "The identity provider does not accept your sign-in for this server.",
            "Sign in again where you call from. If that does not help, tell whoever runs this gateway.",
        ),
        Reason::ExchangeDenied => (
            "The identity provider gives you no token for this server.",
            "Ask those who decide there about who may use it.",
        ),
        Reason::InteractionRequired => (
            "The identity provider wants to see you again for this server, with a second factor perhaps.",
            "Sign in there anew, the way it wants it, and where you call from. If that does not help, tell whoever runs this gateway.",
        ),
        Reason::PolicyDenied => (
            "A rule of whoever runs this gateway closes this to you, or closes it now.",
            "Try again at the hour that the answer named, if it named one; else ask them.",
        ),
        Reason::ConsentRequired => (
            "Nobody approved at the identity provider yet that this gateway uses this server for you.",
            "Tell whoever runs this gateway: an administrator there can approve it for everybody.",
        ),
        Reason::AssertionRefused => (
            "The server's own provider does not accept what your identity provider says about you.",
            "Ask those who decide about that server who may use it. If nobody gets in, tell whoever runs this gateway.",
        ),
        Reason::ExchangeRejected => {
            ("The server refuses the token that your sign-in was exchanged for.", TELL_OPERATOR)
        }
        Reason::FlowUnknown => {
            ("This attempt was already finished, or a newer one took its place.", BEGIN_AGAIN)
        }
        Reason::FlowExpired => ("This attempt took too long.", BEGIN_AGAIN),
        Reason::WrongPerson => (
            "This attempt was begun by somebody else, and nothing was connected.",
            "If you came here by a link that somebody sent you, do not use it again.",
        ),
        Reason::WrongBrowser => (
            "This attempt was begun in another browser, or before you signed in to this one.",
            BEGIN_AGAIN,
        ),
        Reason::WrongUpstream => ("The answer that came back was for another server.", BEGIN_AGAIN),
        Reason::WrongIssuer => (
            "The answer came from a provider that was not asked, and was not used.",
            "Begin again. If it happens twice, tell whoever runs this gateway.",
        ),
        Reason::MalformedCallback => ("The answer that came back cannot be read.", BEGIN_AGAIN),
        Reason::TooManyFlows => {
            ("Too many attempts are open.", "Wait a few minutes, then begin again.")
        }
        Reason::TooManyAccounts => (
            "You have as many accounts of this server as can be connected.",
            "Disconnect one that you no longer use.",
        ),
        Reason::InvalidClient => {
            ("The provider does not accept this gateway's registration.", TELL_OPERATOR)
        }
        Reason::UnauthorizedClient => {
            ("The provider does not allow this gateway to ask.", TELL_OPERATOR)
        }
        Reason::InvalidScope => {
            ("The provider does not know the permissions that were asked for.", TELL_OPERATOR)
        }
        Reason::InvalidTarget => {
            ("The provider does not know the server that was asked for.", TELL_OPERATOR)
        }
        Reason::InvalidRequest | Reason::UnsupportedGrantType | Reason::UnsupportedResponseType => {
            ("The provider does not accept how this gateway asks.", TELL_OPERATOR)
        }
        Reason::ScopesNotGranted => {
            ("The server asks for permissions that its provider does not grant.", TELL_OPERATOR)
        }
        Reason::MetadataMissing => {
            ("The server does not say where its people sign in.", TELL_OPERATOR)
        }
        Reason::MetadataMismatch => (
            "What was published about the provider is about another, and was not used.",
            TELL_OPERATOR,
        ),
        Reason::PkceUnsupported => (
            "The provider does not promise to protect the approval on its way back.",
            TELL_OPERATOR,
        ),
        Reason::IssuerChanged => {
            ("The server now names another provider than the one set up here.", TELL_OPERATOR)
        }
        Reason::RegistrationRefused => {
            ("The provider does not let this gateway register itself.", TELL_OPERATOR)
        }
        Reason::Misconfigured => ("This gateway is not set up for it correctly.", TELL_OPERATOR),
        Reason::Unreadable => (
            "The stored credential was changed or damaged, and cannot be opened.",
            "Tell whoever runs this gateway. Reconnecting replaces it.",
        ),
        Reason::KeyMissing => (
            "The stored credential cannot be opened with the gateway's present keys.",
            TELL_OPERATOR,
        ),
        Reason::ServerError | Reason::TemporarilyUnavailable | Reason::ProviderUnavailable => {
            ("The provider is not answering properly just now.", TRY_LATER)
        }
        Reason::UpstreamUnavailable => {
            ("The server does not answer properly just now, so the key was not tested.", TRY_LATER)
        }
        Reason::MalformedResponse => ("The provider's answer cannot be used.", TRY_LATER),
        Reason::StoreUnavailable | Reason::KeysUnavailable => {
            ("This gateway cannot reach its own storage or keys just now.", TRY_LATER)
        }
        Reason::Conflict => ("It changed while this was under way.", "Look again, then retry."),
        Reason::RevocationUnsupported => (
            "The provider has no way to be told, so the old token may work there until it expires.",
            "To be sure, also remove this gateway in your account's settings there.",
        ),
        Reason::NotDelivered => {
            ("A notice about the connection could not be delivered.", TELL_OPERATOR)
        }
        Reason::Other => (
            "The provider refused for a reason that it did not explain.",
            "Begin again. If it happens twice, tell whoever runs this gateway.",
        ),
    };
    Explanation { happened, next }
}

const BEGIN_AGAIN: &str = "Begin again.";
const TELL_OPERATOR: &str = "Tell whoever runs this gateway; there is nothing you can change.";
const TRY_LATER: &str = "Try again in a few minutes.";
