//! Who signs out at the company's identity provider is signed out here: its logout token says so
//! (`OpenID` Connect Back-Channel Logout).

use serde_json::json;

use crate::support::{
    people::Person,
    stage::{Setting, Stage, journey},
};

#[test]
fn a_sign_out_at_the_provider_ends_that_browsers_session_alone() {
    journey(Setting::CALM, |stage| {
        let [mut desk, mut phone] = [(), ()].map(|()| Person::new(stage, "ada"));
        for browser in [&mut desk, &mut phone] {
            assert!(sees_connections(stage, browser, &json!({ "login": "ada" })));
        }
        let end = format!("{}/session/end", stage.idp.says("url"));
        let asked = desk.answer(&end, &json!({ "logout": "yes" }));
        assert_eq!(asked["status"], 200, "{asked}");

        // Nobody answers who they are: with a session that is not asked.
        assert!(!sees_connections(stage, &mut desk, &json!({})));
        assert!(sees_connections(stage, &mut phone, &json!({})));
    });
}

fn sees_connections(stage: &Stage, person: &mut Person, answers: &serde_json::Value) -> bool {
    let here = format!("{}/ui/connections", stage.url);
    person.answer(&here, answers)["url"] == here
}
