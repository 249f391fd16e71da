//! Whether the network leads anywhere: the name has addresses, and the egress rules allow one.

use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use attache_net::address::EgressRules;
use tokio::{net::lookup_host, time::timeout};
use url::{Host, Url};

use super::{
    journal::origin,
    report::{Check, Finding, Mover},
};

/// As long as the gateway itself gives a connection.
const PATIENCE: Duration = Duration::from_secs(5);
/// Addresses that are named.
const NAMED: usize = 4;

pub(super) async fn examine(url: &Url, rules: &EgressRules) -> Finding {
    let host = origin(url);
    let Some(addresses) = addresses(url).await else {
        return Finding::wrong(Check::Address, format!("the name in {host} has no address")).then(
            Mover::Operator,
            None,
            "correct the name, or what resolves names on this machine",
        );
    };
    let (allowed, refused): (BTreeSet<_>, BTreeSet<_>) =
        addresses.into_iter().partition(|address| rules.permits(*address));
    if allowed.is_empty() {
        let networks: Vec<String> = refused.iter().take(NAMED).map(alone).collect();
        return Finding::wrong(
            Check::Address,
            format!("{host} is at an address that is not public, and egress allows none of those"),
        )
        .write(
            "egress.allow_private",
            format!("add \"{}\" if it is the right one", networks.join("\", \"")),
        );
    }
    Finding::ok(Check::Address, format!("{host} has an address that may be reached"))
}

async fn addresses(url: &Url) -> Option<Vec<IpAddr>> {
    let name = match url.host()? {
        Host::Ipv4(address) => return Some(vec![address.into()]),
        Host::Ipv6(address) => return Some(vec![address.into()]),
        Host::Domain(name) => name,
    };
    let port = url.port_or_known_default()?;
    let found = timeout(PATIENCE, lookup_host((name, port))).await.ok()?.ok()?;
    let found: Vec<IpAddr> = found.map(|address| address.ip()).collect();
    (!found.is_empty()).then_some(found)
}

/// As a network of one.
fn alone(address: &IpAddr) -> String {
    let length = if address.is_ipv4() { 32 } else { 128 };
    format!("{address}/{length}")
}
