//! The shape of the file. The comments here are its documentation: they are in the JSON Schema
//! that `attache schema config` prints, and editors show them.
//!
//! Nothing is parsed beyond shape and words; `rules` turns this into [`crate::model`]. Keys that
//! are required are optional here, so that the rules can say what to write.

use std::{collections::BTreeMap, fmt, time::Duration};

use attache_core::{Secret, traffic};
use schemars::{
    JsonSchema, Schema,
    transform::{RecursiveTransform, Transform as _},
};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error as _, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};

pub use crate::provider::schema::ResourceParameter;

/// The JSON Schema of the file.
pub fn json_schema() -> serde_json::Value {
    without_nulls(schemars::schema_for!(File))
}

pub(crate) fn without_nulls(mut schema: Schema) -> serde_json::Value {
    RecursiveTransform(|schema: &mut Schema| {
        // An absent key is no null.
        if schema.get("default").is_some_and(serde_json::Value::is_null) {
            schema.remove("default");
        }
    })
    .transform(&mut schema);
    schema.into()
}

/// attache's configuration file.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
#[schemars(title = "attache.toml")]
#[schemars(extend("required" = ["public_url"]))]
pub struct File {
    /// The only source of every URL the gateway prints: an origin such as
    /// `https://gw.example.com`, without a path. http is for loopback addresses.
    pub public_url: Option<String>,
    /// Where the gateway listens.
    pub listen: String,
    /// Where `/metrics`, `/healthz` and `/readyz` are served.
    pub admin_listen: String,
    /// Write a line for each request into the log.
    pub access_log: bool,
    /// Networks of proxies (CIDR) whose Forwarded headers are believed, for the client's address
    /// only.
    pub trusted_proxies: Vec<String>,
    pub store: Store,
    pub keys: Keys,
    pub identity: Identity,
    pub authorization_server: AuthorizationServer,
    pub audit: Audit,
    pub egress: Egress,
    pub notices: Notices,
    /// A folder of provider templates, one `NAME.toml` each, which win over those in the program.
    pub provider_dir: Option<String>,
    /// The servers and APIs that are reached through the gateway.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub upstream: Vec<Upstream>,
    /// Rules that close to some people, for some hours, what they may otherwise use.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub policy: Vec<PolicyRule>,
    /// Proxies of yours that ask for a person's credential and write it on the request themselves.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub forward_auth: Vec<ForwardAuth>,
    /// Where such proxies prove themselves by a certificate. Absent: nowhere.
    pub proxy_listener: Option<ProxyListener>,
}

impl Default for File {
    fn default() -> Self {
        Self {
            public_url: None,
            listen: "127.0.0.1:8080".to_owned(),
            admin_listen: "127.0.0.1:9090".to_owned(),
            access_log: false,
            trusted_proxies: Vec::new(),
            store: Store::default(),
            keys: Keys::default(),
            identity: Identity::default(),
            authorization_server: AuthorizationServer::default(),
            audit: Audit::default(),
            egress: Egress::default(),
            notices: Notices::default(),
            provider_dir: None,
            upstream: Vec::new(),
            policy: Vec::new(),
            forward_auth: Vec::new(),
            proxy_listener: None,
        }
    }
}

/// Where everything that must survive a restart is kept.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct Store {
    /// `sqlite:PATH` or `postgres://user@host/db`; a secret, so that it may hold a password.
    #[serde(serialize_with = "crate::print::store_url")]
    pub url: SecretSource,
    /// How many connections to PostgreSQL this process opens at most. All replicas together must
    /// stay below what the server allows.
    pub max_connections: u32,
}

impl Default for Store {
    fn default() -> Self {
        Self { url: SecretSource::Text(Secret::new("sqlite:attache.db")), max_connections: 10 }
    }
}

/// Key-encryption keys. The environment variable `ATTACHE_KEY` (base64 of 32 bytes) wins over
/// `active`; `MCPPROXY_CRED_KEY` is read when there is neither.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct Keys {
    /// The key that new secrets are sealed under: `file:PATH`, `env:NAME`,
    /// `transit:NAME@https://vault` or `plugin:/path.sock`. `attache keys generate` makes one.
    pub active: Option<String>,
    /// Keys that are only read with, written like `active`.
    pub retired: Vec<String>,
    /// How to sign in at the Vault (or `OpenBao`) of `transit:` keys. Absent: with the token in the
    /// environment variable `VAULT_TOKEN`.
    pub vault: Option<Vault>,
}

