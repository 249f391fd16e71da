//! The provider is away: nobody is asked to connect again for that.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::support::{
    clients::RustClient,
    people::Person,
    stage::{Setting, journey, json},
};

/// The gateway leaves a provider alone for 5 s after a failure.
const RECOVERY_LIMIT: Duration = Duration::from_secs(20);

#[test]
fn calls_go_on_while_the_token_lives_and_again_when_the_provider_is_back() {
    journey(Setting::EXPIRING, |stage| {
        let mut ada = Person::new(stage, "ada");
        ada.connect("notes");
        ada.connect("api");
        let session = RustClient::connect(&stage.notes(), &ada.bearer);
        assert_eq!(session.whoami().text, "ada");

        stage.token_endpoint.cut();
        assert_eq!(session.whoami().text, "ada", "the token was still good");

        thread::sleep(Setting::EXPIRING.access_token + Duration::from_millis(500));
        let result = session.whoami();
        assert!(result.is_error, "{result:?}");
        assert!(result.text.contains("not answering"), "{result:?}");
        assert!(!result.text.contains("/connect/"), "{result:?}");
        let answer = stage.api(&ada.bearer).send().expect("the gateway answers");
        assert_eq!(answer.status(), 503);
        assert!(answer.headers().contains_key("retry-after"));
        assert!(json(answer).get("connect_url").is_none());
        assert_eq!(stage.status(&ada.bearer, "notes"), "unavailable");

        stage.token_endpoint.mend();
        let start = Instant::now();
        while session.whoami().is_error {
            assert!(start.elapsed() < RECOVERY_LIMIT, "it did not recover");
            thread::sleep(Duration::from_millis(200));
        }
        assert_eq!(stage.status(&ada.bearer, "notes"), "connected");
        assert_eq!(stage.count("/reused"), 0);
    });
}
