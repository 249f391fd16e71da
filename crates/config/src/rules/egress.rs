//! Addresses in the file that `[egress]` will refuse. The names are asked about when they are
//! resolved.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use url::{Host, Url};

use crate::{
    diagnose::Place,
    schema::{AuthBroker, File, SecretSource, Upstream},
};

/// Every URL that the gateway itself connects to.
pub(super) fn reachable(file: &File, allowed: &[IpNet], root: &Place<'_>) {
    let check = |text: Option<&String>, place: Place<'_>| {
        if let Some(address) = text.and_then(|text| refused(text, allowed)) {
            place.warning(
                format!("the gateway will not connect to {address}: it is no public address"),
                format!("add it to egress.allow_private, such as [\"{}\"]", IpNet::from(address)),
            );
        }
    };
    let identity = root.key("identity");
    let oidc = file.identity.oidc.as_ref();
    check(oidc.and_then(|oidc| oidc.issuer.as_ref()), identity.key("oidc").key("issuer"));
    for (index, jwt) in file.identity.jwt.iter().enumerate() {
        check(jwt.issuer.as_ref(), identity.key("jwt").index(index).key("issuer"));
    }
    for (index, asked) in file.identity.introspection.iter().enumerate() {
        let place = identity.key("introspection").index(index);
        check(asked.issuer.as_ref(), place.key("issuer"));
        check(asked.endpoint.as_ref(), place.key("endpoint"));
    }
    for (index, proxy) in file.identity.assertion.iter().enumerate() {
        let place = identity.key("assertion").index(index);
        check(proxy.jwks_uri.as_ref(), place.key("jwks_uri"));
    }
    if let Some(SecretSource::Text(webhook)) = &file.notices.webhook {
        check(Some(&webhook.expose().to_owned()), root.key("notices").key("webhook"));
    }
    for (index, Upstream { url, auth_broker, .. }) in file.upstream.iter().enumerate() {
        let place = root.key("upstream").index(index);
        check(url.as_ref(), place.key("url"));
        if let Some(AuthBroker { token_endpoint, revocation_endpoint, key_test_url, .. }) =
            auth_broker
        {
            let place = place.key("auth_broker");
            check(token_endpoint.as_ref(), place.key("token_endpoint"));
            check(revocation_endpoint.as_ref(), place.key("revocation_endpoint"));
            check(key_test_url.as_ref(), place.key("key_test_url"));
        }
    }
}

/// The address in `url`, when it is neither public nor allowed.
fn refused(url: &str, allowed: &[IpNet]) -> Option<IpAddr> {
    let permitted = |address: IpAddr| {
        let address = address.to_canonical();
        !is_private(address) || allowed.iter().any(|net| net.contains(&address))
    };
    match Url::parse(url).ok()?.host()? {
        Host::Ipv4(address) => Some(address.into()).filter(|address| !permitted(*address)),
        Host::Ipv6(address) => Some(address.into()).filter(|address| !permitted(*address)),
        // Either will do: both are tried.
        Host::Domain("localhost") if permitted(Ipv6Addr::LOCALHOST.into()) => None,
        Host::Domain("localhost") => {
            Some(Ipv4Addr::LOCALHOST.into()).filter(|address| !permitted(*address))
        }
        Host::Domain(_) => None,
    }
}

/// The usual ones: a warning need not know every special network, as the gateway does.
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_unspecified()
        }
        IpAddr::V6(v6) => {
            v6.is_unique_local()
                || v6.is_loopback()
                || v6.is_unicast_link_local()
                || v6.is_unspecified()
        }
    }
}
