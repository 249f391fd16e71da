//! Clients that have the URL and nothing else sign a person in through their own OAuth code (AS-1 to
//! AS-22), who connects the server in the same sitting. They go on after a restart.

use rmcp::transport::auth::{AuthorizationManager, AuthorizationRequest, OAuthState};
use serde_json::{Value, json};
use tokio::runtime;

use crate::support::{
    clients::RustClient,
    peers::{Browser, Peer, run},
    stage::{Setting, Stage, journey},
};

/// Nobody listens there.
const REDIRECT: &str = "http://127.0.0.1:4299/callback";

#[test]
fn the_typescript_sdk_1_signs_in_by_itself() {
    play(1);
}

#[test]
fn the_typescript_sdk_2_signs_in_by_itself() {
    play(2);
}

fn play(sdk: u8) {
    journey(Setting::CALM, |stage| {
        let asked = json!({ "sdk": sdk, "person": "ada", "answers": connects() });
        let first = at_notes(stage, "mcp-sign-in.mjs", &asked);
        assert_eq!(first["asked"], true);
        assert_called(&first, "ada");
        let before = keep(stage, &first);

        stage.gateway.kill();
        stage.gateway.start_again();
        let kept = &first["kept"];
        let asked = json!({ "sdk": sdk, "kept": kept, "refresh": true });
        let second = at_notes(stage, "mcp-sign-in.mjs", &asked);
        assert_eq!(second["asked"], false, "it had a refresh token");
        assert_called(&second, "ada");
        assert_ne!(keep(stage, &second), before);
    });
}

#[test]
fn the_python_sdk_signs_in_by_itself() {
    journey(Setting::CALM, |stage| {
        let asked = json!({ "url": stage.notes(), "person": "ada", "answers": connects() });
        let mut client = Peer::start("mcp_sign_in.py", &asked);
        let first = client.said().clone();
        assert_eq!(first["asked"], 1);
        assert_called(&first, "ada");
        let before = keep(stage, &first);

        stage.gateway.kill();
        stage.gateway.start_again();
        let second = client.goes_on();
        assert_eq!(second["asked"], 1, "it had a refresh token");
        assert_called(&second, "ada");
        assert_ne!(keep(stage, &second), before);
    });
}

#[test]
fn the_rust_sdk_signs_in_by_itself() {
    journey(Setting::CALM, |stage| {
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        let url = stage.notes();
        let manager = runtime.block_on(rust_sdk_at(&url));
        let called = |stage: &Stage| {
            let token = runtime.block_on(manager.get_access_token()).expect("it has one");
            stage.keep_secret(&token);
            assert_eq!(RustClient::connect(&url, &token).whoami().text, "ada");
            token
        };
        let before = called(stage);

        stage.gateway.kill();
        stage.gateway.start_again();
        drop(runtime.block_on(manager.refresh_token()).expect("it had a refresh token"));
        assert_ne!(called(stage), before);
    });
}

/// Signed in as Ada, who connects.
async fn rust_sdk_at(url: &str) -> AuthorizationManager {
    // No connection is kept: nobody would see the gateway die at the other end.
    let direct = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build();
    let direct = direct.expect("a client");
    let mut state = OAuthState::new(url, Some(direct)).await.expect("a URL");
    let request = AuthorizationRequest::new(REDIRECT).with_client_name("A program");
    state.start_authorization(request).await.expect("it finds its way");
    let page = state.get_authorization_url().await.expect("it has a question");
    let mut answers = connects();
    answers["login"] = json!("ada");
    let back = Browser::start().open_until(&page, &answers, REDIRECT);
    state.handle_callback_url(&back).await.expect("it is answered");
    state.into_authorization_manager().expect("it is signed in")
}

#[test]
fn a_strict_oauth_client_signs_in_by_itself() {
    journey(Setting::CALM, |stage| {
        let asked = json!({ "person": "ada", "answers": connects() });
        let first = at_notes(stage, "oauth-client.mjs", &asked);
        assert_answered(&first, "ada");
        let before = keep(stage, &first);

        stage.gateway.kill();
        stage.gateway.start_again();
        let second = at_notes(stage, "oauth-client.mjs", &json!({ "kept": first["kept"] }));
        assert_answered(&second, "ada");
        assert_ne!(keep(stage, &second), before);

        let revoked = json!({ "kept": second["kept"], "revoke": true });
        let last = at_notes(stage, "oauth-client.mjs", &revoked);
        assert_eq!(last["answer"]["status"], 401, "{last}");
        assert_eq!(last["ended"], "invalid_grant");
        keep(stage, &last);
    });
}

/// RFC 8628, as the command line does it, by somebody else's code.
#[test]
fn a_strict_oauth_client_is_let_in_as_a_device() {
    journey(Setting::CALM, |stage| {
        let api = format!("{}/api/v1", stage.url);
        let answers = json!({ "decision": "allow" });
        let asked =
            json!({ "url": api, "device": "attache-cli", "person": "ada", "answers": answers });
        let said = run("oauth-client.mjs", &asked);
        assert_eq!(said["answer"]["status"], 200, "{said}");
        let listed = said["answer"]["body"]["credentials"].as_array().expect("a list");
        assert!(listed.iter().any(|one| one["server"] == "notes"), "{said}");
        keep(stage, &said);
    });
}

/// Says yes to the client, and connects.
fn connects() -> Value {
    json!({ "decision": "allow", "Continue to": "" })
}

fn at_notes(stage: &Stage, script: &str, options: &Value) -> Value {
    let mut options = options.clone();
    options["url"] = json!(stage.notes());
    run(script, &options)
}

/// Its tokens are nowhere to be found: the refresh token.
fn keep(stage: &Stage, said: &Value) -> String {
    let tokens = &said["kept"]["tokens"];
    for token in ["access_token", "refresh_token"] {
        stage.keep_secret(tokens[token].as_str().expect("the gateway gives both"));
    }
    tokens["refresh_token"].as_str().unwrap_or_default().to_owned()
}

fn assert_called(said: &Value, name: &str) {
    assert_eq!(said["results"][0]["content"][0]["text"], name, "{said}");
    assert_eq!(said["tools"], json!(["whoami", "echo"]));
}

fn assert_answered(said: &Value, name: &str) {
    assert_eq!(said["answer"]["body"]["result"]["content"][0]["text"], name, "{said}");
}
