//! `/ui/clients`: what to write where, so that a program uses a server through this gateway.

mod recipe;

use askama::Template;
use axum::response::{IntoResponse, Response};

use self::recipe::{Recipe, recipes};
use super::Person;
use crate::{
    assets,
    served::{Protocol, Served},
};

/// What all MCP servers together are called, where a program wants a name.
const TOGETHER: &str = "attache";

#[derive(Debug, Template)]
#[template(path = "clients.html")]
pub struct ClientsPage {
    person: Option<Person>,
    choices: Vec<Choice>,
    url: String,
    speaks_mcp: bool,
    /// Whether programs can sign people in here.
    signs_in: bool,
    recipes: Vec<Recipe>,
}

#[derive(Debug)]
struct Choice {
    label: String,
    href: String,
    is_shown: bool,
}

impl ClientsPage {
    /// About `shown`, one of those that this person may use; without one, about all MCP servers at
    /// once. `origin` is ours.
    pub fn new(
        person: Person,
        origin: &str,
        served: &[&Served],
        shown: Option<&Served>,
        signs_in: bool,
    ) -> Self {
        let choice = |one: &&Served| Choice {
            label: one.name.to_string(),
            href: format!("/ui/clients?server={}", one.name),
            is_shown: shown.is_some_and(|shown| shown.name == one.name),
        };
        let all = Choice {
            label: "All MCP servers".to_owned(),
            href: "/ui/clients".to_owned(),
            is_shown: shown.is_none(),
        };
        let path = shown.map_or("/mcp".to_owned(), Served::path);
        let speaks_mcp = shown.is_none_or(|shown| shown.protocol == Protocol::Mcp);
        let (url, name) =
            (format!("{origin}{path}"), shown.map_or(TOGETHER, |shown| shown.name.as_str()));
        Self {
            person: Some(person),
            choices: std::iter::once(all).chain(served.iter().map(choice)).collect(),
            recipes: if speaks_mcp { recipes(name, &url) } else { recipe::plain(&url) },
            url,
            speaks_mcp,
            signs_in,
        }
    }
}

impl IntoResponse for ClientsPage {
    fn into_response(self) -> Response {
        super::html(&self)
    }
}