/// A sign-in at Vault: a `token`, or the `role_id` and `secret_id` of an `AppRole`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct Vault {
    /// It is renewed at half of its life, as long as it can be.
    pub token: Option<SecretSource>,
    pub role_id: Option<String>,
    pub secret_id: Option<SecretSource>,
}

/// Who may call, and how they prove who they are.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct Identity {
    /// How long a browser stays signed in.
    pub session_ttl: Span,
    /// How long personal access tokens and clients go on after the identity provider vouched for
    /// their person last: then the person signs in again.
    pub reauthenticate_after: Span,
    /// Administrators. E-mails count only when the identity provider verified them.
    pub admins: Allow,
    /// When not empty, only people with a verified e-mail address of these domains get in.
    pub allowed_email_domains: Vec<String>,
    pub oidc: Option<Oidc>,
    pub scim: Option<Scim>,
    /// Issuers whose access tokens are accepted as callers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub jwt: Vec<Jwt>,
    /// The issuer that is asked about access tokens that say nothing themselves; one at most.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub introspection: Vec<Introspection>,
    /// Proxies in front of the gateway that sign who they let through.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub assertion: Vec<Assertion>,
}

impl Default for Identity {
    fn default() -> Self {
        Self {
            session_ttl: Span(Duration::from_hours(24)),
            reauthenticate_after: Span(Duration::from_hours(30 * 24)),
            admins: Allow::default(),
            allowed_email_domains: Vec::new(),
            oidc: None,
            scim: None,
            jwt: Vec::new(),
            introspection: Vec::new(),
            assertion: Vec::new(),
        }
    }
}

/// People, by group or by verified e-mail address; one match is enough.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct Allow {
    pub groups: Vec<String>,
    pub emails: Vec<String>,
}

/// The company's identity provider: browser sign-in, and the subject token for exchange.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
#[schemars(extend("required" = ["issuer", "client_id"]))]
pub struct Oidc {
    /// A provider whose ways are known: it says what is not said here.
    pub preset: Option<OidcPreset>,
    /// The directory's id, with preset `entra`.
    pub tenant: Option<String>,
    /// Only people whose ID token names one of these in `hd`. Google's word for accounts that an
    /// organization manages; required with preset `google`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hosted_domains: Vec<String>,
    /// The provider's issuer URL, exactly as it writes it.
    pub issuer: Option<String>,
    pub client_id: Option<String>,
    /// Absent for a public client.
    pub client_secret: Option<SecretSource>,
    pub scopes: Vec<String>,
    /// The claim that names a person for ever; for Entra `oid`.
    pub subject_claim: String,
    /// The claim that lists a person's groups, by its name or, inside another, the way to it:
    /// `https://example.com/groups`, `realm_access.roles`.
    pub groups_claim: String,
    /// Keep the person's token, sealed. Needed by `token_exchange`, `entra_obo` and `id_jag` for
    /// people who sign in here.
    pub store_subject_token: bool,
}

