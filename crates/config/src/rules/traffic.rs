//! `timeouts`, `limits`, `methods` and `paths` of an upstream.

use std::num::NonZeroU32;

use attache_core::traffic::{Limits, OpenPath, Timeouts, Traffic};
use http::Method;

use crate::{diagnose::Place, model::Protocol, rules::positive, schema};

pub(super) fn traffic(
    entry: &schema::Upstream,
    protocol: Option<Protocol>,
    place: &Place<'_>,
) -> Option<Traffic> {
    for (key, is_there) in [("methods", entry.methods.is_some()), ("paths", entry.paths.is_some())]
    {
        if is_there && protocol.is_some_and(|protocol| protocol != Protocol::Http) {
            place.key(key).error(
                format!("{key} is for protocol \"http\" only"),
                "an MCP server has one path, and its clients know its methods",
            );
            return None;
        }
    }
    let timeouts = timeouts(entry.timeouts, &place.key("timeouts"));
    let limits = limits(entry.limits, &place.key("limits"));
    let methods = list(entry.methods.as_deref(), &place.key("methods"), method);
    let paths = list(entry.paths.as_deref(), &place.key("paths"), |text, place| {
        let path = OpenPath::parse(text);
        if path.is_none() {
            place.error(
                "this is not a path",
                "write one such as \"/v1/users\", without dot segments and query",
            );
        }
        path
    });
    Some(Traffic {
        timeouts: timeouts?,
        limits: limits?,
        methods: methods.ok()?,
        paths: paths.ok()?,
    })
}

fn timeouts(section: schema::Timeouts, place: &Place<'_>) -> Option<Timeouts> {
    let read = |span, name: &str| positive(span, name, &place.key(name));
    let head = read(section.head, "head");
    let body = read(section.body, "body");
    let idle = read(section.idle, "idle");
    let lifetime = read(section.lifetime, "lifetime");
    Some(Timeouts { head: head?, body: body?, idle: idle?, lifetime: lifetime? })
}

fn limits(section: schema::Limits, place: &Place<'_>) -> Option<Limits> {
    let read = |number, name: &str| {
        let number = NonZeroU32::new(number);
        if number.is_none() {
            place.key(name).error(format!("{name} must be at least 1"), "");
        }
        number
    };
    let (person, total) = (read(section.person, "person"), read(section.total, "total"));
    Some(Limits { person: person?, total: total? })
}

fn method(text: &str, place: &Place<'_>) -> Option<Method> {
    let known = Method::from_bytes(text.as_bytes()).ok().filter(|method| {
        !text.bytes().any(|byte| byte.is_ascii_lowercase())
            && !matches!(*method, Method::TRACE | Method::CONNECT)
    });
    if known.is_none() {
        place.error(
            "this is no method that can be opened",
            "write it in capitals; TRACE and CONNECT are never passed on",
        );
    }
    known
}

/// What is wrong was told to its place.
struct Told;

/// An empty list is wrong, too: nothing would be open.
fn list<T>(
    texts: Option<&[String]>,
    place: &Place<'_>,
    parse: impl Fn(&str, &Place<'_>) -> Option<T>,
) -> Result<Option<Vec<T>>, Told> {
    let Some(texts) = texts else { return Ok(None) };
    if texts.is_empty() {
        place.error("an empty list opens nothing", "leave it out to open everything");
        return Err(Told);
    }
    let parsed: Vec<Option<T>> =
        texts.iter().enumerate().map(|(index, text)| parse(text, &place.index(index))).collect();
    parsed.into_iter().collect::<Option<Vec<T>>>().map(Some).ok_or(Told)
}
