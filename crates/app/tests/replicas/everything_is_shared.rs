//! Every request of a story comes to another replica than the one before.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use crate::{
    call::{Caller, Heard},
    clients::{Client, RustClient},
    crowd::Over,
    site::{REPLICAS, Setting, Site},
};

const CALM: Setting =
    Setting { access_token: Duration::from_mins(10), token_delay: Duration::ZERO };
/// A token is renewed every second: also while a replica ends, and while it starts.
const BUSY: Setting =
    Setting { access_token: Duration::from_secs(2), token_delay: Duration::from_millis(50) };
/// How often each gateway is restarted.
const ROUNDS: usize = 6;
/// Until enough has happened, and between two looks at it.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);
/// Until the other replicas have heard of a disconnect.
const NEWS: Duration = Duration::from_secs(2);

#[test]
fn a_story_is_told_to_three_gateways_as_to_one() {
    let site = Site::new(CALM);
    let [mut ada, mut grace] = <[_; 2]>::try_from(site.people(&["ada", "grace"])).expect("two");
    // Sign-in and consent take a dozen requests: what one replica begins, another goes on with.
    site.connect(&mut ada, "notes");
    site.connect(&mut ada, "api");
    site.connect(&mut grace, "api");
    for client in Client::ALL {
        let heard = client.whoami(&site.notes(), &ada.bearer);
        assert_eq!(heard.result.text, "ada", "{client:?} heard {heard:?}");
    }
    // A session that one replica began goes on at all of them, and after all were restarted.
    let session = RustClient::connect(&site.notes(), &ada.bearer);
    for replica in &site.replicas {
        for _ in 0..=REPLICAS {
            assert_eq!(session.whoami().text, "ada");
        }
        replica.gateway().stop();
        replica.gateway().start_again();
    }
    assert_eq!(session.whoami().text, "ada");

    for replica in &site.replicas {
        for person in [&ada, &grace] {
            let heard = Caller::new(&site.url, &person.bearer).whoami(&replica.url);
            assert_eq!(heard, Heard::Name(person.name.to_owned()));
        }
    }

    let page = ada.open(&format!("{}/ui/connections", site.url), Some("Disconnect api"));
    let end = page["url"].as_str().expect("an address");
    assert!(end.ends_with("?credential_server=api&credential_disconnected=1"), "{page}");
    let start = Instant::now();
    for replica in &site.replicas {
        let caller = Caller::new(&site.url, &ada.bearer);
        while caller.whoami(&replica.url) != Heard::Connect {
            assert!(start.elapsed() < NEWS, "a disconnected credential is still served");
        }
        let heard = Caller::new(&site.url, &grace.bearer).whoami(&replica.url);
        assert_eq!(heard, Heard::Name("grace".to_owned()), "hers is another");
    }
    site.assert_audit_is_whole();
    site.end();
}

#[test]
fn nobody_notices_that_every_gateway_is_restarted() {
    let site = Site::new(BUSY);
    let mut people = site.people(&["ada", "grace", "alan", "annie"]);
    for person in &mut people {
        site.connect(person, "api");
    }
    let (over, calls) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for person in &people {
            scope.spawn(|| {
                let caller = Caller::new(&site.url, &person.bearer);
                while !over.load(Relaxed) {
                    assert_eq!(caller.whoami(&site.url), Heard::Name(person.name.to_owned()));
                    calls.fetch_add(1, Relaxed);
                }
            });
        }
        let _over = Over(&over);
        for replica in site.replicas.iter().cycle().take(ROUNDS * REPLICAS) {
            replica.gateway().stop();
            replica.gateway().start_again();
        }
        // On a fast machine that was over soon: it goes on until there is something to tell.
        let (start, enough) =
            (Instant::now(), || calls.load(Relaxed) > 200 && site.ledger.refreshes() > 10);
        while !enough() {
            assert!(start.elapsed() < PATIENCE, "too little happened to tell");
            thread::sleep(PAUSE);
        }
    });
    // The last one may be under way still, for nobody who waits.
    let start = Instant::now();
    while site.count("/refresh_token/granted") < site.ledger.refreshes() {
        assert!(start.elapsed() < PATIENCE, "what was asked for was not granted");
        thread::sleep(PAUSE);
    }
    assert_eq!(site.count("/refresh_token/refused"), 0);
    site.assert_audit_is_whole();
    site.end();
}
