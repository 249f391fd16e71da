//! `/device`: what a person types, and what they then compare with the device in front of them.

use std::net::IpAddr;

use askama::Template;
use attache_core::Timestamp;
use attache_identity::authorization_server::{AskedDevice, Opens};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};

use super::{Person, initial};
use crate::{assets, moment::Moment};

/// Bytes of a code that are shown again when it is wrong.
const SHOWN: usize = 16;

#[derive(Debug, Template)]
#[template(path = "device_code.html")]
pub struct DeviceCodePage {
    person: Option<Person>,
    code: String,
    wrong: Option<&'static str>,
}

impl DeviceCodePage {
    /// `code` as it was typed, or as a link brought it.
    pub fn new(who: Person, code: &str, wrong: Option<&'static str>) -> Self {
        let code = code.chars().filter(char::is_ascii_graphic).take(SHOWN).collect();
        Self { person: Some(who), code, wrong }
    }
}

impl IntoResponse for DeviceCodePage {
    fn into_response(self) -> Response {
        unframed(super::html(&self))
    }
}

#[derive(Debug, Template)]
#[template(path = "device.html")]
pub struct DevicePage {
    person: Option<Person>,
    who: Person,
    client: String,
    initial: char,
    opens: Opens,
    user_code: String,
    address: Option<String>,
    place: Place,
    asked: Moment,
    ticket: String,
}

/// Where the device is, seen from the browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Here,
    Elsewhere,
    Unknown,
}

impl DevicePage {
    /// For a browser at `here`.
    pub fn new(who: Person, asked: AskedDevice, here: Option<IpAddr>, now: Timestamp) -> Self {
        let place = match (&asked.address, here) {
            (Some(there), Some(here)) if *there == here.to_canonical().to_string() => Place::Here,
            (Some(_), Some(_)) => Place::Elsewhere,
            _ => Place::Unknown,
        };
        Self {
            person: Some(who.clone()),
            who,
            initial: initial(&asked.client),
            client: asked.client,
            opens: asked.opens,
            user_code: asked.user_code,
            address: asked.address,
            place,
            asked: Moment::new(asked.asked_at, now),
            ticket: asked.ticket,
        }
    }
}

impl IntoResponse for DevicePage {
    fn into_response(self) -> Response {
        unframed(super::html(&self))
    }
}

fn unframed(mut response: Response) -> Response {
    response.headers_mut().insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    response
}
