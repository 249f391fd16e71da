//! How one provider's OAuth differs from the RFCs.
//!
//! A [`Dialect`] is read from a provider template by `config` and followed by `oauth`, which must
//! not know each other. [`Dialect::default`] is what the RFCs say.

use std::{collections::BTreeMap, time::Duration};

use http::{HeaderName, HeaderValue};
use url::{Host, Url};

use crate::audit::Reason;

/// Everything in which a provider's authorization, token and revocation messages differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// Beside those of RFC 6749 section 4.1.1; a parameter that the request speaks for itself
    /// cannot be overridden.
    pub authorize_params: Params,
    /// Where it is `off`, the server is known to refuse or to ignore PKCE.
    pub pkce: Pkce,
    pub client_id_param: String,
    pub scope_param: String,
    pub scope_separator: String,
    pub resource: ResourceForm,

    /// The parameter of the redirect that carries the code.
    pub code_param: String,
    /// Parameters of the redirect that are kept, by the name they are kept under.
    pub callback_capture: BTreeMap<String, String>,

    pub body: BodyFormat,
    pub basic: BasicForm,
    /// Beside those of RFC 6749 section 4.1.3.
    pub token_params: Params,
    /// Beside those of RFC 6749 section 6.
    pub refresh_params: Params,
    /// On every request to the token, refresh, revocation and account endpoints.
    pub token_headers: Vec<(HeaderName, HeaderValue)>,
    /// Where tokens are refreshed, when that is not the token endpoint.
    pub refresh_endpoint: Option<Url>,
    /// Whether a refresh names the scopes again (OC-24 omits them).
    pub refresh_scope: bool,
    pub rotation: Rotation,
    /// How long a refresh token lives whose answer does not say.
    pub refresh_lifetime: Option<Duration>,
    /// How long one lives that is not used.
    pub refresh_inactivity: Option<Duration>,

    pub response: ResponsePaths,
    pub refresh_response: ResponsePaths,
    /// Words that this provider has for `bearer`.
    pub bearer_types: Vec<String>,
    /// What a body must say beside a 2xx to be a success.
    pub success: Option<Success>,
    /// Where a body names its error.
    pub error_path: JsonPath,
    /// Codes of this provider's own, before those of the RFCs.
    pub error_map: BTreeMap<String, Reason>,
    pub expires_unit: ExpiresUnit,
    /// How long a token lives whose answer does not say.
    pub default_expires_in: Option<Duration>,
    /// Values of the token response that are kept, by the name they are kept under.
    pub token_capture: BTreeMap<String, JsonPath>,
    /// Where this person's requests go, made of what was captured.
    pub base_url: Option<BaseUrl>,
    /// Who a token belongs to, when the token response does not say.
    pub account: Option<AccountEndpoint>,

    pub revocation: RevocationStyle,
}

/// Names and values, in the order they are sent.
pub type Params = Vec<(String, String)>;

impl Default for Dialect {
    fn default() -> Self {
        Self {
            authorize_params: Vec::new(),
            pkce: Pkce::S256,
            client_id_param: "client_id".to_owned(),
            scope_param: "scope".to_owned(),
            scope_separator: " ".to_owned(),
            resource: ResourceForm::Send,
            code_param: "code".to_owned(),
            callback_capture: BTreeMap::new(),
            body: BodyFormat::Form,
            basic: BasicForm::IdAndSecret,
            token_params: Vec::new(),
            refresh_params: Vec::new(),
            token_headers: Vec::new(),
            refresh_endpoint: None,
            refresh_scope: false,
            rotation: Rotation::Unknown,
            refresh_lifetime: None,
            refresh_inactivity: None,
            response: ResponsePaths::default(),
            refresh_response: ResponsePaths::default(),
            bearer_types: Vec::new(),
            success: None,
            error_path: JsonPath::key("error"),
            error_map: BTreeMap::new(),
            expires_unit: ExpiresUnit::Seconds,
            default_expires_in: None,
            token_capture: BTreeMap::new(),
            base_url: None,
            account: None,
            revocation: RevocationStyle::Rfc7009,
        }
    }
}

