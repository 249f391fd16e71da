//! `[[upstream]]`

use attache_core::{UpstreamName, policy::Policy};
use url::Url;

use crate::{
    diagnose::Place,
    model::{Allow, AuthBroker, KeyTest, Mode, Protocol, Upstream},
    provider::Templates,
    rules::{broker, header, identity, net, required, tools, traffic},
    schema,
    secrets::Secrets,
    suggest::{nearest, one_of},
};

/// Those without a problem, in order.
pub(super) fn upstreams(
    entries: &mut [schema::Upstream],
    secrets: &Secrets<'_>,
    templates: &Templates,
    place: &Place<'_>,
) -> Vec<Upstream> {
    let mut names: Vec<UpstreamName> = Vec::new();
    let mut parsed = Vec::new();
    for (index, entry) in entries.iter_mut().enumerate() {
        let place = place.index(index);
        let name = name(entry, &names, &place.key("name"));
        names.extend(name.clone());
        parsed.extend(upstream(entry, name, secrets, templates, &place));
    }
    parsed
}

fn upstream(
    entry: &mut schema::Upstream,
    name: Option<UpstreamName>,
    secrets: &Secrets<'_>,
    templates: &Templates,
    place: &Place<'_>,
) -> Option<Upstream> {
    let protocol = protocol(entry, place);
    let url = protocol.and_then(|_| url(entry, &place.key("url")));
    let allow = entry.allow.as_ref().map(|section| allow(section, &place.key("allow")));
    let tools = tools::tools(entry, &place.key("tools"));
    let broker = match &mut entry.auth_broker {
        Some(section) if protocol.is_some() => {
            broker::auth_broker(section, secrets, templates, &place.key("auth_broker")).map(Some)
        }
        Some(_) => None,
        None => Some(None),
    };
    if let (Some(Some(broker)), Some(url)) = (&broker, &url) {
        key_test_is_possible(broker, url, &place.key("auth_broker"));
    }
    let traffic = traffic::traffic(entry, protocol, place);
    let injected =
        broker.as_ref().and_then(Option::as_ref).map(|broker: &AuthBroker| &broker.header);
    let headers = header::statics(entry, injected, secrets, &place.key("headers"));
    Some(Upstream {
        name: name?,
        url: url?,
        protocol: protocol?,
        allow,
        tools: tools?,
        policy: Policy::default(), // by `policy::close`, which looks at all upstreams
        headers,
        broker: broker?,
        traffic: traffic?,
    })
}

fn key_test_is_possible(broker: &AuthBroker, url: &Url, place: &Place<'_>) {
    let asks_it = broker.mode == Mode::ApiKey && broker.key_test == KeyTest::Upstream;
    if asks_it && url.scheme() == "http" && !net::is_loopback(url) {
        place.key("key_test_url").missing(
            "a key is not tested over plain http",
            "write key_test_url, or key_test = false",
        );
    }
}

fn allow(section: &schema::Allow, place: &Place<'_>) -> Allow {
    if section.groups.is_empty() && section.emails.is_empty() {
        place.warning(
            "nobody may use this upstream",
            "name groups or emails; without allow, every signed-in person may",
        );
    }
    identity::allow(section)
}

fn name(
    entry: &schema::Upstream,
    taken: &[UpstreamName],
    place: &Place<'_>,
) -> Option<UpstreamName> {
    let text = required(entry.name.as_deref(), "server name is required", place)?;
    match UpstreamName::parse(text) {
        Ok(name) if taken.contains(&name) => {
            place.error(
                format!("duplicate server name: {name}"),
                "the name is the path /mcp/NAME, so each is used once",
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

fn protocol(entry: &schema::Upstream, place: &Place<'_>) -> Option<Protocol> {
    match entry.protocol.as_str() {
        "streamable-http" => return Some(Protocol::StreamableHttp),
        "sse" => return Some(Protocol::Sse),
        "http" => return Some(Protocol::Http),
        "stdio" if entry.auth_broker.is_some() => place.key("auth_broker").error(
            "auth_broker is only supported on HTTP-family upstreams (http, sse, streamable-http); \
             brokering for stdio/non-HTTP upstreams is unsupported in this phase",
            "a local process has no request to attach a credential to: serve it over HTTP",
        ),
        "stdio" => place.key("protocol").error(
            "stdio upstreams are not proxied",
            "serve it over HTTP and write protocol = \"streamable-http\"",
        ),
        other => {
            let words = ["streamable-http", "sse", "http"];
            place.key("protocol").error(
                format!("invalid protocol: {other} (must be {})", one_of(&words)),
                nearest(other, &words)
                    .map(|word| format!("did you mean \"{word}\"?"))
                    .unwrap_or_default(),
            );
        }
    }
    None
}

fn url(entry: &schema::Upstream, place: &Place<'_>) -> Option<Url> {
    let message = format!("url is required for {} protocol", entry.protocol);
    let url = net::url(required(entry.url.as_deref(), &message, place)?, place)?;
    if entry.auth_broker.is_some() && url.scheme() == "http" && !net::is_loopback(&url) {
        place.warning(
            "people's credentials will travel to this upstream unencrypted",
            "use https, or be sure that nobody listens on the way",
        );
    }
    Some(url)
}
