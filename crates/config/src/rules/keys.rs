//! `[keys]`, and the environment variables that stand in for it.

use std::path::{Path, PathBuf};

use attache_core::Secret;

use crate::{
    diagnose::Place,
    model::{KeySource, Keys},
    rules::{net::secure_url, warn_world_readable},
    schema,
    secrets::Secrets,
};

/// Wins over `keys.active`.
const KEY: &str = "ATTACHE_KEY";

/// Read when there is neither `ATTACHE_KEY` nor `keys.active`: a mcpproxy deployment can move.
const FALLBACK: &str = "MCPPROXY_CRED_KEY";

const FORMS: &str = "write file:PATH, env:NAME, transit:NAME@https://vault or plugin:/path.sock; \
     `attache keys generate` makes a key";

pub(super) fn keys(
    section: &mut schema::Keys,
    secrets: &Secrets<'_>,
    place: &Place<'_>,
) -> Option<Keys> {
    if secrets.env(KEY).is_ok() {
        section.active = Some(format!("env:{KEY}"));
    } else if section.active.is_none() && secrets.env(FALLBACK).is_ok() {
        section.active = Some(format!("env:{FALLBACK}"));
    }
    let active = place.key("active");
    let retired: Vec<Option<KeySource>> = section
        .retired
        .iter()
        .enumerate()
        .map(|(index, text)| key(text, secrets, &place.key("retired").index(index)))
        .collect();
    let Some(text) = &section.active else {
        active.missing(
            "there is no key to seal credentials with",
            "make one with `attache keys generate`, keep it in a file and write \
             keys.active = \"file:attache.key\", or set ATTACHE_KEY to it",
        );
        return None;
    };
    let active = key(text, secrets, &active);
    Some(Keys { active: active?, retired: retired.into_iter().collect::<Option<_>>()? })
}

fn key(text: &str, secrets: &Secrets<'_>, place: &Place<'_>) -> Option<KeySource> {
    match text.split_once(':') {
        Some(("file", path)) if !path.is_empty() => match secrets.file(Path::new(path)) {
            Ok(resolved) => {
                if resolved.world_readable {
                    warn_world_readable(place);
                }
                local(resolved.secret, path, place)
            }
            Err(error) => {
                place.error(error.to_string(), "`attache keys generate` makes a key");
                None
            }
        },
        Some(("env", name)) if !name.is_empty() => match secrets.env(name) {
            Ok(key) => local(key, name, place),
            Err(error) => {
                place.error(error.to_string(), "`attache keys generate` makes a key");
                None
            }
        },
        Some(("transit", rest)) => match rest.split_once('@') {
            Some((name, address)) if !name.is_empty() => {
                let address = secure_url(address, place)?;
                Some(KeySource::Transit { name: name.to_owned(), address })
            }
            _ => unknown(place),
        },
        Some(("plugin", path)) if Path::new(path).is_absolute() => {
            Some(KeySource::Plugin(PathBuf::from(path)))
        }
        _ => unknown(place),
    }
}

fn unknown(place: &Place<'_>) -> Option<KeySource> {
    place.error("this does not say where a key is", FORMS);
    None
}

/// Looks like the base64 of 32 bytes (RFC 4648 section 4); `crypto` decodes it.
fn local(text: Secret, origin: &str, place: &Place<'_>) -> Option<KeySource> {
    let base64 = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
    let digits = text.expose().trim().strip_suffix('=');
    if digits.is_some_and(|digits| digits.len() == 43 && digits.bytes().all(base64)) {
        return Some(KeySource::Local(text));
    }
    place.error(
        format!("what is in {origin} is not the base64 of 32 bytes"),
        "`attache keys generate` makes a key",
    );
    None
}
