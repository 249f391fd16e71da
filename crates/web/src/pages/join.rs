//! `/oauth/authorize/continue`: the server that a program was let in for is not connected yet, and
//! can be in the same sitting.

use askama::Template;
use attache_broker::{Offer, Status};
use attache_core::{
    audit::Reason,
    explain::{Explanation, explain},
};
use axum::response::{IntoResponse, Response};
use http::header;

use super::{Person, connect::host, initial};
use crate::{assets, headers, routes::authorize::CONTINUE};

#[derive(Debug, Template)]
#[template(path = "join.html")]
pub struct JoinPage {
    person: Option<Person>,
    server: String,
    initial: char,
    verb: &'static str,
    provider_host: String,
    scopes: Vec<String>,
    /// Why it did not come about a moment ago.
    failed: Option<Explanation>,
}

impl JoinPage {
    pub fn new(who: Person, offer: Offer, failed: Option<Reason>) -> Self {
        Self {
            person: Some(who),
            initial: initial(offer.server.upstream.as_str()),
            server: offer.server.to_string(),
            verb: match offer.status {
                Status::NotConnected => "Connect",
                _ => "Reconnect",
            },
            provider_host: host(&offer.authorization_endpoint),
            scopes: offer.scopes,
            failed: failed.map(explain),
        }
    }
}

impl IntoResponse for JoinPage {
    fn into_response(self) -> Response {
        let mut response = super::html(&self);
        let policy = headers::LEAVING_LOOPBACK;
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
        response
    }
}
