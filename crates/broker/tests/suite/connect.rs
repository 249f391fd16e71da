//! From "not connected" to a stored credential, and every way in which that must not happen.

use std::{collections::BTreeMap, time::Duration};

use attache_broker::{
    ConnectError, Finished, ObtainError, Status,
    connections::{FLOW_LIFE, Revocation},
};
use attache_core::{
    IssuerId, ObtainedVia,
    audit::{Action, Outcome, Reason},
};
use attache_crypto::digest::{base64url, sha256};

use crate::support::{
    Held, LIFE, MARK, Manner, Operation, Someone, Trouble, World, bearer, eventually, server,
};

const WRONG: Result<Finished, ConnectError> = Err(ConnectError(Reason::WrongIssuer));
const CONNECTED: Result<Finished, ConnectError> = Ok(Finished::Connected);
const NOT_CONNECTED: ObtainError = ObtainError::NotConnected { reason: Reason::NotConnected };
const MOVED: ObtainError = ObtainError::NotConnected { reason: Reason::UpstreamMoved };

/// OC-11, OC-12, OC-21.
#[tokio::test]
async fn a_person_connects() {
    let world = World::new().await;
    let (gateway, ada) = (world.gateway(), &world.ada);
    assert_eq!(gateway.obtain(ada, "notes").await, Err(NOT_CONNECTED));

    let url =
        gateway.connections.begin(&ada.who, &ada.browser, &server("notes"), None).await.unwrap();
    assert_eq!(url.query_pairs().count(), 9, "{url}");
    let asked: BTreeMap<_, _> = url.query_pairs().into_owned().collect();
    let redirect_uri = "https://gw.example.com/api/v1/user/credentials/notes/callback";
    let resource = "https://notes.example.com/mcp";
    for (name, expected) in [
        ("tenant", "7"),
        ("response_type", "code"),
        ("client_id", "attache"),
        ("redirect_uri", redirect_uri),
        ("code_challenge_method", "S256"),
        ("scope", "read write"),
        ("resource", resource),
    ] {
        assert_eq!(asked[name], expected, "{name}");
    }
    assert_eq!(asked["state"].len(), 43, "256 bits");

    let query = world.provider.consent(&url);
    gateway.callback(ada, "notes", &query).await.unwrap();

    let exchanges = world.provider.exchanges();
    let exchange = exchanges.first().unwrap();
    assert_eq!(exchange.len(), 5, "{exchange:?}");
    assert_eq!(exchange["redirect_uri"], redirect_uri);
    assert_eq!(exchange["resource"], resource);
    let challenge = base64url(&sha256(exchange["code_verifier"].as_bytes()));
    assert_eq!(challenge, asked["code_challenge"]);

    let token = gateway.obtain(ada, "notes").await.unwrap();
    assert!(token.starts_with("access-"));
    let connection = gateway.connection(ada, "notes").await;
    assert_eq!(connection.status, Status::Connected);
    assert_eq!(connection.obtained_via, Some(ObtainedVia::ConnectFlow));
    assert_eq!(connection.scopes, ["read", "write"]);
    assert_eq!(connection.audience.as_deref(), Some(resource));
    assert_eq!(gateway.obtain(&world.grace, "notes").await, Err(NOT_CONNECTED));
}

#[tokio::test]
async fn the_database_holds_no_token_and_no_verifier() {
    let world = World::new().await;
    let (gateway, ada) = (world.gateway(), &world.ada);
    let url =
        gateway.connections.begin(&ada.who, &ada.browser, &server("notes"), None).await.unwrap();
    let asked: BTreeMap<_, _> = url.query_pairs().into_owned().collect();
    let digest = sha256(asked["state"].as_bytes());
    let flow = world.stores.connects.find(digest).await.unwrap().unwrap();
    gateway.callback(ada, "notes", &world.provider.consent(&url)).await.unwrap();

    let verifier = &world.provider.exchanges()[0]["code_verifier"];
    let flow = format!("{flow:?}");
    assert!(!flow.contains(verifier) && !flow.contains(&asked["state"]), "{flow}");
    let sealed = world.stored(ada, "notes").await.unwrap().record.sealed.0;
    assert!(!sealed.windows(MARK.len()).any(|bytes| bytes == MARK.as_bytes()));
}

#[tokio::test]
async fn scopes_that_the_answer_does_not_name_are_those_asked_for() {
    let world = World::new().await;
    let (gateway, ada) = (world.gateway(), &world.ada);
    world.provider.behave(Manner { names_scopes: false, ..Manner::default() });
    gateway.connect(ada, "notes").await;
    assert_eq!(gateway.connection(ada, "notes").await.scopes, ["read", "write"]);
}

