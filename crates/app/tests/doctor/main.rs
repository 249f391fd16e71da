//! `attache doctor`, the program, in a world that is fine, and in one that is broken in one place.

#![cfg(test)]

mod puppet;
mod world;

use std::time::Duration;

use attache_sandbox::{MARKER, TokenAnswer};
use serde_json::{Value, json};

use world::{CLIENT_SECRET, Report, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_gateway_is_told_so_and_nothing_changes() {
    let world = World::new().await;
    let Report { code, troubles, text } = world.doctor(&[], &[]);
    assert_eq!((code, troubles.as_slice()), (0, &[][..]), "{text}");
    // Registration, consent and tokens are for people.
    assert!(world.notes.secrets().is_empty());
    let asked = world.notes.recorder().requests();
    let paths: Vec<&str> = asked.iter().map(|request| request.uri.path()).collect();
    assert_eq!(paths, ["/.well-known/oauth-authorization-server", "/token"]);

    let Report { code, text, .. } = world.doctor(&[], &["notes", "--no-probe"]);
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, report["sections"].as_array().map(Vec::len)), (0, Some(1)));
    assert!(text.contains("--no-probe was given"), "{text}");
    let tokens = world.notes.recorder().requests();
    assert_eq!(tokens.iter().filter(|request| request.uri.path() == "/token").count(), 1);

    let Report { code, text, .. } = world.doctor(&[], &["nots"]);
    assert_eq!((code, text.as_str()), (2, ""));
    world.end().await;
}

/// What is broken, and all that is found then.
struct Case {
    name: &'static str,
    /// In the configuration.
    instead: Vec<(String, String)>,
    bend: fn(&World),
    expected: &'static [&'static str],
}

