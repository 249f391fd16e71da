//! A `PostgreSQL` URL, with what protects the connection decided.
//!
//! Whoever can pose as the database can make themselves anybody, because it says who is signed in.
//! So beyond this machine the server is verified unless the URL says otherwise, and then somebody
//! is told; and a parameter that would have no effect is refused, because it may be one that
//! protects.

use std::{fs, net::IpAddr, path::Path};

use attache_core::Secret;
use url::Url;

use crate::{
    diagnose::Place,
    rules::warn_world_readable,
    secrets::{Secrets, readable_by_all},
    suggest::{nearest, one_of},
};

const PARAMETERS: &[&str] = &[
    "application_name",
    "dbname",
    "host",
    "options",
    "password",
    "port",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "user",
];
const FILES: &[&str] = &["sslcert", "sslkey", "sslrootcert"];

/// In the order of what they protect from. libpq's `allow` protects from nothing that `disable`
/// does not.
const MODES: &[&str] = &["disable", "prefer", "require", VERIFY_CA, VERIFY_FULL];
const VERIFY_CA: &str = "verify-ca";
const VERIFY_FULL: &str = "verify-full";

/// Values are never repeated: a password may be anywhere.
pub(super) fn url(text: &str, secrets: &Secrets<'_>, place: &Place<'_>) -> Option<Secret> {
    let Ok(mut url) = Url::parse(text) else {
        place.error("this is not a PostgreSQL URL", "write postgres://user@host:port/database");
        return None;
    };
    let mut parameters: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    if !known(&parameters, place) | !files(&mut parameters, secrets, place) {
        return None;
    }
    let host = value(&parameters, "host").or(url.host_str()).map(str::to_owned);
    let variable = |name: &str| (secrets.variable)(name).filter(|value| !value.is_empty());
    let host = host
        .filter(|host| !host.is_empty())
        .or_else(|| variable("PGHOSTADDR"))
        .or_else(|| variable("PGHOST"));
    if host.as_ref().is_some_and(|host| host.contains(',')) {
        place.error(
            "a PostgreSQL URL can name one host only here",
            "name the one under which the primary is always found",
        );
        return None;
    }
    let is_local = host.is_none_or(|host| is_local(&host));
    let mode = value(&parameters, "sslmode").map(str::to_owned).or_else(|| variable("PGSSLMODE"));
    let mode = match mode {
        Some(mode) => *MODES.iter().find(|known| **known == mode).or_else(|| {
            place.error("this sslmode is not one", format!("write {}", one_of(MODES)));
            None
        })?,
        None if is_local => "prefer",
        None => VERIFY_FULL,
    };
    let verifies = matches!(mode, VERIFY_CA | VERIFY_FULL);
    if !verifies && value(&parameters, "sslrootcert").is_some() {
        place.error(
            format!("sslrootcert has no effect with sslmode={mode}"),
            "write sslmode=verify-full",
        );
        return None;
    }
    if !is_local && mode != VERIFY_FULL {
        let says = match mode {
            VERIFY_CA => {
                "whoever has any certificate of an authority that is trusted can pose as \
                          the database"
            }
            "require" => "whoever can get between can pose as the database",
            _ => "whoever can get between can read along, and pose as the database",
        };
        place.warning(format!("with sslmode={mode} {says}"), "write sslmode=verify-full");
    }
    parameters.retain(|(name, _)| name != "sslmode");
    parameters.push(("sslmode".to_owned(), mode.to_owned()));
    url.query_pairs_mut().clear().extend_pairs(&parameters);
    Some(Secret::new(String::from(url)))
}

fn known(parameters: &[(String, String)], place: &Place<'_>) -> bool {
    let mut all = true;
    for (name, value) in parameters {
        if PARAMETERS.contains(&name.as_str()) {
            continue;
        }
        all = false;
        // A name without a value may be anything.
        let shown = if value.is_empty() { "a parameter" } else { name };
        let help = match nearest(name, PARAMETERS) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("leave it out; what has an effect is {}", one_of(PARAMETERS)),
        };
        place.error(format!("{shown} of this PostgreSQL URL would have no effect"), help);
    }
    all
}

/// Makes the paths absolute. Files are read again for each connection, so that they can be renewed.
fn files(parameters: &mut [(String, String)], secrets: &Secrets<'_>, place: &Place<'_>) -> bool {
    let mut fine = true;
    for (name, file) in parameters.iter_mut().filter(|(name, _)| FILES.contains(&name.as_str())) {
        let path = secrets.base.join(Path::new(file));
        match fs::File::open(&path).and_then(|file| file.metadata()) {
            Ok(meta) if name == "sslkey" && readable_by_all(&meta) => warn_world_readable(place),
            Ok(_) => {}
            Err(error) => {
                fine = false;
                place.error(format!("the file in {name} cannot be read: {}", error.kind()), "");
            }
        }
        *file = path.display().to_string();
    }
    if value(parameters, "sslcert").is_some() != value(parameters, "sslkey").is_some() {
        fine = false;
        place.error("sslcert and sslkey must be given together", "");
    }
    fine
}

fn value<'a>(parameters: &'a [(String, String)], name: &str) -> Option<&'a str> {
    parameters.iter().rfind(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// A socket, or a loopback address.
fn is_local(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.starts_with('/')
        || host.to_ascii_lowercase().starts_with("%2f")
        || host == "localhost"
        || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