/// OC-16, OC-17, EL-3: whoever may not finish a flow does not end it for the one who may.
#[tokio::test]
async fn only_who_began_may_finish_and_nobody_else_spends_the_flow() {
    let world = World::new().await;
    let (gateway, ada) = (world.gateway(), &world.ada);
    let query = gateway.consent(ada, "notes").await;

    let elsewhere = ada.in_another_browser();
    let grace_in_adas_browser = Someone { browser: ada.browser.clone(), ..world.grace.clone() };
    for (person, name, reason) in [
        (&world.grace, "notes", Reason::WrongPerson),
        (&grace_in_adas_browser, "notes", Reason::WrongPerson),
        (&elsewhere, "notes", Reason::WrongBrowser),
        (ada, "tickets", Reason::WrongUpstream),
        (ada, "nothing", Reason::WrongUpstream),
    ] {
        let refused = gateway.callback(person, name, &query).await;
        assert_eq!(refused, Err(ConnectError(reason)), "{} at {name}", person.who.subject);
    }
    assert!(world.provider.exchanges().is_empty(), "no code left us");
    assert_eq!(gateway.obtain(&world.grace, "notes").await, Err(NOT_CONNECTED));

    gateway.callback(ada, "notes", &query).await.unwrap();
    assert_eq!(
        gateway.callback(ada, "notes", &query).await,
        Err(ConnectError(Reason::FlowUnknown)),
        "a state is used once"
    );
}

/// OC-19.
#[tokio::test]
async fn a_callback_that_cannot_be_read_or_is_not_ours_changes_nothing() {
    let world = World::new().await;
    let (gateway, ada) = (world.gateway(), &world.ada);
    let query = gateway.consent(ada, "notes").await;
    for (query, reason) in [
        (format!("{query}&code=other"), Reason::MalformedCallback),
        (format!("{query}&state=other"), Reason::MalformedCallback),
        (format!("{query}&iss=a&iss=a"), Reason::MalformedCallback),
        (format!("{query}&error=access_denied"), Reason::MalformedCallback),
        ("code=c".to_owned(), Reason::MalformedCallback),
        (String::new(), Reason::MalformedCallback),
        ("code=c&state=nobody-began-this".to_owned(), Reason::FlowUnknown),
    ] {
        let refused = gateway.callback(ada, "notes", &query).await;
        assert_eq!(refused, Err(ConnectError(reason)), "{query}");
    }
    assert!(world.provider.exchanges().is_empty());
    gateway.callback(ada, "notes", &query).await.unwrap();
}

#[tokio::test]
async fn a_flow_lives_ten_minutes() {
    let world = World::new().await;
    let (gateway, ada) = (world.gateway(), &world.ada);
    for (wait, expected) in
        [(Duration::from_secs(599), CONNECTED), (FLOW_LIFE, Err(ConnectError(Reason::FlowExpired)))]
    {
        let query = gateway.consent(ada, "notes").await;
        world.clock.advance(wait);
        assert_eq!(gateway.callback(ada, "notes", &query).await, expected, "{wait:?}");
    }
    assert_eq!(FLOW_LIFE, Duration::from_mins(10));
}

/// OC-18: with a configured issuer an exact comparison, without one at least the same origin. A
/// mix-up spends the flow, and its error is not acted on either.
#[tokio::test]
async fn an_answer_from_a_provider_that_was_not_asked_is_refused() {
    let world = World::new().await;
    let (gateway, ada) = (world.gateway(), &world.ada);
    for (name, iss, expected) in [
        ("notes", "https://as.example.com", CONNECTED),
        ("notes", "https://as.example.com/", WRONG),
        ("notes", "https://AS.example.com", WRONG),
        ("notes", "https://evil.example.com", WRONG),
        ("notes", "", WRONG),
        ("tickets", "https://as.example.com/any/path", CONNECTED),
        ("tickets", "https://as.example.com:8443", WRONG),
        ("tickets", "http://as.example.com", WRONG),
        ("tickets", "https://evil.example.com", WRONG),
        ("tickets", "as.example.com", WRONG),
        ("tickets", "", WRONG),
    ] {
        let before = world.provider.exchanges().len();
        let query = gateway.consent(ada, name).await;
        let answered = format!("{query}&iss={iss}");
        assert_eq!(gateway.callback(ada, name, &answered).await, expected, "{name} {iss}");
        let sent = world.provider.exchanges().len() - before;
        assert_eq!(sent, usize::from(expected.is_ok()), "{name} {iss}");
        let again = gateway.callback(ada, name, &query).await;
        assert_eq!(again, Err(ConnectError(Reason::FlowUnknown)), "{name} {iss}");
    }

    let query = gateway.consent(ada, "notes").await.replace("code=", "error=access_denied&x=");
    let mixed_up = format!("{query}&iss=https://evil.example.com");
    assert_eq!(gateway.callback(ada, "notes", &mixed_up).await, WRONG);
}

