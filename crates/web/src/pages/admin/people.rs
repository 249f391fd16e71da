//! `/ui/admin/people`: who ever signed in.

use askama::Template;
use attache_core::{Timestamp, UserId, store};
use axum::response::{IntoResponse, Response};
use url::form_urlencoded;

use crate::{assets, moment::Moment, pages::Person};

#[derive(Debug, Template)]
#[template(path = "admin/people.html")]
pub struct PeoplePage {
    person: Option<Person>,
    /// What is looked for; empty: everybody.
    sought: String,
    rows: Vec<Row>,
    /// The address of what comes after these.
    next: Option<String>,
}

#[derive(Debug)]
struct Row {
    id: UserId,
    name: String,
    email: Option<String>,
    disabled: bool,
    seen: Moment,
}

impl PeoplePage {
    /// `next` is whom the next page comes after.
    pub fn new(
        person: Person,
        sought: &str,
        people: &[store::Person],
        next: Option<&UserId>,
        now: Timestamp,
    ) -> Self {
        let row = |person: &store::Person| Row {
            id: person.id.clone(),
            name: name(person).to_owned(),
            email: person.profile.email.clone().filter(|email| email != name(person)),
            disabled: person.disabled,
            seen: Moment::new(person.vouched_for_at(), now),
        };
        let address = |after: &UserId| {
            let mut query = form_urlencoded::Serializer::new(String::new());
            query.append_pair("q", sought).append_pair("after", after.as_str());
            format!("/ui/admin/people?{}", query.finish())
        };
        Self {
            person: Some(person),
            sought: sought.to_owned(),
            rows: people.iter().map(row).collect(),
            next: next.map(address),
        }
    }
}

impl IntoResponse for PeoplePage {
    fn into_response(self) -> Response {
        crate::pages::html(&self)
    }
}

/// What somebody is called: the best of what their issuer said.
pub(super) fn name(person: &store::Person) -> &str {
    let store::Profile { name, email, .. } = &person.profile;
    name.as_deref().or(email.as_deref()).unwrap_or(&person.subject)
}
