//! `[keys]`, and the environment variables that stand in for it.

use std::path::{Path, PathBuf};

use attache_core::Secret;

use crate::{
    diagnose::Place,
    model::{KeySource, Keys, VaultSignIn},
    rules::{net::secure_url, secret, warn_world_readable},
    schema::{self, SecretSource},
    secrets::Secrets,
};

/// Wins over `keys.active`.
const KEY: &str = "ATTACHE_KEY";

/// Read when there is neither `ATTACHE_KEY` nor `keys.active`: a mcpproxy deployment can move.
const FALLBACK: &str = "MCPPROXY_CRED_KEY";

/// The sign-in at Vault when `keys.vault` says nothing.
const VAULT_TOKEN: &str = "VAULT_TOKEN";

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
    let asks_vault =
        section.active.iter().chain(&section.retired).any(|text| text.starts_with("transit:"));
    if section.vault.is_none() && asks_vault && secrets.env(VAULT_TOKEN).is_ok() {
        let token = SecretSource::Env { env: VAULT_TOKEN.to_owned() };
        section.vault = Some(schema::Vault { token: Some(token), ..schema::Vault::default() });
    }
    let sign_in = match &section.vault {
        Some(section) => Some(sign_in(section, secrets, &place.key("vault"))?),
        None if asks_vault => {
            place
                .key("vault")
                .missing("there is no sign-in for the Vault of a transit: key", SIGN_INS);
            return None;
        }
        None => None,
    };
    let key = |text: &str, place: &Place<'_>| key(text, sign_in.as_ref(), secrets, place);
    let active = place.key("active");
    let retired: Vec<Option<KeySource>> = section
        .retired
        .iter()
        .enumerate()
        .map(|(index, text)| key(text, &place.key("retired").index(index)))
        .collect();
    let Some(text) = &section.active else {
        active.missing(
            "there is no key to seal credentials with",
            "make one with `attache keys generate`, keep it in a file and write \
             keys.active = \"file:attache.key\", or set ATTACHE_KEY to it",
        );
        return None;
    };
    let active = key(text, &active);
    Some(Keys { active: active?, retired: retired.into_iter().collect::<Option<_>>()? })
}

const SIGN_INS: &str = "write keys.vault.token = { file = \"PATH\" }, or keys.vault.role_id and \
     keys.vault.secret_id for an AppRole, or set VAULT_TOKEN";

fn sign_in(
    section: &schema::Vault,
    secrets: &Secrets<'_>,
    place: &Place<'_>,
) -> Option<VaultSignIn> {
    match (&section.token, &section.role_id, &section.secret_id) {
        (Some(token), None, None) => {
            secret(token, secrets, &place.key("token")).map(VaultSignIn::Token)
        }
        (None, Some(role_id), Some(secret_id)) if !role_id.is_empty() => {
            let secret_id = secret(secret_id, secrets, &place.key("secret_id"))?;
            Some(VaultSignIn::AppRole { role_id: role_id.clone(), secret_id })
        }
        _ => {
            place.error("this is neither a token nor an AppRole", SIGN_INS);
            None
        }
    }
}

fn key(
    text: &str,
    sign_in: Option<&VaultSignIn>,
    secrets: &Secrets<'_>,
    place: &Place<'_>,
) -> Option<KeySource> {
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
        Some(("transit", rest)) => match (rest.split_once('@'), sign_in) {
            (Some((name, address)), Some(sign_in)) if is_transit_name(name) => {
                let address = secure_url(address, place)?;
                Some(KeySource::Transit {
                    name: name.to_owned(),
                    address,
                    sign_in: sign_in.clone(),
                })
            }
            _ => unknown(place),
        },
        Some(("plugin", path)) if Path::new(path).is_absolute() => {
            Some(KeySource::Plugin(PathBuf::from(path)))
        }
        _ => unknown(place),
    }
}

/// What Vault takes for a key's name (and a URL for one segment of a path).
fn is_transit_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    name.bytes().all(plain) && name.bytes().any(|b| b.is_ascii_alphanumeric())
}

fn unknown(place: &Place<'_>) -> Option<KeySource> {
    place.error("this does not say where a key is", FORMS);
    None
}

/// The last digit of 32 bytes in base64: four bits of them, and two that are zero.
const LAST_DIGITS: &[char] =
    &['A', 'E', 'I', 'M', 'Q', 'U', 'Y', 'c', 'g', 'k', 'o', 's', 'w', '0', '4', '8'];

/// Is the base64 of 32 bytes (RFC 4648 section 4); `crypto` decodes it.
fn local(text: Secret, origin: &str, place: &Place<'_>) -> Option<KeySource> {
    let base64 = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
    let digits = text.expose().trim().strip_suffix('=');
    let whole = |digits: &str| {
        digits.len() == 43 && digits.bytes().all(base64) && digits.ends_with(LAST_DIGITS)
    };
    if digits.is_some_and(whole) {
        return Some(KeySource::Local(text));
    }
    place.error(
        format!("what is in {origin} is not the base64 of 32 bytes"),
        "`attache keys generate` makes a key",
    );
    None
}
