//! MCP clients that have the URL and nothing else sign a person in through their own OAuth code (AS-1
//! to AS-22), who connects the server in the same sitting. They go on after a restart.

use serde_json::{Value, json};

use crate::support::{
    peers::run,
    stage::{Setting, Stage, journey},
};

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
        let connects = json!({ "decision": "allow", "Continue to": "" });
        let first = sign_in(stage, &json!({ "sdk": sdk, "person": "ada", "answers": connects }));
        assert_eq!(first["asked"], true);
        assert_called(&first, "ada");
        let tokens = &first["kept"]["tokens"];
        for token in ["access_token", "refresh_token"] {
            stage.keep_secret(tokens[token].as_str().expect("the gateway gives both"));
        }

        stage.gateway.kill();
        stage.gateway.start_again();
        let kept = &first["kept"];
        let second = sign_in(stage, &json!({ "sdk": sdk, "kept": kept, "refresh": true }));
        assert_eq!(second["asked"], false, "it had a refresh token");
        assert_called(&second, "ada");
        let refreshed = &second["kept"]["tokens"]["refresh_token"];
        assert_ne!(refreshed, &tokens["refresh_token"]);
        stage.keep_secret(refreshed.as_str().expect("it is rotated"));
    });
}

fn sign_in(stage: &Stage, options: &Value) -> Value {
    let mut options = options.clone();
    options["url"] = json!(stage.notes());
    run("mcp-sign-in.mjs", &options)
}

fn assert_called(said: &Value, name: &str) {
    assert_eq!(said["results"][0]["content"][0]["text"], name, "{said}");
    assert_eq!(said["tools"], json!(["whoami", "echo"]));
}