/// OC-6, OC-7: neither a code nor a refresh token of one issuer is shown to its successor.
#[tokio::test]
async fn a_new_issuer_gets_nothing_of_the_old_one() {
    let mut world = World::new().await;
    let (before, ada) = (world.gateway(), world.ada.clone());
    before.connect(&ada, "notes").await;
    let query = before.consent(&ada, "notes").await;
    let sent = world.provider.exchanges().len();

    world.issuer = IssuerId::new("https://new.example.com");
    let after = world.gateway();
    assert_eq!(after.callback(&ada, "notes", &query).await, WRONG);
    world.clock.advance(LIFE);
    let refused = after.obtain(&ada, "notes").await.unwrap_err();
    assert!(matches!(refused, ObtainError::NotConnected { .. }), "{refused}");
    assert_eq!(world.provider.exchanges().len(), sent);
    assert!(world.provider.refreshes().is_empty());
}

#[tokio::test]
async fn a_refused_consent_stores_nothing_and_repeats_nothing() {
    let world = World::new().await;
    let (gateway, ada) = (world.gateway(), &world.ada);
    for (error, action, reason) in [
        ("access_denied", Action::Deny, Reason::AccessDenied),
        ("temporarily_unavailable", Action::Connect, Reason::TemporarilyUnavailable),
        ("invalid_scope", Action::Connect, Reason::InvalidScope),
        (MARK, Action::Connect, Reason::Other),
    ] {
        let query = gateway.consent(ada, "notes").await;
        let query = query.replace("code=", &format!("error={error}&error_description={MARK}&x="));
        let refused = gateway.callback(ada, "notes", &query).await.unwrap_err();
        assert_eq!(refused, ConnectError(reason));
        assert!(!format!("{refused} {refused:?}").contains(MARK));
        let audited = world.audited().await;
        assert_eq!(audited.last(), Some(&(action, Outcome::Failure(reason))), "{error}");
    }
    assert!(world.stored(ada, "notes").await.is_none());
    assert_eq!(gateway.connection(ada, "notes").await.status, Status::NotConnected);
    assert!(world.provider.exchanges().is_empty());
}

#[tokio::test]
async fn a_code_that_cannot_be_redeemed_stores_nothing() {
    let world = World::new().await;
    let (gateway, ada) = (world.gateway(), &world.ada);
    for (trouble, reason) in [
        (Trouble::Silence, Reason::ProviderUnavailable),
        (Trouble::status(502), Reason::ProviderUnavailable),
        (Trouble::status(200), Reason::MalformedResponse),
        (Trouble::error(401, "invalid_client"), Reason::InvalidClient),
        (Trouble::error(400, "invalid_grant"), Reason::InvalidGrant),
        (Trouble::error(400, MARK), Reason::Other),
    ] {
        let query = gateway.consent(ada, "notes").await;
        world.provider.fail(trouble.clone());
        let refused = gateway.callback(ada, "notes", &query).await;
        assert_eq!(refused, Err(ConnectError(reason)), "{trouble:?}");
    }
    assert!(world.stored(ada, "notes").await.is_none());
}

#[tokio::test]
async fn the_oldest_of_eleven_pending_flows_gives_way() {
    let world = World::new().await;
    let (gateway, ada) = (world.gateway(), &world.ada);
    let mut queries = Vec::new();
    for _ in 0..11 {
        queries.push(gateway.consent(ada, "notes").await);
        world.clock.advance(Duration::from_secs(1));
    }
    let graces = gateway.consent(&world.grace, "notes").await;
    let first = gateway.callback(ada, "notes", &queries[0]).await;
    assert_eq!(first, Err(ConnectError(Reason::FlowUnknown)));
    for query in &queries[1..] {
        gateway.callback(ada, "notes", query).await.unwrap();
    }
    gateway.callback(&world.grace, "notes", &graces).await.unwrap();
}

