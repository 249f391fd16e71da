//! The shape of a template. The comments here are its documentation: they are in the JSON Schema
//! that `attache schema provider` prints.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema::{ClientAuth, Span};

/// The JSON Schema of a template.
pub fn json_schema() -> serde_json::Value {
    crate::schema::without_nulls(schemars::schema_for!(Template))
}

/// How one provider's OAuth is spoken. What is left out is as the RFCs say.
///
/// URLs, the issuer and hosts may hold `{name}` of a parameter declared in `params`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
#[schemars(title = "provider template")]
#[schemars(extend("required" = ["authorization_endpoint", "token_endpoint"]))]
pub struct Template {
    pub authorization_endpoint: Option<String>,
    pub token_endpoint: Option<String>,
    /// Where tokens are refreshed, when that is not `token_endpoint`.
    pub refresh_url: Option<String>,
    pub revoke: Option<Revoke>,
    /// The authorization server, exactly as it names itself in `iss` (RFC 9207).
    pub issuer: Option<String>,
    pub client_auth: Option<ClientAuth>,
    /// What `client_auth = "basic"` sends.
    pub basic: Basic,
    pub pkce: Pkce,
    /// How requests to the token endpoint are written.
    pub body: Body,
    /// Another name for `client_id`.
    pub client_id_param: Option<String>,
    /// Another name for `scope`.
    pub scope_param: Option<String>,
    /// Between the scopes asked for; a space where it is absent.
    pub scope_separator: Option<String>,
    /// Asked for besides the upstream's own, such as the scope that a refresh token needs.
    pub scopes: Vec<String>,
    /// Whether a refresh names the scopes again.
    pub refresh_scope: Sending,
    /// How the resource (RFC 8707) is named.
    pub resource: ResourceParameter,
    /// Parameters of the authorization request, besides the usual ones.
    pub authorize_params: BTreeMap<String, String>,
    /// Parameters of the code's exchange, besides the usual ones.
    pub token_params: BTreeMap<String, String>,
    /// Parameters of a refresh, besides the usual ones.
    pub refresh_params: BTreeMap<String, String>,
    /// Headers of requests to the token, revocation and account endpoints. No secrets.
    pub token_headers: BTreeMap<String, String>,
    /// Whether a refresh spends the refresh token. `no`: a lost answer leaves no doubt.
    pub rotation: Rotation,
    /// How long a refresh token lives whose response does not say.
    pub rt_lifetime: Option<Span>,
    /// How long a refresh token lives that is not used.
    pub rt_inactivity: Option<Span>,
    /// The parameter of the redirect that carries the code.
    pub callback_code_param: Option<String>,
    /// Parameters of the redirect to keep: `name = "parameter"`.
    pub callback_capture: BTreeMap<String, String>,
    /// Values of the token response to keep: `name = "path"`.
    pub token_capture: BTreeMap<String, String>,
    /// Where a person's requests go, made of what was kept: `{instance_url}`. Its host replaces
    /// that of the upstream's `url`, and its path comes before.
    pub base_url: Option<String>,
    /// The hosts that `base_url` may lead to: `api.example.com` or `*.example.com`.
    pub allowed_hosts: Vec<String>,
    /// Where in a token response its parts are.
    pub response_paths: Paths,
    /// The same for the response to a refresh; absent: as in `response_paths`.
    pub refresh_response_paths: Option<Paths>,
    /// Words that this provider has for the token type `bearer`.
    pub bearer_types: Vec<String>,
    /// What a body must say, besides a status of success.
    pub success_predicate: Option<Predicate>,
    /// Where a body names its error; absent: `error`.
    pub error_path: Option<String>,
    /// This provider's error codes, in OAuth's words.
    pub error_map: BTreeMap<String, OauthError>,
    pub expires_unit: ExpiresUnit,
    /// How long a token lives whose response does not say.
    pub default_expires_in: Option<Span>,
    /// The header the credential is injected into.
    pub header: Option<String>,
    /// `{token}` is replaced with the credential.
    pub header_format: Option<String>,
    /// Asked with a fresh token: whose is it?
    pub account_identity: Option<AccountIdentity>,
    /// What an operator says in `provider_params`.
    pub params: BTreeMap<String, Parameter>,
}

/// Where tokens are ended.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
#[schemars(extend("required" = ["url"]))]
pub struct Revoke {
    /// May hold `{client_id}`.
    pub url: Option<String>,
    pub style: RevokeStyle,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RevokeStyle {
    #[default]
    Rfc7009,
    /// RFC 7009 without `token_type_hint`.
    NoHint,
    /// `DELETE`, the client as Basic, `{"access_token": "…"}` in the body.
    DeleteBasic,
    /// `POST` with the access token as Bearer: it ends itself.
    Bearer,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Basic {
    #[default]
    IdAndSecret,
    /// The secret as the user, and no password.
    SecretAlone,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
pub enum Pkce {
    #[default]
    S256,
    /// The provider refuses or ignores PKCE.
    #[serde(rename = "off")]
    Off,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    #[default]
    Form,
    Json,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sending {
    Send,
    #[default]
    Omit,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResourceParameter {
    /// In the parameter `resource`.
    #[default]
    Send,
    Omit,
    /// As the scope `{resource}/.default`.
    Scope,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rotation {
    Yes,
    No,
    #[default]
    Unknown,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExpiresUnit {
    #[default]
    Seconds,
    Milliseconds,
}

/// Ways through a JSON document: `authed_user.access_token`; a number counts into a list.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct Paths {
    pub access_token: Option<String>,
    pub token_type: Option<String>,
    pub refresh_token: Option<String>,
    pub expires_in: Option<String>,
    pub scope: Option<String>,
    /// Between the scopes granted, besides white space: one character.
    pub scope_separator: Option<String>,
    /// Whose token it is, in words that the person knows.
    pub account_id: Option<String>,
}

/// That the value at `path` is `equals`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
#[schemars(extend("required" = ["path", "equals"]))]
pub struct Predicate {
    pub path: Option<String>,
    pub equals: Option<bool>,
}

/// RFC 6749 sections 4.1.2.1 and 5.2, RFC 8707.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OauthError {
    AccessDenied,
    InvalidClient,
    InvalidGrant,
    InvalidRequest,
    InvalidScope,
    InvalidTarget,
    ServerError,
    TemporarilyUnavailable,
    UnauthorizedClient,
    UnsupportedGrantType,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
#[schemars(extend("required" = ["url", "path"]))]
pub struct AccountIdentity {
    pub url: Option<String>,
    /// Where in the answer the person's name or address is.
    pub path: Option<String>,
}

/// A part of the provider's addresses that differs: a tenant, a customer's own host name.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
#[schemars(extend("required" = ["description"]))]
pub struct Parameter {
    /// What to write, for the message that asks for it.
    pub description: Option<String>,
    /// Absent: it must be written.
    pub default: Option<String>,
}