impl Default for Oidc {
    fn default() -> Self {
        Self {
            preset: None,
            tenant: None,
            hosted_domains: Vec::new(),
            issuer: None,
            client_id: None,
            client_secret: None,
            scopes: ["openid", "profile", "email"].map(str::to_owned).to_vec(),
            subject_claim: "sub".to_owned(),
            groups_claim: "groups".to_owned(),
            store_subject_token: false,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OidcPreset {
    Google,
    Entra,
}

/// The provider of `identity.oidc` says who works here and who does not any more (SCIM 2.0).
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
#[schemars(extend("required" = ["token"]))]
pub struct Scim {
    /// The secret that the provider sends; at least 32 characters.
    pub token: Option<SecretSource>,
    /// The attribute whose value is that of `identity.oidc.subject_claim`.
    #[serde(rename = "match")]
    pub matched: ScimMatch,
    /// End what somebody who leaves is connected to at the providers, too, and erase them when
    /// they are deleted.
    pub offboard: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ScimMatch {
    #[default]
    ExternalId,
    UserName,
}

/// An issuer whose access tokens (RFC 9068) are accepted as callers.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
#[schemars(extend("required" = ["issuer", "audience"]))]
pub struct Jwt {
    pub issuer: Option<String>,
    /// What must be among the token's audiences.
    pub audience: Option<String>,
    /// The claim that names a person for ever. Absent: that of `identity.oidc` for the same
    /// issuer, else `sub`.
    pub subject_claim: Option<String>,
    /// The claim that lists a person's groups, as in `identity.oidc`. Absent: that of
    /// `identity.oidc` for the same issuer, else `groups`.
    pub groups_claim: Option<String>,
}

/// An issuer whose access tokens are no JWTs: it is asked what they are (RFC 7662).
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
#[schemars(extend("required" = ["issuer", "audience", "client_id"]))]
pub struct Introspection {
    pub issuer: Option<String>,
    /// Absent: as the issuer's OpenID Connect metadata says.
    pub endpoint: Option<String>,
    /// Who asks.
    pub client_id: Option<String>,
    /// Sent as `client_secret_basic`.
    pub client_secret: Option<SecretSource>,
    /// What must be among the token's audiences.
    pub audience: Option<String>,
    /// As in `identity.jwt`.
    pub subject_claim: Option<String>,
    /// As in `identity.jwt`.
    pub groups_claim: Option<String>,
}

/// A proxy in front that signs who it let through, in a header of its own.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
#[schemars(extend("required" = ["header", "issuer", "audience", "jwks_uri"]))]
pub struct Assertion {
    /// Such as `Cf-Access-Jwt-Assertion`.
    pub header: Option<String>,
    /// `iss`, as the proxy writes it.
    pub issuer: Option<String>,
    /// What must be among `aud`: this application's, at the proxy.
    pub audience: Option<String>,
    /// Where the proxy publishes its keys.
    pub jwks_uri: Option<String>,
    /// The claim that names a person for ever. Absent: `sub`.
    pub subject_claim: Option<String>,
    /// As in `identity.oidc`. Absent: `groups`.
    pub groups_claim: Option<String>,
    /// Whether the proxy's word suffices for an address of which it does not say that it was
    /// verified.
    pub trust_email: bool,
}

/// The built-in authorization server, for MCP clients.
#[expect(clippy::struct_excessive_bools, reason = "the shape of the file")]
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct AuthorizationServer {
    pub enabled: bool,
    /// Clients may register themselves (RFC 7591).
    pub dynamic_registration: bool,
    /// A client id may be the URL of a metadata document.
    pub client_id_metadata_documents: bool,
    /// Clients with a secret, of those below, come in by what the identity provider of
    /// `[identity.oidc]` asserts of people (ID-JAG), and nobody is asked.
    pub id_jag: bool,
    /// How long an access token is good; at most `15m`.
    pub access_token_ttl: Span,
    /// How long a refresh token that was just rotated still works; at most `5m`.
    pub refresh_grace: Span,
    /// Whether a client may ask for a token for the whole gateway, with `public_url` as its
    /// resource. Otherwise each token is for one upstream.
    pub gateway_audience: bool,
    /// Whether any client may have a token for all MCP servers of a person at once, or for the whole
    /// gateway. Otherwise only yours, and those of `client_id_hosts`.
    pub all_servers_for_anybody: bool,
    /// Hosts whose client-id metadata documents are accepted. Empty: every host.
    pub client_id_hosts: Vec<String>,
    /// Schemes of programs to which browsers may be sent with a code, such as `cursor`. Another
    /// program on the same machine may claim the same scheme.
    pub private_use_schemes: Vec<String>,
    /// Clients that need not introduce themselves.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub client: Vec<OAuthClient>,
}

/// A client of the built-in authorization server.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct OAuthClient {
    pub id: Option<String>,
    /// What people are asked about. Absent: `id`.
    pub name: Option<String>,
    /// https, or http on a loopback address, where the port does not matter. None for a client that
    /// comes in by assertions alone.
    pub redirect_uris: Vec<String>,
    /// Absent for a public client.
    pub client_secret: Option<SecretSource>,
}

impl Default for AuthorizationServer {
    fn default() -> Self {
        Self {
            enabled: true,
            dynamic_registration: true,
            client_id_metadata_documents: true,
            id_jag: false,
            access_token_ttl: Span(Duration::from_mins(15)),
            refresh_grace: Span(Duration::from_mins(1)),
            gateway_audience: false,
            all_servers_for_anybody: true,
            client_id_hosts: Vec::new(),
            private_use_schemes: Vec::new(),
            client: Vec::new(),
        }
    }
}

/// Who did what with whose credential.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct Audit {
    /// How long an entry is kept, a week at least.
    pub retention: Span,
}

impl Default for Audit {
    fn default() -> Self {
        Self { retention: Span(Duration::from_hours(400 * 24)) }
    }
}

/// What the gateway may connect to.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct Egress {
    /// Networks (CIDR) that may be reached although they are private, loopback or link-local:
    /// every other such address is refused.
    pub allow_private: Vec<String>,
}

/// A server or API that is reached through the gateway.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
#[schemars(extend("required" = ["name", "url"]))]
pub struct Upstream {
    /// Its path segment: `/mcp/NAME`. 1 to 64 of a-z, 0-9, - and _.
    pub name: Option<String>,
    #[serde(serialize_with = "crate::print::url")]
    pub url: Option<String>,
    /// `streamable-http`, `sse` or `http`.
    #[schemars(with = "Protocol")]
    pub protocol: String,
    /// Who may use it. Absent: every signed-in person.
    pub allow: Option<Allow>,
    /// Which tools of an MCP server people may call. Absent: all of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<ToolRule>,
    /// Static headers. Beside `auth_broker` they cannot be credentials.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, SecretSource>,
    /// How each person's own credential is obtained. Absent: proxied without one.
    pub auth_broker: Option<AuthBroker>,
    /// `http`: the methods that are open. Absent: all.
    pub methods: Option<Vec<String>>,
    /// `http`: the paths, below the URL's, that are open with all that is below them. Absent: all.
    pub paths: Option<Vec<String>>,
    pub timeouts: Timeouts,
    pub limits: Limits,
}

/// How long a request to an upstream may take.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct Timeouts {
    /// From the request's last byte to the answer's first.
    pub head: Span,
    /// From the request's first byte to the answer's first.
    pub body: Span,
    /// Silence in an answer.
    pub idle: Span,
    /// From the request's first byte to the answer's last.
    pub lifetime: Span,
}

