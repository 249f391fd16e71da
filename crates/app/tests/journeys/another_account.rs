//! Somebody is signed in at the provider as somebody else when they reconnect (OC-23).

use serde_json::Value;

use crate::support::{
    http::{http, json},
    people::Person,
    stage::{Setting, Stage, journey},
};

#[test]
fn another_account_takes_no_place_unasked() {
    journey(Setting::CALM, |stage| {
        let mut ada = Person::new(stage, "ada");
        ada.connect("api");
        assert_eq!(account(stage, &ada), "ada");

        // Another computer, on which a colleague is signed in at the provider.
        let mut elsewhere = Person::new(stage, "ada");
        elsewhere.open(&format!("{}/ui/connections", stage.url), None);
        elsewhere.name = "grace";
        let question = format!("{}/connect/api/account", stage.url);
        for (button, outcome, holder) in
            [("Keep", "credential_kept=1", "ada"), ("Replace", "credential_connected=1", "grace")]
        {
            let asked = elsewhere.decide("api", "allow");
            assert_eq!(asked["url"], question, "{asked}");
            assert_eq!(stage.whoami_by_api(&ada.bearer), "ada", "nobody was asked yet");

            let ended = elsewhere.open(&question, Some(button));
            let place = ended["url"].as_str().expect("an address");
            assert!(place.ends_with(outcome), "{ended}");
            assert_eq!(account(stage, &ada), holder);
            assert_eq!(stage.whoami_by_api(&ada.bearer), holder);
        }
        assert_eq!(stage.count("/revocations"), 4, "the two approvals that were not chosen");
    });
}

/// As the provider's ID token said it.
fn account(stage: &Stage, person: &Person) -> Value {
    let list = http().get(format!("{}/api/v1/user/credentials", stage.url));
    let listed = json(list.bearer_auth(&person.bearer).send().expect("the gateway answers"));
    let all = listed["credentials"].as_array().expect("a list");
    let one = all.iter().find(|one| one["server"] == "api").expect("it is listed");
    one["account"]["id"].clone()
}
