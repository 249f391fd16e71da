//! What is written down. No field can hold a secret: every one is an id, a time or a word of a
//! closed list.

pub mod trail;

use crate::{ConnectionName, ObtainedVia, RequestId, Timestamp, UserId};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEvent {
    pub at: Timestamp,
    pub user: Option<UserId>,
    pub server: Option<ConnectionName>,
    pub method: Option<Method>,
    pub action: Action,
    pub outcome: Outcome,
    pub request_id: Option<RequestId>,
    /// With [`Action::Dropped`]: how many.
    pub count: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Success,
    Failure(Reason),
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$note:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$note])* $variant,)+ }

        impl $name {
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            pub fn parse(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.as_str() == word)
            }
        }
    };
}

words! {
    Action {
        Acquire = "acquire",
        Refresh = "refresh",
        Inject = "inject",
        /// A credential was given to a proxy, which writes it on the request itself.
        Vend = "vend",
        Connect = "connect",
        Deny = "deny",
        Disconnect = "disconnect",
        Revoke = "revoke",
        SignIn = "sign_in",
        SignOut = "sign_out",
        /// A personal access token.
        TokenCreate = "token_create",
        TokenRevoke = "token_revoke",
        /// The webhook was told of a connection that ends, or ended.
        Notify = "notify",
        /// A person was switched off.
        Disable = "disable",
        Enable = "enable",
        /// A person was erased, and everything of theirs ended.
        Offboard = "offboard",
        /// An administrator had something done, by the API: what, the entries of the same request
        /// say.
        Administer = "administer",
        /// A client registered itself at the authorization server.
        ClientRegister = "client_register",
        /// A person was asked about a client, and said yes or no.
        ClientApprove = "client_approve",
        TokenIssue = "token_issue",
        TokenRefresh = "token_refresh",
        GrantRevoke = "grant_revoke",
        /// A code or a refresh token came back that was spent: its grant was ended.
        TokenReplay = "token_replay",
        /// Injections that were not written, because the queue was full or the store away.
        Dropped = "dropped",
        /// A process began to write here.
        LogBegin = "log_begin",
        /// Says how far the other writers are.
        LogCheckpoint = "log_checkpoint",
        /// What is older than `audit.retention` was removed.
        LogExpire = "log_expire",
        /// A process ended in good order: this is its last entry.
        LogEnd = "log_end",
    }
}

words! {
    /// How the credential is obtained: `auth_broker.mode`, with `connect` for `oauth_connect`.
    Method {
        Connect = "connect",
        TokenExchange = "token_exchange",
        EntraObo = "entra_obo",
        IdJag = "id_jag",
        ApiKey = "api_key",
    }
}

impl From<ObtainedVia> for Method {
    fn from(via: ObtainedVia) -> Self {
        match via {
            ObtainedVia::ConnectFlow => Self::Connect,
            ObtainedVia::TokenExchange => Self::TokenExchange,
            ObtainedVia::EntraObo => Self::EntraObo,
            ObtainedVia::IdJag => Self::IdJag,
            ObtainedVia::ApiKey => Self::ApiKey,
        }
    }
}