impl Dialect {
    /// The scopes to ask for: with [`ResourceForm::Scope`] the resource is one of them.
    pub fn scopes(&self, scopes: &[String], resource: Option<&str>) -> Vec<String> {
        let mut asked = scopes.to_vec();
        if let (ResourceForm::Scope, Some(resource)) = (self.resource, resource) {
            let within = format!("{resource}/");
            // A narrower permission of the same resource excludes all of it (AADSTS70011).
            if !asked.iter().any(|scope| scope.starts_with(&within)) {
                asked.push(format!("{within}.default"));
            }
        }
        asked
    }

    /// The `resource` parameter (RFC 8707), where the provider takes one.
    pub fn resource<'a>(&self, resource: Option<&'a str>) -> Option<&'a str> {
        resource.filter(|_| self.resource == ResourceForm::Send)
    }
}

/// RFC 7636.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pkce {
    S256,
    Off,
}

/// How the resource a token is for is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResourceForm {
    /// In `resource` (RFC 8707).
    Send,
    Omit,
    /// As the scope `{resource}/.default` (Microsoft).
    Scope,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFormat {
    Form,
    Json,
}

impl BodyFormat {
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Form => "application/x-www-form-urlencoded",
            Self::Json => "application/json",
        }
    }
}

/// What `client_secret_basic` puts into the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BasicForm {
    IdAndSecret,
    /// The secret as the user, and no password (Stripe).
    SecretAlone,
}

/// Whether a refresh spends the refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    Yes,
    /// A refresh whose answer was lost has spent nothing.
    No,
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpiresUnit {
    Seconds,
    Milliseconds,
}

/// How a token is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevocationStyle {
    /// RFC 7009.
    Rfc7009,
    /// RFC 7009 without `token_type_hint` (Notion).
    NoHint,
    /// `DELETE` with client and secret as Basic, the access token in JSON (GitHub).
    DeleteBasic,
    /// `POST` with the access token as Bearer: it ends itself (Dropbox, Slack).
    Bearer,
}

/// Where in a token response its parts are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponsePaths {
    pub access_token: JsonPath,
    pub token_type: JsonPath,
    pub refresh_token: JsonPath,
    pub expires_in: JsonPath,
    pub scope: JsonPath,
    /// Between the scopes granted, beside white space.
    pub scope_separator: Option<char>,
    /// Whose token it is, in words that the person knows.
    pub account: Option<JsonPath>,
}

impl Default for ResponsePaths {
    fn default() -> Self {
        Self {
            access_token: JsonPath::key("access_token"),
            token_type: JsonPath::key("token_type"),
            refresh_token: JsonPath::key("refresh_token"),
            expires_in: JsonPath::key("expires_in"),
            scope: JsonPath::key("scope"),
            scope_separator: None,
            account: None,
        }
    }
}

/// A way through a JSON document: `authed_user.access_token`; a number counts into a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonPath(Vec<String>);

impl JsonPath {
    /// The deepest path known has three steps.
    const MAX_STEPS: usize = 6;

    /// `None` for an empty step, a step of other than letters, digits, `_` and `-`, or more than 6.
    pub fn parse(text: &str) -> Option<Self> {
        let plain = |step: &&str| {
            !step.is_empty()
                && step.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
        };
        let steps: Vec<&str> = text.split('.').collect();
        (steps.len() <= Self::MAX_STEPS && steps.iter().all(plain))
            .then(|| Self(steps.into_iter().map(str::to_owned).collect()))
    }

    pub fn steps(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    fn key(name: &str) -> Self {
        Self(vec![name.to_owned()])
    }
}

/// That the value at `path` is `equals`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Success {
    pub path: JsonPath,
    pub equals: bool,
}

/// Asked with the fresh access token; tells whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountEndpoint {
    pub url: Url,
    pub path: JsonPath,
}

/// Where a person's requests go, as the provider said when they connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl {
    /// With `{name}` of captured values: `{instance_url}`, `https://{shop}.example.com`.
    pub template: String,
    pub allowed_hosts: Vec<HostPattern>,
}

impl BaseUrl {
    /// Bytes of one captured value.
    const MAX_VALUE: usize = 256;

    /// The URL, when every value it needs was captured and nothing in them leads elsewhere. `None`
    /// for anything but https on the default port of an allowed host.
    pub fn resolve(&self, captured: &BTreeMap<String, String>) -> Option<Url> {
        let mut text = self.template.clone();
        for (name, value) in captured {
            let place = format!("{{{name}}}");
            // A value that is not the whole URL is one word of it.
            let word = value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
            if text.contains(&place) {
                if value.len() > Self::MAX_VALUE || (self.template != place && !word) {
                    return None;
                }
                text = text.replace(&place, value);
            }
        }
        if text.contains('{') {
            return None; // a value is missing
        }
        Url::parse(&text).ok().filter(|url| self.allows(url))
    }

