//! An upstream as the broker sees it.

use std::sync::Arc;

use attache_core::{
    Access, AccountName, ConnectionName, Credential, CredentialKey, ObtainedVia, Principal,
    UpstreamName,
    audit::{Method, Reason},
};

use crate::{
    api_key::ApiKey,
    broker::ObtainError,
    connect::OauthConnect,
    exchange::{ExchangeForm, TokenExchange},
    injection::HeaderForm,
};

/// An upstream with an `auth_broker` block, built once when the configuration loads.
#[derive(Debug)]
pub struct Brokered {
    pub name: UpstreamName,
    /// Of its configured URL, as browsers write it: `https://api.example.com`.
    pub origin: String,
    pub access: Access,
    pub form: HeaderForm,
    pub mode: Mode,
}

/// How each person's credential is had, each way in a file of its own.
#[derive(Debug)]
pub enum Mode {
    OauthConnect(Arc<OauthConnect>),
    ApiKey(ApiKey),
    /// And `entra_obo`, and `id_jag`.
    TokenExchange(Arc<TokenExchange>),
}

impl Brokered {
    /// Whether this person may connect it, with the proof they gave: one that opens the API, or this
    /// route (RS-9, RS-18).
    pub fn permits(&self, who: &Principal, account: Option<&AccountName>) -> bool {
        (account.is_none() || self.has_accounts())
            && (who.reach.opens_api() || who.reach.includes(&self.connection(account)))
            && self.access.permits(who)
    }

    /// Whether people may connect several. Where their own identity is exchanged, there is one.
    pub fn has_accounts(&self) -> bool {
        !matches!(self.mode, Mode::TokenExchange(_))
    }

    /// Whether this was obtained for where the upstream is now. What was given for one server is not
    /// shown to whichever takes its name (OC-7).
    pub(crate) fn is_home_of(&self, credential: &Credential) -> bool {
        credential.origin.as_ref() == Some(&self.origin)
    }

    /// Of the account of this name; without one, of their first.
    pub fn key(&self, who: &Principal, account: Option<&AccountName>) -> CredentialKey {
        CredentialKey::upstream(who.user.clone(), self.connection(account))
    }

    pub fn connection(&self, account: Option<&AccountName>) -> ConnectionName {
        ConnectionName { upstream: self.name.clone(), account: account.cloned() }
    }

    /// Its authorization server, where it has one that people consent at.
    pub fn connect(&self) -> Option<&Arc<OauthConnect>> {
        match &self.mode {
            Mode::OauthConnect(connect) => Some(connect),
            Mode::ApiKey(_) | Mode::TokenExchange(_) => None,
        }
    }

    /// `auth_broker.mode` as configured.
    pub fn mode(&self) -> &'static str {
        match self.obtained_via() {
            ObtainedVia::ConnectFlow => "oauth_connect",
            other => other.as_str(),
        }
    }

    /// The same, as the audit says it.
    pub fn method(&self) -> Method {
        self.obtained_via().into()
    }

    /// The same, as a record says it. One that says something else is of another time, when the
    /// upstream was configured otherwise, and is not used.
    pub(crate) fn obtained_via(&self) -> ObtainedVia {
        match &self.mode {
            Mode::OauthConnect(_) => ObtainedVia::ConnectFlow,
            Mode::ApiKey(_) => ObtainedVia::ApiKey,
            Mode::TokenExchange(exchange) => match exchange.form {
                ExchangeForm::TokenExchange { .. } => ObtainedVia::TokenExchange,
                ExchangeForm::OnBehalfOf { .. } => ObtainedVia::EntraObo,
                ExchangeForm::IdJag(_) => ObtainedVia::IdJag,
            },
        }
    }

    /// What it means when the upstream refuses a credential that nothing renews.
    pub(crate) fn rejection(&self) -> Reason {
        match self.mode {
            Mode::OauthConnect(_) => Reason::UpstreamRejected,
            Mode::ApiKey(_) => Reason::KeyRefused,
            Mode::TokenExchange(_) => Reason::ExchangeRejected,
        }
    }

    /// What is answered to a caller when the upstream refuses a credential that was just had.
    pub fn rejected(&self) -> ObtainError {
        let reason = self.rejection();
        match self.mode {
            Mode::OauthConnect(_) | Mode::ApiKey(_) => ObtainError::NotConnected { reason },
            Mode::TokenExchange(_) => ObtainError::Operator { reason },
        }
    }
}
