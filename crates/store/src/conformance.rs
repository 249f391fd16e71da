//! What every store must do, as a suite to run against one.
//!
//! Each case is one behaviour that the traits of `core::store` promise. The database must be empty
//! at first; the two handles may be two replicas on it, or the same one twice.

use std::time::Duration;

use attache_core::{
    ConnectionName, CredentialKey, GrantId, IssuerId, ObtainedVia, Reach, RequestId,
    ServiceKeyName, Slot, Timestamp, TokenId, UpstreamName, UserId,
    audit::{
        Action, AuditEvent, Method, Outcome, Reason,
        trail::{AuditTrail, Filter, Head, Writer, WriterId},
    },
    principal::SessionDigest,
    store::{
        ActiveGrant, Code, ConnectFlow, Decision, DemandedScope, Device, Grant, Handle, Health,
        Issued, KeyId, KeyKind, KeyOwner, Lease, Leased, News, Person, PersonalToken, Planned,
        Profile, Provisioned, Record, RegisteredClient, Sealed, SealedRegistration, Session,
        SignIn, SignedOut, StoreError, Stored, Stores, Version, WrappedKey, Wraps,
    },
};
use tokio::task::JoinSet;

/// When the suite plays. No case looks at a clock.
const NOW: Timestamp = Timestamp(1_795_435_200_000);

/// How many try at once where only one may win.
const RIVALS: u8 = 20;

/// Runs every case. The trail is the one's audit log.
///
/// # Panics
/// At the first promise that is not kept.
pub async fn run(one: &Stores, other: &Stores, trail: &dyn AuditTrail) {
    a_person_seen_twice_at_once_is_one_person(one, other).await;
    a_profile_is_replaced_and_the_rest_stays(one, other).await;
    a_person_is_found_by_issuer_and_subject_together(one, other).await;
    a_session_ends_when_it_expires_or_is_removed(one, other).await;
    a_person_sees_and_ends_their_own_sessions(one, other).await;
    a_personal_token_is_found_by_its_digest_until_it_ends(one, other).await;
    a_session_of_nobody_is_refused(one).await;
    an_issuer_ends_what_came_of_its_sign_ins(one, other).await;
    an_issuer_provisions_its_people(one, other).await;
    a_sign_in_comes_back_once(one, other).await;
    sign_ins_that_came_back_are_bounded(one).await;
    a_connect_flow_is_taken_by_one(one, other).await;
    connect_flows_are_bounded_by_person(one).await;
    a_disconnect_clears_the_flows_of_one_account(one).await;
    a_credential_comes_back_as_it_was_put(one, other).await;
    a_credential_comes_with_its_persons_data_key(one, other).await;
    a_put_over_another_version_is_a_conflict(one, other).await;
    credentials_are_listed_by_slot(one).await;
    a_lease_is_granted_to_one(one, other).await;
    a_lease_that_ran_out_is_taken_over(one, other).await;
    an_interruption_is_remembered_until_a_write(one).await;
    a_refresh_whose_answer_was_lost_is_marked(one, other).await;
    a_loser_gets_what_the_winner_wrote(one, other).await;
    a_commit_can_be_repeated(one, other).await;
    a_commit_after_the_lease_was_lost_is_a_conflict(one, other).await;
    a_disconnect_beats_a_refresh(one, other).await;
    a_reconnect_beats_a_refresh(one, other).await;
    a_release_lets_the_next_one_in(one, other).await;
    what_is_demanded_goes_with_its_credential(one, other).await;
    what_is_over_is_found_until_it_is_gone(one, other).await;
    one_registers_for_all(one, other).await;
    a_registration_is_replaced_by_one(one, other).await;
    one_tells_for_all(one, other).await;
    news_go_with_what_they_are_about(one, other).await;
    the_first_key_stays(one, other).await;
    a_wrapped_key_is_replaced_by_one(one, other, trail).await;
    wrapped_keys_are_paged_and_counted(one, other).await;
    a_person_is_erased_with_everything_of_theirs(one, other).await;
    people_are_listed_switched_and_barred(one, other).await;
    a_code_is_redeemed_by_one(one, other).await;
    a_family_goes_on_from_its_last_turn(one, other).await;
    grants_are_bounded_by_person_and_end(one, other).await;
    registered_clients_are_bounded_and_forgotten(one, other).await;
    a_device_is_decided_about_once(one, other).await;
    devices_that_wait_are_bounded(one, other).await;
    audit_is_listed_newest_first(one, other).await;
    audit_of_an_upstream_is_of_all_its_accounts(one, trail).await;
    audit_of_a_person_goes_on_where_it_ended(one, trail).await;
    everybodys_are_counted(one, other).await;
}

