//! `[identity]`

use std::time::Duration;

use attache_core::{ClaimName, IssuerId};

use crate::{
    diagnose::Place,
    model::{Allow, Identity, Introspection, JwtIssuer, Oidc},
    rules::{assertion, net, positive, required, scim, secret},
    schema::{self, File, Mode},
    secrets::Secrets,
};

pub(super) fn identity(
    section: &schema::Identity,
    secrets: &Secrets<'_>,
    place: &Place<'_>,
) -> Option<Identity> {
    let session_ttl = positive(section.session_ttl, "session_ttl", &place.key("session_ttl"));
    let reauthenticate_after = bound(section, place);
    let oidc = match &section.oidc {
        Some(section) => oidc(section, secrets, &place.key("oidc")).map(Some),
        None => Some(None),
    };
    let scim = match &section.scim {
        Some(scim) => {
            scim::parse(scim, section.oidc.as_ref(), secrets, &place.key("scim")).map(Some)
        }
        None => Some(None),
    };
    let jwt: Vec<Option<JwtIssuer>> = section
        .jwt
        .iter()
        .enumerate()
        .map(|(index, entry)| jwt(entry, section.oidc.as_ref(), &place.key("jwt").index(index)))
        .collect();
    let assertions = assertion::assertions(&section.assertion, &place.key("assertion"));
    let asked_at = place.key("introspection");
    let introspection = match section.introspection.as_slice() {
        [] => Some(None),
        [entry] => {
            introspection(entry, section.oidc.as_ref(), secrets, &asked_at.index(0)).map(Some)
        }
        [_, _, ..] => {
            asked_at.index(1).error(
                "one issuer can be asked about tokens",
                "a token does not say whose it is, and would be shown to both; have the other \
                 issuer give JWTs, and add it to [[identity.jwt]]",
            );
            None
        }
    };
    let asked = introspection.as_ref().and_then(Option::as_ref).map(|asked| &asked.issuer);
    one_subject_claim_each(oidc.as_ref().and_then(Option::as_ref), &jwt, asked, place);
    Some(Identity {
        session_ttl: session_ttl?,
        reauthenticate_after: reauthenticate_after?,
        admins: allow(&section.admins),
        allowed_email_domains: section.allowed_email_domains.clone(),
        oidc: oidc?,
        scim: scim?,
        jwt: jwt.into_iter().collect::<Option<_>>()?,
        introspection: introspection?,
        assertions: assertions?,
    })
}

/// A sign-in that lasts longer would let nobody in whose programs are then refused.
fn bound(section: &schema::Identity, place: &Place<'_>) -> Option<Duration> {
    let key = place.key("reauthenticate_after");
    let bound = positive(section.reauthenticate_after, "reauthenticate_after", &key)?;
    if bound < section.session_ttl.0 {
        key.error(
            "reauthenticate_after is shorter than session_ttl",
            "make it at least as long: a browser that is signed in is proof enough",
        );
        return None;
    }
    Some(bound)
}

/// Two claims of one issuer make two people of one, and a subject of one kind may be somebody
/// else's of the other (RS-15).
fn one_subject_claim_each(
    oidc: Option<&Oidc>,
    jwt: &[Option<JwtIssuer>],
    asked: Option<&JwtIssuer>,
    place: &Place<'_>,
) {
    let mut claims: Vec<(&IssuerId, &str)> =
        oidc.map(|oidc| (&oidc.issuer, oidc.subject_claim.as_str())).into_iter().collect();
    let jwt = jwt.iter().enumerate().filter_map(|(index, entry)| {
        entry.as_ref().map(|entry| (entry, place.key("jwt").index(index)))
    });
    let asked = asked.map(|entry| (entry, place.key("introspection").index(0)));
    for (entry, place) in jwt.chain(asked) {
        match claims.iter().find(|(issuer, _)| **issuer == entry.issuer) {
            Some((issuer, claim)) if *claim != entry.subject_claim => {
                place.key("subject_claim").error(
                    format!("people of {issuer} are told apart by {claim} elsewhere"),
                    format!("write subject_claim = \"{claim}\", or change it everywhere"),
                );
            }
            Some(_) => {}
            None => claims.push((&entry.issuer, &entry.subject_claim)),
        }
    }
}

