//! The configuration as the rest of the program sees it: parsed, complete, immutable.
//!
//! Every value here was checked when it was made, so nobody checks it again. Secrets are resolved.

use std::{net::SocketAddr, num::NonZeroU32, path::PathBuf, time::Duration};

use attache_core::{
    ClaimName, Dialect, IssuerId, Secret, UpstreamName, policy::Policy, tools::ToolRules,
    traffic::Traffic,
};
use http::{HeaderName, HeaderValue};
use ipnet::IpNet;
use url::Url;

pub use crate::schema::{ClientAuth, KeyKind, Mode, Protocol, ScimMatch};

#[derive(Clone, Debug)]
pub struct Config {
    /// An origin: https, or http on a loopback address. No path, query, fragment or user.
    pub public_url: Url,
    pub listen: SocketAddr,
    /// A line in the log for each request.
    pub access_log: bool,
    /// `/metrics`, `/healthz` and `/readyz`.
    pub admin_listen: SocketAddr,
    /// Whose `Forwarded` headers are believed, for the client's address only.
    pub trusted_proxies: Vec<IpNet>,
    pub store: StoreUrl,
    /// `None` when no key is configured anywhere; a diagnostic of severity error says so, and how
    /// to make one.
    pub keys: Option<Keys>,
    pub identity: Identity,
    /// `None`: there is none.
    pub authorization_server: Option<AuthorizationServer>,
    pub audit: Audit,
    pub egress: Egress,
    /// Absent: nobody is told.
    pub notices: Option<Notices>,
    /// In the order of the file, each name once.
    pub upstreams: Vec<Upstream>,
    /// Each name and each proof once.
    pub forward_auth: Vec<ForwardAuth>,
    /// Always there when a proxy proves itself by a certificate.
    pub proxy_listener: Option<ProxyListener>,
}

#[derive(Clone, Debug)]
pub enum StoreUrl {
    Sqlite(PathBuf),
    /// The whole URL: it may hold a password. Its `sslmode` is decided, its files are absolute.
    Postgres {
        url: Secret,
        max_connections: NonZeroU32,
    },
}

/// Key-encryption keys: the active one wraps, any of them unwraps.
#[derive(Clone, Debug)]
pub struct Keys {
    pub active: KeySource,
    pub retired: Vec<KeySource>,
}

#[derive(Clone, Debug)]
pub enum KeySource {
    /// The base64 text of a 32-byte key, from a file or the environment.
    Local(Secret),
    /// A key of a Vault Transit engine. The path of `address`, when it has one, is the engine's.
    Transit { name: String, address: Url, sign_in: VaultSignIn },
    /// The socket of a plugin that wraps and unwraps.
    Plugin(PathBuf),
}

#[derive(Clone, Debug)]
pub enum VaultSignIn {
    Token(Secret),
    AppRole { role_id: String, secret_id: Secret },
}

#[derive(Clone, Debug)]
pub struct Identity {
    pub session_ttl: Duration,
    /// At least `session_ttl`.
    pub reauthenticate_after: Duration,
    /// Empty lists: nobody is an administrator.
    pub admins: Allow,
    /// Empty: every domain.
    pub allowed_email_domains: Vec<String>,
    pub oidc: Option<Oidc>,
    /// Never without `oidc`.
    pub scim: Option<Scim>,
    pub jwt: Vec<JwtIssuer>,
    pub introspection: Option<Introspection>,
    /// Each header once.
    pub assertions: Vec<Assertion>,
}

/// The identity provider people sign in at with a browser.
#[derive(Clone, Debug)]
pub struct Oidc {
    pub issuer: IssuerId,
    pub client_id: String,
    /// Absent for a public client.
    pub client_secret: Option<Secret>,
    pub scopes: Vec<String>,
    pub subject_claim: String,
    pub groups_claim: ClaimName,
    /// Not empty: an ID token must name one of them in `hd`.
    pub hosted_domains: Vec<String>,
    /// Keep the person's token, sealed, so that it can be exchanged later.
    pub store_subject_token: bool,
}

/// How the provider of [`Oidc`] takes people away.
#[derive(Clone, Debug)]
pub struct Scim {
    /// At least 32 characters, as a header can hold them.
    pub token: Secret,
    pub matched: ScimMatch,
    /// Where people are known by `oid`: the directory they are in.
    pub tenant: Option<String>,
    pub offboard: bool,
}

/// An issuer whose access tokens are accepted as callers.
#[derive(Clone, Debug)]
pub struct JwtIssuer {
    pub issuer: IssuerId,
    pub audience: String,
    /// That of [`Oidc`] when it is the same issuer, so that one person is one person (RS-15).
    pub subject_claim: String,
    /// That of [`Oidc`] when it is the same issuer and no other is said.
    pub groups_claim: ClaimName,
}

/// An issuer that is asked about access tokens.
#[derive(Clone, Debug)]
pub struct Introspection {
    pub issuer: JwtIssuer,
    /// `None`: as the issuer's metadata says.
    pub endpoint: Option<Url>,
    pub client_id: String,
    pub client_secret: Secret,
}

/// A proxy in front that signs who it let through.
#[derive(Clone, Debug)]
pub struct Assertion {
    pub header: HeaderName,
    /// Any text.
    pub issuer: IssuerId,
    pub audience: String,
    pub jwks_uri: Url,
    pub subject_claim: String,
    pub groups_claim: ClaimName,
    pub trust_email: bool,
}

