//! URLs and networks.

use std::net::IpAddr;

use attache_core::IssuerId;
use ipnet::IpNet;
use url::{Host, Url};

use crate::diagnose::Place;

/// An absolute http or https URL without user and fragment.
pub(super) fn url(text: &str, place: &Place<'_>) -> Option<Url> {
    let Ok(url) = Url::parse(text) else {
        place.error("this is not an absolute URL", "write one such as \"https://example.com/mcp\"");
        return None;
    };
    let problem = if !matches!(url.scheme(), "https" | "http") || url.host().is_none() {
        Some(("only https and http URLs can be used here", ""))
    } else if !url.username().is_empty() || url.password().is_some() {
        Some(("a URL here must not have a user or a password", "a secret has a key of its own"))
    } else if url.fragment().is_some() {
        Some(("a URL here must not have a fragment", "leave out the # and what follows"))
    } else {
        None
    };
    if let Some((message, help)) = problem {
        place.error(message, help);
        return None;
    }
    Some(url)
}

/// As [`url`], and https unless it stays on this machine: secrets travel to it.
pub(crate) fn secure_url(text: &str, place: &Place<'_>) -> Option<Url> {
    let url = url(text, place)?;
    if url.scheme() == "http" && !is_loopback(&url) {
        place.error("this URL must be https", "http is only for loopback addresses");
        return None;
    }
    Some(url)
}

/// An issuer keeps its spelling: it is compared as a string (RFC 8414 sections 2 and 3.3).
pub(crate) fn issuer(text: &str, place: &Place<'_>) -> Option<IssuerId> {
    let url = secure_url(text, place)?;
    if url.query().is_some() {
        place.error("an issuer must not have a query", "");
        return None;
    }
    Some(IssuerId::new(text))
}

pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Networks in CIDR notation; an address alone is a network of one.
pub(super) fn networks(texts: &[String], place: &Place<'_>) -> Option<Vec<IpNet>> {
    // Collected first: every bad one is reported.
    let parsed: Vec<Option<IpNet>> =
        texts.iter().enumerate().map(|(index, text)| network(text, &place.index(index))).collect();
    parsed.into_iter().collect()
}

fn network(text: &str, place: &Place<'_>) -> Option<IpNet> {
    let alone = || text.parse::<IpAddr>().ok().map(IpNet::from);
    let network = text.parse().ok().or_else(alone);
    if network.is_none() {
        place.error("this is not a network", "write it in CIDR notation, such as \"10.1.0.0/16\"");
    }
    network
}