pub(super) fn allow(section: &schema::Allow) -> Allow {
    Allow { groups: section.groups.clone(), emails: section.emails.clone() }
}

fn oidc(section: &schema::Oidc, secrets: &Secrets<'_>, place: &Place<'_>) -> Option<Oidc> {
    let issuer = issuer(section.issuer.as_deref(), "identity.oidc.issuer is required", place);
    let client_id = required(
        section.client_id.as_deref(),
        "identity.oidc.client_id is required",
        &place.key("client_id"),
    );
    let client_secret = match &section.client_secret {
        Some(source) => secret(source, secrets, &place.key("client_secret")).map(Some),
        None => Some(None),
    };
    if !section.scopes.iter().any(|scope| scope == "openid") {
        place.key("scopes").error(
            "identity.oidc.scopes must include openid",
            "without it the provider sends no ID token",
        );
    }
    let subject_claim = required(
        Some(&section.subject_claim),
        "identity.oidc.subject_claim must name a claim",
        &place.key("subject_claim"),
    );
    let groups_claim = claim(&section.groups_claim, &place.key("groups_claim"));
    Some(Oidc {
        issuer: issuer?,
        client_id: client_id?.to_owned(),
        client_secret: client_secret?,
        scopes: section.scopes.clone(),
        subject_claim: subject_claim?.to_owned(),
        groups_claim: groups_claim?,
        hosted_domains: section.hosted_domains.clone(),
        store_subject_token: section.store_subject_token,
    })
}

/// One person is one person however they come: the claim is that of browser sign-in for the same
/// issuer (RS-15).
fn jwt(section: &schema::Jwt, oidc: Option<&schema::Oidc>, place: &Place<'_>) -> Option<JwtIssuer> {
    let issuer = issuer(section.issuer.as_deref(), "identity.jwt needs an issuer", place);
    let audience = required(
        section.audience.as_deref(),
        "identity.jwt needs an audience",
        &place.key("audience"),
    );
    let same = oidc.filter(|oidc| oidc.issuer == section.issuer);
    let subject_claim = section
        .subject_claim
        .as_deref()
        .or_else(|| same.map(|oidc| oidc.subject_claim.as_str()))
        .unwrap_or("sub");
    let groups_claim = section
        .groups_claim
        .as_deref()
        .or_else(|| same.map(|oidc| oidc.groups_claim.as_str()))
        .unwrap_or("groups");
    let groups_claim = claim(groups_claim, &place.key("groups_claim"));
    Some(JwtIssuer {
        issuer: issuer?,
        audience: audience?.to_owned(),
        subject_claim: subject_claim.to_owned(),
        groups_claim: groups_claim?,
    })
}

fn introspection(
    entry: &schema::Introspection,
    oidc: Option<&schema::Oidc>,
    secrets: &Secrets<'_>,
    place: &Place<'_>,
) -> Option<Introspection> {
    let described = schema::Jwt {
        issuer: entry.issuer.clone(),
        audience: entry.audience.clone(),
        subject_claim: entry.subject_claim.clone(),
        groups_claim: entry.groups_claim.clone(),
    };
    let issuer = jwt(&described, oidc, place);
    let endpoint = match &entry.endpoint {
        Some(text) => net::secure_url(text, &place.key("endpoint")).map(Some),
        None => Some(None),
    };
    let client_id = required(
        entry.client_id.as_deref(),
        "identity.introspection needs a client_id",
        &place.key("client_id"),
    );
    if entry.client_secret.is_none() {
        place.key("client_secret").missing(
            "identity.introspection needs a client_secret",
            "an issuer tells nobody what a token is who does not prove who they are",
        );
    }
    let client_secret = entry
        .client_secret
        .as_ref()
        .and_then(|source| secret(source, secrets, &place.key("client_secret")));
    Some(Introspection {
        issuer: issuer?,
        endpoint: endpoint?,
        client_id: client_id?.to_owned(),
        client_secret: client_secret?,
    })
}