    /// Whether `url` is one that a person's credential may be sent to.
    pub fn allows(&self, url: &Url) -> bool {
        let Some(Host::Domain(host)) = url.host() else { return false };
        url.scheme() == "https"
            && url.port().is_none()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
            && self.allowed_hosts.iter().any(|pattern| pattern.matches(host))
    }
}

/// `api.example.com`, or `*.example.com` for whatever is below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern {
    /// Lower case.
    name: String,
    below: bool,
}

impl HostPattern {
    /// `None` for what is no name of at least two labels: `*.com` would be everybody's.
    pub fn parse(text: &str) -> Option<Self> {
        let (below, name) = match text.strip_prefix("*.") {
            Some(name) => (true, name),
            None => (false, text),
        };
        let fits = is_host(name) && name.contains('.');
        fits.then(|| Self { name: name.to_ascii_lowercase(), below })
    }

    fn matches(&self, host: &str) -> bool {
        if self.below {
            host.strip_suffix(&self.name).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
        } else {
            host == self.name
        }
    }
}

/// One or more labels of letters, digits and inner hyphens, joined by dots.
pub fn is_host(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_captured_url_leads_only_where_it_may() {
        let base = |template: &str, host: &str| BaseUrl {
            template: template.to_owned(),
            allowed_hosts: vec![HostPattern::parse(host).unwrap()],
        };
        let whole = base("{at}", "*.salesforce.com");
        let part = base("https://{at}.example.com/v3", "*.example.com");
        for (base, value, expected) in [
            (&whole, "https://Acme.my.salesforce.com", Some("https://acme.my.salesforce.com/")),
            (
                &whole,
                "https://acme.my.salesforce.com:443/x",
                Some("https://acme.my.salesforce.com/x"),
            ),
            (&whole, "http://acme.my.salesforce.com", None),
            (&whole, "https://acme.my.salesforce.com:8443", None),
            (&whole, "https://salesforce.com", None),
            (&whole, "https://evilsalesforce.com", None),
            (&whole, "https://acme.salesforce.com.evil.test", None),
            (&whole, "https://acme.salesforce.com@evil.test", None),
            (&whole, "https://u@acme.salesforce.com", None),
            (&whole, "https://acme.salesforce.com/?q", None),
            (&whole, "https://acme.salesforce.com/#f", None),
            (&whole, "https://127.0.0.1", None),
            (&whole, "https://[::1]", None),
            (&whole, "", None),
            (&part, "acme", Some("https://acme.example.com/v3")),
            (&part, "evil.test/", None),
            (&part, "a.b", None),
            (&part, "", None),
        ] {
            let captured = BTreeMap::from([("at".to_owned(), value.to_owned())]);
            let found = base.resolve(&captured).map(String::from);
            assert_eq!(found.as_deref(), expected, "{value}");
        }
        assert_eq!(part.resolve(&BTreeMap::new()), None);
    }

    #[test]
    fn only_names_are_hosts_and_only_plain_steps_are_paths() {
        for bad in
            ["", "com", "*.com", "*", "a..b", "-a.example.com", "a.*.com", "a/b.com", "a:1.b"]
        {
            assert_eq!(HostPattern::parse(bad), None, "{bad}");
        }
        for bad in ["", ".", "a.", "a b", "a[0]", "a.b.c.d.e.f.g"] {
            assert_eq!(JsonPath::parse(bad), None, "{bad}");
        }
        assert!(JsonPath::parse("authed_user.0.access-token").is_some());
    }

    #[test]
    fn microsoft_names_the_resource_as_a_scope() {
        let dialect = Dialect { resource: ResourceForm::Scope, ..Dialect::default() };
        let offline = ["offline_access".to_owned()];
        let narrow = ["api://x/Notes.Read".to_owned()];
        assert_eq!(
            dialect.scopes(&offline, Some("api://x")),
            ["offline_access", "api://x/.default"]
        );
        assert_eq!(dialect.scopes(&narrow, Some("api://x")), narrow);
        assert_eq!(dialect.scopes(&offline, None), offline);
        assert_eq!(dialect.resource(Some("api://x")), None);
    }
}
