//! Somebody with the store in their hands, or without the key.

use std::{
    fs,
    net::Ipv4Addr,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Output},
    sync::Arc,
};

use attache_crypto::{random::SystemRandom, wrap::local::LocalKey};
use attache_sandbox::{
    HttpApi,
    people::{ADA, GRACE},
};

use crate::{configuration, witness::errors_logged_here, world::World};

/// Both are connected to `notes` and to `api`.
async fn connected() -> World {
    let world = World::new().await;
    for mut person in [world.ada().await, world.grace().await] {
        person.connect("notes").await;
        person.connect("api").await;
    }
    world
}

async fn unreadable(world: &World) {
    said_loudly(world, "unavailable: unreadable", "changed or damaged").await;
}

async fn key_missing(world: &World) {
    said_loudly(world, "unavailable: key_missing", "the gateway's present keys").await;
}

/// Said loudly, to everybody whose move it may be, and never taken for "not connected".
async fn said_loudly(world: &World, status: &str, words: &str) {
    for person in [ADA, GRACE] {
        assert_eq!(world.status(person, "notes").await, status);
        let said = world.program(person).whoami("notes").await;
        assert!(said.contains(words), "{said}");
        assert!(!said.contains("/connect/"), "{said}");
    }
    assert_eq!(world.mcp.recorder().arrived(), 0, "nothing was sent for either");
    assert!(!errors_logged_here().is_empty());
    let (_, reason) = status.split_once(": ").expect("a status and its reason");
    let counted = world.counted("attache_unreadable_records_total").await;
    assert_eq!(counted.len(), 2, "{counted:?}");
    for line in counted {
        let of_this_reason = line.contains(&format!("{{reason=\"{reason}\"}}"));
        assert_eq!(!line.ends_with("} 0"), of_this_reason, "{line}");
    }
}

/// Rows are not names: what is sealed for Ada opens for Ada alone.
#[tokio::test]
async fn credentials_that_change_places_open_for_nobody() {
    const SWAP: &str = "UPDATE credential AS mine SET sealed = theirs.sealed \
        FROM credential AS theirs WHERE theirs.slot = mine.slot AND theirs.user_id <> mine.user_id";
    const SWAP_KEYS: &str = "UPDATE data_key AS mine SET wrapped = theirs.wrapped \
        FROM data_key AS theirs WHERE theirs.user_id <> mine.user_id";
    const MOVE: &str = "UPDATE credential AS mine SET sealed = other.sealed \
        FROM credential AS other WHERE other.user_id = mine.user_id AND other.slot <> mine.slot";
    for swaps in [&[SWAP][..], &[SWAP, SWAP_KEYS], &[SWAP_KEYS], &[MOVE]] {
        let mut world = connected().await;
        for swap in swaps {
            world.tamper(swap).await;
        }
        world.restart().await;
        if swaps.contains(&SWAP_KEYS) {
            key_missing(&world).await;
        } else {
            unreadable(&world).await;
        }
        world.end().await;
    }
}

/// OC-7: whoever may write the configuration, or takes over a name in it, gets nobody's token.
#[tokio::test]
async fn a_server_that_takes_a_name_gets_nothing_of_the_one_before() {
    let mut world = connected().await;
    let elsewhere =
        HttpApi::start((Ipv4Addr::LOCALHOST, 0).into(), world.notes.tokens(), Arc::default());
    world.api = elsewhere.await.expect("a free port");
    world.restart().await;
    for person in [ADA, GRACE] {
        assert_eq!(world.status(person, "api").await, "needs_reconnect: upstream_moved");
        let refused = world.program(person).get("/http/api/me").await;
        assert_eq!(refused.status, 403, "{}", refused.body);
        assert!(refused.body.contains("/connect/api"), "{}", refused.body);
    }
    assert_eq!(world.api.recorder().arrived(), 0);
    assert_eq!(world.status(ADA, "notes").await, "connected", "it is where it was");

    assert_eq!(world.ada().await.connect("api").await.outcome, "connected");
    assert_eq!(world.program(ADA).get("/http/api/me").await.status, 200);
    assert_eq!(world.status(GRACE, "api").await, "needs_reconnect: upstream_moved");
    world.end().await;
}

#[tokio::test]
async fn a_changed_record_does_not_open() {
    for change in [
        "UPDATE credential SET sealed = substr(sealed, 1, length(sealed) - 1)",
        "UPDATE credential SET sealed = substr(sealed, 1, 5)",
        "UPDATE credential SET sealed = x''",
        "UPDATE credential SET sealed = CAST(x'ff' || substr(sealed, 2) AS BLOB)",
        "UPDATE credential SET version = version + 1",
        "DELETE FROM data_key",
    ] {
        let mut world = connected().await;
        world.tamper(change).await;
        world.restart().await;
        unreadable(&world).await;
        world.end().await;
    }
}

#[tokio::test]
async fn a_changed_data_key_opens_nothing() {
    let mut world = connected().await;
    world.tamper("UPDATE data_key SET wrapped = substr(wrapped, 2)").await;
    world.restart().await;
    key_missing(&world).await;
    world.end().await;
}

