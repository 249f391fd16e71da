//! A person says no at the authorization server.

use crate::support::{
    clients::Client,
    people::Person,
    stage::{Setting, journey},
};

#[test]
fn nothing_is_stored_and_the_page_says_so() {
    journey(Setting::CALM, |stage| {
        let mut ada = Person::new(stage, "ada");
        let page = ada.decide("notes", "deny");
        let end = page["url"].as_str().expect("an address");
        assert!(end.ends_with("?credential_server=notes&credential_error=access_denied"), "{page}");
        let html = page["html"].as_str().expect("a page");
        assert!(html.contains("The request was declined."), "{html}");

        assert_eq!(stage.status(&ada.bearer, "notes"), "not_connected");
        assert_eq!(stage.count("/authorization_code/granted"), 0);
        assert!(Client::Rust.whoami(&stage.notes(), &ada.bearer).result.is_error);
        // It is not the last word.
        ada.connect("notes");
        assert_eq!(Client::Rust.whoami(&stage.notes(), &ada.bearer).result.text, "ada");
    });
}