/// Spoils a stored word with `sql`, which runs outside the store, and looks who is told what.
///
/// # Panics
/// When the row is returned, or the error does not name it.
pub async fn a_row_that_cannot_be_read_is_named(stores: &Stores, sql: impl AsyncFn(&'static str)) {
    let ada = person(stores, "spoiled").await;
    let key = key(&ada, "github");
    stores.credentials.put(&key, &record(1), None).await.expect("put");
    sql("UPDATE credential SET health = 'excellent'").await;

    let spoiled = stores.credentials.find(&key).await;
    let Err(StoreError::Inconsistent { table, row, detail }) = spoiled else {
        unreachable!("{spoiled:?}")
    };
    assert_eq!((table, detail), ("credential", "health"));
    assert_eq!(row, "spoiled upstream:github");
}

// --- people -------------------------------------------------------------------------------------

async fn a_person_seen_twice_at_once_is_one_person(one: &Stores, other: &Stores) {
    let mut callers = JoinSet::new();
    for rival in 0..RIVALS {
        let people = pick(rival, one, other).people.clone();
        callers.spawn(async move {
            let fresh = UserId::new(format!("twin-{rival}"));
            people.upsert(&issuer(), "twin", &Profile::default(), fresh, NOW).await
        });
    }
    let people: Vec<_> =
        callers.join_all().await.into_iter().map(|person| person.expect("upsert").id).collect();
    assert!(people.iter().all(|id| Some(id) == people.first()), "{people:?}");
}

async fn a_profile_is_replaced_and_the_rest_stays(one: &Stores, other: &Stores) {
    let profile = Profile {
        email: Some("ada@example.com".to_owned()),
        name: Some("Ada \"Countess\" Lovelace\u{1F4BB}".to_owned()),
        groups: vec!["engineering".to_owned(), "[\"a\", b]".to_owned()],
    };
    let first = one.people.upsert(&issuer(), "ada", &profile, UserId::new("ada"), NOW).await;
    let ada = Person {
        id: UserId::new("ada"),
        issuer: issuer(),
        subject: "ada".to_owned(),
        profile,
        disabled: false,
        created_at: NOW,
        last_signed_in_at: Some(NOW),
    };
    assert_eq!(first.expect("upsert"), ada);

    let fresh = UserId::new("not used");
    let later = NOW.plus(Duration::from_secs(1));
    let again = other.people.upsert(&issuer(), "ada", &Profile::default(), fresh, later).await;
    let renamed =
        Person { profile: Profile::default(), last_signed_in_at: Some(later), ..ada.clone() };
    assert_eq!(again.expect("upsert"), renamed);
    assert_eq!(one.people.find(&ada.id).await.expect("find"), Some(renamed.clone()));
    // What was said before takes the hour of nothing that was said since.
    let fresh = UserId::new("not used");
    let older = one.people.upsert(&issuer(), "ada", &Profile::default(), fresh, NOW).await;
    assert_eq!(older.expect("upsert"), renamed);

    let elsewhere = IssuerId::new("https://other.example.com");
    let namesake =
        one.people.upsert(&elsewhere, "ada", &Profile::default(), UserId::new("ada-2"), NOW).await;
    assert_eq!(namesake.expect("upsert").id, UserId::new("ada-2"), "another issuer's ada");
    assert_eq!(one.people.find(&UserId::new("nobody")).await.expect("find"), None);
}

async fn a_person_is_found_by_issuer_and_subject_together(one: &Stores, other: &Stores) {
    let elsewhere = IssuerId::new("https://elsewhere.example.com");
    let profile = Profile { groups: vec!["finance".to_owned()], ..Profile::default() };
    let enter = async |issuer: &IssuerId, profile: &Profile, fresh: &str| {
        let entered =
            one.people.upsert(issuer, "Same Subject", profile, UserId::new(fresh), NOW).await;
        entered.expect("upsert")
    };
    let here = enter(&issuer(), &Profile::default(), "here").await;
    let there = enter(&elsewhere, &profile, "there").await;
    for (issuer, subject, expected) in [
        (issuer(), "Same Subject", Some(here)),
        (elsewhere, "Same Subject", Some(there)),
        (issuer(), "same subject", None),
        (issuer(), "here", None),
        (IssuerId::new("https://elsewhere.example.com/"), "Same Subject", None),
    ] {
        let found = other.people.find_by_subject(&issuer, subject).await.expect("find");
        assert_eq!(found, expected, "{issuer} {subject}");
    }
}

// --- sessions and sign-in -----------------------------------------------------------------------

async fn a_session_ends_when_it_expires_or_is_removed(one: &Stores, other: &Stores) {
    let user = person(one, "session").await;
    let session = |number| Session {
        digest: SessionDigest(digest(number)),
        user: user.clone(),
        created_at: NOW,
        expires_at: NOW.plus(Duration::from_mins(1)),
    };
    let (first, second) = (session(1), session(2));
    one.sessions.insert(&first, &sign_in()).await.expect("insert");
    one.sessions.insert(&second, &sign_in()).await.expect("insert");

    let just_before = Timestamp(first.expires_at.0 - 1);
    let found = other.sessions.find(first.digest, just_before).await.expect("find");
    let (found, whose) = found.expect("a session until it expires");
    assert_eq!((found, &whose.id), (first.clone(), &user));
    let expired = other.sessions.find(first.digest, first.expires_at).await.expect("find");
    assert_eq!(expired, None);

    one.sessions.remove(first.digest).await.expect("remove");
    one.sessions.remove(first.digest).await.expect("removing twice");
    assert_eq!(other.sessions.find(first.digest, NOW).await.expect("find"), None);

    // The next sign-in sweeps: once it is gone, the past cannot bring it back.
    let next = Session { created_at: second.expires_at, ..session(3) };
    one.sessions.insert(&next, &sign_in()).await.expect("insert");
    assert_eq!(other.sessions.find(second.digest, NOW).await.expect("find"), None);
}

async fn a_person_sees_and_ends_their_own_sessions(one: &Stores, other: &Stores) {
    let (ada, grace) = (person(one, "sees").await, person(one, "sees-not").await);
    let session = |user: &UserId, number: u8| Session {
        digest: SessionDigest(digest(number)),
        user: user.clone(),
        created_at: Timestamp(NOW.0 + i64::from(number)),
        expires_at: NOW.plus(Duration::from_mins(1)),
    };
    let [first, second, theirs] = [session(&ada, 31), session(&ada, 32), session(&grace, 33)];
    for one_of_them in [&first, &second, &theirs] {
        one.sessions.insert(one_of_them, &sign_in()).await.expect("insert");
    }
    let listed = other.sessions.list(&ada, NOW).await.expect("list");
    assert_eq!(listed, [second.clone(), first.clone()]);
    assert_eq!(other.sessions.list(&ada, first.expires_at).await.expect("list"), []);

    assert!(!one.sessions.remove_of(&ada, theirs.digest).await.expect("remove"));
    assert!(one.sessions.remove_of(&ada, second.digest).await.expect("remove"));
    assert!(!one.sessions.remove_of(&ada, second.digest).await.expect("remove"));
    assert_eq!(other.sessions.list(&ada, NOW).await.expect("list"), [first]);
    assert_eq!(other.sessions.list(&grace, NOW).await.expect("list"), [theirs]);
}

async fn a_personal_token_is_found_by_its_digest_until_it_ends(one: &Stores, other: &Stores) {
    let (ada, grace) = (person(one, "makes").await, person(one, "makes-not").await);
    let token = |number: u8, reach: Reach| PersonalToken {
        id: TokenId::new(format!("token-{number}")),
        user: ada.clone(),
        name: "nightly \u{2603}".to_owned(),
        reach,
        created_at: Timestamp(NOW.0 + i64::from(number)),
        expires_at: NOW.plus(Duration::from_mins(1)),
        last_used_at: None,
    };
    let some = Reach::only([upstream("notes"), upstream("mail")]).reading();
    let (first, second) = (token(1, Reach::everything()), token(2, some));
    let tokens = &one.personal_tokens;
    assert!(tokens.insert(&first, digest(41), 2).await.expect("insert"));
    assert!(tokens.insert(&second, digest(42), 2).await.expect("insert"));
    let third = token(3, Reach::everything());
    assert!(!tokens.insert(&third, digest(43), 2).await.expect("insert"), "there is a bound");

    let elsewhere = &other.personal_tokens;
    let listed = elsewhere.list(&ada).await.expect("list");
    assert_eq!(listed, [second.clone(), first.clone()]);
    assert_eq!(elsewhere.list(&grace).await.expect("list"), []);
    let found = elsewhere.find(digest(42), NOW).await.expect("find").expect("a token");
    assert_eq!((found.0, &found.1.id), (second.clone(), &ada));
    assert!(elsewhere.find(digest(43), NOW).await.expect("find").is_none());
    assert!(elsewhere.find(digest(41), first.expires_at).await.expect("find").is_none());

    let minute = |number| NOW.plus(Duration::from_mins(number));
    tokens.touch(&first.id, NOW, minute(1)).await.expect("touch");
    tokens.touch(&first.id, NOW, minute(2)).await.expect("touch");
    let used = elsewhere.list(&ada).await.expect("list").pop().and_then(|one| one.last_used_at);
    assert_eq!(used, Some(minute(1)), "it was used after then already");

    assert!(!tokens.remove(&grace, &first.id).await.expect("remove"));
    assert!(tokens.remove(&ada, &first.id).await.expect("remove"));
    assert!(!tokens.remove(&ada, &first.id).await.expect("remove"));
    assert!(elsewhere.find(digest(41), NOW).await.expect("find").is_none());

    // What ran out makes room.
    let later = PersonalToken { created_at: second.expires_at, ..token(4, Reach::everything()) };
    assert!(tokens.insert(&later, digest(44), 1).await.expect("insert"));
    assert_eq!(elsewhere.list(&ada).await.expect("list").len(), 1);
}

async fn a_session_of_nobody_is_refused(one: &Stores) {
    let session = Session {
        digest: SessionDigest(digest(9)),
        user: UserId::new("nobody"),
        created_at: NOW,
        expires_at: NOW.plus(Duration::from_mins(1)),
    };
    let refused = one.sessions.insert(&session, &sign_in()).await;
    assert!(matches!(refused, Err(StoreError::Conflict)), "{refused:?}");
}

async fn an_issuer_ends_what_came_of_its_sign_ins(one: &Stores, other: &Stores) {
    let (ada, grace) = (person(one, "leaves").await, person(one, "stays-in").await);
    let found = one.people.find(&ada).await.expect("find").expect("somebody");
    let (issuer, subject) = (found.issuer, found.subject);
    let here = |session: &str, subject: Option<&str>| SignedOut::Here {
        session: session.to_owned(),
        subject: subject.map(str::to_owned),
    };
    let everywhere = |subject: &str| SignedOut::Everywhere { subject: subject.to_owned() };
    // Ada's `sub` is not what she is known by, but for a session that says nothing of it.
    let begin = async || {
        for (number, user, sid) in [
            (61, &ada, Some("s1")),
            (62, &ada, Some("s2")),
            (63, &ada, None),
            (64, &grace, Some("s1")),
        ] {
            let of = SignIn { subject: format!("sub-{user}"), session: sid.map(str::to_owned) };
            let session = Session {
                digest: SessionDigest(digest(number)),
                user: user.clone(),
                created_at: NOW,
                expires_at: soon(),
            };
            one.sessions.remove(session.digest).await.expect("remove");
            one.sessions.insert(&session, &of).await.expect("insert");
        }
    };
    let left = async || {
        let mut left = Vec::new();
        for number in 61..65 {
            let digest = SessionDigest(digest(number));
            if other.sessions.find(digest, NOW).await.expect("find").is_some() {
                left.push(number);
            }
        }
        left
    };
    let adas = format!("sub-{ada}");
    let another = IssuerId::new("https://other.example.com");
    for (issuer, signed_out, whose, stay) in [
        (&issuer, everywhere(&adas), &[&ada][..], &[64][..]),
        (&issuer, here("s1", Some(&adas)), &[&ada], &[62, 64]),
        (&issuer, here("s2", None), &[&ada], &[61, 63, 64]),
        (&issuer, here("s3", None), &[], &[61, 62, 63, 64]),
        (&issuer, everywhere(&subject), &[], &[61, 62, 63, 64]),
        (&another, everywhere(&adas), &[], &[61, 62, 63, 64]),
        (&another, here("s1", None), &[], &[61, 62, 63, 64]),
    ] {
        begin().await;
        let ended = one.sessions.remove_signed_out(issuer, &signed_out).await.expect("remove");
        assert_eq!(ended.iter().collect::<Vec<_>>(), whose, "{signed_out:?}");
        assert_eq!(left().await, stay, "{signed_out:?}");
    }
}

/// That nobody asks about.
fn sign_in() -> SignIn {
    SignIn { subject: "sub".to_owned(), session: None }
}

async fn an_issuer_provisions_its_people(one: &Stores, other: &Stores) {
    let issuer = IssuerId::new("https://scim.example.com");
    let enroll = async |subject: &str, fresh: &str| {
        one.provisioning.enroll(&issuer, subject, UserId::new(fresh), NOW).await.expect("enroll")
    };
    let found_by = async |handle, subject| -> Vec<UserId> {
        let found = other.provisioning.find_by(&issuer, handle, subject).await.expect("find");
        found.into_iter().map(|one| one.person.id).collect()
    };
    let ada = enroll("scim-ada", "scim-1").await;
    assert_eq!((ada.person.id.as_str(), ada.person.disabled), ("scim-1", false));
    assert_eq!((&ada.provisioned, ada.updated_at), (&Provisioned::default(), None));
    let profile = Profile { email: Some("scim@x.org".to_owned()), ..Profile::default() };
    let fresh = UserId::new("scim-2");
    one.people.upsert(&issuer, "scim-ada", &profile, fresh, NOW).await.expect("upsert");
    let again = enroll("scim-ada", "scim-2").await.person;
    assert_eq!((again.id, again.profile), (ada.person.id.clone(), profile), "nothing is changed");
    let grace = enroll("scim-grace", "scim-3").await.person;

    let named = |user_name: Option<&str>, switched_off| Provisioned {
        user_name: user_name.map(str::to_owned),
        external_id: user_name.map(|_| "x1".to_owned()),
        switched_off,
    };
    let store = &one.provisioning;
    store.put(&ada.person, &named(Some("Ada"), false), NOW).await.expect("put");
    for (handle, subject, expected) in [
        (Handle::UserName("aDA"), None, &[&ada.person.id][..]),
        (Handle::UserName("%"), Some("scim-grace"), &[&grace.id]),
        (Handle::UserName("x1"), None, &[]),
        (Handle::ExternalId("x1"), Some("scim-grace"), &[&ada.person.id, &grace.id]),
        (Handle::ExternalId("X1"), None, &[]),
    ] {
        let found = found_by(handle, subject).await;
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{handle:?}");
    }
    let taken = store.put(&grace, &named(Some("ADA"), false), NOW).await;
    assert!(matches!(taken, Err(StoreError::Conflict)), "{taken:?}");
    let (page, count) = other.provisioning.page(&issuer, 1, 5).await.expect("page");
    assert_eq!((page.len(), count), (1, 2));
    let elsewhere = IssuerId::new("https://scim.example.org");
    assert_eq!(other.provisioning.find(&elsewhere, &grace.id).await.expect("find"), None);

    // Off, and nobody's word for it: not found, and not forgotten.
    assert!(one.roster.switch(&grace.id, true).await.expect("switch"));
    let find = async || other.provisioning.find(&issuer, &grace.id).await.expect("find");
    assert_eq!(find().await, None);
    store.put(&grace, &named(None, true), NOW).await.expect("put");
    assert_eq!(find().await, None);
    assert!(enroll("scim-grace", "scim-4").await.provisioned.switched_off);
    store.put(&grace, &named(Some("grace"), true), soon()).await.expect("put");
    let found = find().await.expect("somebody with a name");
    assert_eq!((found.provisioned, found.updated_at), (named(Some("grace"), true), Some(soon())));
}

async fn a_sign_in_comes_back_once(one: &Stores, other: &Stores) {
    let mut callers = JoinSet::new();
    for rival in 0..RIVALS {
        let logins = pick(rival, one, other).logins.clone();
        callers.spawn(async move { logins.spend(digest(1), soon(), 10, NOW).await });
    }
    let firsts =
        callers.join_all().await.into_iter().filter(|first| *first.as_ref().expect("spend"));
    assert_eq!(firsts.count(), 1);

    // The next one sweeps what is over: nobody asks about that any more.
    assert!(one.logins.spend(digest(2), soon(), 10, soon()).await.expect("spend"));
    assert!(other.logins.spend(digest(1), soon(), 10, NOW).await.expect("spend"), "swept");
}

async fn sign_ins_that_came_back_are_bounded(one: &Stores) {
    let spend = async |number: u8| {
        let expires_at = soon().plus(Duration::from_secs(number.into()));
        one.logins.spend(digest(number), expires_at, 3, NOW).await.expect("spend")
    };
    for number in 10..18 {
        assert!(spend(number).await);
    }
    for number in 15..18 {
        assert!(!spend(number).await, "{number} is remembered");
    }
    assert!(spend(14).await, "the oldest is not");
}

// --- connect flows ------------------------------------------------------------------------------

async fn a_connect_flow_is_taken_by_one(one: &Stores, other: &Stores) {
    let flow = connect(&person(one, "connect").await, "github", 1, 0);
    one.connects.insert(&flow, 5, NOW).await.expect("insert");
    assert_eq!(other.connects.find(flow.state).await.expect("find"), Some(flow.clone()));

    let mut callers = JoinSet::new();
    for rival in 0..RIVALS {
        let connects = pick(rival, one, other).connects.clone();
        let state = flow.state;
        callers.spawn(async move { connects.take(state).await });
    }
    let taken: Vec<_> =
        callers.join_all().await.into_iter().filter_map(|flow| flow.expect("take")).collect();
    assert_eq!(taken, std::slice::from_ref(&flow));
    assert_eq!(one.connects.find(flow.state).await.expect("find"), None);
}

async fn connect_flows_are_bounded_by_person(one: &Stores) {
    let (many, few) = (person(one, "many").await, person(one, "few").await);
    let bystander = connect(&few, "github", 100, 0);
    one.connects.insert(&bystander, 3, NOW).await.expect("insert");
    for number in 0..6 {
        let flow = connect(&many, "github", number, number.into());
        one.connects.insert(&flow, 3, NOW).await.expect("insert");
    }
    let mut left = Vec::new();
    for number in 0..6 {
        if one.connects.find(digest(number)).await.expect("find").is_some() {
            left.push(number);
        }
    }
    assert_eq!(left, [3, 4, 5]);
    let found = one.connects.find(bystander.state).await.expect("find");
    assert_eq!(found, Some(bystander.clone()), "another person's");

    let next = connect(&many, "github", 6, 0);
    one.connects.insert(&next, 3, bystander.expires_at).await.expect("insert");
    let expired = one.connects.find(bystander.state).await.expect("find");
    assert_eq!(expired, None, "expired ones are swept, whoever's they are");
}

async fn a_disconnect_clears_the_flows_of_one_account(one: &Stores) {
    let user = person(one, "clear").await;
    let ends = connect(&user, "github", 31, 0);
    let stay = [connect(&user, "gitlab", 32, 0), connect(&user, "github@work", 33, 0)];
    for flow in stay.iter().chain([&ends]) {
        one.connects.insert(flow, 5, NOW).await.expect("insert");
    }
    one.connects.clear(&user, &ends.connection).await.expect("clear");
    assert_eq!(one.connects.take(ends.state).await.expect("take"), None);
    for flow in stay {
        assert_eq!(one.connects.take(flow.state).await.expect("take"), Some(flow));
    }
}

// --- credentials --------------------------------------------------------------------------------

async fn a_credential_comes_back_as_it_was_put(one: &Stores, other: &Stores) {
    let user = person(one, "put").await;
    let subject = Slot::SubjectToken(IssuerId::new("https://idp.example.com/a:b"));
    let broken = Record {
        health: Health::NeedsReconnect(Reason::InvalidGrant),
        expires_at: None,
        obtained_via: ObtainedVia::TokenExchange,
        ..record(2)
    };
    let cases =
        [(key(&user, "github"), record(1)), (CredentialKey { user, slot: subject }, broken)];
    for (key, record) in cases {
        assert_eq!(one.credentials.find(&key).await.expect("find"), None);
        one.credentials.put(&key, &record, None).await.expect("put");
        let stored = Stored { record, interrupted: None };
        assert_eq!(other.credentials.find(&key).await.expect("find"), Some(stored.clone()));
        assert_eq!(other.credentials.remove(&key).await.expect("remove"), Some(stored));
        assert_eq!(one.credentials.remove(&key).await.expect("remove"), None);
    }
}

async fn a_credential_comes_with_its_persons_data_key(one: &Stores, other: &Stores) {
    let key = stored(one, "opened").await;
    let stored = Stored { record: record(1), interrupted: None };
    let found = other.credentials.find_with_key(&key).await.expect("find");
    assert_eq!(found, Some((stored.clone(), None)));
    one.data_keys.insert(&key.user, &wrapped("1", 7), NOW).await.expect("insert");
    let found = other.credentials.find_with_key(&key).await.expect("find");
    assert_eq!(found, Some((stored, Some(wrapped("1", 7)))));

    for elsewhere in ["mail", "github@work"] {
        let elsewhere = CredentialKey::upstream(key.user.clone(), connection(elsewhere));
        assert_eq!(other.credentials.find_with_key(&elsewhere).await.expect("find"), None);
    }
}

async fn a_put_over_another_version_is_a_conflict(one: &Stores, other: &Stores) {
    let key = key(&person(one, "conflict").await, "github");
    let absent = one.credentials.put(&key, &record(2), Some(Version(1))).await;
    assert!(matches!(absent, Err(StoreError::Conflict)), "nothing to replace: {absent:?}");

    one.credentials.put(&key, &record(1), None).await.expect("put");
    let present = other.credentials.put(&key, &record(2), None).await;
    assert!(matches!(present, Err(StoreError::Conflict)), "something is there: {present:?}");

    one.credentials.put(&key, &record(2), Some(Version(1))).await.expect("put");
    let stale = other.credentials.put(&key, &record(3), Some(Version(1))).await;
    assert!(matches!(stale, Err(StoreError::Conflict)), "replaced before: {stale:?}");
    assert_eq!(version(other, &key).await, Some(Version(2)));
}

async fn credentials_are_listed_by_slot(one: &Stores) {
    let (user, neighbour) = (person(one, "list").await, person(one, "list2").await);
    // Locales order these in other ways than bytes do.
    for name in ["ab", "a_c", "a-d", "0", "ab@work", "z"] {
        one.credentials.put(&key(&user, name), &record(1), None).await.expect("put");
    }
    one.credentials.put(&key(&neighbour, "b"), &record(1), None).await.expect("put");
    let listed = one.credentials.list(&user).await.expect("list");
    let slots: Vec<_> = listed.iter().map(|(slot, _)| slot.to_string()).collect();
    let expected = ["0", "a-d", "a_c", "ab", "ab@work", "z"].map(|name| format!("upstream:{name}"));
    assert_eq!(slots, expected);
}

async fn a_lease_is_granted_to_one(one: &Stores, other: &Stores) {
    let key = stored(one, "race").await;
    let mut rivals = JoinSet::new();
    for rival in 0..RIVALS {
        let credentials = pick(rival, one, other).credentials.clone();
        let key = key.clone();
        rivals.spawn(async move {
            credentials.lease(&key, Version(1), [rival; 16], NOW, soon()).await.expect("lease")
        });
    }
    let outcomes = rivals.join_all().await;
    let granted = outcomes.iter().filter(|one| matches!(one, Leased::Granted(..))).count();
    let held = outcomes
        .iter()
        .filter(|one| matches!(one, Leased::Held { until } if *until == soon()))
        .count();
    assert_eq!((granted, held), (1, usize::from(RIVALS) - 1), "{outcomes:?}");
}

async fn a_lease_that_ran_out_is_taken_over(one: &Stores, other: &Stores) {
    let key = stored(one, "takeover").await;
    let (_abandoned, at_first) = granted(one, &key, 1, NOW).await;
    assert_eq!(at_first.interrupted, None);

    let early = Timestamp(soon().0 - 1);
    let held = other.credentials.lease(&key, Version(1), [2; 16], early, early).await;
    assert!(matches!(held, Ok(Leased::Held { until }) if until == soon()), "{held:?}");

    let (_taken, stored) = granted(other, &key, 2, soon()).await;
    assert_eq!(stored.interrupted, Some(NOW), "when the lost refresh began");
}

async fn an_interruption_is_remembered_until_a_write(one: &Stores) {
    let key = stored(one, "interrupted").await;
    let (_abandoned, _) = granted(one, &key, 1, NOW).await;
    let (lease, _) = granted(one, &key, 2, soon()).await;
    one.credentials.release(&lease).await.expect("release");

    let (lease, stored) = granted(one, &key, 3, soon()).await;
    assert_eq!(stored.interrupted, Some(NOW), "a release says nothing of the one before");
    one.credentials.commit(&lease, &record(2)).await.expect("commit");
    let written = one.credentials.find(&key).await.expect("find").expect("a record");
    assert_eq!(written.interrupted, None);
}

async fn a_refresh_whose_answer_was_lost_is_marked(one: &Stores, other: &Stores) {
    let key = stored(one, "unanswered").await;
    let (lease, _) = granted(one, &key, 1, NOW).await;
    one.credentials.interrupt(&lease).await.expect("interrupt");
    one.credentials.interrupt(&lease).await.expect("once more does nothing");
    let (_next, stored) = granted(other, &key, 2, NOW).await;
    assert_eq!(stored.interrupted, Some(NOW), "and the next one is let in at once");
}

async fn a_loser_gets_what_the_winner_wrote(one: &Stores, other: &Stores) {
    let key = stored(one, "superseded").await;
    let (lease, _) = granted(one, &key, 1, NOW).await;
    one.credentials.commit(&lease, &record(2)).await.expect("commit");

    let late = other.credentials.lease(&key, Version(1), [2; 16], NOW, soon()).await;
    let Ok(Leased::Superseded(stored)) = late else { unreachable!("{late:?}") };
    assert_eq!(stored.record, record(2));

    one.credentials.remove(&key).await.expect("remove");
    let too_late = other.credentials.lease(&key, Version(1), [2; 16], NOW, soon()).await;
    assert!(matches!(too_late, Ok(Leased::Gone)), "{too_late:?}");
}

async fn a_commit_can_be_repeated(one: &Stores, other: &Stores) {
    let key = stored(one, "repeated").await;
    let (lease, _) = granted(one, &key, 1, NOW).await;
    one.credentials.commit(&lease, &record(2)).await.expect("commit");
    one.credentials.commit(&lease, &record(2)).await.expect("the answer may have been lost");

    let (_next, _) = granted_at(other, &key, Version(2), 2, NOW).await;
    one.credentials.commit(&lease, &record(2)).await.expect("and somebody refreshes again");
    let forged = Record { sealed: Sealed(b"other bytes".to_vec()), ..record(2) };
    let refused = one.credentials.commit(&lease, &forged).await;
    assert!(matches!(refused, Err(StoreError::Conflict)), "not a repetition: {refused:?}");
    assert_eq!(version(other, &key).await, Some(Version(2)));
}

async fn a_commit_after_the_lease_was_lost_is_a_conflict(one: &Stores, other: &Stores) {
    let key = stored(one, "lost").await;
    let (lost, _) = granted(one, &key, 1, NOW).await;
    let (lease, _) = granted(other, &key, 2, soon()).await;

    let refused = one.credentials.commit(&lost, &record(2)).await;
    assert!(matches!(refused, Err(StoreError::Conflict)), "{refused:?}");
    one.credentials.release(&lost).await.expect("a release of what is lost does nothing");
    other.credentials.commit(&lease, &record(2)).await.expect("the holder's commit");
}

async fn a_disconnect_beats_a_refresh(one: &Stores, other: &Stores) {
    let key = stored(one, "disconnect").await;
    let (lease, _) = granted(one, &key, 1, NOW).await;
    other.credentials.remove(&key).await.expect("remove").expect("a record");

    let refused = one.credentials.commit(&lease, &record(2)).await;
    assert!(matches!(refused, Err(StoreError::Conflict)), "{refused:?}");
    assert_eq!(other.credentials.find(&key).await.expect("find"), None, "gone for good");
}

async fn a_reconnect_beats_a_refresh(one: &Stores, other: &Stores) {
    let key = stored(one, "reconnect").await;
    let (lease, _) = granted(one, &key, 1, NOW).await;
    other.credentials.put(&key, &record(7), Some(Version(1))).await.expect("put");

    let refused = one.credentials.commit(&lease, &record(2)).await;
    assert!(matches!(refused, Err(StoreError::Conflict)), "{refused:?}");
    let (_lease, stored) = granted_at(one, &key, Version(7), 1, NOW).await;
    assert_eq!(stored, Stored { record: record(7), interrupted: None }, "a lease of the new grant");
}

async fn a_release_lets_the_next_one_in(one: &Stores, other: &Stores) {
    let key = stored(one, "release").await;
    let (lease, _) = granted(one, &key, 1, NOW).await;
    one.credentials.release(&lease).await.expect("release");
    let (_next, stored) = granted(other, &key, 2, NOW).await;
    assert_eq!(stored.interrupted, None, "its end was reported");
}

// --- registrations ------------------------------------------------------------------------------

async fn what_is_demanded_goes_with_its_credential(one: &Stores, other: &Stores) {
    let key = key(&person(one, "demanded").await, "github");
    let waits = |scope: &str| DemandedScope {
        scope: scope.to_owned(),
        consents: 0,
        approved: None,
        open_since: Some(NOW),
    };
    let settled = |scope: &str| DemandedScope {
        consents: 2,
        approved: Some(Version(7)),
        open_since: None,
        ..waits(scope)
    };
    let nobodys = one.demands.replace(&key, &[waits("a")]).await;
    assert!(matches!(nobodys, Err(StoreError::Conflict)), "no credential: {nobodys:?}");

    one.credentials.put(&key, &record(1), None).await.expect("put");
    for demanded in [&[waits("a"), waits("b")][..], &[settled("b"), waits("c")], &[waits("c")]] {
        one.demands.replace(&key, demanded).await.expect("replace");
        assert_eq!(other.demands.find(&key).await.expect("find"), demanded);
        let listed = other.demands.list(&key.user).await.expect("list");
        assert!(listed.iter().all(|(slot, _)| *slot == key.slot));
        assert!(listed.into_iter().map(|(_, scope)| scope).eq(demanded.iter().cloned()));
    }
    one.credentials.put(&key, &record(2), Some(Version(1))).await.expect("put");
    assert_eq!(other.demands.find(&key).await.expect("find"), [waits("c")], "a refresh keeps it");
    let neighbour = stored(one, "demanded2").await;
    assert_eq!(other.demands.find(&neighbour).await.expect("find"), []);

    other.credentials.remove(&key).await.expect("remove").expect("a record");
    assert_eq!(one.demands.find(&key).await.expect("find"), []);
}

async fn one_registers_for_all(one: &Stores, other: &Stores) {
    let github = upstream("registered");
    let claim = async |stores: &Stores, holder, now| {
        stores.registrations.claim(&github, None, [holder; 16], now, soon()).await.expect("claim")
    };
    let first = claim(one, 1, NOW).await.expect("nobody was at it");
    assert!(claim(other, 2, NOW).await.is_none(), "one at a time");
    assert_eq!(other.registrations.find(&github).await.expect("find"), None, "not yet");
    one.registrations.release(&first).await.expect("release");

    let slow = claim(one, 1, NOW).await.expect("it was given back");
    let fast = claim(other, 2, soon()).await.expect("it ran out");
    other.registrations.put(&fast, &registered(7)).await.expect("put");
    let late = one.registrations.put(&slow, &registered(8)).await;
    assert!(matches!(late, Err(StoreError::Conflict)), "{late:?}");
    assert_eq!(one.registrations.find(&github).await.expect("find"), Some(registered(7)));
    assert!(claim(one, 1, soon()).await.is_none(), "it is done");
}

async fn a_registration_is_replaced_by_one(one: &Stores, other: &Stores) {
    let github = upstream("forgotten");
    let claim = async |stores: &Stores, over, holder| {
        let claim = stores.registrations.claim(&github, over, [holder; 16], NOW, soon()).await;
        claim.expect("claim")
    };
    let turn = claim(one, None, 1).await.expect("nobody was at it");
    one.registrations.put(&turn, &registered(1)).await.expect("put");
    let turn = claim(other, Some(Version(1)), 2).await.expect("it may be replaced");
    other.registrations.put(&turn, &registered(2)).await.expect("put");
    assert!(claim(one, Some(Version(1)), 1).await.is_none(), "another was replaced");
    assert_eq!(one.registrations.find(&github).await.expect("find"), Some(registered(2)));
}

fn registered(version: i64) -> SealedRegistration {
    let sealed = Sealed(format!("\0registration {version}").into_bytes());
    SealedRegistration { version: Version(version), sealed }
}

// --- data keys ----------------------------------------------------------------------------------

async fn the_first_key_stays(one: &Stores, other: &Stores) {
    let (user, name) = (person(one, "key").await, ServiceKeyName::new("first"));
    assert_eq!(one.data_keys.find(&user).await.expect("find"), None);
    assert_eq!(one.service_keys.find(&name).await.expect("find"), None);
    let mut callers = JoinSet::new();
    for rival in 0..RIVALS {
        let stores = pick(rival, one, other).clone();
        let (user, name) = (user.clone(), name.clone());
        callers.spawn(async move {
            let fresh = wrapped(&rival.to_string(), rival);
            let data_key = stores.data_keys.insert(&user, &fresh, NOW).await;
            let service_key = stores.service_keys.insert(&name, &fresh, NOW).await;
            (data_key.expect("insert"), service_key.expect("insert"))
        });
    }
    let keys = callers.join_all().await;
    let stored = (
        one.data_keys.find(&user).await.expect("find").expect("a key"),
        one.service_keys.find(&name).await.expect("find").expect("a key"),
    );
    assert!(keys.iter().all(|key| *key == stored), "{keys:?}");
}

async fn a_wrapped_key_is_replaced_by_one(one: &Stores, other: &Stores, trail: &dyn AuditTrail) {
    let user = person(one, "rewrap").await;
    let name = ServiceKeyName::new("rewrap");
    let (id, started_at) = (WriterId([42; 16]), NOW);
    let owners = [
        KeyOwner::Person(user.clone()),
        KeyOwner::Service(name.clone()),
        KeyOwner::AuditWriter { id, started_at },
    ];
    for owner in &owners {
        let absent = one.wrapped_keys.replace(owner, &wrapped("old", 0), &wrapped("new", 1)).await;
        assert!(matches!(absent, Err(StoreError::Conflict)), "nothing to replace: {absent:?}");
    }

    let old = wrapped("old", 0);
    one.data_keys.insert(&user, &old, NOW).await.expect("insert");
    one.service_keys.insert(&name, &old, NOW).await.expect("insert");
    let writer = Writer { id, started_at, key: old.clone(), expired: Head::START };
    trail.begin(&writer, &[]).await.expect("begin");
    for owner in &owners {
        let mut rivals = JoinSet::new();
        for rival in 0..RIVALS {
            let (keys, owner) = (pick(rival, one, other).wrapped_keys.clone(), owner.clone());
            rivals.spawn(async move {
                keys.replace(&owner, &wrapped("old", 0), &wrapped("new", rival + 1)).await
            });
        }
        let outcomes = rivals.join_all().await;
        let won = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        let lost =
            outcomes.iter().filter(|outcome| matches!(outcome, Err(StoreError::Conflict))).count();
        assert_eq!((won, lost), (1, usize::from(RIVALS) - 1), "{owner}: {outcomes:?}");
    }

    let stored = one.data_keys.find(&user).await.expect("find").expect("a key");
    assert_eq!(stored.wrapped_by, wrapped("new", 0).wrapped_by);
    let other_bytes = WrappedKey { bytes: old.bytes, ..stored };
    let moved = other.wrapped_keys.replace(&owners[0], &other_bytes, &wrapped("new", 9)).await;
    assert!(matches!(moved, Err(StoreError::Conflict)), "the bytes count too: {moved:?}");

    let kept = other.data_keys.remove(&user, &other_bytes).await;
    assert!(matches!(kept, Err(StoreError::Conflict)), "to destroy too: {kept:?}");
    let stored = one.data_keys.find(&user).await.expect("find").expect("a key");
    other.data_keys.remove(&user, &stored).await.expect("remove");
    assert_eq!(one.data_keys.find(&user).await.expect("find"), None);
    let stored = one.service_keys.find(&name).await.expect("find").expect("a key");
    other.service_keys.remove(&name, &stored).await.expect("remove");
    assert_eq!(one.service_keys.find(&name).await.expect("find"), None);
}

async fn wrapped_keys_are_paged_and_counted(one: &Stores, other: &Stores) {
    let mut expected = Vec::new();
    // Locales order these in other ways than bytes do; any order will do that leaves none out.
    for name in ["page-a", "page_B", "page-c", "pageD", "page é", "page-0", "page_1"] {
        let user = person(one, name).await;
        one.data_keys.insert(&user, &wrapped("paged", 1), NOW).await.expect("insert");
        expected.push(KeyOwner::Person(user));
        let name = ServiceKeyName::new(name);
        one.service_keys.insert(&name, &wrapped("paged", 1), NOW).await.expect("insert");
        expected.push(KeyOwner::Service(name));
    }
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = other.wrapped_keys.page(after.as_ref(), 3).await.expect("page");
        assert!(page.len() <= 3, "{page:?}");
        let Some((last, _)) = page.last() else { break };
        after = Some(last.clone());
        seen.extend(page);
    }
    let owners: std::collections::HashSet<_> = seen.iter().map(|(owner, _)| owner).collect();
    assert_eq!(owners.len(), seen.len(), "nobody twice: {seen:?}");
    assert!(expected.iter().all(|owner| owners.contains(owner)), "nobody left out: {seen:?}");

    let counted = one.wrapped_keys.count().await.expect("count");
    for kind in [KeyKind::Person, KeyKind::Service] {
        let paged = Wraps { by: wrapped("paged", 1).wrapped_by, kind, count: 7 };
        assert!(counted.contains(&paged), "{counted:?}");
    }
    let all: u64 = counted.iter().map(|wraps| wraps.count).sum();
    assert_eq!(usize::try_from(all).expect("few"), seen.len(), "{counted:?}");
}