words! {
    /// Why something failed: the closed list that logs, answers, pages and the audit share. What
    /// an authorization server wrote is mapped onto it and then forgotten.
    Reason {
        // The person's move.
        AccessDenied = "access_denied",
        NotConnected = "not_connected",
        NeedsReconnect = "needs_reconnect",
        InvalidGrant = "invalid_grant",
        /// The refresh token may have been spent by a refresh whose answer was lost (OC-27).
        RefreshInterrupted = "refresh_interrupted",
        /// The upstream refuses a token that the authorization server just gave.
        UpstreamRejected = "upstream_rejected",
        /// The upstream's name leads to another origin than when it was connected (OC-7).
        UpstreamMoved = "upstream_moved",
        /// The upstream wants scopes that were not asked for yet (OC-14).
        InsufficientScope = "insufficient_scope",
        /// The upstream refuses the key that the person entered.
        KeyRefused = "key_refused",
        /// The time is up for which its person connected it.
        TermEnded = "term_ended",
        /// What was entered is no key that a header can carry.
        KeyMalformed = "key_malformed",
        /// The caller brought nothing that the upstream's provider exchanges.
        SubjectMissing = "subject_missing",
        /// The person's browser sign-in left nothing here that could be exchanged, or it ended.
        SignInMissing = "sign_in_missing",
        /// The provider does not accept what the caller brought.
        SubjectRefused = "subject_refused",
        /// The provider gives this person no token for the upstream.
        ExchangeDenied = "exchange_denied",
        /// The provider wants to see this person again before it gives a token for the upstream.
        InteractionRequired = "interaction_required",
        /// A rule of the operator's closes the upstream, or a tool of it, to this caller now.
        PolicyDenied = "policy_denied",
        /// Nobody approved yet, at the provider, that we use the upstream for this person.
        ConsentRequired = "consent_required",
        /// The upstream's authorization server does not take what the identity provider asserts.
        AssertionRefused = "assertion_refused",
        // The flow went wrong: begin again.
        FlowUnknown = "flow_unknown",
        FlowExpired = "flow_expired",
        WrongPerson = "wrong_person",
        WrongBrowser = "wrong_browser",
        WrongUpstream = "wrong_upstream",
        WrongIssuer = "wrong_issuer",
        MalformedCallback = "malformed_callback",
        TooManyFlows = "too_many_flows",
        TooManyAccounts = "too_many_accounts",
        // The operator's move.
        InvalidClient = "invalid_client",
        UnauthorizedClient = "unauthorized_client",
        InvalidScope = "invalid_scope",
        InvalidRequest = "invalid_request",
        InvalidTarget = "invalid_target",
        UnsupportedGrantType = "unsupported_grant_type",
        UnsupportedResponseType = "unsupported_response_type",
        /// The upstream goes on wanting scopes that its authorization server does not grant.
        ScopesNotGranted = "scopes_not_granted",
        /// No metadata where the specifications put it (OC-1, OC-3).
        MetadataMissing = "metadata_missing",
        /// Metadata that speaks for somebody else (OC-2, OC-4).
        MetadataMismatch = "metadata_mismatch",
        PkceUnsupported = "pkce_unsupported",
        /// The upstream names another authorization server than the one we are registered at (OC-6).
        IssuerChanged = "issuer_changed",
        /// What browser sign-in brings is no access token of its issuer for this gateway.
        SubjectUnfit = "subject_unfit",
        /// The upstream refuses the token that was exchanged for it.
        ExchangeRejected = "exchange_rejected",
        RegistrationRefused = "registration_refused",
        Misconfigured = "misconfigured",
        /// The record does not open: it was changed, cut, moved, or put back from an old copy.
        Unreadable = "unreadable",
        /// The key that would open the person's records is not among the gateway's.
        KeyMissing = "key_missing",
        // Nobody's: wait.
        ServerError = "server_error",
        TemporarilyUnavailable = "temporarily_unavailable",
        ProviderUnavailable = "provider_unavailable",
        /// The upstream itself, asked about a key.
        UpstreamUnavailable = "upstream_unavailable",
        MalformedResponse = "malformed_response",
        StoreUnavailable = "store_unavailable",
        KeysUnavailable = "keys_unavailable",
        Conflict = "conflict",
        RevocationUnsupported = "revocation_unsupported",
        /// The webhook did not take a notice, however often it was tried.
        NotDelivered = "not_delivered",
        // Anything an authorization server says that is not on the list.
        Other = "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_its_own_and_reads_back() {
        for reason in Reason::ALL {
            assert_eq!(Reason::parse(reason.as_str()), Some(*reason));
        }
        for action in Action::ALL {
            assert_eq!(Action::parse(action.as_str()), Some(*action));
        }
    }
}