/// Every byte counts, the first as much as the last.
#[tokio::test]
async fn a_flipped_byte_does_not_open() {
    const MEND: &str = "UPDATE credential SET sealed = (SELECT sealed FROM copy \
        WHERE copy.user_id = credential.user_id AND copy.slot = credential.slot)";
    let world = connected().await;
    world.tamper("CREATE TABLE copy AS SELECT * FROM credential").await;
    for place in ["1", "2", "20", "length(sealed) / 2", "length(sealed)"] {
        let flip = format!(
            "UPDATE credential SET sealed = CAST(substr(sealed, 1, {place} - 1) \
             || CASE substr(sealed, {place}, 1) WHEN x'00' THEN x'01' ELSE x'00' END \
             || substr(sealed, {place} + 1) AS BLOB)"
        );
        world.tamper(&flip).await;
        assert_eq!(world.status(ADA, "notes").await, "unavailable: unreadable", "{place}");
        assert_eq!(world.status(GRACE, "api").await, "unavailable: unreadable", "{place}");
        world.tamper(MEND).await;
        assert_eq!(world.status(ADA, "notes").await, "connected", "{place}");
    }
    world.end().await;
}

/// Nobody is locked out for ever by what happened to a record.
#[tokio::test]
async fn connecting_again_replaces_a_record_that_does_not_open() {
    let mut world = connected().await;
    world.tamper("UPDATE credential SET sealed = x''").await;
    world.restart().await;
    unreadable(&world).await;
    assert_eq!(world.ada().await.connect("notes").await.outcome, "connected");
    assert_eq!(world.program(ADA).whoami("notes").await, "You are ada at Sandbox Notes");
    assert_eq!(world.status(GRACE, "notes").await, "unavailable: unreadable");
    world.end().await;
}

/// A row put back from an old copy would bring a token back that was replaced, perhaps because it
/// leaked.
#[tokio::test]
async fn an_old_row_is_not_taken_back() {
    let world = connected().await;
    world.tamper("CREATE TABLE copy AS SELECT * FROM credential").await;
    let mut ada = world.ada().await;
    ada.connect("notes").await;
    assert_eq!(world.status(ADA, "notes").await, "connected");
    world
        .tamper(
            "UPDATE credential SET (version, sealed) = (SELECT version, sealed FROM copy \
             WHERE copy.user_id = credential.user_id AND copy.slot = credential.slot)",
        )
        .await;
    assert_eq!(world.status(ADA, "notes").await, "unavailable: unreadable");
    assert!(!errors_logged_here().is_empty());

    assert_eq!(ada.connect("notes").await.outcome, "connected", "which is mended by connecting");
    assert_eq!(world.program(ADA).whoami("notes").await, "You are ada at Sandbox Notes");
    world.end().await;
}

#[tokio::test]
async fn another_key_is_said_loudly_and_the_old_one_beside_it_mends_it() {
    let mut world = connected().await;
    let old = fs::read(world.home.key_file()).unwrap();
    fs::write(world.home.key_file(), LocalKey::generate(&SystemRandom).expose()).unwrap();
    world.restart().await;
    key_missing(&world).await;
    // A key may come back: nothing that it sealed is thrown away for one that is new, and nobody
    // is sent to approve what could not be kept.
    let refused = world.ada().await.try_to_begin("notes").await;
    assert!(refused.location().is_none(), "{refused:?}");
    assert!(refused.body.contains("the gateway&#39;s present keys"), "{}", refused.body);

    fs::write(world.home.retired_key_file(), old).unwrap();
    world.restart().await;
    assert_eq!(world.program(ADA).whoami("notes").await, "You are ada at Sandbox Notes");
    assert_eq!(world.program(GRACE).whoami("notes").await, "You are grace at Sandbox Notes");
    world.end().await;
}

#[tokio::test]
async fn the_store_is_for_its_owner_alone() {
    let world = connected().await;
    for file in ["attache.db", "attache.db-wal", "attache.db-shm"] {
        let mode = fs::metadata(world.home.path().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    world.end().await;
}

#[tokio::test]
async fn without_a_good_key_nothing_starts() {
    let world = World::new().await;
    let key = world.home.key_file();
    let config = world.home.config_file();
    fs::write(&config, configuration::text(&world)).unwrap();
    let serve = || attache(&["serve", "--config", config.to_str().unwrap()]);

    for wrong in ["", "c2hvcnQ=", "not base64 at all, but a long line of words instead"] {
        fs::write(&key, wrong).unwrap();
        let refused = serve();
        assert_eq!(refused.status.code(), Some(2), "{wrong:?}");
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(said.contains("attache keys generate"), "{said}");
        assert!(wrong.is_empty() || !said.contains(wrong), "{said}");
    }
    fs::remove_file(&key).unwrap();
    assert_eq!(serve().status.code(), Some(2));

    fs::write(&config, configuration::text(&world).replace("keys.active", "#")).unwrap();
    let refused = serve();
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("attache keys generate"));
    world.end().await;
}

/// A key that is written over takes everything with it that it ever sealed.
#[tokio::test]
async fn a_key_is_never_written_over() {
    let world = World::new().await;
    let file = world.home.path().join("another.key");
    let generate = || attache(&["keys", "generate", file.to_str().unwrap()]);
    assert!(generate().status.success());
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let key = fs::read_to_string(&file).unwrap();

    let again = generate();
    assert_eq!(again.status.code(), Some(1));
    assert_eq!(fs::read_to_string(&file).unwrap(), key);
    let said = [again.stdout, again.stderr].concat();
    assert!(!String::from_utf8_lossy(&said).contains(key.trim()));
    world.end().await;
}

fn attache(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_attache"))
        .args(arguments)
        .env_clear()
        .output()
        .expect("the program runs")
}
