//! Somebody has not connected yet: every client keeps running and learns where to go.

use crate::support::{
    clients::{Client, RustClient},
    people::Person,
    stage::{Setting, journey, json},
};

#[test]
fn every_client_is_told_where_to_connect_and_goes_on_after_it() {
    journey(Setting::CALM, |stage| {
        let mut ada = Person::new(stage, "ada");
        let connect = format!("{}/connect/notes", stage.url);
        for client in Client::ALL {
            let heard = client.whoami(&stage.notes(), &ada.bearer);
            assert_eq!(heard.tools, ["connect_notes"], "{client:?}");
            assert!(heard.result.is_error, "{client:?}: {heard:?}");
            assert!(heard.result.text.contains(&connect), "{client:?}: {heard:?}");
        }
        assert_eq!(stage.server.page("/recorded"), serde_json::json!([]));

        // Begun before, used after: neither the gateway nor the client starts anew.
        let session = RustClient::connect(&stage.notes(), &ada.bearer);
        assert!(session.whoami().is_error);
        ada.connect("notes");
        let result = session.whoami();
        assert!(!result.is_error, "{result:?}");
        assert_eq!(result.text, "ada");
    });
}

#[test]
fn a_plain_api_answers_with_a_problem_and_works_after_connecting() {
    journey(Setting::CALM, |stage| {
        let mut ada = Person::new(stage, "ada");
        let refused = stage.api(&ada.bearer).send().expect("the gateway answers");
        assert_eq!(refused.status(), 403);
        assert_eq!(refused.headers()["content-type"], "application/problem+json");
        let problem = json(refused);
        assert_eq!(problem["connect_url"], format!("{}/connect/api", stage.url), "{problem}");

        ada.connect("api");
        assert_eq!(stage.whoami_by_api(&ada.bearer), "ada");
        // One upstream's approval is not another's.
        assert_eq!(stage.status(&ada.bearer, "notes"), "not_connected");
    });
}