/// Crypto-shredding: without the data key, every copy of what it sealed is noise.
async fn a_person_is_erased_with_everything_of_theirs(one: &Stores, other: &Stores) {
    let (user, stays) = (person(one, "erased").await, person(one, "stays").await);
    for user in [&user, &stays] {
        one.data_keys.insert(user, &wrapped("old", 1), NOW).await.expect("insert");
        one.credentials.put(&key(user, "github"), &record(1), None).await.expect("put");
    }
    let session = Session {
        digest: SessionDigest(digest(77)),
        user: user.clone(),
        created_at: NOW,
        expires_at: soon(),
    };
    one.sessions.insert(&session, &sign_in()).await.expect("insert");
    let flow = connect(&user, "github", 78, 0);
    one.connects.insert(&flow, 5, NOW).await.expect("insert");

    assert!(other.people.remove(&user).await.expect("remove"));
    assert!(!one.people.remove(&user).await.expect("remove"), "nobody is there any more");
    assert_eq!(one.people.find(&user).await.expect("find"), None);
    assert_eq!(one.data_keys.find(&user).await.expect("find"), None);
    assert_eq!(one.credentials.find(&key(&user, "github")).await.expect("find"), None);
    assert_eq!(one.sessions.find(session.digest, NOW).await.expect("find"), None);
    assert_eq!(one.connects.find(flow.state).await.expect("find"), None);

    // A rotation, and a gateway that was about to seal, find nobody to write for.
    let rewrapped = one
        .wrapped_keys
        .replace(&user.clone().into(), &wrapped("old", 1), &wrapped("new", 1))
        .await;
    assert!(matches!(rewrapped, Err(StoreError::Conflict)), "{rewrapped:?}");
    let sealed = one.data_keys.insert(&user, &wrapped("old", 2), NOW).await;
    assert!(matches!(sealed, Err(StoreError::Conflict)), "{sealed:?}");
    assert!(one.data_keys.find(&stays).await.expect("find").is_some(), "another person's");
}

