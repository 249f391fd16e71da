//! From the shape of the file to the model, one section a file.
//!
//! Every function here parses: it reports what is wrong at its [`Place`] and returns `None`, or
//! returns a value nobody has to look at again. Nothing stops at the first problem.

mod assertion;
mod authorization_server;
mod broker;
mod egress;
mod entra;
mod forward_auth;
pub(crate) mod header;
mod identity;
mod keys;
pub(crate) mod net;
mod notices;
mod oidc_preset;
mod policy;
mod proxy_listener;
mod scim;
mod store;
mod tools;
mod traffic;
mod upstream;

use std::{net::SocketAddr, time::Duration};

use attache_core::Secret;
use url::Url;

pub(crate) use self::broker::scopes;
use crate::{
    diagnose::Place,
    model::{Audit, Config, Egress},
    provider::Templates,
    schema::{self, File, SecretSource},
    secrets::Secrets,
};

/// `file` becomes what is in effect: where the environment wins, it says so.
pub(crate) fn config(
    file: &mut File,
    secrets: &Secrets<'_>,
    templates: &Templates,
    root: &Place<'_>,
) -> Option<Config> {
    let public_url = public_url(file.public_url.as_deref(), &root.key("public_url"));
    let listen = address(&file.listen, &root.key("listen"));
    let admin_listen = address(&file.admin_listen, &root.key("admin_listen"));
    if let (Some(listen), Some(public_url)) = (listen, &public_url) {
        reachable(listen, public_url, &root.key("listen"));
    }
    if listen == admin_listen && listen.is_some_and(|listen| listen.port() != 0) {
        root.key("admin_listen").error("admin_listen is the address of listen", "use another port");
    }
    let trusted_proxies = net::networks(&file.trusted_proxies, &root.key("trusted_proxies"));
    let store = store::store(&file.store, secrets, &root.key("store"));
    let keys = keys::keys(&mut file.keys, secrets, &root.key("keys"));
    if let Some(oidc) = &mut file.identity.oidc {
        oidc_preset::fill(oidc, &root.key("identity").key("oidc"));
    }
    let identity = identity::identity(&file.identity, secrets, &root.key("identity"));
    let authorization_server = authorization_server::parse(
        &file.authorization_server,
        secrets,
        &root.key("authorization_server"),
    );
    // People sign in somewhere before clients are let in.
    let serves_clients = file.authorization_server.enabled && file.identity.oidc.is_some();
    let audit = audit(&file.audit, &root.key("audit"));
    let allow_private =
        net::networks(&file.egress.allow_private, &root.key("egress").key("allow_private"));
    let notices = notices::notices(&file.notices, secrets, &root.key("notices"));
    let mut upstreams =
        upstream::upstreams(&mut file.upstream, secrets, templates, &root.key("upstream"));
    policy::close(file, &mut upstreams, &root.key("policy"));
    let forward_auth = forward_auth::proxies(file, &upstreams, secrets, &root.key("forward_auth"));
    let proxy_listener =
        proxy_listener::parse(file, [listen, admin_listen], secrets, &root.key("proxy_listener"));
    identity::somebody_can_call(file, root);
    identity::one_identity_provider(file, root);
    if let Some(allowed) = &allow_private {
        egress::reachable(file, allowed, root);
    }

    Some(Config {
        public_url: public_url?,
        listen: listen?,
        admin_listen: admin_listen?,
        access_log: file.access_log,
        trusted_proxies: trusted_proxies?,
        store: store?,
        keys,
        identity: identity?,
        authorization_server: Some(authorization_server?).filter(|_| serves_clients),
        audit: audit?,
        egress: Egress { allow_private: allow_private? },
        notices: notices.ok()?,
        upstreams,
        forward_auth,
        proxy_listener: proxy_listener.ok()?,
    })
}

fn public_url(text: Option<&str>, place: &Place<'_>) -> Option<Url> {
    const HELP: &str = "write the origin people reach the gateway at, such as \
                        public_url = \"https://gw.example.com\"";
    let Some(text) = text else {
        place.missing("public_url is required", HELP);
        return None;
    };
    let url = net::secure_url(text, place)?;
    if url.path() != "/" || url.query().is_some() {
        place.error("public_url must not have a path or a query", HELP);
        return None;
    }
    Some(url)
}

fn address(text: &str, place: &Place<'_>) -> Option<SocketAddr> {
    let parsed = text.parse().ok();
    if parsed.is_none() {
        place.error(
            "this is not an address and a port",
            "write an IP address and a port, such as \"127.0.0.1:8080\" or \"[::]:8080\"",
        );
    }
    parsed
}

/// Plain http beyond this machine would carry every session in the clear.
fn reachable(listen: SocketAddr, public_url: &Url, place: &Place<'_>) {
    if public_url.scheme() == "http" && !listen.ip().is_loopback() {
        place.error(
            "listen is not a loopback address, but public_url is http",
            "listen on 127.0.0.1, or put a proxy that speaks TLS in front and make public_url https",
        );
    }
}

fn audit(section: &schema::Audit, place: &Place<'_>) -> Option<Audit> {
    /// Longer than replicas take to notice each other.
    const SHORTEST: Duration = Duration::from_hours(7 * 24);
    let retention = section.retention.0;
    if retention < SHORTEST {
        place.key("retention").error(
            "an audit log that forgets within a week proves little",
            "write \"7d\" or more; the default is \"400d\"",
        );
        return None;
    }
    Some(Audit { retention })
}

fn positive(span: schema::Span, name: &str, place: &Place<'_>) -> Option<Duration> {
    if span.0.is_zero() {
        place.error(format!("{name} must be longer than nothing"), "");
        return None;
    }
    Some(span.0)
}

/// Resolves a secret, reporting where it could not be had.
fn secret(source: &SecretSource, secrets: &Secrets<'_>, place: &Place<'_>) -> Option<Secret> {
    match secrets.resolve(source) {
        Ok(resolved) => {
            if resolved.world_readable {
                warn_world_readable(place);
            }
            Some(resolved.secret)
        }
        Err(error) => {
            place.error(error.to_string(), "");
            None
        }
    }
}

fn warn_world_readable(place: &Place<'_>) {
    place.warning(
        "every user of this machine can read this secret's file",
        "chmod o-r it, or better 600",
    );
}

/// A text that must be there and not be blank.
fn required<'a>(text: Option<&'a str>, message: &str, place: &Place<'_>) -> Option<&'a str> {
    match text {
        Some(text) if !text.trim().is_empty() => Some(text),
        Some(_) => {
            place.error(message, "");
            None
        }
        None => {
            place.missing(message, "");
            None
        }
    }
}
