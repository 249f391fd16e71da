//! What stands before a protected resource: whose token it is, or a challenge (RFC 6750, 9728).

use std::{
    fmt::Debug,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Json, Router,
    extract::{Request, State},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse as _, Response},
    routing::get,
};
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};

/// Asked about every token that arrives: introspection (RFC 7662) without the network.
pub trait TokenCheck: Debug + Send + Sync {
    /// Who issues the tokens.
    fn issuer(&self) -> &str;

    /// Whose the token is; `None` when it is unknown, expired or revoked.
    fn check(&self, token: &str) -> Option<Holder>;
}

/// What a good token stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    pub account: String,
    pub scopes: Vec<String>,
    /// The only resource it is for, if it is bound to one (RFC 8707).
    pub resource: Option<String>,
}

/// The token in `Authorization: Bearer …`, and nowhere else.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

/// Lets nobody pass without a token that was issued for this resource.
#[derive(Debug)]
pub(crate) struct Guard {
    /// The protected resource's URL, as clients write it.
    resource: String,
    metadata_path: String,
    metadata_url: String,
    name: &'static str,
    tokens: Arc<dyn TokenCheck>,
    refusals: AtomicUsize,
}

impl Guard {
    /// Of `origin` (`http://127.0.0.1:80`) and everything under `path` (empty, or `/mcp`).
    pub(crate) fn new(
        origin: &str,
        path: &str,
        name: &'static str,
        tokens: Arc<dyn TokenCheck>,
    ) -> Self {
        let metadata_path = format!("/.well-known/oauth-protected-resource{path}");
        Self {
            resource: format!("{origin}{path}"),
            metadata_url: format!("{origin}{metadata_path}"),
            metadata_path,
            name,
            tokens,
            refusals: AtomicUsize::new(0),
        }
    }

    /// Refuses the next requests whose token is good, as if it had been revoked early.
    pub(crate) fn refuse_next(&self, times: usize) {
        self.refusals.store(times, Ordering::Relaxed);
    }

    /// Puts the guard before `routes`, and its metadata (RFC 9728) beside them.
    pub(crate) fn protect(self: &Arc<Self>, routes: Router) -> Router {
        routes
            .layer(from_fn_with_state(Arc::clone(self), admit))
            .route(&self.metadata_path, get(metadata).with_state(Arc::clone(self)))
    }

    fn holder(&self, headers: &HeaderMap) -> Result<Holder, Refused> {
        let Some(token) = bearer(headers) else { return Err(Refused::NoToken) };
        let holder = self
            .tokens
            .check(token)
            .filter(|holder| holder.resource.as_deref().is_none_or(|one| self.is_named(one)))
            .ok_or(Refused::BadToken)?;
        let refused = self
            .refusals
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        if refused.is_ok() {
            return Err(Refused::BadToken);
        }
        Ok(holder)
    }

    /// A slash at the end makes no other resource.
    fn is_named(&self, resource: &str) -> bool {
        resource.strip_suffix('/').unwrap_or(resource) == self.resource
    }

    fn challenge(&self, refused: Refused) -> Response {
        let error = match refused {
            Refused::NoToken => "",
            Refused::BadToken => "error=\"invalid_token\", ",
        };
        let challenge =
            format!("Bearer {error}resource_metadata=\"{}\", scope=\"notes\"", self.metadata_url);
        (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, challenge)]).into_response()
    }
}

/// Without a token there is no `error` in the challenge (RFC 6750 section 3.1).
#[derive(Clone, Copy, Debug)]
enum Refused {
    NoToken,
    BadToken,
}

async fn admit(State(guard): State<Arc<Guard>>, mut request: Request, next: Next) -> Response {
    match guard.holder(request.headers()) {
        Ok(holder) => {
            request.extensions_mut().insert(holder);
            next.run(request).await
        }
        Err(refused) => guard.challenge(refused),
    }
}

async fn metadata(State(guard): State<Arc<Guard>>) -> Json<Value> {
    Json(json!({
        "resource": guard.resource,
        "authorization_servers": [guard.tokens.issuer()],
        "scopes_supported": ["notes"],
        "bearer_methods_supported": ["header"],
        "resource_name": guard.name,
    }))
}
