//! A person: a browser, and a token that their MCP client holds.

use serde_json::{Value, json};

use super::peers::Browser;

#[derive(Debug)]
pub(crate) struct Person {
    pub bearer: String,
    pub name: &'static str,
    browser: Browser,
    gateway: String,
}

impl Person {
    /// With an access token for the gateway, got as an MCP client gets one.
    pub(crate) fn with(
        tokens: &Value,
        name: &'static str,
        browser: Browser,
        gateway: &str,
    ) -> Self {
        let bearer = tokens["access_token"].as_str().expect("there is one").to_owned();
        Self { bearer, name, browser, gateway: gateway.to_owned() }
    }

    /// Signs in if need be, and approves.
    pub(crate) fn connect(&mut self, upstream: &str) {
        self.try_connect(upstream).expect("it is connected");
    }

    /// Signs in if need be, and answers the consent page; the page that ends it.
    pub(crate) fn decide(&mut self, upstream: &str, decision: &str) -> Value {
        let answers = self.answers(decision);
        self.browser.open(&format!("{}/connect/{upstream}", self.gateway), &answers)
    }

    /// As [`Self::connect`], with servers that may go away at any time.
    ///
    /// # Errors
    /// With where it ended instead.
    pub(crate) fn try_connect(&mut self, upstream: &str) -> Result<(), String> {
        let answers = self.answers("allow");
        let page = self.browser.try_open(&format!("{}/connect/{upstream}", self.gateway), &answers);
        let end = page["url"].as_str().unwrap_or_default();
        if end.ends_with(&format!("?credential_server={upstream}&credential_connected=1")) {
            return Ok(());
        }
        Err(page.to_string())
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

    /// Opens any address, with answers to whatever is asked on the way.
    pub(crate) fn answer(&mut self, url: &str, answers: &Value) -> Value {
        self.browser.open(url, answers)
    }

    fn answers(&self, decision: &str) -> Value {
        json!({ "login": self.name, "Continue to": "", "decision": decision })
    }
}
