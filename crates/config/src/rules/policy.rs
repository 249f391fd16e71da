//! `[[policy]]`

use attache_core::{
    RuleName, UpstreamName,
    hours::{Hours, Window},
    policy::{Caller, Closed, Rule},
    tools::Glob,
};
use jiff::tz::{Offset, TimeZone};

use super::{broker::optional, tools::globs};
use crate::{
    diagnose::Place,
    model::{Protocol, Upstream},
    rules::required,
    schema::{CallerKind, File, PolicyRule},
    suggest::nearest,
};

/// Gives each upstream the rules that are about it.
pub(super) fn close(file: &File, upstreams: &mut [Upstream], place: &Place<'_>) {
    let mut taken: Vec<RuleName> = Vec::new();
    for (index, entry) in file.policy.iter().enumerate() {
        let place = place.index(index);
        let texts = entry.upstreams.as_deref();
        let about = texts.map(|texts| upstreams_of(texts, file, &place.key("upstreams")));
        let Some(rule) = rule(entry, &taken, &place) else { continue };
        taken.push(rule.name.clone());
        for upstream in upstreams.iter_mut() {
            let is_named =
                about.as_ref().is_none_or(|names| names.contains(&upstream.name.as_str()));
            let has_tools = upstream.protocol != Protocol::Http;
            if is_named && rule.tools.is_some() && !has_tools && about.is_some() {
                place.key("tools").error(
                    format!("{} is a plain HTTP API, which has no tools", upstream.name),
                    "write another rule for it, without tools",
                );
            } else if is_named && (rule.tools.is_none() || has_tools) {
                upstream.policy.0.push(rule.clone());
            }
        }
    }
}

/// Those that are there.
fn upstreams_of<'a>(texts: &'a [String], file: &File, place: &Place<'_>) -> Vec<&'a str> {
    let known: Vec<&str> = file.upstream.iter().filter_map(|one| one.name.as_deref()).collect();
    is_there(texts, "upstreams", place);
    for (index, text) in texts.iter().enumerate() {
        if !known.contains(&text.as_str()) {
            let help = nearest(text, &known).map(|name| format!("did you mean \"{name}\"?"));
            let message = format!("there is no upstream {text}");
            place.index(index).error(message, help.unwrap_or_default());
        }
    }
    texts.iter().map(String::as_str).filter(|text| UpstreamName::parse(text).is_ok()).collect()
}

fn rule(entry: &PolicyRule, taken: &[RuleName], place: &Place<'_>) -> Option<Rule> {
    let name = name(entry, taken, &place.key("name"));
    if entry.effect.is_none() {
        place.key("effect").missing("policy.effect is required", "write effect = \"deny\"");
    }
    for (key, texts) in [("groups", &entry.groups), ("except_groups", &entry.except_groups)] {
        if let Some(texts) = texts {
            is_there(texts, key, &place.key(key));
        }
    }
    let callers = entry.callers.as_ref().map(|kinds| {
        is_there(kinds, "callers", &place.key("callers"));
        kinds.iter().copied().map(caller).collect()
    });
    let tools = optional(entry.tools.as_ref(), |texts| tools(texts, &place.key("tools")));
    let hours = hours(entry, place);
    Some(Rule {
        name: name?,
        groups: entry.groups.clone(),
        except_groups: entry.except_groups.clone().unwrap_or_default(),
        callers,
        tools: tools.ok()?,
        hours: hours.ok()?,
    })
}

fn name(entry: &PolicyRule, taken: &[RuleName], place: &Place<'_>) -> Option<RuleName> {
    let text = required(entry.name.as_deref(), "policy.name is required", place)?;
    match RuleName::parse(text) {
        Ok(name) if taken.contains(&name) => {
            place.error(
                format!("duplicate rule name: {name}"),
                "callers are told it: use each once",
            );
            None
        }
        Ok(name) => Some(name),
        Err(invalid) => {
            place.error(invalid.to_string(), "");
            None
        }
    }
}

fn caller(kind: CallerKind) -> Caller {
    match kind {
        CallerKind::PersonalToken => Caller::PersonalToken,
        CallerKind::Client => Caller::Client,
        CallerKind::IdentityProvider => Caller::IdentityProvider,
    }
}

fn tools(texts: &[String], place: &Place<'_>) -> Option<Vec<Glob>> {
    is_there(texts, "tools", place);
    globs(texts, place)
}

/// A list of nobody, or of nothing, would be a rule that closes nothing.
fn is_there<T>(list: &[T], key: &str, place: &Place<'_>) {
    if list.is_empty() {
        place.error(
            format!("{key} is empty: the rule would close nothing, or something else than meant"),
            format!("name some, or remove {key}"),
        );
    }
}

fn hours(entry: &PolicyRule, place: &Place<'_>) -> Result<Option<Closed>, ()> {
    let zone = zone(entry.timezone.as_deref().unwrap_or("UTC"), &place.key("timezone"));
    let read = |texts: &[String], key: &str| {
        let place = place.key(key);
        is_there(texts, key, &place);
        Some(Hours::new(windows(texts, &place)?, zone.clone()?))
    };
    if entry.during.is_some() && entry.outside.is_some() {
        place.key("outside").error(
            "a rule has hours during which it closes, or outside of which",
            "write two rules",
        );
        return Err(());
    }
    if entry.during.is_none() && entry.outside.is_none() && entry.timezone.is_some() {
        place.key("timezone").error("a time zone without hours", "write during or outside");
    }
    let during = optional(entry.during.as_ref(), |texts| read(texts, "during"))?;
    let outside = optional(entry.outside.as_ref(), |texts| read(texts, "outside"))?;
    Ok(during.map(Closed::During).or(outside.map(Closed::Outside)))
}

fn windows(texts: &[String], place: &Place<'_>) -> Option<Vec<Window>> {
    let windows = texts.iter().enumerate().map(|(index, text)| {
        let parsed = text.parse::<Window>();
        parsed.map_err(|error| place.index(index).error(error.to_string(), "")).ok()
    });
    let windows: Vec<Option<Window>> = windows.collect();
    windows.into_iter().collect()
}

fn zone(text: &str, place: &Place<'_>) -> Option<TimeZone> {
    let zone = match text {
        "UTC" => Some(TimeZone::UTC),
        _ if text.starts_with(['+', '-']) => offset(text).map(TimeZone::fixed),
        _ => TimeZone::get(text).ok(),
    };
    if zone.is_none() {
        place.error(
            "this machine knows no such time zone",
            "write a name such as \"Europe/Berlin\" (the package tzdata has them), an offset such \
             as \"+02:00\", or \"UTC\"",
        );
    }
    zone
}

/// `+02:00`
fn offset(text: &str) -> Option<Offset> {
    let (sign, rest) = text.split_at_checked(1)?;
    let (hours, minutes) = rest.split_once(':')?;
    let two = |digits: &str| {
        let fits = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse::<i32>().ok().filter(|_| fits)
    };
    let (hours, minutes) = (two(hours)?, two(minutes)?);
    let seconds = (hours * 60 + minutes) * 60;
    let fits = hours <= 14 && minutes < 60;
    Offset::from_seconds(if sign == "-" { -seconds } else { seconds }).ok().filter(|_| fits)
}
