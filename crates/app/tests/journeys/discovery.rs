//! An upstream of which the operator wrote down the URL, and nothing else (OC-1 to OC-10).

use std::{thread, time::Duration};

use crate::support::{
    clients::RustClient,
    people::Person,
    stage::{Setting, journey},
};

#[test]
fn an_upstream_is_connected_by_its_url_alone() {
    journey(Setting::EXPIRING, |stage| {
        let (mut ada, mut grace) = (Person::new(stage, "ada"), Person::new(stage, "grace"));
        ada.connect("found");
        let found = format!("{}/mcp/found", stage.url);
        assert_eq!(RustClient::connect(&found, &ada.bearer).whoami().text, "ada");

        // Whom the server registered is whom it knows after a restart, and for the next person.
        stage.gateway.kill();
        stage.gateway.start_again();
        thread::sleep(Setting::EXPIRING.access_token + Duration::from_millis(500));
        assert_eq!(RustClient::connect(&found, &ada.bearer).whoami().text, "ada");
        grace.connect("found");
        assert_eq!(RustClient::connect(&found, &grace.bearer).whoami().text, "grace");

        assert_eq!(stage.count("/registered"), 1);
        assert_eq!(stage.count("/refresh_token/granted"), 1);
        assert_eq!(stage.count("/refresh_token/refused"), 0);
        assert_eq!(stage.status(&ada.bearer, "found"), "connected");
    });
}
