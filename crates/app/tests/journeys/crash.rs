//! The gateway is killed at the worst moments it should survive.

use std::{thread, time::Duration};

use crate::support::{
    clients::RustClient,
    people::Person,
    stage::{Setting, journey},
};

#[test]
fn an_approval_survives_a_crash_before_the_callback() {
    journey(Setting::CALM, |stage| {
        let mut ada = Person::new(stage, "ada");
        let callback = ada.approve_only("notes");
        stage.gateway.kill();
        stage.gateway.start_again();
        assert_eq!(stage.status(&ada.bearer, "notes"), "not_connected");

        let page = ada.open(&callback, None);
        let end = page["url"].as_str().expect("an address");
        assert!(end.ends_with("credential_server=notes&credential_connected=1"), "{page}");
        assert_eq!(RustClient::connect(&stage.notes(), &ada.bearer).whoami().text, "ada");

        // A callback that is delivered twice stores nothing more, and takes nothing away.
        let again = ada.open(&callback, None);
        let end = again["url"].as_str().expect("an address");
        assert!(end.ends_with("credential_error=flow_unknown"), "{again}");
        assert_eq!(stage.status(&ada.bearer, "notes"), "connected");
    });
}

#[test]
fn a_rotated_refresh_token_survives_a_crash() {
    journey(Setting::EXPIRING, |stage| {
        let mut ada = Person::new(stage, "ada");
        ada.connect("api");
        let expire = || thread::sleep(Setting::EXPIRING.access_token + Duration::from_millis(500));

        expire();
        assert_eq!(stage.whoami_by_api(&ada.bearer), "ada");
        stage.gateway.kill();
        assert_eq!(stage.count("/refresh_token/granted"), 1);

        stage.gateway.start_again();
        assert_eq!(stage.whoami_by_api(&ada.bearer), "ada");
        expire();
        assert_eq!(stage.whoami_by_api(&ada.bearer), "ada");
        assert_eq!(stage.count("/refresh_token/granted"), 2);
        assert_eq!(stage.count("/refresh_token/refused"), 0);
    });
}
