//! An authorization server that does not promise PKCE is refused, unless the operator knows better
//! (OC-5).

use serde_json::{Value, json};

use crate::support::{
    brokered,
    gateway::Gateway,
    http::{http, json},
    peers::{Browser, Peer, free_port, run},
    people::Person,
    upstream,
};

#[test]
fn a_server_that_publishes_no_pkce_is_refused_unless_it_is_known() {
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}");
    let idp = Peer::start(
        "idp.mjs",
        &json!({ "redirect_uris": [format!("{url}/login/callback")], "resources": [url] }),
    );
    let careless = Peer::start("no_pkce_as.py", &json!({}));
    let files = upstream::start();
    let upstream = |name: &str, more: &str| {
        let issuer = careless.says("url");
        format!(
            "[[upstream]]\nname = \"{name}\"\nurl = \"{files}\"\nprotocol = \"http\"\n\
             [upstream.auth_broker]\nmode = \"oauth_connect\"\nissuer = \"{issuer}\"\n\
             scopes = [\"openid\"]\n{more}\n"
        )
    };
    let identity = brokered::identity(&idp, &url);
    let (unknown, known) = (upstream("unknown", ""), upstream("known", "assume_pkce = true"));
    let secrets = vec![("IDP_SECRET", idp.says("client_secret").to_owned())];
    let mut gateway = Gateway::start(port, &format!("{identity}{unknown}{known}"), secrets);
    let asked = json!({ "issuer": idp.says("url"), "resource": url, "person": "ada" });
    let browser = Browser::start().of("ada");
    let mut ada = Person::with(&run("sign-in.mjs", &asked), "ada", browser, &url);

    // Before she is sent there.
    let refused = ada.decide("unknown", "allow");
    assert_eq!(refused["url"], format!("{url}/connect/unknown"));
    let page = refused["html"].as_str().expect("a page");
    assert!(page.contains("<code>pkce_unsupported</code>"), "{page}");
    assert_eq!(download(&url, &ada, "unknown"), 403);

    let answers = json!({ "login": "ada", "Continue to": "", "sub": "ada" });
    let ended = ada.answer(&format!("{url}/connect/known"), &answers);
    let address = ended["url"].as_str().expect("an address");
    assert!(address.ends_with("credential_server=known&credential_connected=1"), "{ended}");
    assert_eq!(download(&url, &ada, "known"), 200);
    assert_eq!(download(&url, &ada, "unknown"), 403);
    assert_eq!(standings(&url, &ada), json!(["not_connected", "connected"]));
    gateway.stop();
    gateway.forget();
}

fn download(url: &str, person: &Person, upstream: &str) -> u16 {
    let get = http().get(format!("{url}/http/{upstream}/download?1"));
    let answer = get.bearer_auth(&person.bearer).send().expect("the gateway answers");
    answer.status().as_u16()
}

fn standings(url: &str, person: &Person) -> Value {
    let list = http().get(format!("{url}/api/v1/user/credentials")).bearer_auth(&person.bearer);
    let listed = json(list.send().expect("the gateway answers"));
    let all = listed["credentials"].as_array().expect("a list");
    all.iter().map(|one| one["status"].clone()).collect()
}