// --- the authorization server -------------------------------------------------------------------

fn grant(user: &UserId, id: &str, created_at: Timestamp) -> Grant {
    Grant {
        id: GrantId::new(id),
        user: user.clone(),
        client_id: "client".to_owned(),
        client_name: "A \"client\"".to_owned(),
        resource: "https://gw.example.com/mcp/notes".to_owned(),
        scopes: vec!["mcp:use".to_owned()],
        created_at,
        expires_at: created_at.plus(Duration::from_mins(10)),
    }
}

fn code(digest: u8) -> Code {
    Code {
        digest: [digest; 32],
        challenge: "challenge".to_owned(),
        redirect_uri: "http://127.0.0.1/cb".to_owned(),
        expires_at: NOW.plus(Duration::from_mins(1)),
    }
}

async fn a_code_is_redeemed_by_one(one: &Stores, other: &Stores) {
    let ada = person(one, "codes").await;
    let (granted, code) = (grant(&ada, "codes-1", NOW), code(41));
    one.grants.insert(&granted, &code, 9, NOW).await.expect("insert");
    let issued = Issued { grant: granted.clone(), code: code.clone(), redeemed: false };
    assert_eq!(other.grants.find_code(code.digest, NOW).await.expect("find"), Some(issued.clone()));
    assert_eq!(other.grants.list(&ada, NOW).await.expect("list"), []);

    let end = NOW.plus(Duration::from_hours(24));
    let late = code.expires_at;
    assert!(!one.grants.redeem(code.digest, [1; 32], [2; 32], end, late).await.expect("redeem"));
    let mut rivals = JoinSet::new();
    for rival in 0..RIVALS {
        let grants = pick(rival, one, other).grants.clone();
        let digest = code.digest;
        rivals.spawn(async move { grants.redeem(digest, [rival; 32], [2; 32], end, NOW).await });
    }
    let won = rivals.join_all().await.into_iter().filter(|won| *won.as_ref().expect("redeem"));
    assert_eq!(won.count(), 1);
    // It is known when it comes back, until the grant ends.
    let granted = Grant { expires_at: end, ..granted };
    let spent = Issued { grant: granted.clone(), redeemed: true, ..issued };
    assert_eq!(other.grants.find_code(code.digest, NOW).await.expect("find"), Some(spent));
    assert_eq!(other.grants.find_code(code.digest, end).await.expect("find"), None);
    let active = ActiveGrant { grant: granted.clone(), renewed_at: NOW };
    assert_eq!(one.grants.list(&ada, NOW).await.expect("list"), [active]);
    assert!(one.grants.remove(&granted.id).await.expect("remove"));
    assert!(!other.grants.remove(&granted.id).await.expect("remove"));
    assert_eq!(other.grants.find_code(code.digest, NOW).await.expect("find"), None);
}