pub(super) fn claim(text: &str, place: &Place<'_>) -> Option<ClaimName> {
    ClaimName::parse(text).map_err(|invalid| place.error(invalid.to_string(), "")).ok()
}

fn issuer(text: Option<&str>, missing: &str, place: &Place<'_>) -> Option<IssuerId> {
    let place = place.key("issuer");
    net::issuer(required(text, missing, &place)?, &place)
}

/// A gateway that some of its callers cannot use, or an exchange with nothing to exchange, is a
/// mistake.
pub(super) fn somebody_can_call(file: &File, root: &Place<'_>) {
    const JWT: &str = "add [[identity.jwt]] with the issuer of the tokens that programs bring, and as \
                       audience what names this gateway in them";
    let identity = &file.identity;
    let place = root.key("identity");
    let brokers = file.upstream.iter().filter_map(|upstream| upstream.auth_broker.as_ref());
    let modes: Vec<Mode> = brokers.filter_map(|broker| broker.mode).collect();
    let in_a_browser = |mode: &Mode| matches!(mode, Mode::OauthConnect | Mode::ApiKey);
    let signs_in = identity.oidc.is_some() || !identity.assertion.is_empty();
    let nowhere = modes.iter().any(in_a_browser) && !signs_in;
    if nowhere {
        place.missing(
            "people connect in a browser, and there is nowhere to sign in",
            "add [identity.oidc] with issuer and client_id",
        );
    }
    let serves_clients = file.authorization_server.enabled && identity.oidc.is_some();
    let brings_tokens = !identity.jwt.is_empty()
        || !identity.introspection.is_empty()
        || !identity.assertion.is_empty();
    if !file.upstream.is_empty() && !brings_tokens && !serves_clients {
        if identity.oidc.is_none() && !nowhere {
            place.missing("there are upstreams, but nobody could ever call them", JWT);
        } else {
            place.key("jwt").warning(
                "no program can call: there is no issuer whose access tokens are accepted",
                JWT,
            );
        }
    }
    if file.authorization_server.id_jag && identity.oidc.is_none() {
        root.key("authorization_server").key("id_jag").error(
            "there is no identity provider whose assertions could be taken",
            "add [identity.oidc] with issuer and client_id",
        );
    }
    let keeps = identity.oidc.as_ref().is_some_and(|oidc| oidc.store_subject_token);
    if modes.contains(&Mode::IdJag) && !keeps {
        place.key("oidc").key("store_subject_token").missing(
            "mode \"id_jag\" takes what browser sign-in leaves, and it leaves nothing",
            "add [identity.oidc] with store_subject_token = true",
        );
        return;
    }
    let exchanges = modes.iter().any(|mode| matches!(mode, Mode::TokenExchange | Mode::EntraObo));
    if exchanges && identity.oidc.as_ref().is_some_and(|oidc| !oidc.store_subject_token) {
        place.key("oidc").key("store_subject_token").warning(
            "people who sign in here will have no token to exchange",
            "write true, or let programs bring an access token of the exchanging server",
        );
    }
}

/// What is kept is renewed at the identity provider, which logs and metrics call by this name.
pub(super) fn one_identity_provider(file: &File, root: &Place<'_>) {
    const NAME: &str = "identity-provider";
    let keeps = file.identity.oidc.as_ref().is_some_and(|oidc| oidc.store_subject_token);
    for (index, upstream) in file.upstream.iter().enumerate() {
        if keeps && upstream.name.as_deref() == Some(NAME) {
            root.key("upstream").index(index).key("name").error(
                format!("{NAME} is the company's own, where store_subject_token is on"),
                "give the upstream another name",
            );
        }
    }
}
