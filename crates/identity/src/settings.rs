//! What an operator decides about identity.

use std::time::Duration;

use attache_core::{Access, ClaimName, IssuerId};
use attache_oauth::client_auth::Client;
use http::HeaderName;
use url::Url;

use crate::{authorization_server::AuthorizationServerSettings, scim::ScimSettings};

#[derive(Clone, Debug)]
pub struct IdentitySettings {
    /// The only source of the redirect URI, and of how cookies are set.
    pub public_url: Url,
    /// How long a browser stays signed in.
    pub session_ttl: Duration,
    /// How long what this gateway gave in a person's name outlives the last time that their issuer
    /// vouched for them. No shorter than `session_ttl`: a sign-in is always recent enough.
    pub reauthenticate_after: Duration,
    /// Who administers the gateway.
    pub admins: Access,
    /// Only people with a verified e-mail address of one of these domains; empty: everyone.
    pub allowed_email_domains: Vec<String>,
    /// Where people sign in with a browser.
    pub oidc: Option<OidcSettings>,
    /// Whose access tokens are accepted as callers.
    pub jwt: Vec<JwtSettings>,
    /// Who is asked about tokens that say nothing themselves.
    pub introspection: Option<IntrospectionSettings>,
    /// The provider of `oidc` takes people away by itself.
    pub scim: Option<ScimSettings>,
    /// Proxies in front that say who they let through.
    pub assertions: Vec<AssertionSettings>,
    /// `None`: clients are not served.
    pub authorization_server: Option<AuthorizationServerSettings>,
}

#[derive(Clone, Debug)]
pub struct OidcSettings {
    pub issuer: IssuerId,
    /// Who we are to the issuer.
    pub client: Client,
    /// `openid` among them.
    pub scopes: Vec<String>,
    /// What a person is known by: `sub`, or for Entra `oid`, which is read together with `tid`.
    pub subject_claim: String,
    /// Where a person's groups are.
    pub groups_claim: ClaimName,
    /// Not empty: only whom the issuer says to be of one of these organizations, by `hd`. An
    /// address proves nothing where anybody can have an account with one.
    pub hosted_domains: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct JwtSettings {
    /// Its tokens are kept as long as their callers are remembered, to be exchanged (TX-4).
    pub is_exchanged: bool,
    pub issuer: IssuerId,
    /// Must be among the `aud` of a token (RS-9). A route's URL is that route alone; anything else is
    /// the whole gateway, and where it is [`IdentitySettings::public_url`], each route's URL that
    /// route.
    pub audience: String,
    /// `None`: as the issuer's metadata says, `OpenID` Connect's or else RFC 8414's.
    pub jwks_uri: Option<Url>,
    /// As in [`OidcSettings`].
    pub subject_claim: String,
    /// As in [`OidcSettings`].
    pub groups_claim: ClaimName,
}

#[derive(Clone, Debug)]
pub struct IntrospectionSettings {
    /// As in [`JwtSettings`].
    pub is_exchanged: bool,
    pub issuer: IssuerId,
    /// `None`: as the issuer's `OpenID` Connect metadata says.
    pub endpoint: Option<Url>,
    /// Who asks.
    pub client: Client,
    /// As in [`JwtSettings`].
    pub audience: String,
    /// As in [`OidcSettings`].
    pub subject_claim: String,
    /// As in [`OidcSettings`].
    pub groups_claim: ClaimName,
}

#[derive(Clone, Debug)]
pub struct AssertionSettings {
    /// Where the proxy writes what it signed.
    pub header: HeaderName,
    /// Not always a URL.
    pub issuer: IssuerId,
    /// As in [`JwtSettings`].
    pub audience: String,
    pub jwks_uri: Url,
    /// As in [`OidcSettings`].
    pub subject_claim: String,
    /// As in [`OidcSettings`].
    pub groups_claim: ClaimName,
    /// Whether an address counts of which nothing says that it was verified.
    pub trust_email: bool,
}
