//! A person: a browser, and a token that their MCP client holds.

use serde_json::{Value, json};

use super::{
    peers::{Browser, run},
    stage::Stage,
};

#[derive(Debug)]
pub(crate) struct Person {
    pub bearer: String,
    name: &'static str,
    browser: Browser,
    gateway: String,
}

impl Person {
    /// With an access token for the gateway, got as an MCP client gets one.
    pub(crate) fn new(stage: &Stage, name: &'static str) -> Self {
        let tokens = run(
            "sign-in.mjs",
            &json!({ "issuer": stage.idp.says("url"), "resource": stage.url, "person": name }),
        );
        for token in ["access_token", "id_token", "refresh_token"] {
            stage.keep_secret(tokens[token].as_str().expect("the provider gives all three"));
        }
        let bearer = tokens["access_token"].as_str().expect("there is one").to_owned();
        Self { bearer, name, browser: Browser::start(), gateway: stage.url.clone() }
    }

    /// Signs in if need be, and approves.
    pub(crate) fn connect(&mut self, upstream: &str) {
        let page = self.decide(upstream, "allow");
        let connected = format!(
            "{}/ui/connections?credential_server={upstream}&credential_connected=1",
            self.gateway
        );
        assert_eq!(page["url"], connected, "{page}");
    }

    /// Signs in if need be, and answers the consent page; the page that ends it.
    pub(crate) fn decide(&mut self, upstream: &str, decision: &str) -> Value {
        let answers = self.answers(decision);
        self.browser.open(&format!("{}/connect/{upstream}", self.gateway), &answers)
    }

    /// As [`Self::connect`], but stops at the address that the authorization server sends the
    /// browser back to.
    pub(crate) fn approve_only(&mut self, upstream: &str) -> String {
        let answers = self.answers("allow");
        let callback = format!("{}/api/v1/user/credentials/{upstream}/callback", self.gateway);
        let start = format!("{}/connect/{upstream}", self.gateway);
        self.browser.open_until(&start, &answers, &callback)
    }

    /// Opens a page of the gateway, or any address, and presses a button there if one is named.
    pub(crate) fn open(&mut self, url: &str, button: Option<&str>) -> Value {
        let mut answers = json!({ "login": self.name });
        if let Some(button) = button {
            answers[button] = json!("");
        }
        self.browser.open(url, &answers)
    }

    fn answers(&self, decision: &str) -> Value {
        json!({ "login": self.name, "Continue to": "", "decision": decision })
    }
}