async fn a_family_goes_on_from_its_last_turn(one: &Stores, other: &Stores) {
    let ada = person(one, "families").await;
    let end = NOW.plus(Duration::from_hours(24));
    let granted = grant(&ada, "families-1", NOW);
    one.grants.insert(&granted, &code(42), 9, NOW).await.expect("insert");
    assert!(one.grants.redeem([42; 32], [50; 32], [1; 32], end, NOW).await.expect("redeem"));
    let later = NOW.plus(Duration::from_mins(1));
    let mut rivals = JoinSet::new();
    for rival in 0..RIVALS {
        let grants = pick(rival, one, other).grants.clone();
        rivals.spawn(async move { grants.rotate([50; 32], [1; 32], [2; 32], later).await });
    }
    let won = rivals.join_all().await.into_iter().filter(|won| *won.as_ref().expect("rotate"));
    assert_eq!(won.count(), 1);
    let family = other.grants.find_family([50; 32], later).await.expect("find");
    let family = family.expect("a family");
    assert_eq!(family.grant, Grant { expires_at: end, ..granted.clone() });
    assert_eq!((family.turn, family.last_turn), ([2; 32], Some([1; 32])));
    assert_eq!(family.turned_at, later);
    assert!(!one.grants.rotate([50; 32], [2; 32], [3; 32], end).await.expect("rotate"));
    assert_eq!(other.grants.find_family([50; 32], end).await.expect("find"), None);
    assert_eq!(other.grants.find(&granted.id, end).await.expect("find"), None);
}

