//! The pages, each a value that renders itself. They are public so that every state of every page
//! can be looked at without a gateway (`examples/gallery.rs`).

pub mod account;
pub mod activity;
pub mod admin;
pub mod clients;
pub mod connect;
pub mod connections;
pub mod consent;
pub mod device;
pub mod join;
pub mod key;
pub mod notice;
pub mod programs;
pub mod sessions;
pub mod tokens;

use askama::Template;
use attache_core::{
    Principal,
    audit::{Action, AuditEvent, Outcome, Reason},
    explain::deed,
};
use axum::response::{Html, IntoResponse as _, Response};
use http::StatusCode;

pub use account::AccountPage;
pub use activity::ActivityPage;
pub use clients::ClientsPage;
pub use connect::ConnectPage;
pub use connections::ConnectionsPage;
pub use consent::ConsentPage;
pub use device::{DeviceCodePage, DevicePage};
pub use join::JoinPage;
pub use key::KeyPage;
pub use notice::Notice;
pub use programs::ProgramsPage;
pub use sessions::SessionsPage;
pub use tokens::TokensPage;

/// Who a page says is signed in.
#[derive(Clone, Debug)]
pub struct Person {
    pub name: String,
    /// Only when it says more than the name.
    pub email: Option<String>,
    /// They may go to the pages of administrators.
    pub administers: bool,
}

impl From<&Principal> for Person {
    fn from(who: &Principal) -> Self {
        let name = who.label().to_owned();
        let email = who.email.clone().filter(|email| *email != name);
        Self { name, email, administers: false }
    }
}

/// How good a state is. Always said in words too.
#[derive(Clone, Copy, Debug)]
enum Tone {
    Good,
    Idle,
    Warn,
    Bad,
}

impl Tone {
    fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Idle => "idle",
            Self::Warn => "warn",
            Self::Bad => "bad",
        }
    }
}

/// How an event is told: what was done, and a mark where it was not.
fn told(event: &AuditEvent) -> (&'static str, Option<Mark>) {
    match (event.action, event.outcome) {
        (action, Outcome::Success) => (deed(action), None),
        (Action::ClientApprove, Outcome::Failure(Reason::AccessDenied)) => {
            ("A program was not let in", None)
        }
        (action, Outcome::Failure(reason)) => (deed(action), Some(Mark::of(reason))),
    }
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    tone: Tone,
    word: &'static str,
}

impl Mark {
    /// Somebody's no is no fault.
    fn of(reason: Reason) -> Self {
        match reason {
            Reason::AccessDenied => Self { tone: Tone::Idle, word: "Declined" },
            _ => Self { tone: Tone::Warn, word: "Did not work" },
        }
    }
}

/// A template can only fail to be written, and a `String` takes everything.
fn html(page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => Html(text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// What stands for a server where an icon would.
fn initial(name: &str) -> char {
    name.chars().next().unwrap_or('?')
}
