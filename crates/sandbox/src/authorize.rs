//! The authorization request that a browser brings, and the way back (RFC 6749 section 4.1).

use axum::response::{IntoResponse as _, Response};
use http::{StatusCode, header};
use url::Url;

use crate::{
    client::Clients,
    misbehave::{CallbackAnswer, MARKER},
    page::page,
    params::Params,
};

/// An issuer that nobody asked.
pub(crate) const WRONG_ISSUER: &str = "https://attacker.example";

/// A request that may be granted: known client and redirect URI, PKCE with S256.
#[derive(Clone, Debug)]
pub(crate) struct AuthorizationRequest {
    pub(crate) client_id: String,
    pub(crate) way_back: WayBack,
    /// S256 of the verifier (RFC 7636 section 4.2).
    pub(crate) code_challenge: String,
    pub(crate) scopes: Vec<String>,
    /// RFC 8707.
    pub(crate) resource: Option<String>,
    pub(crate) nonce: Option<String>,
}

/// Where the browser goes from here, whatever is decided.
#[derive(Clone, Debug)]
pub(crate) struct WayBack {
    pub(crate) redirect_uri: Url,
    state: Option<String>,
}

#[derive(Debug)]
pub(crate) enum Refusal {
    /// Who asks is not known, so nobody can be told but the person (RFC 6749 section 4.1.2.1).
    Stay(&'static str),
    GoBack(Box<WayBack>, &'static str),
}

impl AuthorizationRequest {
    pub(crate) fn parse(params: &Params, clients: &Clients) -> Result<Self, Refusal> {
        let client = params
            .get("client_id")
            .and_then(|id| clients.find(id))
            .ok_or(Refusal::Stay("No such client is registered here."))?;
        let redirect_uri = params
            .get("redirect_uri")
            .filter(|uri| client.may_redirect_to(uri))
            .and_then(|uri| Url::parse(uri).ok())
            .ok_or(Refusal::Stay("The client may not send you back where it wants to."))?;
        let way_back = WayBack { redirect_uri, state: params.get("state").map(str::to_owned) };
        let go_back = |error| Err(Refusal::GoBack(Box::new(way_back.clone()), error));

        if params.get("response_type") != Some("code") {
            return go_back("unsupported_response_type");
        }
        // 43 characters: a SHA-256 in base64url.
        let code_challenge = params.get("code_challenge").filter(|text| text.len() == 43);
        let Some(code_challenge) = code_challenge else { return go_back("invalid_request") };
        if params.get("code_challenge_method") != Some("S256") {
            return go_back("invalid_request");
        }
        let resource = params.get("resource");
        let absolute = |uri: &str| Url::parse(uri).is_ok_and(|url| url.fragment().is_none());
        if !resource.is_none_or(absolute) {
            return go_back("invalid_target");
        }
        Ok(Self {
            client_id: client.id,
            code_challenge: code_challenge.to_owned(),
            scopes: params
                .get("scope")
                .map(|scopes| scopes.split_whitespace().map(str::to_owned).collect())
                .unwrap_or_default(),
            resource: resource.map(str::to_owned),
            nonce: params.get("nonce").map(str::to_owned),
            way_back,
        })
    }
}

impl WayBack {
    /// With a code, unless `answer` says otherwise. `iss` is always there (RFC 9207 section 2).
    pub(crate) fn with_code(&self, code: &str, issuer: &str, answer: CallbackAnswer) -> Response {
        let fields: &[(&str, &str)] = match answer {
            CallbackAnswer::Error(error) => return self.with_marked_error(error, issuer),
            CallbackAnswer::ErrorOfWrongIssuer(error) => {
                return self.with_marked_error(error, WRONG_ISSUER);
            }
            CallbackAnswer::Normal | CallbackAnswer::NoState => &[("code", code), ("iss", issuer)],
            CallbackAnswer::WrongIssuer => &[("code", code), ("iss", WRONG_ISSUER)],
            CallbackAnswer::NoIssuer => &[("code", code)],
            CallbackAnswer::CodeTwice => &[("code", code), ("code", code), ("iss", issuer)],
        };
        let state = self.state.as_deref().filter(|_| answer != CallbackAnswer::NoState);
        self.go(state, fields)
    }

    pub(crate) fn with_error(&self, error: &str, issuer: &str) -> Response {
        self.go(self.state.as_deref(), &[("error", error), ("iss", issuer)])
    }

    fn with_marked_error(&self, error: &str, issuer: &str) -> Response {
        let fields = [
            ("error", error),
            ("error_description", MARKER),
            ("error_uri", MARKER),
            ("iss", issuer),
        ];
        self.go(self.state.as_deref(), &fields)
    }

    /// 303, so that a posted form is not posted on (RFC 9700 section 4.12).
    fn go(&self, state: Option<&str>, fields: &[(&str, &str)]) -> Response {
        let mut url = self.redirect_uri.clone();
        url.query_pairs_mut().extend_pairs(fields).extend_pairs(state.map(|it| ("state", it)));
        let headers = [
            (header::LOCATION, url.as_str()),
            (header::CACHE_CONTROL, "no-store"),
            (header::REFERRER_POLICY, "no-referrer"),
        ];
        (StatusCode::SEE_OTHER, headers).into_response()
    }
}

impl Refusal {
    pub(crate) fn answer(&self, service: &str, issuer: &str) -> Response {
        match self {
            Self::Stay(why) => {
                let body = format!("<p>{why}</p>");
                page(StatusCode::BAD_REQUEST, service, "This cannot go on", &body)
            }
            Self::GoBack(way_back, error) => way_back.with_error(error, issuer),
        }
    }
}