fn case(name: &'static str, bend: fn(&World), expected: &'static [&'static str]) -> Case {
    Case { name, instead: Vec::new(), bend, expected }
}

fn written(
    name: &'static str,
    instead: &[(&str, &str)],
    expected: &'static [&'static str],
) -> Case {
    let own = |(from, to): &(&str, &str)| ((*from).to_owned(), (*to).to_owned());
    Case { name, instead: instead.iter().map(own).collect(), bend: |_| {}, expected }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_broken_is_found_and_nothing_else() {
    let world = World::new().await;
    let cases = [
        what_servers_say(),
        what_upstreams_answer(),
        what_token_endpoints_answer(),
        what_is_discovered(&world),
        what_is_written(&world),
        what_secrets_are_written(),
    ];
    let mut otherwise = Vec::new();
    for Case { name, instead, bend, expected } in cases.into_iter().flatten() {
        world.behave();
        bend(&world);
        let Report { code, troubles, text } = world.doctor(&instead, &[]);
        let (_, told) = world.told(&instead, &[]);
        let wrong = expected.iter().any(|trouble| trouble.ends_with("wrong"));
        if troubles != expected || code != i32::from(wrong) {
            otherwise.push(format!("{name}: {code} {troubles:?}, not {expected:?}\n{told}"));
        }
        for hidden in [MARKER, CLIENT_SECRET, "another-secret"] {
            assert!(!text.contains(hidden) && !told.contains(hidden), "{name}: {told}");
        }
    }
    assert!(otherwise.is_empty(), "{}", otherwise.join("\n\n"));
    world.end().await;
}

fn what_servers_say() -> Vec<Case> {
    vec![
        case(
            "a document says in a field what may be in none",
            |world| world.puppet.publish_as("service_documentation", &json!(MARKER)),
            &[],
        ),
        case(
            "no PKCE",
            |world| world.puppet.publish_as("code_challenge_methods_supported", &Value::Null),
            &["bent pkce warning"],
        ),
        case(
            "the server is another issuer",
            |world| world.puppet.publish_as("issuer", &json!(format!("https://{MARKER}"))),
            &["bent metadata wrong"],
        ),
        case(
            "the upstream is another resource",
            |world| world.puppet.publish_resource("resource", &json!("https://u.example.com/mcp")),
            &["bent resource_metadata warning"],
        ),
        case(
            "the upstream trusts another issuer",
            |world| {
                let others = json!(["https://as.example.com"]);
                world.puppet.publish_resource("authorization_servers", &others);
            },
            &["bent issuer warning"],
        ),
        case(
            "tokens would travel in clear",
            |world| {
                world.puppet.publish_as("token_endpoint", &json!("http://as.example.com/token"));
            },
            &["bent metadata warning"],
        ),
        case(
            "another token endpoint",
            |world| {
                world.puppet.publish_as("token_endpoint", &json!("https://as.example.com/token"));
            },
            &["bent endpoints warning"],
        ),
        case(
            "requests must be pushed",
            |world| {
                let par = json!("https://as.example.com/par");
                world.puppet.publish_as("pushed_authorization_request_endpoint", &par);
                world.puppet.publish_as("require_pushed_authorization_requests", &json!(true));
            },
            &["bent pushed_requests wrong"],
        ),
        case(
            "it does not take the secret in the form",
            |world| {
                let methods = json!(["client_secret_basic"]);
                world.puppet.publish_as("token_endpoint_auth_methods_supported", &methods);
            },
            &["bent client_auth warning"],
        ),
        case(
            "it has other scopes",
            |world| world.puppet.publish_as("scopes_supported", &json!(["offline_access"])),
            &["bent scopes warning"],
        ),
        case(
            "a page where metadata should be",
            |world| world.puppet.show_page(puppet::AS_METADATA, 200),
            &["bent metadata warning"],
        ),
        case(
            "the clock of the server is five minutes ahead",
            |world| world.puppet.set_clock_ahead(Duration::from_mins(5)),
            &["bent clock wrong"],
        ),
        case(
            "the clock of the server is a minute ahead",
            |world| world.puppet.set_clock_ahead(Duration::from_mins(1)),
            &["bent clock warning"],
        ),
    ]
}

fn what_upstreams_answer() -> Vec<Case> {
    vec![
        case("a page", |world| world.puppet.show_page("/mcp", 200), &["bent answer wrong"]),
        case("a lost path", |world| world.puppet.show("/mcp", 404), &["bent answer wrong"]),
        case("a redirect", |world| world.puppet.show("/mcp", 302), &["bent answer wrong"]),
        case("a guard before its tools", |world| world.puppet.greet_anybody(), &[]),
        case("for everybody", |world| world.puppet.show("/mcp", 200), &["bent answer warning"]),
        case("out of order", |world| world.puppet.show("/mcp", 503), &["bent answer wrong"]),
    ]
}

fn what_token_endpoints_answer() -> Vec<Case> {
    vec![
        case(
            "the token endpoint refuses the client",
            |world| world.notes.token_answers().repeat(TokenAnswer::InvalidClient, 2),
            &["notes client wrong"],
        ),
        case(
            "the token endpoint is a page",
            |world| world.notes.token_answers().repeat(TokenAnswer::Html, 2),
            &["notes client wrong"],
        ),
        case(
            "the token endpoint redirects",
            |world| world.notes.token_answers().repeat(TokenAnswer::Redirect, 2),
            &["notes client wrong"],
        ),
        case(
            "the token endpoint breaks off",
            |world| world.notes.token_answers().repeat(TokenAnswer::DropConnection, 2),
            &["notes client wrong"],
        ),
        case(
            "the token endpoint has a word of its own",
            |world| world.notes.token_answers().repeat(TokenAnswer::OkWithError("mood"), 2),
            &["notes client warning"],
        ),
    ]
}

/// `bent` with no endpoint written out: what servers publish is then what people depend on.
fn what_is_discovered(world: &World) -> Vec<Case> {
    let bent = |key: &str, path: &str| {
        (format!("{key} = \"{}\"\n", world.puppet.url(path)), String::new())
    };
    let found = vec![
        bent("authorization_endpoint", "/as/authorize"),
        bent("token_endpoint", "/as/token"),
        bent("revocation_endpoint", "/as/revoke"),
    ];
    let registered = [
        case("nothing", |_| {}, &[]),
        case(
            "no PKCE",
            |world| world.puppet.publish_as("code_challenge_methods_supported", &Value::Null),
            &["bent pkce wrong"],
        ),
        case(
            "the upstream is another resource",
            |world| world.puppet.publish_resource("resource", &json!("https://u.example.com/mcp")),
            &["bent resource_metadata wrong"],
        ),
        case(
            "the upstream trusts another issuer",
            |world| {
                let others = json!(["https://as.example.com"]);
                world.puppet.publish_resource("authorization_servers", &others);
            },
            &["bent issuer wrong"],
        ),
        case(
            "tokens would travel in clear",
            |world| {
                world.puppet.publish_as("token_endpoint", &json!("http://as.example.com/token"));
            },
            &["bent metadata wrong"],
        ),
        case(
            "a page where metadata should be",
            |world| world.puppet.show_page(puppet::AS_METADATA, 200),
            &["bent metadata wrong"],
        ),
    ];
    let nobody = [
        bent("issuer", "/as"),
        (
            format!("client_id = \"attache\"\nclient_secret = \"{CLIENT_SECRET}\"\nscopes"),
            "scopes".to_owned(),
        ),
    ];
    let alone = [
        case("no way to be known", |_| {}, &["bent registration wrong"]),
        case(
            "a way to be known",
            |world| {
                let register = json!(world.puppet.url("/as/register"));
                world.puppet.publish_as("registration_endpoint", &register);
            },
            &[],
        ),
        case(
            "no word of who its authorization server is",
            |world| world.puppet.publish_resource("authorization_servers", &json!([])),
            &["bent issuer wrong"],
        ),
    ];
    let registered = registered.map(|case| Case { instead: found.clone(), ..case });
    let nobody = [&found[..], &nobody[..]].concat();
    let alone = alone.map(|case| Case { instead: nobody.clone(), ..case });
    registered.into_iter().chain(alone).collect()
}

fn what_secrets_are_written() -> Vec<Case> {
    let notes_secret = format!("client_secret = \"{CLIENT_SECRET}\" # notes");
    let two = |first, second| format!("client_secret = [\"{first}\", \"{second}\"]");
    let wrong_first = two("another-secret", CLIENT_SECRET);
    let wrong_second = two(CLIENT_SECRET, "another-secret");
    let both_wrong = two("another-secret", "another-secret-2");
    vec![
        written("the first secret", &[(&notes_secret, &wrong_first)], &["notes client warning"]),
        written(
            "the second secret",
            &[(&notes_secret, &wrong_second)],
            &["notes second_secret warning"],
        ),
        written(
            "both secrets",
            &[(&notes_secret, &both_wrong)],
            &["notes client wrong", "notes second_secret wrong"],
        ),
    ]
}

fn what_is_written(world: &World) -> Vec<Case> {
    let notes_secret = format!("client_secret = \"{CLIENT_SECRET}\" # notes");
    let idp_secret = format!("client_secret = \"{CLIENT_SECRET}\" # idp");
    let wrong = "client_secret = \"another-secret\"";
    let url = world.puppet.url("/mcp");
    let tls = url.replace("http:", "https:");
    let elsewhere = url.replace("127.0.0.1", "127.0.0.2");
    let as_token = world.puppet.url("/as/token");
    vec![
        written("the secret", &[(&notes_secret, wrong)], &["notes client wrong"]),
        written(
            "the secret at the identity provider",
            &[(&idp_secret, wrong)],
            &["identity_provider client wrong"],
        ),
        written(
            "a claim that the provider does not have",
            &[(
                "client_id = \"attache\" # idp",
                "client_id = \"attache\"\nsubject_claim = \"oid\"",
            )],
            &["identity_provider subject_claim warning"],
        ),
        written(
            "an issuer of tokens that is not there",
            &[(
                "[egress]",
                "[[identity.jwt]]\nissuer = \"http://127.0.0.1:9\"\naudience = \"a\"\n[egress]",
            )],
            &["token_issuer metadata wrong"],
        ),
        written(
            "an upstream behind TLS that is none",
            &[(&format!("url = \"{url}\""), &format!("url = \"{tls}\""))],
            &["bent answer wrong"],
        ),
        written(
            "an upstream at a private address",
            &[(&format!("url = \"{url}\""), &format!("url = \"{elsewhere}\""))],
            &["gateway configuration warning", "bent address wrong"],
        ),
        written(
            "a token endpoint that is down",
            &[(
                &format!("token_endpoint = \"{as_token}\""),
                "token_endpoint = \"http://127.0.0.1:9/token\"",
            )],
            &["bent endpoints warning", "bent client wrong"],
        ),
        written(
            "too few scopes",
            &[("scopes = [\"notes\", \"offline_access\"] # bent", "scopes = [\"notes\"]")],
            &["bent refresh_tokens warning"],
        ),
        written(
            "no revocation endpoint",
            &[(&format!("revocation_endpoint = \"{}\"", world.puppet.url("/as/revoke")), "")],
            &["bent revocation warning"],
        ),
        written(
            "no resource",
            &[(&format!("resource = \"{url}\""), "")],
            &["bent resource warning"],
        ),
        written(
            "no credential for an upstream that wants one",
            &[(
                "[[upstream]] # notes",
                &format!("[[upstream]]\nname = \"open\"\nurl = \"{url}\"\n[[upstream]]"),
            )],
            &["open answer warning"],
        ),
        written(
            "the public URL of something else",
            &[(
                &format!("public_url = \"{}\"", world.origin),
                &format!("public_url = \"{}\"", world.puppet.url("")),
            )],
            &["gateway public_url wrong"],
        ),
        written("another key", &[("file:attache.key", "file:other.key")], &["gateway store wrong"]),
        written(
            "a store that is not there",
            &[("sqlite:attache.db", "sqlite:nowhere.db")],
            &["gateway store warning"],
        ),
    ]
}

/// Of every upstream that exchanges tokens: whose, in which order.
#[tokio::test(flavor = "multi_thread")]
async fn it_says_what_each_upstream_exchanges() {
    let world = World::new().await;
    let upstream = format!(
        "[[upstream]]\nname = \"hr\"\nurl = \"{}\"\n[upstream.auth_broker]\n\
         mode = \"token_exchange\"\ntoken_endpoint = \"{}\"\nclient_id = \"attache\"\n\
         client_secret = \"{CLIENT_SECRET}\"\naudience = \"hr\"\n\n[[upstream]] # notes",
        world.puppet.url("/mcp"),
        world.puppet.url("/as/token"),
    );
    let upstream = ("[[upstream]] # notes".to_owned(), upstream);
    let secret = format!("client_secret = \"{CLIENT_SECRET}\" # idp");
    let keeps =
        |more: &str| (secret.clone(), format!("{secret}\nstore_subject_token = true\n{more}"));
    let own = "first the caller's own, an access token of";
    for (sign_in, trouble, says) in [
        (None, &["hr subject_token warning"][..], "has nothing to exchange"),
        (Some(keeps("")), &["hr subject_token warning"], "offline_access is not asked for"),
        (
            Some(keeps("scopes = [\"openid\", \"offline_access\"]")),
            &[],
            "then, of who calls with a token of ours, their sign-in's",
        ),
    ] {
        let instead: Vec<_> = [upstream.clone()].into_iter().chain(sign_in).collect();
        let Report { code, mut troubles, text } = world.doctor(&instead, &["hr"]);
        troubles.retain(|trouble| trouble.starts_with("hr subject_token"));
        assert_eq!(troubles, trouble, "{text}");
        assert_eq!(code, 0, "{text}");
        assert!(text.contains(own) && text.contains(says), "{text}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_get_it_in_words() {
    let world = World::new().await;
    world.puppet.publish_as("scopes_supported", &json!(["offline_access"]));
    let (code, told) = world.told(&[], &["bent"]);
    let lines: Vec<&str> = told.lines().map(str::trim_end).collect();
    assert_eq!(code, 0, "{told}");
    assert!(lines.contains(&"upstream bent"), "{told}");
    assert!(lines.contains(&"  warning  scopes             it does not list notes"), "{told}");
    assert!(told.contains("→ you, upstream.auth_broker.scopes: correct them"), "{told}");
    assert!(told.contains(&format!("{}/api/v1/user/credentials/bent/callback", world.origin)));
    assert_eq!(lines.last(), Some(&"0 wrong, 1 warning"));
    world.end().await;
}