impl Default for Timeouts {
    fn default() -> Self {
        let traffic::Timeouts { head, body, idle, lifetime } = traffic::Timeouts::default();
        Self { head: Span(head), body: Span(body), idle: Span(idle), lifetime: Span(lifetime) }
    }
}

/// Requests to an upstream at once, in each process.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct Limits {
    /// Of one person.
    pub person: u32,
    /// Of all people.
    pub total: u32,
}

impl Default for Limits {
    fn default() -> Self {
        let traffic::Limits { person, total } = traffic::Limits::default();
        Self { person: person.get(), total: total.get() }
    }
}

impl Default for Upstream {
    fn default() -> Self {
        Self {
            name: None,
            url: None,
            protocol: "streamable-http".to_owned(),
            allow: None,
            tools: Vec::new(),
            headers: BTreeMap::new(),
            auth_broker: None,
            methods: None,
            paths: None,
            timeouts: Timeouts::default(),
            limits: Limits::default(),
        }
    }
}

/// Tools by name, in which `*` stands for any run of characters. A tool is open to whom one rule
/// about them allows it and none denies it.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct ToolRule {
    /// Whom the rule is about: members of any of these. Absent: everyone.
    pub groups: Option<Vec<String>>,
    /// Absent: every tool.
    pub allow: Option<Vec<String>>,
    /// Wins over what any rule allows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "kebab-case")]
pub enum Protocol {
    StreamableHttp,
    Sse,
    /// A plain HTTP API, under `/http/NAME/`.
    Http,
}

