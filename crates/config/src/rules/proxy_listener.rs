//! `[proxy_listener]`

use std::net::SocketAddr;

use attache_core::Secret;

use crate::{
    diagnose::Place,
    model::ProxyListener,
    rules::{address, required, secret},
    schema::{File, SecretSource},
    secrets::Secrets,
};

/// It has a problem, which was reported.
pub(super) struct Problem;

/// `others`: where the gateway listens besides.
pub(super) fn parse(
    file: &File,
    others: [Option<SocketAddr>; 2],
    secrets: &Secrets<'_>,
    place: &Place<'_>,
) -> Result<Option<ProxyListener>, Problem> {
    let Some(section) = &file.proxy_listener else { return Ok(None) };
    let at = place.key("listen");
    let listen = required(section.listen.as_deref(), "proxy_listener.listen is required", &at);
    let listen = listen.and_then(|listen| address(listen, &at));
    if let Some(listen) = listen.filter(|listen| listen.port() != 0)
        && others.contains(&Some(listen))
    {
        at.error("the gateway listens there already", "use another port");
        return Err(Problem);
    }
    let public = |source, name| certificates(source, name, secrets, place);
    let certificate = public(section.certificate.as_ref(), "certificate");
    let client_ca = public(section.client_ca.as_ref(), "client_ca");
    let at = place.key("key");
    let key =
        given(section.key.as_ref(), "key", &at).and_then(|source| secret(source, secrets, &at));
    if let (Some(listen), Some(certificate), Some(key), Some(client_ca)) =
        (listen, certificate, key, client_ca)
    {
        return Ok(Some(ProxyListener { listen, certificate, key, client_ca }));
    }
    Err(Problem)
}

fn given<'a>(
    source: Option<&'a SecretSource>,
    name: &str,
    place: &Place<'_>,
) -> Option<&'a SecretSource> {
    if source.is_none() {
        let help = format!("write {name} = {{ file = \"{name}.pem\" }}");
        place.missing(format!("proxy_listener.{name} is required"), help);
    }
    source
}

/// Written like a secret, but everybody may read it.
fn certificates(
    source: Option<&SecretSource>,
    name: &'static str,
    secrets: &Secrets<'_>,
    place: &Place<'_>,
) -> Option<Secret> {
    let place = place.key(name);
    let source = given(source, name, &place)?;
    let resolved = secrets.resolve(source).map_err(|error| place.error(error.to_string(), ""));
    resolved.ok().map(|resolved| resolved.secret)
}