async fn grants_are_bounded_by_person_and_end(one: &Stores, other: &Stores) {
    let ada = person(one, "grants").await;
    for number in 0..4 {
        let at = NOW.plus(Duration::from_secs(u64::from(number)));
        let granted = grant(&ada, &format!("grants-{number}"), at);
        one.grants.insert(&granted, &code(60 + number), 3, at).await.expect("insert");
    }
    let kept =
        async |id: &str| other.grants.find(&GrantId::new(id), NOW).await.expect("find").is_some();
    assert!(!kept("grants-0").await && kept("grants-1").await && kept("grants-3").await);
    assert!(one.people.remove(&ada).await.expect("remove"));
    assert!(!kept("grants-3").await, "it goes with its person");
}

async fn registered_clients_are_bounded_and_forgotten(one: &Stores, other: &Stores) {
    let client = |id: &str, created_at: Timestamp| RegisteredClient {
        id: id.to_owned(),
        name: "A client".to_owned(),
        redirect_uris: vec!["http://127.0.0.1/cb".to_owned()],
        auth_method: "none".to_owned(),
        secret: Some([7; 32]),
        created_at,
        expires_at: created_at.plus(Duration::from_hours(1)),
    };
    let known = async |id: &str, at| other.clients.find(id, at).await.expect("find").is_some();
    let approved = client("clients-approved", NOW);
    assert!(one.clients.insert(&approved, 2, NOW).await.expect("insert"));
    assert_eq!(other.clients.find(&approved.id, NOW).await.expect("find"), Some(approved));
    let until = NOW.plus(Duration::from_hours(9));
    one.clients.keep("clients-approved", until).await.expect("keep");
    for number in 0..3 {
        let at = NOW.plus(Duration::from_secs(number));
        let one_more = client(&format!("clients-{number}"), at);
        assert!(one.clients.insert(&one_more, 2, at).await.expect("insert"));
    }
    assert!(!known("clients-0", NOW).await && known("clients-1", NOW).await);
    let later = NOW.plus(Duration::from_hours(2));
    assert!(!known("clients-1", later).await && known("clients-approved", later).await);
    let full = one.clients.insert(&client("clients-4", NOW), 1, NOW).await.expect("insert");
    assert!(!full, "those that somebody approved are not dropped");

    // But for those that are of no use to anybody any more.
    let ada = person(one, "evicts").await;
    let granted = Grant { client_id: "clients-approved".to_owned(), ..grant(&ada, "evicts", NOW) };
    one.grants.insert(&granted, &code(93), 9, NOW).await.expect("insert");
    assert_eq!(other.clients.evict(9, NOW).await.expect("evict"), 0);
    assert_eq!(other.clients.evict(0, granted.expires_at).await.expect("evict"), 0);
    assert_eq!(other.clients.evict(9, granted.expires_at).await.expect("evict"), 1);
    assert!(!known("clients-approved", NOW).await);
}

async fn a_device_is_decided_about_once(one: &Stores, other: &Stores) {
    let asked = device(1);
    assert!(one.devices.insert(&asked, 9, NOW).await.expect("insert"));
    let by_user_code = async |at| {
        let found = other.devices.find_by_user_code(asked.user_code, at).await;
        found.expect("find")
    };
    assert_eq!(by_user_code(NOW).await, Some(asked.clone()));
    assert_eq!(by_user_code(asked.expires_at).await, None);
    assert_eq!(other.devices.find(digest(9)).await.expect("find"), None);
    let late = one.devices.decide(asked.device_code, Decision::Approved, asked.expires_at).await;
    assert!(!late.expect("decide"));

    let mut rivals = JoinSet::new();
    for rival in 0..RIVALS {
        let (devices, code) = (pick(rival, one, other).devices.clone(), asked.device_code);
        let decision = if rival % 3 == 0 { Decision::Refused } else { Decision::Approved };
        rivals.spawn(async move {
            let counts = devices.decide(code, decision, NOW).await.expect("decide");
            counts.then_some(decision)
        });
    }
    let decided: Vec<_> = rivals.join_all().await.into_iter().flatten().collect();
    assert_eq!(decided.len(), 1, "{decided:?}");
    let found = one.devices.find(asked.device_code).await.expect("find").expect("it is kept");
    assert_eq!(found, Device { decision: decided.first().copied(), ..asked.clone() });
    assert_eq!(by_user_code(NOW).await, None, "nobody is asked again");
}

async fn devices_that_wait_are_bounded(one: &Stores, other: &Stores) {
    let later = device(1).expires_at;
    for (number, taken) in [(2, true), (3, true), (4, false)] {
        let asked = Device { expires_at: later.plus(Duration::from_secs(1)), ..device(number) };
        assert_eq!(one.devices.insert(&asked, 2, later).await.expect("insert"), taken, "{number}");
        let kept = other.devices.find(asked.device_code).await.expect("find").is_some();
        assert_eq!(kept, taken, "nobody gives way");
    }
    let gone = other.devices.find(device(1).device_code).await.expect("find");
    assert_eq!(gone, None, "an expired one makes room");
}