/// How each person's own credential for an upstream is obtained and injected.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
#[schemars(extend("required" = ["mode"]))]
pub struct AuthBroker {
    pub mode: Option<Mode>,
    /// A provider template, such as `github`: it knows what is not written here.
    pub provider: Option<String>,
    /// What the template asks for, such as a `tenant`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub provider_params: BTreeMap<String, String>,
    /// With `token_endpoint`: static. With neither: discovered.
    #[serde(serialize_with = "crate::print::url")]
    pub authorization_endpoint: Option<String>,
    #[serde(serialize_with = "crate::print::url")]
    pub token_endpoint: Option<String>,
    #[serde(serialize_with = "crate::print::url")]
    pub revocation_endpoint: Option<String>,
    /// The authorization server, exactly as it names itself.
    pub issuer: Option<String>,
    pub client_id: Option<String>,
    /// Two while one replaces the other: the first is tried first.
    pub client_secret: Option<ClientSecret>,
    /// `entra_obo`, instead of a `client_secret`: a certificate and its RSA key, as PEM.
    pub client_certificate: Option<SecretSource>,
    /// Absent: `post` with a `client_secret`, `none` without; discovered: what the server takes.
    pub client_auth: Option<ClientAuth>,
    pub scopes: Vec<String>,
    /// The audience tokens are asked for (RFC 8707).
    #[serde(serialize_with = "crate::print::url")]
    pub resource: Option<String>,
    /// `token_exchange`: what tokens are asked for by name (RFC 8693 section 2.1).
    pub audience: Option<String>,
    /// `token_exchange`: parameters that the server wants besides.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub token_params: BTreeMap<String, String>,
    /// How the audience is named in requests. Absent: `send`, or as the template knows.
    pub resource_parameter: Option<ResourceParameter>,
    /// Discovered: the server checks PKCE although its metadata does not say so.
    pub assume_pkce: bool,
    /// Discovered: the upstream's origin is its authorization server, as in MCP 2025-03-26, when it
    /// publishes no protected-resource metadata.
    pub allow_missing_metadata: bool,
    /// Discovered, without `client_id`: register also where the server would read our client-id
    /// metadata document, because it cannot reach `public_url`.
    pub prefer_registration: bool,
    /// `api_key`: what a person enters. Absent: `key`.
    pub key_kind: Option<KeyKind>,
    /// `api_key`: asked with a key before it is kept; 401 and 403 refuse it. Absent: `url`.
    #[serde(serialize_with = "crate::print::url")]
    pub key_test_url: Option<String>,
    /// `api_key`: whether a key is tried before it is kept. Absent: yes.
    #[schemars(extend("default" = true))]
    pub key_test: Option<bool>,
    /// Whether people are asked for scopes that the upstream wants later, beyond `scopes`.
    #[schemars(extend("default" = true))]
    pub step_up: Option<bool>,
    /// `oauth_connect`: how long a connection may last, an hour at least; then its person connects
    /// again. Absent: as long as they like.
    pub longest_connection: Option<Span>,
    /// The header the credential is injected into.
    #[schemars(extend("default" = DEFAULT_HEADER))]
    pub header: Option<String>,
    /// `{token}` is replaced with the credential. Absent, for `key_kind = "basic"`: `Basic {token}`.
    #[schemars(extend("default" = DEFAULT_HEADER_FORMAT))]
    pub header_format: Option<String>,
}

pub(crate) const DEFAULT_HEADER: &str = "Authorization";
pub(crate) const DEFAULT_HEADER_FORMAT: &str = "Bearer {token}";
/// RFC 7617.
pub(crate) const BASIC_HEADER_FORMAT: &str = "Basic {token}";

/// How a credential is obtained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// RFC 8693, from the person's token of the identity provider.
    TokenExchange,
    /// Microsoft Entra's On-Behalf-Of.
    EntraObo,
    /// The person consents once, in the browser (RFC 6749 section 4.1 with PKCE).
    OauthConnect,
    /// An identity assertion grant (ID-JAG).
    IdJag,
    /// The person stores an API key.
    ApiKey,
}

/// What a person enters as their key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyKind {
    Key,
    /// A user's name and a password (RFC 7617).
    Basic,
}

/// How the gateway authenticates at the token endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuth {
    Basic,
    Post,
    None,
    PrivateKeyJwt,
}

/// Closes what all of its conditions describe. No rule opens anything: who may use an upstream is in
/// `allow`, and its tools in `tools`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
#[schemars(extend("required" = ["name", "effect"]))]
pub struct PolicyRule {
    /// What callers and metrics are told: 1 to 64 of a-z, 0-9, - and _.
    pub name: Option<String>,
    /// `deny`.
    pub effect: Option<Effect>,
    /// Absent: every upstream.
    pub upstreams: Option<Vec<String>>,
    /// Calls of these tools of MCP servers; `*` stands for any run of characters. Absent:
    /// everything.
    pub tools: Option<Vec<String>>,
    /// Members of any of these. Absent: everyone.
    pub groups: Option<Vec<String>>,
    /// But for members of any of these.
    pub except_groups: Option<Vec<String>>,
    /// Who proves themselves in one of these ways. Absent: in any.
    pub callers: Option<Vec<CallerKind>>,
    /// Closed in these hours, such as `Mon-Fri 08:00-18:00`, `22:00-06:00` or `Sat,Sun`.
    pub during: Option<Vec<String>>,
    /// Closed outside of these hours.
    pub outside: Option<Vec<String>>,
    /// Of the hours: a name such as `Europe/Berlin`, an offset such as `+02:00`, or `UTC`, which is
    /// meant when it is absent.
    pub timezone: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    Deny,
}