/// The built-in authorization server, for MCP clients.
#[expect(clippy::struct_excessive_bools, reason = "switches of the operator's, each its own")]
#[derive(Clone, Debug)]
pub struct AuthorizationServer {
    pub dynamic_registration: bool,
    pub client_id_metadata_documents: bool,
    /// There is an `oidc`, then.
    pub id_jag: bool,
    pub access_token_ttl: Duration,
    /// How long a rotated refresh token still answers with its successor (AS-20).
    pub refresh_grace: Duration,
    /// Whether clients may ask for tokens for the whole gateway.
    pub gateway_audience: bool,
    /// Whether clients that nobody chose may ask for tokens for several servers at once.
    pub all_servers_for_anybody: bool,
    /// Hosts whose client-id metadata documents are accepted; empty: every one.
    pub client_id_hosts: Vec<String>,
    /// Schemes of programs to which a browser may be sent; none that browsers run or open.
    pub private_use_schemes: Vec<String>,
    /// Each id once.
    pub clients: Vec<OAuthClient>,
}

/// A client of the built-in authorization server.
#[derive(Clone, Debug)]
pub struct OAuthClient {
    pub id: String,
    /// What people are asked about.
    pub name: String,
    pub redirect_uris: Vec<String>,
    /// Absent for a public client.
    pub secret: Option<Secret>,
}

#[derive(Clone, Debug)]
pub struct Audit {
    /// How long an entry is kept.
    pub retention: Duration,
}

#[derive(Clone, Debug)]
pub struct Egress {
    /// Private, loopback and link-local networks that may be reached nevertheless.
    pub allow_private: Vec<IpNet>,
}

/// People by group or by verified e-mail address; one match is enough.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allow {
    pub groups: Vec<String>,
    pub emails: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct Upstream {
    pub name: UpstreamName,
    /// http or https; no user, no fragment.
    pub url: Url,
    pub protocol: Protocol,
    /// Absent: every signed-in person.
    pub allow: Option<Allow>,
    pub tools: ToolRules,
    /// The rules that are about it, of an MCP server those about tools among them.
    pub policy: Policy,
    /// Static headers; beside a broker none of them is a credential.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Absent: proxied with the static headers and no per-user credential.
    pub broker: Option<AuthBroker>,
    pub traffic: Traffic,
}

#[derive(Clone, Debug)]
pub struct AuthBroker {
    pub mode: Mode,
    /// How the provider speaks OAuth: as the RFCs say, unless a template knows better.
    pub dialect: Dialect,
    /// In mode `oauth_connect` never without `token_endpoint`, nor the other way round: both are
    /// static or both are discovered.
    pub authorization_endpoint: Option<Url>,
    pub token_endpoint: Option<Url>,
    pub revocation_endpoint: Option<Url>,
    pub issuer: Option<IssuerId>,
    /// Always there when `token_endpoint` is. Without either, the gateway introduces itself.
    pub client_id: Option<String>,
    /// There when `client_auth` is `Basic` or `Post`.
    pub client_secret: Option<ClientSecret>,
    /// As configured; otherwise, with a `token_endpoint`, `Post` with a `client_secret` and `None`
    /// without, as mcpproxy does. Absent: what the server takes.
    pub client_auth: Option<ClientAuth>,
    /// In mode `entra_obo`, and always there without a `client_secret`: PEM, not yet read.
    pub client_certificate: Option<Secret>,
    pub scopes: Vec<String>,
    /// An absolute URI without fragment (RFC 8707 section 2).
    pub resource: Option<String>,
    /// In mode `entra_obo`, and always there: the directory whose `token_endpoint` it is.
    pub tenant: Option<String>,
    /// In mode `token_exchange`: the audience by name (RFC 8693 section 2.1).
    pub audience: Option<String>,
    pub leniency: Leniency,
    pub prefer_registration: bool,
    /// In mode `api_key`.
    pub key_kind: KeyKind,
    pub key_test: KeyTest,
    /// Whether people are asked for scopes that the upstream wants beyond the first ones.
    pub step_up: bool,
    /// In mode `oauth_connect`.
    pub longest_connection: Option<Duration>,
    pub header: HeaderName,
    pub header_format: HeaderFormat,
}

/// Who is told of connections that end.
#[derive(Clone, Debug)]
pub struct Notices {
    /// An https URL, or http on a loopback address.
    pub webhook: Secret,
    /// `whsec_` and the base64 of 24 to 64 bytes.
    pub secret: Secret,
}

#[derive(Clone, Debug)]
pub struct ClientSecret {
    pub first: Secret,
    /// While one replaces the other; never the same as the first.
    pub second: Option<Secret>,
}

/// What is asked with a new key before it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyTest {
    Skipped,
    /// The upstream's own URL.
    Upstream,
    At(Url),
}

/// What a discovered upstream need not publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leniency {
    /// That the authorization server checks PKCE.
    pub pkce: bool,
    /// Who its authorization server is: the upstream's origin, then.
    pub resource_metadata: bool,
}

/// What goes around the token: `Bearer {token}` is the prefix `Bearer ` and an empty suffix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderFormat {
    pub prefix: String,
    pub suffix: String,
}

/// A proxy that writes credentials on requests itself.
#[derive(Clone, Debug)]
pub struct ForwardAuth {
    pub name: String,
    pub proof: ProxyProof,
    /// At least one; all of them have a broker.
    pub upstreams: Vec<UpstreamName>,
    /// Answers a second to one person.
    pub rate: NonZeroU32,
}

/// What a proxy proves itself with.
#[derive(Clone, Debug)]
pub enum ProxyProof {
    /// At least 32 characters, as a header can hold them.
    Secret(Secret),
    /// A certificate for this DNS name.
    Certificate(String),
}

/// A listener for proxies with certificates. PEM, not yet read.
#[derive(Clone, Debug)]
pub struct ProxyListener {
    pub listen: SocketAddr,
    pub certificate: Secret,
    pub key: Secret,
    pub client_ca: Secret,
}
