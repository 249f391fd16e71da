//! What people see, and the REST API beside it: pages to connect and disconnect servers, sign-in,
//! and the redirect URI where an authorization server sends them back.
//!
//! Pages are plain HTML that works without scripts; nothing here can show a credential, because the
//! broker gives none out.

mod administrator;
mod api;
pub mod assets;
pub mod audit_query;
mod authorization_server;
mod backchannel_logout;
mod caller;
mod context;
mod guard;
mod headers;
mod moment;
pub mod oauth_client;
pub mod pages;
pub mod place;
mod problem;
mod protected_resource;
pub mod result;
mod routes;
mod scim;
pub mod served;

use std::sync::Arc;

use attache_broker::{Connections, Offboarding, Overview, SigningKeys};
use attache_core::{Clock, PublicOrigin};
use attache_crypto::random::Random;
use attache_identity::{Identity, authorization_server::DEVICE_PAGE};
use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware,
    routing::{delete, get, post},
};
use url::Url;

pub use crate::served::{Protocol, Served};
use crate::{context::Source, routes::authorize};

/// What the web surface works with.
#[derive(Clone, Debug)]
pub struct Web {
    pub connections: Arc<Connections>,
    /// For administrators.
    pub offboarding: Arc<Offboarding>,
    pub overview: Arc<Overview>,
    /// Every upstream, connected by people or not.
    pub served: Arc<[Served]>,
    /// Their public halves are published.
    pub assertion_keys: Arc<SigningKeys>,
    pub identity: Arc<Identity>,
    /// The only name that is answered to.
    pub public_url: Url,
    pub clock: Arc<dyn Clock>,
    /// For request ids.
    pub random: Arc<dyn Random>,
}

/// Every route of the web surface, behind its guards. Outermost first: request id, response
/// headers, Host and, but for what any page may read, Origin (RS-17) and cross-site forms.
pub fn router(web: Web) -> Router {
    let origin = Arc::new(PublicOrigin::new(&web.public_url));
    let https = origin.is_https();
    let source = Source { random: Arc::clone(&web.random), origin: Arc::clone(&origin) };
    let device_form = DefaultBodyLimit::max(authorization_server::MAX_BODY);
    let key_body = DefaultBodyLimit::max(routes::key::MAX_BODY);
    Router::new()
        .route("/", get(routes::home))
        .route("/ui/activity", get(routes::activity::list))
        .route("/ui/clients", get(routes::clients::show))
        .route("/ui/connections", get(routes::connections::list))
        .route("/ui/connections/{server}/disconnect", post(routes::connections::disconnect))
        .route("/ui/programs", get(routes::programs::list))
        .route("/ui/programs/{id}/end", post(routes::programs::end))
        .route("/ui/sessions", get(routes::sessions::list))
        .route("/ui/sessions/{id}/end", post(routes::sessions::end))
        .route(
            "/ui/tokens",
            get(routes::tokens::list)
                .post(routes::tokens::create)
                .layer(DefaultBodyLimit::max(routes::tokens::FORM_LIMIT)),
        )
        .route("/ui/tokens/{id}/revoke", post(routes::tokens::revoke))
        .route("/ui/signed-out", get(routes::signin::signed_out))
        .route("/ui/assets/{file}", get(assets::serve))
        .route("/connect/{server}", get(routes::connect::ask).post(routes::connect::begin))
        .route("/connect/{server}/key", post(routes::key::enter).layer(key_body))
        .route("/connect/{server}/account", get(routes::account::ask))
        .route("/connect/{server}/account/{decision}", post(routes::account::decide))
        .route("/login", get(routes::signin::begin))
        .route("/login/callback", get(routes::signin::callback))
        .route("/logout", post(routes::signin::sign_out))
        .route("/problems/{slug}", get(problem::explain))
        .route("/api/v1/user/credentials", get(api::list))
        .route(
            "/api/v1/user/credentials/{server}",
            delete(api::disconnect).put(routes::key::put).layer(key_body),
        )
        .route("/api/v1/user/credentials/{server}/connect", get(api::connect))
        .route("/api/v1/user/credentials/{server}/callback", get(routes::connect::callback))
        .route(
            "/oauth/authorize",
            get(authorize::ask)
                .post(authorize::decide)
                .layer(DefaultBodyLimit::max(authorization_server::MAX_BODY)),
        )
        .route(authorize::CONTINUE, get(authorize::proceed).post(authorize::not_now))
        .route(
            "/oauth/device_authorization",
            post(routes::device::begin)
                .layer(DefaultBodyLimit::max(authorization_server::MAX_BODY)),
        )
        .route(DEVICE_PAGE, get(routes::device::enter).post(routes::device::ask).layer(device_form))
        .route("/device/decision", post(routes::device::decide).layer(device_form))
        .route("/api/v1/user/activity", get(api::activity::list))
        .route("/api/v1/user/tokens", get(api::own::list))
        .route("/api/v1/user/tokens/{id}", delete(api::own::revoke))
        .route("/api/v1/user/grants", get(api::own::grants))
        .route("/api/v1/user/grants/{id}", delete(api::own::end_grant))
        .route("/api/v1/user/sessions", get(api::own::sessions))
        .route("/api/v1/user/sessions/{id}", delete(api::own::end_session))
        .fallback(routes::not_found)
        .method_not_allowed_fallback(routes::method_not_allowed)
        .merge(api::admin::router(&web))
        .merge(routes::admin::router(&web))
        .layer(guard::csrf(&origin))
        .layer(middleware::from_fn_with_state(Arc::clone(&origin), guard::only_our_origin))
        .merge(protected_resource::router())
        .merge(oauth_client::router())
        .merge(authorization_server::router())
        .merge(backchannel_logout::router())
        .merge(scim::router(&web))
        .with_state(web)
        .layer(middleware::from_fn_with_state(origin, guard::only_our_host))
        .layer(middleware::from_fn_with_state(https, headers::secure))
        .layer(middleware::from_fn_with_state(source, context::attach))
}