/// How a caller proves who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CallerKind {
    /// With a personal access token.
    PersonalToken,
    /// With an access token that this gateway gave to an MCP client.
    Client,
    /// With an access token of an issuer in `identity.jwt`.
    IdentityProvider,
}

/// A proxy (nginx, Caddy, Traefik) that asks at `/forward-auth/NAME` for a person's credential.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
#[schemars(extend("required" = ["name", "upstreams"]))]
pub struct ForwardAuth {
    /// What the log calls it.
    pub name: Option<String>,
    /// What it sends in `Attache-Proxy-Secret`: 32 characters or more, of this proxy alone.
    pub secret: Option<SecretSource>,
    /// In place of `secret`: a DNS name that its certificate is for, at the `proxy_listener`.
    pub certificate_name: Option<String>,
    /// The upstreams it may ask for; each has an `auth_broker`.
    pub upstreams: Vec<String>,
    /// How often a second one person is answered through it.
    pub rate: u32,
}

impl Default for ForwardAuth {
    fn default() -> Self {
        Self { name: None, secret: None, certificate_name: None, upstreams: Vec::new(), rate: 100 }
    }
}

/// A listener for proxies alone, with TLS on both sides: each shows a certificate of `client_ca`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
#[schemars(extend("required" = ["listen", "certificate", "key", "client_ca"]))]
pub struct ProxyListener {
    /// An IP address and a port.
    pub listen: Option<String>,
    /// PEM: what the gateway shows, and the certificates between that and its issuer.
    pub certificate: Option<SecretSource>,
    /// PEM: the private key of `certificate`.
    pub key: Option<SecretSource>,
    /// PEM: who issues the proxies' certificates.
    pub client_ca: Option<SecretSource>,
}

// --- durations ----------------------------------------------------------------------------------

/// A duration: a whole number and one of `ms`, `s`, `m`, `h`, `d`, such as `90s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

/// Milliseconds a unit, the largest first.
const UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl Span {
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.find(|c: char| !c.is_ascii_digit())?;
        let (number, unit) = text.split_at_checked(digits)?;
        let (_, millis) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
        number.parse::<u64>().ok()?.checked_mul(millis).map(Duration::from_millis).map(Self)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        let fits = |(_, unit): &(&str, u64)| millis >= *unit && millis.is_multiple_of(*unit);
        match UNITS.into_iter().find(fits) {
            Some((name, unit)) => write!(f, "{}{name}", millis / unit),
            None => f.write_str("0s"),
        }
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            D::Error::custom(
                "a duration is a whole number and one of ms, s, m, h, d, such as \"90s\"",
            )
        })
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Span {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "A whole number and one of ms, s, m, h, d.",
            "pattern": "^[0-9]+(ms|s|m|h|d)$",
        })
    }
}

/// Who hears of connections that end, before they do.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct Notices {
    /// Where notices are posted, signed as Standard Webhooks has it. Its path may be a secret.
    pub webhook: Option<SecretSource>,
    /// What they are signed with: `whsec_` and the base64 of 24 to 64 bytes.
    pub secret: Option<SecretSource>,
}

// --- secrets ------------------------------------------------------------------------------------

/// A secret, or where it is: `"text"`, `{ env = "NAME" }`, `{ file = "PATH" }` or
/// `{ exec = ["prog", "arg"] }`.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(rename = "Secret", untagged)]
pub enum SecretSource {
    Text(#[schemars(with = "String")] Secret),
    /// An environment variable.
    Env {
        env: String,
    },
    /// A file; a newline at its end does not count.
    File {
        file: String,
    },
    /// A program and its arguments, run without a shell; the secret is what it prints.
    Exec {
        exec: Vec<String>,
    },
}

/// What `attache check --print` shows in place of a secret that is written in the file.
const MASK: &str = "••••••••";

impl Serialize for SecretSource {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut reference = Reference::default();
        match self {
            Self::Text(_) => return serializer.serialize_str(MASK),
            Self::Env { env } => reference.env = Some(env.clone()),
            Self::File { file } => reference.file = Some(file.clone()),
            Self::Exec { exec } => reference.exec = Some(program_only(exec)),
        }
        reference.serialize(serializer)
    }
}