#[tokio::test]
async fn a_flow_survives_a_restart() {
    let world = World::new().await;
    let query = world.gateway().consent(&world.ada, "notes").await;
    let restarted = world.gateway();
    restarted.callback(&world.ada, "notes", &query).await.unwrap();
    restarted.obtain(&world.ada, "notes").await.unwrap();
}

/// OC-7: what was given for one server is not shown to whichever takes its name; nor renewed for it.
#[tokio::test]
async fn a_credential_is_for_where_the_upstream_was() {
    let mut world = World::new().await;
    let before = world.gateway();
    before.connect(&world.ada, "notes").await;
    let token = before.obtain(&world.ada, "notes").await.unwrap();
    let here = std::mem::replace(&mut world.origin, "https://elsewhere.example.com".to_owned());

    let moved = world.gateway();
    let ada = &world.ada;
    assert_eq!(moved.obtain(ada, "notes").await, Err(MOVED));
    world.clock.advance(LIFE);
    assert_eq!(moved.obtain(ada, "notes").await, Err(MOVED));
    assert!(world.provider.refreshes().is_empty());
    let connection = moved.connection(ada, "notes").await;
    assert_eq!(connection.status, Status::NeedsReconnect);
    assert_eq!(connection.reason, Some(Reason::UpstreamMoved));

    moved.connect(ada, "notes").await;
    assert_ne!(moved.obtain(ada, "notes").await.as_ref(), Ok(&token));
    world.clock.advance(LIFE);
    moved.obtain(ada, "notes").await.unwrap();
    world.origin = here;
    assert_eq!(world.gateway().obtain(&world.ada, "notes").await, Err(MOVED), "nor back again");
}

