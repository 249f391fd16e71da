//! One message: what happened, whose move it is, what to do next.

use std::borrow::Cow;

use askama::Template;
use attache_core::{
    RequestId,
    audit::Reason,
    explain::{Explanation, explain},
    problem::Kind,
};
use attache_identity::LoginError;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::Person;
use crate::assets;

#[derive(Debug, Template)]
#[template(path = "notice.html")]
pub struct Notice {
    person: Option<Person>,
    status: StatusCode,
    headline: &'static str,
    happened: Cow<'static, str>,
    next: &'static str,
    action: Option<Link>,
    /// The word that logs and the audit have for it.
    reason: Option<Reason>,
    request_id: Option<RequestId>,
}

/// A next step.
#[derive(Clone, Copy, Debug)]
struct Link {
    href: &'static str,
    label: &'static str,
}

const CONNECTIONS: Link = Link { href: "/ui/connections", label: "Go to your connections" };
const SIGN_IN_AGAIN: Link = Link { href: "/login", label: "Sign in again" };
const SIGN_IN: Link = Link { href: "/login", label: "Sign in" };

impl Notice {
    pub fn of(kind: Kind, request_id: Option<RequestId>) -> Self {
        let facts = kind.facts();
        let action = match kind {
            Kind::Unauthenticated
            | Kind::InvalidToken
            | Kind::SignInAgain
            | Kind::BrowserNeeded => Some(SIGN_IN),
            Kind::ForeignHost | Kind::Internal => None,
            _ => Some(CONNECTIONS),
        };
        Self {
            person: None,
            status: facts.status,
            headline: facts.title,
            happened: facts.happened.into(),
            next: facts.next,
            action,
            reason: None,
            request_id: request_id.filter(|_| facts.status.is_server_error()),
        }
    }

    pub fn signed_out() -> Self {
        Self {
            person: None,
            status: StatusCode::OK,
            headline: "You are signed out",
            happened: "This browser can no longer act for you here.".into(),
            next: "Your connections stay as they are, for the programs that use them.",
            action: Some(SIGN_IN_AGAIN),
            reason: None,
            request_id: None,
        }
    }

    /// A consent that could not even begin.
    pub fn not_begun(person: Person, reason: Reason, request_id: Option<RequestId>) -> Self {
        let Explanation { happened, next } = explain(reason);
        Self {
            person: Some(person),
            status: status(reason),
            headline: "That could not begin",
            happened: happened.into(),
            next,
            action: Some(CONNECTIONS),
            reason: Some(reason),
            request_id,
        }
    }

    pub fn not_signed_in(error: &LoginError, request_id: Option<RequestId>) -> Self {
        Self {
            person: None,
            status: status(error.reason()),
            headline: "You are not signed in",
            happened: error.to_string().into(),
            next: "",
            action: Some(SIGN_IN_AGAIN),
            reason: None,
            request_id,
        }
    }

    /// RFC 8628 section 3.3: the person goes on at the device.
    pub fn device_let_in() -> Self {
        Self {
            person: None,
            status: StatusCode::OK,
            headline: "The device is let in",
            happened: "Go back to it: it goes on by itself.".into(),
            next: "You can close this page.",
            action: None,
            reason: None,
            request_id: None,
        }
    }

    pub fn device_refused() -> Self {
        Self {
            headline: "The device is not let in",
            happened: "It is told so.".into(),
            ..Self::device_let_in()
        }
    }

    /// A program that this gateway does not know sent the browser.
    pub fn unknown_client() -> Self {
        Self::of_client(
            "The program that sent you here is not known to this gateway, or was forgotten.",
            "Remove the server from the program and add it again: it then introduces itself anew.",
        )
    }

    /// A program whose own description cannot be had, or is none.
    pub fn unusable_client() -> Self {
        Self::of_client(
            "What the program that sent you here publishes about itself cannot be used.",
            "Try again. If that does not help, whoever makes the program has to look.",
        )
    }

    /// A request that has no answer but this.
    pub fn unanswerable(why: &'static str) -> Self {
        Self::of_client(why, "Nothing was allowed.")
    }

    fn of_client(happened: &'static str, next: &'static str) -> Self {
        Self {
            person: None,
            status: StatusCode::BAD_REQUEST,
            headline: "The program was not let in",
            happened: happened.into(),
            next,
            action: None,
            reason: None,
            request_id: None,
        }
    }

    pub(crate) fn html(&self) -> Response {
        super::html(self)
    }
}

impl IntoResponse for Notice {
    fn into_response(self) -> Response {
        (self.status, self.html()).into_response()
    }
}

fn status(reason: Reason) -> StatusCode {
    match reason {
        Reason::AccessDenied => StatusCode::FORBIDDEN,
        Reason::Misconfigured => StatusCode::INTERNAL_SERVER_ERROR,
        Reason::StoreUnavailable | Reason::KeysUnavailable | Reason::ProviderUnavailable => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        _ => StatusCode::BAD_REQUEST,
    }
}