/// Which program it is, is shown; its arguments may be secrets.
fn program_only(exec: &[String]) -> Vec<String> {
    let masks = std::iter::repeat_n(MASK.to_owned(), exec.len().saturating_sub(1));
    exec.iter().take(1).cloned().chain(masks).collect()
}

impl<'de> Deserialize<'de> for SecretSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SecretVisitor)
    }
}

struct SecretVisitor;

impl<'de> Visitor<'de> for SecretVisitor {
    type Value = SecretSource;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a text, { env = \"NAME\" }, { file = \"PATH\" } or { exec = [\"prog\", \"arg\"] }",
        )
    }

    fn visit_str<E>(self, text: &str) -> Result<SecretSource, E> {
        Ok(SecretSource::Text(Secret::new(text)))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<SecretSource, A::Error> {
        match Reference::deserialize(MapAccessDeserializer::new(map))? {
            Reference { env: Some(env), file: None, exec: None } => Ok(SecretSource::Env { env }),
            Reference { env: None, file: Some(file), exec: None } => {
                Ok(SecretSource::File { file })
            }
            Reference { env: None, file: None, exec: Some(exec) } => {
                Ok(SecretSource::Exec { exec })
            }
            _ => Err(A::Error::custom("a secret is in one place: write env, file or exec")),
        }
    }
}

/// A client's secret; two, `[SECRET, SECRET]`, while one replaces the other.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum ClientSecret {
    One(SecretSource),
    Two([SecretSource; 2]),
}

impl<'de> Deserialize<'de> for ClientSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ClientSecretVisitor)
    }
}

struct ClientSecretVisitor;

impl<'de> Visitor<'de> for ClientSecretVisitor {
    type Value = ClientSecret;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SecretVisitor.expecting(f)?;
        f.write_str(", or a list of two of these")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<ClientSecret, E> {
        SecretVisitor.visit_str(text).map(ClientSecret::One)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ClientSecret, A::Error> {
        SecretVisitor.visit_map(map).map(ClientSecret::One)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<ClientSecret, A::Error> {
        let (first, second) = (list.next_element()?, list.next_element()?);
        match (first, second, list.next_element::<SecretSource>()?) {
            (Some(first), Some(second), None) => Ok(ClientSecret::Two([first, second])),
            _ => Err(A::Error::custom("a list of client secrets has two: the new and the old one")),
        }
    }
}

#[derive(Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
struct Reference {
    env: Option<String>,
    file: Option<String>,
    exec: Option<Vec<String>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_and_show() {
        for (text, seconds) in [("90s", 90), ("24h", 86_400), ("15m", 900), ("7d", 604_800)] {
            assert_eq!(Span::parse(text), Some(Span(Duration::from_secs(seconds))), "{text}");
        }
        assert_eq!(Span(Duration::from_mins(90)).to_string(), "90m");
        assert_eq!(Span(Duration::ZERO).to_string(), "0s");
        for bad in ["", "s", "90", "1.5h", "-1s", "1 h", "1w", "1h30m", "99999999999999999999s"] {
            assert_eq!(Span::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_json_schema_knows_what_is_required_and_refuses_what_is_unknown() {
        let schema = json_schema();
        assert_eq!(schema["required"], serde_json::json!(["public_url"]));
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(
            schema["$defs"]["AuthBroker"]["properties"]["header"]["default"],
            "Authorization"
        );
        assert!(!schema.to_string().contains("\"default\":null"));
    }

    #[test]
    fn a_secret_in_the_file_is_never_written_out() {
        let text = SecretSource::Text(Secret::new("hunter2"));
        assert_eq!(serde_json::to_value(&text).unwrap(), MASK);
        assert!(!format!("{text:?}").contains("hunter2"));
        let reference = SecretSource::Env { env: "IDP_SECRET".to_owned() };
        assert_eq!(serde_json::to_value(&reference).unwrap()["env"], "IDP_SECRET");
        let exec = ["vault", "--token", "hunter2"].map(str::to_owned).to_vec();
        let program = serde_json::to_value(SecretSource::Exec { exec }).unwrap();
        assert_eq!(program["exec"], serde_json::json!(["vault", MASK, MASK]));
    }
}
