//! What pages do; how they look is in [`crate::pages`].

pub(crate) mod account;
pub(crate) mod activity;
pub(crate) mod admin;
pub(crate) mod authorize;
pub(crate) mod clients;
pub(crate) mod connect;
pub(crate) mod connections;
pub(crate) mod device;
pub(crate) mod key;
pub(crate) mod programs;
pub(crate) mod sessions;
pub(crate) mod signin;
pub(crate) mod tokens;

use attache_core::problem::Kind;
use axum::response::{Redirect, Response};
use http::request::Parts;

use crate::problem::refuse;

pub(crate) async fn home() -> Redirect {
    Redirect::to("/ui/connections")
}

pub(crate) async fn not_found(parts: Parts) -> Response {
    refuse(&parts, Kind::NotFound)
}

pub(crate) async fn method_not_allowed(parts: Parts) -> Response {
    refuse(&parts, Kind::MethodNotAllowed)
}
