//! Who an upstream's authorization server is and how we deal with it: as the operator wrote it down,
//! or as the upstream and the server publish it.

mod by_hand;
mod finder;
mod provider;
mod registrar;

use std::sync::Arc;

use attache_core::{Clock, Credential, IssuerId, outbound::Outbound};
use attache_oauth::{
    callback::{WrongIssuer, check_issuer},
    token::TokenEndpoint,
};
use url::Url;

pub use self::{
    by_hand::ByHand,
    finder::{Finder, OurClient, ResourceParameter, Server, Wishes},
    provider::Provider,
    registrar::{Profile, Registrar},
};
use crate::connect::ProviderError;

#[derive(Debug)]
pub enum Authority {
    Fixed(Arc<Terms>),
    Found(Box<Finder>),
    Provider(Provider),
}

/// How an authorization server and we deal with each other about one upstream.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Whether others than the operator said which server this is.
    pub is_found: bool,
    /// `None` where the operator wrote endpoints down and no issuer.
    pub issuer: Option<IssuerId>,
    /// Whether it says that `iss` comes back with every callback (RFC 9207 section 3).
    pub iss_parameter_supported: bool,
    pub authorization_endpoint: Url,
    /// Where authorization requests must be pushed to (RFC 9126).
    pub push_to: Option<Url>,
    pub token: TokenEndpoint,
    pub revocation_endpoint: Option<Url>,
    /// What people are asked for; empty leaves it to the server.
    pub scopes: Vec<String>,
    /// What tokens are asked for by (RFC 8707).
    pub resource: Option<String>,
}

impl Authority {
    /// The terms as they are, found again when they are old.
    pub(crate) async fn terms(
        &self,
        outbound: &dyn Outbound,
        clock: &dyn Clock,
    ) -> Result<Arc<Terms>, ProviderError> {
        match self {
            Self::Fixed(terms) => Ok(Arc::clone(terms)),
            Self::Found(finder) => finder.terms(outbound, clock).await,
            Self::Provider(provider) => provider.terms().await,
        }
    }

    /// The server does not know the client of these terms: they are found anew, once in a while.
    pub(crate) fn doubt(&self, terms: &Arc<Terms>, clock: &dyn Clock) {
        if let Self::Found(finder) = self {
            finder.doubt(terms, clock.now());
        }
    }

    /// An upstream refuses a token of these terms: it may trust another server by now (OC-6). They
    /// are found anew when they are next needed, once in a while.
    pub(crate) fn look_again(&self, clock: &dyn Clock) {
        if let Self::Found(finder) = self {
            finder.look_again(clock.now());
        }
    }

    /// What we publish about ourselves as this server's client.
    pub(crate) fn profile(&self) -> Option<&Profile> {
        match self {
            Self::Found(finder) => finder.profile(),
            Self::Fixed(_) | Self::Provider(_) => None,
        }
    }

    /// The terms as far as they are known without asking anybody.
    pub(crate) fn known(&self) -> Option<Arc<Terms>> {
        match self {
            Self::Fixed(terms) => Some(Arc::clone(terms)),
            Self::Found(finder) => finder.known(),
            Self::Provider(_) => None,
        }
    }
}

impl Terms {
    /// RFC 9207 section 2.4 (OC-18). Where the operator named no issuer, an `iss` must at least
    /// belong to the origin that the browser was sent to.
    pub(crate) fn check_issuer(&self, iss: Option<&str>) -> Result<(), WrongIssuer> {
        match (&self.issuer, iss) {
            (Some(expected), given) => {
                check_issuer(given, Some(expected.as_str()), self.iss_parameter_supported)
            }
            (None, None) => Ok(()),
            (None, Some(given)) => Url::parse(given)
                .is_ok_and(|issuer| issuer.origin() == self.authorization_endpoint.origin())
                .then_some(())
                .ok_or(WrongIssuer),
        }
    }

    /// Whether these tokens may be shown to this authorization server: tokens of one issuer are
    /// never shown to another (OC-7). Whose a credential without an issuer is, the operator knows
    /// who wrote the endpoints down, and nobody else.
    pub(crate) fn is_issuer_of(&self, credential: &Credential) -> bool {
        credential.issuer == self.issuer || (credential.issuer.is_none() && !self.is_found)
    }
}
