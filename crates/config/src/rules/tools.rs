//! `[[upstream.tools]]`

use attache_core::tools::{Glob, ToolRule, ToolRules};

use crate::{diagnose::Place, schema};

pub(super) fn tools(entry: &schema::Upstream, place: &Place<'_>) -> Option<ToolRules> {
    if entry.protocol == "http" && !entry.tools.is_empty() {
        place.error(
            "a plain HTTP API has no tools",
            "tools are of MCP servers; to let fewer people use an API, write allow",
        );
    }
    let rules = entry.tools.iter().enumerate().map(|(index, rule)| {
        let place = place.index(index);
        if rule.groups.as_ref().is_some_and(Vec::is_empty) {
            place.key("groups").warning(
                "the rule is about nobody",
                "name groups; without groups it is about everyone",
            );
        }
        let allow = rule.allow.as_ref().map(|texts| globs(texts, &place.key("allow")));
        let deny = globs(&rule.deny, &place.key("deny"));
        let allow = match allow {
            Some(allow) => Some(allow?),
            None => None,
        };
        Some(ToolRule { groups: rule.groups.clone(), allow, deny: deny? })
    });
    // Every problem is found before the first ends it.
    let rules: Vec<Option<ToolRule>> = rules.collect();
    rules.into_iter().collect::<Option<_>>().map(ToolRules)
}

pub(super) fn globs(texts: &[String], place: &Place<'_>) -> Option<Vec<Glob>> {
    let globs = texts.iter().enumerate().map(|(index, text)| {
        let parsed = text.parse::<Glob>();
        parsed.map_err(|error| place.index(index).error(error.to_string(), "")).ok()
    });
    let globs: Vec<Option<Glob>> = globs.collect();
    globs.into_iter().collect()
}
