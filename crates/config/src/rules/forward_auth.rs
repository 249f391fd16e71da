//! `[[forward_auth]]`

use std::num::NonZeroU32;

use attache_core::{Secret, UpstreamName};
use url::Host;

use crate::{
    diagnose::Place,
    model::{ForwardAuth, ProxyProof, Upstream},
    rules::{required, secret},
    schema::{self, File, SecretSource},
    secrets::Secrets,
    suggest::nearest,
};

/// Characters: nobody guesses it, however often they ask.
const SHORTEST_SECRET: usize = 32;

/// Those without a problem, in order.
pub(super) fn proxies(
    file: &File,
    upstreams: &[Upstream],
    secrets: &Secrets<'_>,
    place: &Place<'_>,
) -> Vec<ForwardAuth> {
    let mut parsed: Vec<ForwardAuth> = Vec::new();
    for (index, entry) in file.forward_auth.iter().enumerate() {
        let place = place.index(index);
        let one = proxy(entry, file, upstreams, secrets, &place);
        parsed.extend(one.filter(|one| is_its_own(one, &parsed, &place)));
    }
    parsed
}

fn proxy(
    entry: &schema::ForwardAuth,
    file: &File,
    upstreams: &[Upstream],
    secrets: &Secrets<'_>,
    place: &Place<'_>,
) -> Option<ForwardAuth> {
    let name = entry.name.as_deref();
    let name = required(name, "forward_auth.name is required", &place.key("name"));
    let proof = proof(entry, file, secrets, place);
    let theirs = vended(entry, file, upstreams, &place.key("upstreams"));
    let rate = NonZeroU32::new(entry.rate);
    if rate.is_none() {
        place.key("rate").error("nobody would ever be answered", "write 1 or more");
    }
    Some(ForwardAuth { name: name?.to_owned(), proof: proof?, upstreams: theirs?, rate: rate? })
}

/// One of the two.
fn proof(
    entry: &schema::ForwardAuth,
    file: &File,
    secrets: &Secrets<'_>,
    place: &Place<'_>,
) -> Option<ProxyProof> {
    let Some(name) = &entry.certificate_name else {
        let missing = "forward_auth.secret is required";
        let secret = own_secret(entry.secret.as_ref(), missing, secrets, &place.key("secret"));
        return secret.map(ProxyProof::Secret);
    };
    let at = place.key("certificate_name");
    if entry.secret.is_some() {
        at.error("this proxy has a secret, too", "remove one of the two");
        return None;
    }
    if file.proxy_listener.is_none() {
        at.error(
            "there is nowhere to show a certificate",
            "add [proxy_listener], which asks for one",
        );
        return None;
    }
    let is_wild = name.contains('*');
    if is_wild || !matches!(Host::parse(name), Ok(Host::Domain(parsed)) if parsed == *name) {
        at.error("this is not a DNS name in lower case", "write one such as \"edge.example.com\"");
        return None;
    }
    Some(ProxyProof::Certificate(name.clone()))
}

/// One that somebody sends to prove that it is them.
pub(super) fn own_secret(
    source: Option<&SecretSource>,
    missing: &str,
    secrets: &Secrets<'_>,
    place: &Place<'_>,
) -> Option<Secret> {
    const HELP: &str = "`openssl rand -hex 32` makes one";
    let Some(source) = source else {
        place.missing(missing, HELP);
        return None;
    };
    let secret = secret(source, secrets, place)?;
    if secret.expose().len() < SHORTEST_SECRET {
        place.error(format!("the secret is shorter than {SHORTEST_SECRET} characters"), HELP);
        return None;
    }
    if !secret.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
        place.error("a header cannot hold this secret", HELP);
        return None;
    }
    Some(secret)
}

/// The upstreams that a proxy may ask for. One that has a problem of its own is complained about
/// there.
fn vended(
    entry: &schema::ForwardAuth,
    file: &File,
    upstreams: &[Upstream],
    place: &Place<'_>,
) -> Option<Vec<UpstreamName>> {
    let names: Vec<&str> = file.upstream.iter().filter_map(|one| one.name.as_deref()).collect();
    if entry.upstreams.is_empty() {
        place.missing(
            "forward_auth.upstreams is required",
            "name the upstreams that this proxy may ask for",
        );
        return None;
    }
    let mut theirs = Some(Vec::new());
    for (index, text) in entry.upstreams.iter().enumerate() {
        let place = place.index(index);
        if !names.contains(&text.as_str()) {
            let help = nearest(text, &names).map(|name| format!("did you mean \"{name}\"?"));
            place.error(format!("there is no upstream {text}"), help.unwrap_or_default());
            theirs = None;
            continue;
        }
        let upstream = upstreams.iter().find(|one| one.name.as_str() == text);
        match upstream.and_then(|one| vendable(one, &place)) {
            Some(name) => theirs.iter_mut().for_each(|theirs| theirs.push(name.clone())),
            None => theirs = None,
        }
    }
    theirs
}

fn vendable<'a>(upstream: &'a Upstream, place: &Place<'_>) -> Option<&'a UpstreamName> {
    let Some(broker) = &upstream.broker else {
        place.error(
            format!("{} has no auth_broker: there is no credential to give", upstream.name),
            "remove it here; the proxy can write a static header itself",
        );
        return None;
    };
    if broker.dialect.base_url.is_some() {
        place.error(
            format!(
                "people of {} have hosts of their own, which a proxy does not know",
                upstream.name
            ),
            "let its callers come through the gateway",
        );
        return None;
    }
    let traffic = &upstream.traffic;
    let has_tool_rules = !upstream.tools.is_empty() || upstream.policy.is_about_tools();
    if has_tool_rules || traffic.methods.is_some() || traffic.paths.is_some() {
        place.error(
            format!("the gateway cannot keep the rules of {} there", upstream.name),
            "let its callers come through the gateway, which reads what they ask for",
        );
        return None;
    }
    Some(&upstream.name)
}

/// Its proof says which proxy it is, and the name what the log calls it.
fn is_its_own(one: &ForwardAuth, others: &[ForwardAuth], place: &Place<'_>) -> bool {
    if others.iter().any(|other| other.name == one.name) {
        place.key("name").error(format!("duplicate forward_auth name: {}", one.name), "");
        return false;
    }
    let (key, what) = match &one.proof {
        ProxyProof::Secret(_) => ("secret", "secret"),
        ProxyProof::Certificate(_) => ("certificate_name", "name"),
    };
    match others.iter().find(|other| are_the_same(&other.proof, &one.proof)) {
        Some(other) => {
            place.key(key).error(
                format!("this is the {what} of {}, too", other.name),
                format!("give each proxy its own: the {what} says what it may ask for"),
            );
            false
        }
        None => true,
    }
}

fn are_the_same(one: &ProxyProof, other: &ProxyProof) -> bool {
    match (one, other) {
        (ProxyProof::Secret(one), ProxyProof::Secret(other)) => one.expose() == other.expose(),
        (ProxyProof::Certificate(one), ProxyProof::Certificate(other)) => one == other,
        _ => false,
    }
}
