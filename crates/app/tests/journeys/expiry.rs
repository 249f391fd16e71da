//! An access token expires under many callers: one of them refreshes for all (OC-26).

use std::{thread, time::Duration};

use crate::support::{
    clients::RustClient,
    people::Person,
    stage::{Setting, journey},
};

const CALLERS: usize = 50;
/// So that everybody arrives while the first refresh is in the air.
const TOKEN_DELAY: Duration = Duration::from_millis(500);

#[test]
fn fifty_callers_at_once_spend_one_refresh_token() {
    journey(Setting { token_delay: TOKEN_DELAY, ..Setting::EXPIRING }, |stage| {
        let mut ada = Person::new(stage, "ada");
        ada.connect("notes");
        let client = RustClient::connect(&stage.notes(), &ada.bearer);
        assert_eq!(client.whoami().text, "ada");
        for _ in 0..2 {
            thread::sleep(Setting::EXPIRING.access_token + Duration::from_millis(500));
            let before = stage.count("/refresh_token/granted");
            for result in client.whoami_at_once(CALLERS) {
                assert_eq!(result.text, "ada", "{result:?}");
            }
            assert_eq!(stage.count("/refresh_token/granted"), before + 1);
        }
        assert_eq!(stage.count("/reused"), 0);
        assert_eq!(stage.count("/refresh_token/refused"), 0);
    });
}