async fn people_are_listed_switched_and_barred(one: &Stores, other: &Stores) {
    let profile = |email: &str| Profile { email: Some(email.to_owned()), ..Profile::default() };
    let make = async |name: &str, email| {
        let (issuer, profile, fresh) = (issuer(), profile(email), UserId::new(name));
        one.people.upsert(&issuer, name, &profile, fresh, NOW).await.expect("upsert")
    };
    let person = make("roster-1", "Only@example.com").await;
    let twins = [make("roster-2", "both@x.org").await, make("roster-3", "BOTH@x.org").await];
    let page = other.roster.page(Some(&UserId::new("roster-")), 1).await.expect("page");
    assert_eq!(page, std::slice::from_ref(&person));
    let page = other.roster.page(Some(&person.id), 2).await.expect("page");
    assert_eq!(page, twins);
    for (email, found) in
        [("only@example.com", std::slice::from_ref(&person)), ("both@X.org", &twins), ("%", &[])]
    {
        assert_eq!(other.roster.find_by_email(email).await.expect("find"), found, "{email}");
    }
    for (text, found) in [
        ("ONLY@", std::slice::from_ref(&person)),
        ("oth@x", &twins),
        ("roster-1", std::slice::from_ref(&person)),
        ("roster-", &[]),
        ("%", &[]),
        ("b_th", &[]),
    ] {
        assert_eq!(other.roster.search(text, None, 9).await.expect("search"), found, "{text}");
    }
    let behind = other.roster.search("both", Some(&twins[0].id), 9).await.expect("search");
    assert_eq!(behind, twins[1..]);

    let (session, reach) = (SessionDigest([90; 32]), Reach::everything());
    let until = NOW.plus(Duration::from_hours(1));
    let begin = async || {
        let (user, created_at, expires_at) = (person.id.clone(), NOW, until);
        let begun = Session { digest: session, user: user.clone(), created_at, expires_at };
        one.sessions.insert(&begun, &sign_in()).await.expect("insert");
        let (id, name, reach) = (TokenId::new("roster"), "a".to_owned(), reach.clone());
        let last_used_at = None;
        let token = PersonalToken { id, user, name, reach, created_at, expires_at, last_used_at };
        assert!(one.personal_tokens.insert(&token, [91; 32], 9).await.expect("insert"));
        let granted = grant(&person.id, "roster", NOW);
        one.grants.insert(&granted, &code(92), 9, NOW).await.expect("insert");
    };
    let left = async || {
        usize::from(other.sessions.find(session, NOW).await.expect("find").is_some())
            + other.personal_tokens.list(&person.id).await.expect("list").len()
            + usize::from(other.grants.find_code([92; 32], NOW).await.expect("find").is_some())
    };
    begin().await;
    for (disabled, kept) in [(false, 3), (true, 0), (false, 0)] {
        assert!(one.roster.switch(&person.id, disabled).await.expect("switch"));
        let found = other.people.find(&person.id).await.expect("find");
        assert_eq!(found.map(|person| person.disabled), Some(disabled));
        assert_eq!(left().await, kept, "{disabled}");
    }
    assert!(!one.roster.switch(&UserId::new("nobody"), true).await.expect("switch"));

    one.data_keys.insert(&person.id, &wrapped("old", 1), NOW).await.expect("insert");
    one.roster.bar(&person, UserId::new("roster-4")).await.expect("bar");
    assert_eq!(other.people.find(&person.id).await.expect("find"), None);
    assert_eq!(other.data_keys.find(&person.id).await.expect("find"), None);
    let (issuer, profile) = (issuer(), profile("a@b"));
    let back = other.people.upsert(&issuer, "roster-1", &profile, person.id.clone(), NOW).await;
    let back = back.expect("upsert");
    assert_eq!((back.id.as_str(), back.disabled), ("roster-4", true));
}

// --- ends --------------------------------------------------------------------------------------

async fn what_is_over_is_found_until_it_is_gone(one: &Stores, other: &Stores) {
    let ada = person(one, "over").await;
    let at = |seconds| NOW.plus(Duration::from_secs(seconds));
    let [early, late, open] = ["early", "late", "open"].map(|server| key(&ada, server));
    for (key, ends_at) in [(&late, Some(at(2))), (&early, Some(at(1))), (&open, None)] {
        one.credentials.put(key, &record(1), None).await.expect("put");
        one.ends.set(key, ends_at).await.expect("set");
    }
    // Of what is not there, nothing is remembered.
    one.ends.set(&key(&ada, "nothing"), Some(NOW)).await.expect("set");
    for (now, limit, expected) in [
        (NOW, 9, &[][..]),
        (at(1), 9, &[&early][..]),
        (at(2), 9, &[&early, &late]),
        (at(2), 1, &[&early]),
    ] {
        let over = other.ends.over(now, limit).await.expect("over");
        assert_eq!(over.iter().collect::<Vec<_>>(), expected);
    }
    // Another end, none any more, and a credential that went.
    one.ends.set(&early, Some(at(3))).await.expect("set");
    let left = other.ends.over(at(2), 9).await.expect("over");
    assert_eq!(left, std::slice::from_ref(&late));
    one.ends.set(&early, None).await.expect("set");
    one.credentials.remove(&late).await.expect("remove");
    assert_eq!(other.ends.over(at(9), 9).await.expect("over"), []);
}

// --- notices ------------------------------------------------------------------------------------

async fn one_tells_for_all(one: &Stores, other: &Stores) {
    let ada = person(one, "told").await;
    let (first, second) = (key(&ada, "first"), key(&ada, "second"));
    let due_at = |seconds| NOW.plus(Duration::from_secs(seconds));
    let ending = |seconds| Planned { news: News::Ending { at: NOW }, due_at: due_at(seconds) };
    for (key, seconds) in [(&second, 2), (&first, 1)] {
        one.credentials.put(key, &record(1), None).await.expect("put");
        one.notices.plan(key, Version(1), Some(ending(seconds))).await.expect("plan");
    }
    assert!(other.notices.claim(NOW, NOW, due_at(60)).await.expect("claim").is_none(), "not yet");

    let mut rivals = JoinSet::new();
    for rival in 0..RIVALS {
        let notices = pick(rival, one, other).notices.clone();
        rivals
            .spawn(async move { notices.claim(due_at(1), NOW, due_at(60)).await.expect("claim") });
    }
    let mut claimed: Vec<_> = rivals.join_all().await.into_iter().flatten().collect();
    let claim = claimed.pop().expect("somebody's");
    assert!(claimed.is_empty(), "{claimed:?}");
    assert_eq!((&claim.key, claim.version, claim.tries), (&first, Version(1), 1));
    assert_eq!(claim.news, ending(1).news);

    // What is told stays told, and what failed comes back, as does what nobody settled.
    one.notices.settle(&claim).await.expect("settle");
    let claim =
        other.notices.claim(due_at(2), NOW, due_at(60)).await.expect("claim").expect("the other");
    assert_eq!(claim.key, second);
    other.notices.postpone(&claim, due_at(30)).await.expect("postpone");
    assert!(one.notices.claim(due_at(29), NOW, due_at(60)).await.expect("claim").is_none());
    for (now, tries) in [(30, 2), (90, 3)] {
        let again = one.notices.claim(due_at(30), due_at(now), due_at(now + 60)).await;
        let again = again.expect("claim").expect("due again");
        assert_eq!((&again.key, again.tries), (&second, tries));
        let held = one.notices.claim(due_at(30), due_at(now + 59), due_at(999)).await;
        assert!(held.expect("claim").is_none(), "somebody tells it");
    }
    // Who was too slow settles nothing.
    one.notices.settle(&claim).await.expect("settle");
    let left = one
        .notices
        .claim(due_at(150), due_at(150), due_at(210))
        .await
        .expect("claim")
        .expect("due");
    one.notices.settle(&left).await.expect("settle");
}

async fn news_go_with_what_they_are_about(one: &Stores, other: &Stores) {
    let ada = person(one, "newsworthy").await;
    let key = key(&ada, "github");
    let ended = News::Ended { at: NOW, reason: Reason::InvalidGrant };
    let ending = News::Ending { at: NOW.plus(Duration::from_secs(9)) };
    let planned = |news| Some(Planned { news, due_at: NOW });
    let plan = async |version, news| {
        one.notices.plan(&key, Version(version), news).await.expect("plan");
    };
    let told = async || {
        let claim = other.notices.claim(NOW, NOW, NOW.plus(Duration::from_mins(1))).await;
        let claim = claim.expect("claim")?;
        other.notices.settle(&claim).await.expect("settle");
        Some((claim.version, claim.news))
    };
    one.credentials.put(&key, &record(1), None).await.expect("put");
    plan(2, None).await;
    assert_eq!(told().await, None);
    plan(2, planned(ending)).await;
    plan(1, planned(ended)).await;
    assert_eq!(told().await, Some((Version(2), ending)), "an older version changes nothing");
    plan(3, planned(ending)).await;
    assert_eq!(told().await, None, "the same is not told twice");
    plan(4, planned(ended)).await;
    assert_eq!(told().await, Some((Version(4), ended)));
    plan(5, None).await;
    plan(6, planned(ended)).await;
    assert_eq!(told().await, Some((Version(6), ended)), "what was over may happen again");
    plan(7, planned(ending)).await;
    one.credentials.remove(&key).await.expect("remove");
    assert_eq!(told().await, None, "nobody is told of what is gone");
    let stray = one.notices.plan(&key, Version(8), planned(ending)).await;
    assert!(matches!(stray, Err(StoreError::Conflict)), "{stray:?}");
}

// --- audit --------------------------------------------------------------------------------------

