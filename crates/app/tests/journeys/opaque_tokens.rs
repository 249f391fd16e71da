//! People's programs bring access tokens that are no JWTs, of a certified provider, which the gateway
//! asks about them (RFC 7662).

use serde_json::json as members;

use crate::support::{
    gateway::Gateway,
    http::{http, json},
    peers::{Peer, free_port, run},
    upstream,
};

#[test]
fn a_token_that_says_nothing_is_asked_about() {
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}");
    let redirect_uri = "http://127.0.0.1:4281/callback";
    let provider = Peer::start(
        "upstream-as.mjs",
        &members!({
            "redirect_uris": [redirect_uri], "access_token_ttl": 600,
            "resources": [url, "https://other.example.com"],
        }),
    );
    let (issuer, files) = (provider.says("url").to_owned(), upstream::start());
    let configuration = format!(
        r#"
[keys]
active = "file:attache.key"

[[identity.introspection]]
issuer = "{issuer}"
audience = "{url}"
client_id = "mcp-server"
client_secret = {{ env = "ASKING_SECRET" }}

[egress]
allow_private = ["127.0.0.0/8"]

[[upstream]]
name = "files"
url = "{files}"
protocol = "http"
"#
    );
    let secret = ("ASKING_SECRET", "mcp-server-secret".to_owned());
    let mut gateway = Gateway::start(port, &configuration, vec![secret]);
    let token_for = |resource: &str| {
        let tokens = run(
            "sign-in.mjs",
            &members!({
                "issuer": issuer, "resource": resource, "person": "ada", "scope": "openid mcp:use",
                "client_id": provider.says("client_id"), "redirect_uri": redirect_uri,
                "client_secret": provider.says("client_secret"),
            }),
        );
        tokens["access_token"].as_str().expect("there is one").to_owned()
    };
    let status = |token: &str| {
        let list = http().get(format!("{url}/api/v1/user/credentials")).bearer_auth(token);
        list.send().expect("the gateway answers").status().as_u16()
    };
    let asked = || provider.page("/stats")["introspections"].as_u64();

    let (ours, others) = (token_for(&url), token_for("https://other.example.com"));
    assert!(!ours.contains('.'), "it is no JWT");
    assert_eq!((status(&ours), status(&ours), asked()), (200, 200, Some(1)));
    let metadata = format!("{url}/.well-known/oauth-protected-resource/http/files");
    let metadata = json(http().get(metadata).send().expect("an answer"));
    assert_eq!(metadata["authorization_servers"], members!([issuer]));
    assert_eq!(status(&others), 401, "it is for somebody else");
    assert_eq!(status("a-word-that-nobody-gave"), 401);

    let revoked = token_for(&url);
    let revocation = http()
        .post(format!("{issuer}/token/revocation"))
        .basic_auth(provider.says("client_id"), Some(provider.says("client_secret")))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("token={revoked}&token_type_hint=access_token"));
    assert_eq!(revocation.send().expect("it answers").status().as_u16(), 200);
    assert_eq!(status(&revoked), 401);

    drop(provider);
    assert_eq!(status("a-word-that-comes-late"), 503, "nobody knows");
    assert_eq!(status(&ours), 200, "who is known goes on");
    gateway.stop();
    let written = gateway.written();
    for token in [&ours, &others, &revoked] {
        let found = written
            .iter()
            .find(|(_, bytes)| bytes.windows(token.len()).any(|window| window == token.as_bytes()));
        assert!(found.is_none(), "{:?} has a token", found.map(|(path, _)| path));
    }
    gateway.forget();
}