/// RS-18: an upstream that is not for somebody looks like one that is not there.
#[tokio::test]
async fn an_upstream_for_others_is_no_upstream() {
    let world = World::new().await;
    let (gateway, grace) = (world.gateway(), &world.grace);
    for name in ["tickets", "nothing"] {
        assert_eq!(gateway.disconnect(grace, name).await.unwrap(), None, "{name}");
        let name = &server(name);
        let connections = &gateway.connections;
        let begun = connections.begin(&grace.who, &grace.browser, name, None).await;
        assert_eq!(begun, Err(ConnectError(Reason::WrongUpstream)), "{name}");
        assert_eq!(connections.find(&grace.who, name).await.unwrap(), None, "{name}");
        assert!(connections.offer(&grace.who, name).await.unwrap().is_none(), "{name}");
    }
    let names = async |person: &Someone| {
        let listed = gateway.connections.list(&person.who).await.unwrap();
        listed.into_iter().map(|one| one.server.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(grace).await, ["notes"]);
    assert_eq!(names(&world.ada).await, ["notes", "tickets"]);
}

#[tokio::test]
async fn a_disconnect_ends_what_is_pending_and_revokes_what_was_given() {
    let world = World::new().await;
    let (gateway, ada) = (world.gateway(), &world.ada);
    gateway.connect(ada, "notes").await;
    gateway.connect(&world.grace, "notes").await;
    let token = gateway.obtain(ada, "notes").await.unwrap();
    let pending = gateway.consent(ada, "notes").await;

    let disconnected = gateway.disconnect(ada, "notes").await.unwrap();
    assert_eq!(disconnected, Some(Some(Revocation::Revoked)));
    let revocations = world.provider.revocations();
    let hints: Vec<_> = revocations.iter().map(|form| form["token_type_hint"].as_str()).collect();
    assert_eq!(hints, ["refresh_token", "access_token"]);
    assert_eq!(revocations[1]["token"], token);

    assert!(world.stored(ada, "notes").await.is_none());
    let served = gateway.broker.ready(&ada.who, gateway.upstream("notes"), None, world.now());
    assert!(served.is_none(), "nothing lives on in memory");
    assert_eq!(gateway.obtain(ada, "notes").await, Err(NOT_CONNECTED));
    let late = gateway.callback(ada, "notes", &pending).await;
    assert_eq!(late, Err(ConnectError(Reason::FlowUnknown)));
    gateway.obtain(&world.grace, "notes").await.unwrap();

    let again = gateway.disconnect(ada, "notes").await.unwrap();
    assert_eq!(again, None);
}

/// OC-28: deleted whatever the provider says, and the person is told what it said.
#[tokio::test]
async fn a_disconnect_does_not_wait_for_a_provider_to_agree() {
    let world = World::new().await;
    let (gateway, ada) = (world.gateway(), &world.ada);
    let failed = |reason| Some(Revocation::Failed(reason));
    for (name, trouble, expected) in [
        ("notes", Trouble::Silence, failed(Reason::ProviderUnavailable)),
        ("notes", Trouble::error(401, "invalid_client"), failed(Reason::InvalidClient)),
        (
            "notes",
            Trouble::error(400, "unsupported_token_type"),
            failed(Reason::RevocationUnsupported),
        ),
        ("tickets", Trouble::Silence, None),
    ] {
        gateway.connect(ada, name).await;
        world.provider.fail(trouble.clone());
        let done = gateway.disconnect(ada, name).await.unwrap();
        assert_eq!(done, Some(expected), "{name} {trouble:?}");
        assert!(world.stored(ada, name).await.is_none(), "{name} {trouble:?}");
        world.provider.recover();
    }
}

/// A disconnect goes on when whoever asked for it leaves, wherever it stands: nobody else could
/// end the grant any more.
#[tokio::test]
async fn a_disconnect_is_finished_without_its_caller() {
    let world = World::new().await;
    let (gateway, ada) = (world.gateway(), &world.ada);
    let holds: [(&str, &dyn Fn() -> Held); 4] = [
        ("removing", &|| world.faulty.hold_call(Operation::Remove)),
        ("removed", &|| world.faulty.hold_answer(Operation::Remove)),
        ("written down", &|| world.faulty.hold_answer(Operation::Append)),
        ("revoked", &|| world.provider.hold()),
    ];
    let whole = [Action::Acquire, Action::Connect, Action::Disconnect, Action::Revoke];
    for (round, (stage, hold)) in (1..).zip(holds) {
        gateway.connect(ada, "notes").await;
        let mut held = hold();
        tokio::select! {
            done = gateway.disconnect(ada, "notes") => panic!("{stage}: {done:?}"),
            () = held.reached() => {}
        }
        held.release();
        let audited = async || world.audited().await.into_iter().map(|(action, _)| action);
        let done = async || audited().await.eq(whole.repeat(round));
        eventually(stage, done).await;
        assert_eq!(world.provider.revocations().len(), 2 * round, "{stage}");
        assert!(world.stored(ada, "notes").await.is_none(), "{stage}");
    }
}

/// A disconnect of which nobody knows whether it happened serves nothing from memory either.
#[tokio::test]
async fn a_disconnect_whose_answer_was_lost_ends_what_memory_serves() {
    let world = World::new().await;
    let (gateway, ada) = (world.gateway(), &world.ada);
    gateway.connect(ada, "notes").await;
    gateway.obtain(ada, "notes").await.unwrap();
    world.faulty.lose_answer(Operation::Remove);
    gateway.disconnect(ada, "notes").await.unwrap_err();
    let served = gateway.broker.ready(&ada.who, gateway.upstream("notes"), None, world.now());
    assert!(served.is_none());
    assert_eq!(gateway.obtain(ada, "notes").await, Err(NOT_CONNECTED));
}

#[tokio::test]
async fn a_reconnect_replaces_what_was_there() {
    let world = World::new().await;
    let (gateway, ada) = (world.gateway(), &world.ada);
    gateway.connect(ada, "notes").await;
    let first = gateway.obtain(ada, "notes").await.unwrap();
    gateway.connect(ada, "notes").await;
    let second = gateway.obtain(ada, "notes").await.unwrap();
    assert_ne!(first, second);
    let served =
        gateway.broker.ready(&ada.who, gateway.upstream("notes"), None, world.now()).unwrap();
    assert_eq!(bearer(&served), second);
}

#[tokio::test]
async fn a_token_without_a_successor_expires() {
    let world = World::new().await;
    let (gateway, ada) = (world.gateway(), &world.ada);
    world.provider.behave(Manner { gives_refresh_tokens: false, ..Manner::default() });
    gateway.connect(ada, "notes").await;
    world.clock.advance(Duration::from_mins(59));
    gateway.obtain(ada, "notes").await.unwrap();
    world.clock.advance(Duration::from_mins(1));
    let reason = Reason::NeedsReconnect;
    assert_eq!(gateway.obtain(ada, "notes").await, Err(ObtainError::NotConnected { reason }));
    let connection = gateway.connection(ada, "notes").await;
    assert_eq!((connection.status, connection.reason), (Status::Expired, Some(reason)));
    assert!(world.provider.refreshes().is_empty());
}
