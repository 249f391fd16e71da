//! `[[forward_auth]]`

use std::num::NonZeroU32;

use attache_core::{Secret, UpstreamName};

use crate::{
    diagnose::Place,
    model::{ForwardAuth, Upstream},
    rules::{required, secret},
    schema::{self, File},
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
    let secret = own_secret(entry, secrets, &place.key("secret"));
    let theirs = vended(entry, file, upstreams, &place.key("upstreams"));
    let rate = NonZeroU32::new(entry.rate);
    if rate.is_none() {
        place.key("rate").error("nobody would ever be answered", "write 1 or more");
    }
    Some(ForwardAuth { name: name?.to_owned(), secret: secret?, upstreams: theirs?, rate: rate? })
}

fn own_secret(
    entry: &schema::ForwardAuth,
    secrets: &Secrets<'_>,
    place: &Place<'_>,
) -> Option<Secret> {
    const HELP: &str = "`openssl rand -hex 32` makes one";
    let Some(source) = &entry.secret else {
        place.missing("forward_auth.secret is required", HELP);
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

/// The secret says which proxy it is, and the name what the log calls it.
fn is_its_own(one: &ForwardAuth, others: &[ForwardAuth], place: &Place<'_>) -> bool {
    if others.iter().any(|other| other.name == one.name) {
        place.key("name").error(format!("duplicate forward_auth name: {}", one.name), "");
        return false;
    }
    match others.iter().find(|other| other.secret.expose() == one.secret.expose()) {
        Some(other) => {
            place.key("secret").error(
                format!("this is the secret of {}, too", other.name),
                "give each proxy its own: the secret says what it may ask for",
            );
            false
        }
        None => true,
    }
}
