//! The token and revocation endpoints, as they should be and as the script says.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    body::Bytes,
    extract::State,
    response::{Html, IntoResponse as _, Response},
};
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};

use super::{
    Office,
    ledger::{Issued, Refused},
};
use crate::{
    client::Client,
    misbehave::{MARKER, TokenAnswer},
    params::Params,
    peer::hang_up,
    stream::paced,
};

/// How long a hanging answer hangs.
const HANG: Duration = Duration::from_mins(10);
/// The huge answer: 1,600 chunks of 64 KiB.
const HUGE_CHUNKS: usize = 1_600;
const CHUNK: usize = 64 * 1024;

pub(super) async fn token(
    State(office): State<Arc<Office>>,
    headers: HeaderMap,
    form: Bytes,
) -> Response {
    let answer = office.token_answers.take();
    if let Some(other) = instead(answer, &office.issuer).await {
        return other;
    }
    let Ok(params) = Params::parse(&form) else {
        return error(StatusCode::BAD_REQUEST, "invalid_request");
    };
    match office.clients.authenticate(&headers, &params) {
        Ok(client) => grant(&office, &client, &params, answer),
        Err(refused) => refused.into_response(),
    }
}

pub(super) async fn revoke(
    State(office): State<Arc<Office>>,
    headers: HeaderMap,
    form: Bytes,
) -> Response {
    let Ok(params) = Params::parse(&form) else {
        return error(StatusCode::BAD_REQUEST, "invalid_request");
    };
    match (office.clients.authenticate(&headers, &params), params.get("token")) {
        (Ok(client), Some(token)) => {
            office.ledger.with(|ledger| ledger.revoke(&client, token));
            StatusCode::OK.into_response()
        }
        (Ok(_), None) => error(StatusCode::BAD_REQUEST, "invalid_request"),
        (Err(refused), _) => refused.into_response(),
    }
}

/// What is answered before the grant is looked at.
async fn instead(answer: TokenAnswer, issuer: &str) -> Option<Response> {
    Some(match answer {
        TokenAnswer::OkWithError(code) => marked_error(StatusCode::OK, code),
        TokenAnswer::InvalidGrant => marked_error(StatusCode::BAD_REQUEST, "invalid_grant"),
        TokenAnswer::InvalidClient => marked_error(StatusCode::UNAUTHORIZED, "invalid_client"),
        TokenAnswer::TooManyRequests(after) => {
            let after = [(header::RETRY_AFTER, after.as_secs().to_string())];
            (StatusCode::TOO_MANY_REQUESTS, after).into_response()
        }
        TokenAnswer::Status500 => (StatusCode::INTERNAL_SERVER_ERROR, MARKER).into_response(),
        TokenAnswer::Html => Html(format!("<!doctype html><p>{MARKER}</p>")).into_response(),
        TokenAnswer::Redirect => {
            let trap = [(header::LOCATION, format!("{issuer}/trap"))];
            (StatusCode::TEMPORARY_REDIRECT, trap).into_response()
        }
        TokenAnswer::Huge => huge(),
        TokenAnswer::Hang => {
            tokio::time::sleep(HANG).await;
            hang_up()
        }
        TokenAnswer::DropConnection => hang_up(),
        TokenAnswer::Normal
        | TokenAnswer::LoseAnswer
        | TokenAnswer::CrLfToken
        | TokenAnswer::WrongTokenType
        | TokenAnswer::ExpiresInString
        | TokenAnswer::NoExpiresIn
        | TokenAnswer::NoRefreshToken
        | TokenAnswer::NoIdToken => return None,
    })
}

fn grant(office: &Office, client: &Client, params: &Params, answer: TokenAnswer) -> Response {
    let with_refresh_token = answer != TokenAnswer::NoRefreshToken;
    let outcome = office.ledger.with(|ledger| match params.get("grant_type") {
        Some("authorization_code") => Some(ledger.exchange(client, params, with_refresh_token)),
        Some("refresh_token") => Some(ledger.refresh(client, params, with_refresh_token)),
        _ => None,
    });
    match outcome {
        Some(Ok(_)) if answer == TokenAnswer::LoseAnswer => hang_up(),
        Some(Ok(issued)) => {
            let tokens = Json(spoiled(tokens(issued), answer));
            ([(header::CACHE_CONTROL, "no-store")], tokens).into_response()
        }
        Some(Err(refused)) => error(StatusCode::BAD_REQUEST, refused.code()),
        None => error(StatusCode::BAD_REQUEST, "unsupported_grant_type"),
    }
}

fn tokens(issued: Issued) -> serde_json::Map<String, Value> {
    let members = [
        ("access_token", Some(json!(issued.access_token))),
        ("token_type", Some(json!("Bearer"))),
        ("expires_in", Some(json!(issued.lifetime.as_secs()))),
        ("refresh_token", issued.refresh_token.map(Value::from)),
        ("scope", Some(json!(issued.scopes.join(" ")))),
    ];
    members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

fn spoiled(mut tokens: serde_json::Map<String, Value>, answer: TokenAnswer) -> Value {
    let of = |name: &str| tokens.get(name).map(|value| value.to_string().replace('"', ""));
    let (access_token, expires_in) = (of("access_token"), of("expires_in"));
    let spoilt = match answer {
        TokenAnswer::CrLfToken => {
            access_token.map(|token| ("access_token", format!("{token}\r\nX-Injected: 1")))
        }
        TokenAnswer::WrongTokenType => Some(("token_type", "mac".to_owned())),
        TokenAnswer::ExpiresInString => expires_in.map(|seconds| ("expires_in", seconds)),
        TokenAnswer::NoExpiresIn => {
            tokens.remove("expires_in");
            None
        }
        _ => None,
    };
    tokens.extend(spoilt.map(|(name, value)| (name.to_owned(), Value::from(value))));
    Value::from(tokens)
}

fn huge() -> Response {
    let filler = Bytes::from(vec![b'a'; CHUNK]);
    let opening = Bytes::from_static(b"{\"access_token\":\"");
    let chunks = std::iter::once(opening).chain(std::iter::repeat_n(filler, HUGE_CHUNKS));
    ([(header::CONTENT_TYPE, "application/json")], paced(chunks, Duration::ZERO)).into_response()
}

fn error(status: StatusCode, code: &'static str) -> Response {
    (status, Json(json!({ "error": code }))).into_response()
}

fn marked_error(status: StatusCode, code: &'static str) -> Response {
    let body = json!({ "error": code, "error_description": MARKER, "error_uri": MARKER });
    (status, Json(body)).into_response()
}

impl Refused {
    fn code(self) -> &'static str {
        match self {
            Self::Incomplete => "invalid_request",
            Self::NoGrant => "invalid_grant",
            Self::OtherTarget => "invalid_target",
        }
    }
}
