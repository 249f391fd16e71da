//! `/oauth/authorize`: which program asks for what, and where the browser goes with the answer
//! (AS-12). Every word of the program's own is escaped, and stands alone.

use askama::Template;
use attache_identity::authorization_server::{Asked, Destination, Opens, Vouched};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};

use super::{Person, initial};
use crate::{assets, headers};

#[derive(Debug, Template)]
#[template(path = "consent.html")]
pub struct ConsentPage {
    person: Option<Person>,
    who: Option<Person>,
    client: String,
    initial: char,
    vouched: Vouched,
    destination: Destination,
    opens: Opens,
    request: String,
    ticket: String,
}

impl ConsentPage {
    pub fn new(who: Option<Person>, asked: Asked) -> Self {
        Self {
            person: who.clone(),
            who,
            initial: initial(&asked.client),
            client: asked.client,
            vouched: asked.vouched,
            destination: asked.destination,
            opens: asked.opens,
            request: asked.request,
            ticket: asked.ticket,
        }
    }
}

impl IntoResponse for ConsentPage {
    fn into_response(self) -> Response {
        let policy = match &self.destination {
            Destination::Program(scheme) => headers::leaving_to(scheme),
            Destination::Site(_) | Destination::ThisMachine => headers::LEAVING_LOOPBACK,
        };
        let mut response = super::html(&self);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
        response
    }
}
