//! Who is asking: an extractor for programs, and one for people in a browser.

use std::{error::Error, sync::Arc};

use attache_broker::BrowserSession;
use attache_core::{
    Principal, RequestId, authenticator::AuthnError, principal::AuthenticatedBy, problem::Kind,
};
use axum::{
    extract::FromRequestParts,
    response::{IntoResponse, Redirect, Response},
};
use http::{Method, request::Parts};
use url::form_urlencoded;

use crate::{
    Web,
    context::Context,
    pages::Person,
    problem::{Problem, refuse},
};

/// Whoever proved who they are, with a session or a bearer token: for the API. A token for single
/// upstreams is for their routes, and does not open it (RS-9).
#[derive(Debug)]
pub(crate) struct Caller(pub(crate) Arc<Principal>);

impl FromRequestParts<Web> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Problem> {
        let who = authenticate(parts, web).await;
        let who = who.map_err(|error| Problem::from((&error, &*parts)))?;
        if !who.reach.opens_api() {
            return Err(Problem::from((&ROUTES_ONLY, &*parts)));
        }
        if who.reach.is_read_only() && !parts.method.is_safe() {
            return Err(Problem::new(Kind::ReadOnly, parts));
        }
        Ok(Self(who))
    }
}

const ROUTES_ONLY: AuthnError =
    AuthnError::Rejected("the token is for single upstreams, not for the gateway's API");

/// A person in the browser they signed in with: for pages, and whatever a consent is bound to
/// (OC-16).
#[derive(Debug)]
pub(crate) struct Visitor {
    pub(crate) who: Arc<Principal>,
    pub(crate) browser: BrowserSession,
}

impl FromRequestParts<Web> for Visitor {
    type Rejection = Stranger;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Stranger> {
        let who = match authenticate(parts, web).await {
            Ok(who) => who,
            Err(error) => return Err(Stranger::new((&error).into(), parts)),
        };
        let secret = web.identity.session_cookie(&parts.headers);
        match (&who.authenticated_by, secret) {
            (AuthenticatedBy::Session(digest), Some(secret)) => {
                let browser = BrowserSession { digest: *digest, secret };
                Ok(Self { who, browser })
            }
            _ => Err(Stranger::new(Kind::BrowserNeeded, parts)),
        }
    }
}

impl Web {
    /// Whom a page greets, with the way to the pages of administrators where they are one.
    pub(crate) fn greeted(&self, who: &Principal) -> Person {
        Person { administers: self.identity.administers(who), ..Person::from(who) }
    }
}

/// Nobody we know, and what to answer them: to sign in first, where that leads back here.
#[derive(Debug)]
pub(crate) struct Stranger {
    pub(crate) kind: Kind,
    answer: Response,
}

impl Stranger {
    fn new(kind: Kind, parts: &Parts) -> Self {
        // After a form the way back is not safe to take by itself, and `form-action` would stop
        // the browser at the identity provider: the page has a link instead.
        let leads_back = matches!(parts.method, Method::GET | Method::HEAD);
        let signs_in =
            matches!(kind, Kind::Unauthenticated | Kind::InvalidToken | Kind::BrowserNeeded);
        let answer = if signs_in && leads_back {
            Redirect::to(&login_path(parts)).into_response()
        } else {
            refuse(parts, kind)
        };
        Self { kind, answer }
    }
}

impl IntoResponse for Stranger {
    fn into_response(self) -> Response {
        self.answer
    }
}

fn login_path(parts: &Parts) -> String {
    let here = parts.uri.path_and_query().map_or("/", |here| here.as_str());
    let query =
        form_urlencoded::Serializer::new(String::new()).append_pair("return_to", here).finish();
    format!("/login?{query}")
}

async fn authenticate(parts: &Parts, web: &Web) -> Result<Arc<Principal>, AuthnError> {
    let authenticator = web.identity.web();
    if let Some(who) = authenticator.recall(parts, web.clock.now()) {
        return Ok(who);
    }
    let found = authenticator.authenticate(parts).await;
    if let Err(AuthnError::Unavailable(cause)) = &found {
        let request_id = Context::request_id(parts);
        let request_id = request_id.as_ref().map(RequestId::as_str);
        tracing::warn!(request_id, cause = &**cause as &dyn Error, "nobody can be recognized");
    }
    found
}
