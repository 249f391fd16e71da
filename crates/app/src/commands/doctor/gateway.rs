//! The gateway itself: its configuration, keys and store, and whether the world finds it.

use std::{path::Path, sync::Arc, time::Duration};

use attache_config::Diagnostics;
use attache_core::{
    PublicOrigin, ServiceKeyName,
    outbound::{Limits, Outbound as _},
    store::KeyOwner,
};
use attache_crypto::{
    keyring::{KeyError, KeyRing},
    seal::DataKey,
};
use attache_net::outbound::DedicatedClient;
use attache_store::{OpenError, Store};
use bytes::Bytes;
use http::{Request, StatusCode};
use serde_json::Value;

use super::{
    Tools, explain,
    journal::{Answer, Fault, Journal},
    print::counted,
    report::{Check, Finding, Mover, Outcome, Part, Section},
};
use crate::{
    wire::{self, location},
    with_causes,
};

/// Of our own metadata.
const LIMITS: Limits = Limits { timeout: Duration::from_secs(10), max_body: 64 * 1024 };

pub(super) async fn examine(file: &Path, problems: &Diagnostics, tools: &Tools<'_>) -> Section {
    let mut findings = vec![configuration(file, problems)];
    let ring = match wire::keys::wire(tools.config, tools.trust).await {
        Ok(keys) => {
            findings.push(key(&keys.ring, tools).await);
            Some(keys.ring)
        }
        Err(error) => {
            findings.push(
                Finding::wrong(Check::Keys, error.to_string())
                    .write("keys.active", "correct it, or start what holds the key"),
            );
            None
        }
    };
    findings.push(store(tools, ring.as_ref()).await);
    findings.push(public_url(tools).await);
    Section { part: Part::Gateway, findings }
}

fn configuration(file: &Path, problems: &Diagnostics) -> Finding {
    let file = file.display();
    match problems.iter().count() {
        0 => Finding::ok(Check::Configuration, format!("{file} has no problem")),
        count => Finding::warning(
            Check::Configuration,
            format!("{file} has {}", counted(count, "warning")),
        )
        .then(
            Mover::Operator,
            None,
            "run `attache check`, which says where and what to write",
        ),
    }
}

/// A key that was wrapped opens again.
async fn key(ring: &KeyRing, tools: &Tools<'_>) -> Finding {
    let owner = KeyOwner::Service(ServiceKeyName::new("doctor"));
    let key = DataKey::generate(&*tools.random);
    let name = &ring.active.id().0;
    let opened = match ring.wrap(&key, &owner).await {
        Ok(wrapped) => ring.unwrap(&wrapped, &owner).await,
        Err(error) => Err(error),
    };
    let print = |key: &DataKey| key.authenticate("doctor", &[]);
    let wrong = |found: String| Finding::wrong(Check::Keys, found);
    match opened {
        Ok(opened) if print(&opened) == print(&key) => {
            Finding::ok(Check::Keys, format!("{name} wraps a key, and opens it again"))
        }
        Err(KeyError::Unavailable(_)) => wrong(format!("what holds {name} does not answer"))
            .write("keys.active", "start it, or correct its address"),
        Err(error @ KeyError::Refused(_)) => wrong(format!("{name}: {error}"))
            .write("keys.vault", "correct the sign-in, or what it may do"),
        Ok(_) | Err(KeyError::Unknown(_) | KeyError::Tampered) => {
            wrong(format!("{name} does not open what it wrapped"))
                .write("keys.active", "use another: what is stored under this one is lost")
        }
    }
}

/// Opened as a command does, which makes nothing and migrates nothing.
async fn store(tools: &Tools<'_>, ring: Option<&KeyRing>) -> Finding {
    let opened = Store::open_as_is(&location(&tools.config.store)).await;
    let store = match opened {
        Ok(store) => store,
        Err(error @ (OpenError::Missing(_) | OpenError::NoTables | OpenError::Older { .. })) => {
            return Finding::warning(Check::Store, error.to_string())
                .write("store.url", "start `attache serve` if this is the right one");
        }
        Err(error) => {
            return Finding::wrong(Check::Store, error.to_string())
                .write("store.url", "do what it says, or correct the URL");
        }
    };
    let found = match store.ping().await {
        Ok(()) if store.is_damaged() => Finding::wrong(Check::Store, "part of it is damaged").then(
            Mover::Operator,
            None,
            "restore a backup that `attache store check` finds whole",
        ),
        Ok(()) => missing_keys(&store, ring).await.unwrap_or_else(|| {
            Finding::ok(Check::Store, "it takes writes, and its tables are of this version")
        }),
        Err(error) => Finding::wrong(Check::Store, with_causes(&error))
            .write("store.url", "see that it answers and takes writes"),
    };
    store.close().await;
    found
}

/// Keys that wrap something and are not configured.
async fn missing_keys(store: &Store, ring: Option<&KeyRing>) -> Option<Finding> {
    let wrapped = store.stores().wrapped_keys.count().await.ok()?;
    let names = wire::keys::missing(&wrapped, ring?);
    if names.is_empty() {
        return None;
    }
    let found = format!("what {} wraps in it cannot be opened", names.join(" and "));
    Some(Finding::wrong(Check::Store, found).write("keys.retired", "add it"))
}

/// What answers under `public_url` is this gateway, by its own name.
async fn public_url(tools: &Tools<'_>) -> Finding {
    let url = &tools.config.public_url;
    let origin = PublicOrigin::new(url);
    let journal =
        Journal::new(&(Arc::new(DedicatedClient::new(url, tools.trust)) as _), &tools.clock);
    let ours = origin.url("/.well-known/oauth-protected-resource");
    let answer = match Request::get(ours).body(Bytes::new()) {
        Ok(request) => journal.fetch(request, LIMITS).await.ok(),
        Err(_) => None,
    };
    let asked = journal.since(0);
    let resource = answer.filter(|answer| answer.status() == StatusCode::OK).and_then(|answer| {
        let document: Value = serde_json::from_slice(answer.body()).ok()?;
        Some(document.get("resource")?.as_str()?.to_owned())
    });
    let other = |found: String, next: &str| {
        Finding::wrong(Check::PublicUrl, found).write("public_url", next)
    };
    match (resource, asked.last().map(|last| &last.answer)) {
        (Some(resource), _) if resource == origin.as_str() => Finding::ok(
            Check::PublicUrl,
            format!("a gateway that calls itself {} answers there", origin.as_str()),
        ),
        (Some(_), _) => other(
            "a gateway of another name answers there".to_owned(),
            "write the URL that people open, also in the gateway that runs there",
        ),
        (None, Some(Answer::Came { status, .. })) if *status == StatusCode::FORBIDDEN => other(
            format!("{}, as a gateway does that is called by another name", explain::told(&asked)),
            "write the URL that people open, and let the proxy in front pass Host on unchanged",
        ),
        (None, Some(Answer::Refused(Fault::Away(words)))) => {
            Finding::warning(Check::PublicUrl, format!("it cannot be reached from here: {words}"))
                .then(
                    Mover::Operator,
                    Some("public_url"),
                    "start the gateway and the proxy in front of it; if this machine cannot reach \
                     its own public name, ask from another",
                )
        }
        (None, Some(Answer::Refused(_))) => match asked.last() {
            Some(last) => explain::entry(Check::PublicUrl, Outcome::Wrong, last),
            None => other("it cannot be asked".to_owned(), "correct it"),
        },
        _ => other(
            format!("what answers is no gateway: {}", explain::told(&asked)),
            "write the URL that people open, or let the proxy in front pass every path on",
        ),
    }
}
