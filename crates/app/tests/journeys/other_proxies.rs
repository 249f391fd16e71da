//! nginx, Caddy and Envoy before an API, asking for each caller's credential, as their how-tos say.

use reqwest::blocking::Response;

use crate::support::{
    edge::{Edge, SECRETS},
    people::Person,
    stage::{Setting, Stage, journey, json, said_by, whoami_at},
};

const EDGE: &str = SECRETS[0].1;
const SLOW: &str = SECRETS[1].1;

#[test]
fn nginx_writes_each_callers_credential() {
    journey(Setting::CALM, |stage| {
        let edge = Edge::nginx(stage, EDGE);
        play(stage, &edge);
        let asked = whoami_at(&format!("{}/attache", edge.url)).send().expect("an answer");
        assert_eq!(asked.status(), 404, "nobody asks but nginx itself");
        // What `auth_request` has no word for.
        let busy = exhausted(stage, &Edge::nginx(stage, SLOW));
        assert_eq!((busy.status().as_u16(), header(&busy, "retry-after")), (503, "1"));
    });
}

#[test]
fn nginx_is_known_by_its_certificate() {
    journey(Setting::CALM, |stage| {
        play(stage, &Edge::certified_nginx(stage, "edge"));
        let ada = Person::new(stage, "ada");
        for wrong in ["other", "stranger"] {
            let edge = Edge::certified_nginx(stage, wrong);
            let call = whoami_at(&format!("{}/mcp", edge.url)).bearer_auth(&ada.bearer);
            // The first is unknown to the gateway; the second does not get as far.
            let status = call.send().expect("an answer").status().as_u16();
            assert!([401, 503].contains(&status), "{wrong}: {status}");
        }
    });
}

#[test]
fn caddy_writes_each_callers_credential() {
    journey(Setting::CALM, |stage| {
        play(stage, &Edge::caddy(stage, EDGE));
        let busy = exhausted(stage, &Edge::caddy(stage, SLOW));
        assert_eq!((busy.status().as_u16(), header(&busy, "retry-after")), (429, "1"));
    });
}

#[test]
fn envoy_writes_each_callers_credential() {
    journey(Setting::CALM, |stage| {
        play(stage, &Edge::envoy(stage, EDGE));
        let busy = exhausted(stage, &Edge::envoy(stage, SLOW));
        assert_eq!((busy.status().as_u16(), header(&busy, "retry-after")), (429, "1"));
    });
}

fn play(stage: &Stage, edge: &Edge) {
    let (mut ada, mut grace) = (Person::new(stage, "ada"), Person::new(stage, "grace"));
    let call = || whoami_at(&format!("{}/mcp", edge.url));

    let anonymous = call().send().expect("an answer");
    assert_eq!(anonymous.status(), 401);
    let metadata = format!("{}/.well-known/oauth-protected-resource/http/api", stage.url);
    assert_eq!(
        header(&anonymous, "www-authenticate"),
        format!("Bearer resource_metadata=\"{metadata}\"")
    );

    ada.connect("api");
    let refused = call().bearer_auth(&grace.bearer).send().expect("an answer");
    assert_eq!(refused.status(), 403);
    assert_eq!(header(&refused, "content-type"), "application/problem+json");
    assert_eq!(header(&refused, "cache-control"), "no-store");
    assert_eq!(json(refused)["connect_url"], format!("{}/connect/api", stage.url));

    grace.connect("api");
    for person in [&ada, &grace, &ada] {
        // The upstream takes its own tokens only, and these are the proxy's to write.
        let claimed = call()
            .bearer_auth(&person.bearer)
            .header("attache-proxy-secret", "mine")
            .header("cookie", "attache_session=mine")
            .header("x-original-uri", "/elsewhere");
        assert_eq!(said_by(claimed), person.name);
    }
    let stranger = call().bearer_auth("not.a.token").send().expect("an answer");
    assert_eq!(stranger.status(), 401);
}

/// The second answer within a second.
fn exhausted(stage: &Stage, edge: &Edge) -> Response {
    let ada = Person::new(stage, "ada");
    let call = || whoami_at(&format!("{}/mcp", edge.url)).bearer_auth(&ada.bearer).send();
    (0..10)
        .map(|_| call().expect("an answer"))
        .find(|answer| !answer.status().is_success())
        .expect("one answer a second")
}

fn header<'a>(answer: &'a Response, name: &str) -> &'a str {
    let value = answer.headers().get(name).and_then(|value| value.to_str().ok());
    value.expect("a header of this name")
}
