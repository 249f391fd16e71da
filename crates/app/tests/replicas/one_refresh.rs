//! An access token expires under many callers of all replicas: one of them refreshes for all
//! (OC-25).

use std::{thread, time::Duration};

use crate::{
    call::{Caller, Heard},
    site::{Setting, Site},
};

const CALLERS: usize = 500;
/// Slow enough that everybody arrives while the refresh is in the air.
const SETTING: Setting =
    Setting { access_token: Duration::from_secs(10), token_delay: Duration::from_secs(3) };

#[test]
fn five_hundred_calls_at_expiry_cause_one_refresh() {
    let site = Site::new(SETTING);
    let mut ada = site.people(&["ada"]).remove(0);
    site.connect(&mut ada, "api");
    let caller = Caller::new(&site.url, &ada.bearer);
    assert_eq!(caller.whoami(&site.url), Heard::Name("ada".to_owned()));
    for _ in 0..2 {
        thread::sleep(SETTING.access_token + Duration::from_millis(500));
        let before = site.count("/refresh_token/granted");
        thread::scope(|scope| {
            for _ in 0..CALLERS {
                scope.spawn(|| {
                    assert_eq!(caller.whoami(&site.url), Heard::Name("ada".to_owned()));
                });
            }
        });
        assert_eq!(site.count("/refresh_token/granted"), before + 1);
    }
    assert_eq!(site.count("/reused"), 0);
    assert_eq!(site.count("/refresh_token/refused"), 0);
    site.end();
}