async fn audit_is_listed_newest_first(one: &Stores, other: &Stores) {
    let event = |seconds, user: Option<&str>, outcome| AuditEvent {
        at: NOW.plus(Duration::from_secs(seconds)),
        user: user.map(UserId::new),
        server: user.map(connection),
        method: user.map(|_| Method::Connect),
        action: Action::Refresh,
        outcome,
        request_id: user.map(RequestId::new),
        count: None,
    };
    let failed = Outcome::Failure(Reason::InvalidGrant);
    let early = event(1, Some("grace"), Outcome::Success);
    let twin = event(1, None, Outcome::Success);
    let late = event(2, Some("grace"), failed);
    let unrelated = event(3, Some("ada"), Outcome::Success);
    one.audit.append(&[]).await.expect("nothing");
    one.audit.append(&[late.clone(), early.clone()]).await.expect("append");
    other.audit.append(&[twin.clone(), unrelated.clone()]).await.expect("append");

    let all = other.audit.list(None, 10).await.expect("list");
    assert_eq!(all, [unrelated, late.clone(), twin, early.clone()]);
    let grace = UserId::new("grace");
    assert_eq!(one.audit.list(Some(&grace), 10).await.expect("list"), [late.clone(), early]);
    assert_eq!(one.audit.list(Some(&grace), 1).await.expect("list"), [late]);
}

async fn audit_of_an_upstream_is_of_all_its_accounts(one: &Stores, trail: &dyn AuditTrail) {
    let event = |server| AuditEvent {
        at: NOW,
        user: None,
        server: Some(connection(server)),
        method: None,
        action: Action::Connect,
        outcome: Outcome::Success,
        request_id: None,
        count: None,
    };
    let servers = ["a_b", "a_b@work", "a_b@home", "a_bc", "a-b@work"];
    one.audit.append(&servers.map(event)).await.expect("append");
    for (asked, expected) in
        [("a_b", &["a_b@home", "a_b@work", "a_b"][..]), ("a_b@work", &["a_b@work"])]
    {
        let filter = Filter { server: Some(connection(asked)), ..Filter::default() };
        let listed = trail.newest(&filter, 10).await.expect("newest");
        let listed = listed.into_iter().filter_map(|one| one.event.server);
        assert_eq!(listed.map(|name| name.to_string()).collect::<Vec<_>>(), expected);
    }
}

async fn audit_of_a_person_goes_on_where_it_ended(one: &Stores, trail: &dyn AuditTrail) {
    let event = |seconds, user| AuditEvent {
        at: NOW.plus(Duration::from_secs(seconds)),
        user: Some(UserId::new(user)),
        server: None,
        method: None,
        action: Action::SignIn,
        outcome: Outcome::Success,
        request_id: None,
        count: None,
    };
    let (hers, his) = ("reader", "another-reader");
    let events = [event(1, hers), event(2, hers), event(2, hers), event(2, his), event(3, hers)];
    one.audit.append(&events).await.expect("append");
    for user in [Some(UserId::new(hers)), None] {
        let mut filter = Filter { user, action: Some(Action::SignIn), ..Filter::default() };
        let mut seen = Vec::new();
        while let [listed] = &*trail.newest(&filter, 1).await.expect("newest") {
            seen.extend(listed.event.user.clone().filter(|user| user.as_str() == hers));
            filter.below = Some((listed.event.at, listed.id));
        }
        assert_eq!(seen.len(), 4, "each once");
    }
}

// --- everybody's, as numbers --------------------------------------------------------------------

async fn everybodys_are_counted(one: &Stores, other: &Stores) {
    let before = one.survey.people().await.expect("people");
    let users = [person(one, "counted-1").await, person(one, "counted-2").await];
    one.roster.switch(&users[1], true).await.expect("switch");
    let after = other.survey.people().await.expect("people");
    assert_eq!((after.all - before.all, after.disabled - before.disabled), (2, 1));

    let ended = Health::NeedsReconnect(Reason::InvalidGrant);
    for (user, server, health) in [
        (&users[0], "counted", Health::Good),
        (&users[1], "counted", Health::Good),
        (&users[0], "counted@work", ended),
    ] {
        let key = CredentialKey::upstream(user.clone(), connection(server));
        let record = Record { health, ..record(1) };
        one.credentials.put(&key, &record, None).await.expect("put");
    }
    let held = other.survey.credentials().await.expect("credentials");
    let counted = |server: &str| {
        let of_it = held.iter().find(|held| held.server == connection(server));
        of_it.map(|held| (held.ended, held.count))
    };
    assert_eq!(counted("counted"), Some((None, 2)));
    assert_eq!(counted("counted@work"), Some((Some(Reason::InvalidGrant), 1)));

    let since = NOW.plus(Duration::from_hours(1_000_000));
    let event = |minutes, outcome| AuditEvent {
        at: since.plus(Duration::from_mins(minutes)),
        user: None,
        server: Some(connection("counted")),
        method: None,
        action: Action::Refresh,
        outcome,
        request_id: None,
        count: None,
    };
    let failed = Outcome::Failure(Reason::ProviderUnavailable);
    let events = [
        event(0, Outcome::Success),
        event(59, Outcome::Success),
        event(60, Outcome::Success),
        event(61, failed),
    ];
    one.audit.append(&events).await.expect("append");
    let tally = |hour, outcome, count, minutes| attache_core::store::Tally {
        server: Some(connection("counted")),
        action: Action::Refresh,
        outcome,
        hour,
        count,
        last: since.plus(Duration::from_mins(minutes)),
    };
    let (fine, broken) = (tally(1, Outcome::Success, 1, 60), tally(1, failed, 1, 61));
    let first = tally(0, Outcome::Success, 2, 59);
    let happened = other.survey.happened(since, 100).await.expect("happened");
    assert_eq!(happened, [broken.clone(), fine, first]);
    assert_eq!(one.survey.happened(since, 1).await.expect("happened"), [broken]);
}

// --- props --------------------------------------------------------------------------------------

fn pick<'s>(rival: u8, one: &'s Stores, other: &'s Stores) -> &'s Stores {
    if rival.is_multiple_of(2) { one } else { other }
}

fn issuer() -> IssuerId {
    IssuerId::new("https://idp.example.com")
}

fn upstream(name: &str) -> UpstreamName {
    UpstreamName::parse(name).expect("a name")
}

fn connection(name: &str) -> ConnectionName {
    name.parse().expect("a name")
}

fn digest(number: u8) -> [u8; 32] {
    [number; 32]
}

/// When the leases of this suite run out.
fn soon() -> Timestamp {
    NOW.plus(Duration::from_secs(30))
}

async fn person(stores: &Stores, name: &str) -> UserId {
    let person =
        stores.people.upsert(&issuer(), name, &Profile::default(), UserId::new(name), NOW).await;
    person.expect("upsert").id
}

fn connect(user: &UserId, server: &str, number: u8, began_seconds: u64) -> ConnectFlow {
    let created_at = NOW.plus(Duration::from_secs(began_seconds));
    ConnectFlow {
        state: digest(number),
        user: user.clone(),
        session: SessionDigest(digest(number)),
        connection: connection(server),
        issuer: Some(issuer()),
        redirect_uri: "https://gw.example.com/api/v1/user/credentials/github/callback".to_owned(),
        scopes: vec!["repo".to_owned(), "read:user".to_owned()],
        resource: None,
        created_at,
        expires_at: created_at.plus(Duration::from_mins(10)),
    }
}

fn device(number: u8) -> Device {
    Device {
        device_code: digest(number),
        user_code: digest(100 + number),
        client_id: "client".to_owned(),
        resource: "https://gw.example.com/mcp/notes".to_owned(),
        address: (number > 1).then(|| "2001:db8::1".to_owned()),
        decision: None,
        created_at: NOW,
        expires_at: NOW.plus(Duration::from_mins(10)),
    }
}

fn wrapped(by: &str, byte: u8) -> WrappedKey {
    WrappedKey { wrapped_by: KeyId(format!("local:{by}").into()), bytes: vec![byte; 60] }
}

fn key(user: &UserId, server: &str) -> CredentialKey {
    CredentialKey::upstream(user.clone(), connection(server))
}

fn record(number: i64) -> Record {
    Record {
        version: Version(number),
        sealed: Sealed(format!("\0sealed {number}").into_bytes()),
        health: Health::Good,
        obtained_via: ObtainedVia::ConnectFlow,
        expires_at: Some(NOW.plus(Duration::from_hours(1))),
        updated_at: NOW,
    }
}

/// A person of this name with version 1 of a credential.
async fn stored(stores: &Stores, name: &str) -> CredentialKey {
    let key = key(&person(stores, name).await, "github");
    stores.credentials.put(&key, &record(1), None).await.expect("put");
    key
}

async fn version(stores: &Stores, key: &CredentialKey) -> Option<Version> {
    let found = stores.credentials.find(key).await.expect("find");
    found.map(|found| found.record.version)
}

async fn granted(
    stores: &Stores,
    key: &CredentialKey,
    holder: u8,
    now: Timestamp,
) -> (Lease, Stored) {
    granted_at(stores, key, Version(1), holder, now).await
}

async fn granted_at(
    stores: &Stores,
    key: &CredentialKey,
    seen: Version,
    holder: u8,
    now: Timestamp,
) -> (Lease, Stored) {
    let until = now.plus(Duration::from_secs(30));
    let leased = stores.credentials.lease(key, seen, [holder; 16], now, until).await;
    let Ok(Leased::Granted(lease, found)) = leased else { unreachable!("{leased:?}") };
    (lease, found)
}
