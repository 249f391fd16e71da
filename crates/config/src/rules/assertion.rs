//! `[[identity.assertion]]`

use attache_core::IssuerId;
use http::header;

use crate::{
    diagnose::Place,
    model::Assertion,
    rules::{header as headers, identity::claim, net, required},
    schema,
};

pub(super) fn assertions(
    entries: &[schema::Assertion],
    place: &Place<'_>,
) -> Option<Vec<Assertion>> {
    let parsed: Vec<Option<Assertion>> = entries
        .iter()
        .enumerate()
        .map(|(index, entry)| assertion(entry, &place.index(index)))
        .collect();
    let assertions: Vec<Assertion> = parsed.into_iter().collect::<Option<_>>()?;
    for (index, one) in assertions.iter().enumerate() {
        if assertions.iter().take(index).any(|other| other.header == one.header) {
            place.index(index).key("header").error(
                "another proxy writes into this header",
                "one header is one proxy's: have it write its own",
            );
            return None;
        }
    }
    Some(assertions)
}

fn assertion(entry: &schema::Assertion, place: &Place<'_>) -> Option<Assertion> {
    let text = |given: &Option<String>, key: &str| {
        let message = format!("identity.assertion needs {key}");
        required(given.as_deref(), &message, &place.key(key)).map(str::to_owned)
    };
    let (name, issuer) = (text(&entry.header, "header"), text(&entry.issuer, "issuer"));
    let (audience, keys) = (text(&entry.audience, "audience"), text(&entry.jwks_uri, "jwks_uri"));
    let keys = keys.and_then(|keys| net::secure_url(&keys, &place.key("jwks_uri")));
    let name = name.and_then(|name| {
        let at = place.key("header");
        let header = headers::parse(&name, &at)?;
        let has_a_meaning =
            [header::AUTHORIZATION, header::COOKIE, header::ORIGIN, header::CONTENT_TYPE];
        if headers::structural(&header) || has_a_meaning.contains(&header) {
            at.error(
                format!("{name} is no header of a proxy's own"),
                "write the one that it puts its assertion into, such as Cf-Access-Jwt-Assertion",
            );
            return None;
        }
        Some(header)
    });
    let groups = entry.groups_claim.as_deref().unwrap_or("groups");
    let groups_claim = claim(groups, &place.key("groups_claim"));
    Some(Assertion {
        header: name?,
        issuer: IssuerId::new(issuer?),
        audience: audience?,
        jwks_uri: keys?,
        subject_claim: entry.subject_claim.clone().unwrap_or_else(|| "sub".to_owned()),
        groups_claim: groups_claim?,
        trust_email: entry.trust_email,
    })
}
