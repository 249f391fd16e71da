//! `/device`: a person types the code that a device of theirs shows, compares what is asked, and
//! says yes or no (RFC 8628 section 3.3). A link may bring the code; it is asked about all the same.

use attache_core::{ClientAddress, problem::Kind, store::Decision};
use attache_identity::authorization_server::{ClientError, DeviceError};
use axum::{
    Json,
    body::Bytes,
    extract::{RawQuery, State},
    response::{IntoResponse as _, Response},
};
use http::{HeaderValue, StatusCode, header, request::Parts};
use url::form_urlencoded;

use crate::{
    Web,
    authorization_server::refused,
    caller::Visitor,
    context::Context,
    pages::{DeviceCodePage, DevicePage, Notice, Person},
    problem::{refuse, store_failed},
};

/// For devices, and behind the guards against browsers: a page that a person visits could else
/// begin from where they are, and know the code that they are then asked for.
pub(crate) async fn begin(State(web): State<Web>, parts: Parts, form: Bytes) -> Response {
    let Some(server) = web.identity.authorization_server() else {
        return refuse(&parts, Kind::NotFound);
    };
    match server.begin_device(&form, &parts.headers, ClientAddress::of(&parts)).await {
        Ok(begun) => Json(begun).into_response(),
        Err(error) => refused(&error),
    }
}

pub(crate) async fn enter(
    State(web): State<Web>,
    Visitor { who, .. }: Visitor,
    RawQuery(query): RawQuery,
    parts: Parts,
) -> Response {
    if web.identity.authorization_server().is_none() {
        return refuse(&parts, Kind::NotFound);
    }
    let typed = code(query.unwrap_or_default().as_bytes());
    DeviceCodePage::new(Person::from(&*who), &typed, None).into_response()
}

pub(crate) async fn ask(
    State(web): State<Web>,
    Visitor { who, .. }: Visitor,
    parts: Parts,
    form: Bytes,
) -> Response {
    let Some(server) = web.identity.authorization_server() else {
        return refuse(&parts, Kind::NotFound);
    };
    let (typed, person) = (code(&form), Person::from(&*who));
    match server.ask_device(&typed, &parts.headers, &who).await {
        Ok(mut asked) => {
            let cookie = std::mem::replace(&mut asked.cookie, HeaderValue::from_static(""));
            let here = ClientAddress::of(&parts);
            let page = DevicePage::new(person, asked, here, web.clock.now());
            let mut response = page.into_response();
            response.headers_mut().append(header::SET_COOKIE, cookie);
            response
        }
        Err(error) => not_asked(&parts, person, &typed, &error),
    }
}

pub(crate) async fn decide(
    State(web): State<Web>,
    Visitor { who, .. }: Visitor,
    parts: Parts,
    form: Bytes,
) -> Response {
    let Some(server) = web.identity.authorization_server() else {
        return refuse(&parts, Kind::NotFound);
    };
    let id = Context::request_id(&parts);
    match server.decide_device(&form, &parts.headers, &who, id).await {
        Ok(Decision::Approved) => Notice::device_let_in().into_response(),
        Ok(Decision::Refused) => Notice::device_refused().into_response(),
        Err(error) => not_asked(&parts, Person::from(&*who), "", &error),
    }
}

/// Asked again, with what is wrong; or told what is.
fn not_asked(parts: &Parts, person: Person, typed: &str, error: &DeviceError) -> Response {
    let (status, wrong) = match error {
        DeviceError::Store(error) | DeviceError::Client(ClientError::Store(error)) => {
            return store_failed(parts, error);
        }
        DeviceError::NotShown => {
            return Notice::unanswerable(
                "You were asked in another browser, as somebody else, or too long ago. Type the \
                 code again.",
            )
            .into_response();
        }
        DeviceError::UnknownCode | DeviceError::Client(_) => (
            StatusCode::UNPROCESSABLE_ENTITY,
            "No device waits with this code. It is good for ten minutes, and once.",
        ),
        DeviceError::TooManyCodes => (
            StatusCode::TOO_MANY_REQUESTS,
            "Too many codes were tried. Wait a minute, then type the one that the device shows.",
        ),
    };
    (status, DeviceCodePage::new(person, typed, Some(wrong))).into_response()
}

fn code(form: &[u8]) -> String {
    let mut pairs = form_urlencoded::parse(form);
    pairs.find(|(name, _)| name == "user_code").map_or_else(String::new, |(_, code)| code.into())
}
