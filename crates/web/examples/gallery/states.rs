//! Fake people and servers in every state there is.

use std::time::Duration;

use attache_broker::{
    Condition, Connection, KeyKind, KeyOffer, Offer, Replacement, Status,
    connections::Revocation,
    offboarding::Receipt,
    overview::{Day, Hour, Key, KeyRole, Trouble, UpstreamDay},
    term::LENGTHS,
};
use attache_core::{
    Access, Account, ConnectionName, GrantId, IssuerId, ObtainedVia, Reach, RequestId, Secret,
    Slot, Timestamp, TokenId, UserId,
    audit::{Action, AuditEvent, Outcome, Reason, trail::Listed},
    explain::Turn,
    principal::SessionDigest,
    problem::Kind,
    store::{self, Headcount, PersonalToken, Profile, Session, Version},
};
use attache_identity::{
    LoginError,
    authorization_server::{Asked, AskedDevice, Destination, LetIn, Opens, Vouched},
};
use attache_web::{
    Protocol, Served,
    audit_query::AuditQuery,
    pages::{
        AccountPage, ActivityPage, ClientsPage, ConnectPage, ConnectionsPage, ConsentPage,
        DeviceCodePage, DevicePage, JoinPage, KeyPage, Notice, Person, ProgramsPage, SessionsPage,
        TokensPage, admin,
        tokens::{Draft, Made},
    },
    place::Place,
    result::{ConnectResult, Ending},
};
use http::HeaderValue;

/// Name and HTML of each.
pub(crate) fn all() -> Vec<(&'static str, String)> {
    let mut pages = vec![
        ("connections", connections(&everything(), None)),
        ("connections-empty", connections(&[], None)),
        ("connections-none-yet", connections(&nothing_yet(), None)),
    ];
    for (name, ending) in [
        ("connections-connected", Ending::Connected),
        ("connections-declined", Ending::Failed(Reason::AccessDenied)),
        ("connections-wrong-person", Ending::Failed(Reason::WrongPerson)),
        ("connections-operator", Ending::Failed(Reason::InvalidClient)),
    ] {
        pages.push((name, connections(&everything(), Some(&result("github", ending)))));
    }
    for (name, told) in [
        ("connections-disconnected", None),
        ("connections-not-revoked", Some(Reason::RevocationUnsupported)),
        ("connections-revocation-failed", Some(Reason::ProviderUnavailable)),
    ] {
        let ending = Ending::Disconnected(told);
        pages.push((name, connections(&nothing_yet(), Some(&result("github", ending)))));
    }
    for (name, status) in [
        ("connect", Status::NotConnected),
        ("connect-again", Status::Connected),
        ("connect-ended", Status::NeedsReconnect),
    ] {
        pages.push((
            name,
            connect("github", "https://github.com/login", &["repo", "read:user"], status),
        ));
    }
    let long = "https://login.microsoftonline.example.com/organizations/oauth2/v2.0/authorize";
    let scopes =
        ["https://graph.microsoft.example.com/Calendars.ReadWrite.Shared", "offline_access"];
    pages.push((
        "connect-long",
        connect("calendar-of-the-whole-company", long, &scopes, Status::NotConnected),
    ));
    pages.push((
        "connect-default",
        connect("linear", "https://linear.app/oauth", &[], Status::NotConnected),
    ));
    for (name, kind, status, refused) in [
        ("key", KeyKind::Key, Status::NotConnected, None),
        ("key-again", KeyKind::Key, Status::NeedsReconnect, None),
        ("key-refused", KeyKind::Key, Status::NotConnected, Some(Reason::KeyRefused)),
        ("key-pair", KeyKind::Basic, Status::NotConnected, None),
    ] {
        let page = KeyPage::new(ada(), &KeyOffer { server: self::name("weather"), kind, status });
        let page = refused.map_or(page.clone(), |reason| page.refused(reason));
        pages.push((name, page.to_string()));
    }
    pages.push(("connect-more", ConnectPage::new(ada(), step_up()).to_string()));
    let account = |id, label| Account::new(Some(id), Some(label)).expect("it can be shown");
    for (name, approved) in [("account", "ada@home.example.net"), ("account-alike", "ada-lovelace")]
    {
        let asked = Replacement {
            server: self::name("github"),
            attempt: Version(1_795_435_200_000),
            connected: account("583231", "ada-lovelace"),
            approved: account("9919", approved),
        };
        pages.push((name, AccountPage::new(ada(), &asked).to_string()));
    }
    pages.extend(consents());
    pages.extend(devices());
    for (name, failed) in [("join", None), ("join-declined", Some(Reason::AccessDenied))] {
        let offer = offer("github", "https://github.com/login", &["repo"], Status::NotConnected);
        pages.push((name, JoinPage::new(ada(), offer, failed).to_string()));
    }
    pages.push(("client-unknown", Notice::unknown_client().to_string()));
    pages.push(("client-unusable", Notice::unusable_client().to_string()));
    pages.push(("client-unanswerable", Notice::unanswerable("It cannot be.").to_string()));
    pages.push(("tokens", tokens(&[token("nightly report", 3), token("phone", 40)], None)));
    pages.push(("tokens-empty", tokens(&[], None)));
    let value = Secret::new("attp_7Hq2mXv0LrTz9KcWbYp4NdGs1JfEaUo8SjDhLw");
    let made = Made { name: "nightly report".to_owned(), value };
    pages.push(("tokens-made", tokens(&[token("nightly report", 0)], Some(made))));
    pages.push(("programs", programs()));
    pages.extend(activities());
    pages.extend(clients());
    pages.extend(administration());
    pages.push(("sessions", sessions()));
    pages.push(("signed-out", Notice::signed_out().to_string()));
    pages.push((
        "login-failed",
        Notice::not_signed_in(&LoginError::UserinfoUnavailable, id()).to_string(),
    ));
    pages.push(("not-begun", Notice::not_begun(ada(), Reason::StoreUnavailable, id()).to_string()));
    for kind in Kind::ALL {
        pages.push((kind.facts().slug, Notice::of(*kind, id()).to_string()));
    }
    pages
}

/// What a client may be that asks to act for somebody.
fn consents() -> Vec<(&'static str, String)> {
    let site = Destination::Site("app.example.net".to_owned());
    let program = Destination::Program("cursor".to_owned());
    [
        ("consent", Some(ada()), "Notepad", Vouched::Nobody, Destination::ThisMachine, true),
        ("consent-signed-out", None, "Desk", Vouched::Operator, site.clone(), true),
        (
            "consent-published",
            Some(ada()),
            "The editor with the very long name of a whole company",
            Vouched::Host("editor.example.net".to_owned()),
            site,
            false,
        ),
        ("consent-program", Some(ada()), "Cursor", Vouched::Nobody, program, true),
    ]
    .map(|(name, who, client, vouched, destination, upstream)| {
        let asked = Asked {
            client: client.to_owned(),
            vouched,
            destination,
            opens: if upstream { Opens::Upstream(self::name("github")) } else { Opens::Everything },
            request: "response_type=code&client_id=x".to_owned(),
            ticket: "ticket".to_owned(),
            cookie: HeaderValue::from_static("x"),
        };
        (name, ConsentPage::new(who, asked).to_string())
    })
    .into()
}

/// A device in the same room, one somewhere else, and codes that were typed.
fn devices() -> Vec<(&'static str, String)> {
    let wrong = Some("No device waits with this code. It is good for ten minutes, and once.");
    let mut pages = vec![
        ("device-code", DeviceCodePage::new(ada(), "", None).to_string()),
        ("device-code-linked", DeviceCodePage::new(ada(), "WDJB-MJHT", None).to_string()),
        ("device-code-wrong", DeviceCodePage::new(ada(), "WDJB-<b>", wrong).to_string()),
        ("device-let-in", Notice::device_let_in().to_string()),
        ("device-refused", Notice::device_refused().to_string()),
    ];
    for (name, address) in [
        ("device", Some("203.0.113.7")),
        ("device-elsewhere", Some("192.0.2.9")),
        ("device-unknown", None),
    ] {
        let asked = AskedDevice {
            client: "attache on the command line".to_owned(),
            opens: Opens::Api,
            user_code: "WDJB-MJHT".to_owned(),
            address: address.map(ToOwned::to_owned),
            asked_at: Timestamp(NOW.0 - 90_000),
            ticket: "ticket".to_owned(),
            cookie: HeaderValue::from_static("x"),
        };
        let here = "203.0.113.7".parse().ok();
        pages.push((name, DevicePage::new(ada(), asked, here, NOW).to_string()));
    }
    pages
}

const NOW: Timestamp = Timestamp(1_795_435_200_000);

fn ada() -> Person {
    Person {
        name: "Ada Lovelace".to_owned(),
        email: Some("ada@example.com".to_owned()),
        administers: false,
    }
}

#[expect(clippy::unnecessary_wraps, reason = "what the pages take")]
fn id() -> Option<RequestId> {
    Some(RequestId::new("m3zLqkq0s7dLh1dO"))
}

fn name(name: &str) -> ConnectionName {
    name.parse().expect("a fake server has a good name")
}

fn result(server: &str, ending: Ending) -> ConnectResult {
    ConnectResult { server: name(server), ending }
}

fn connections(connections: &[Connection], result: Option<&ConnectResult>) -> String {
    ConnectionsPage::new(ada(), connections, result, NOW).to_string()
}

fn connect(server: &str, endpoint: &str, scopes: &[&str], status: Status) -> String {
    ConnectPage::new(ada(), offer(server, endpoint, scopes, status)).to_string()
}

fn offer(server: &str, endpoint: &str, scopes: &[&str], status: Status) -> Offer {
    Offer {
        server: name(server),
        authorization_endpoint: endpoint.parse().expect("a fake endpoint is a URL"),
        scopes: scopes.iter().map(ToString::to_string).collect(),
        wanted: Vec::new(),
        granted: Vec::new(),
        status,
        account: (status != Status::NotConnected)
            .then(|| Account::new(None, Some("ada-lovelace")))
            .flatten(),
        lengths: LENGTHS.to_vec(),
        is_open_ended: true,
    }
}

/// Of an upstream that wants more than it was given; nobody knows what it writes there.
fn step_up() -> Offer {
    let words = |text: &str| text.split(' ').map(str::to_owned).collect();
    Offer {
        server: name("notes"),
        authorization_endpoint: "https://as.example.com".parse().expect("a URL"),
        scopes: words("notes:read notes:write <i>admin</i>"),
        wanted: words("notes:write <i>admin</i>"),
        granted: words("notes:read"),
        status: Status::Connected,
        account: Account::new(None, Some("ada-lovelace")),
        lengths: LENGTHS[..2].to_vec(),
        is_open_ended: false,
    }
}

fn tokens(tokens: &[PersonalToken], made: Option<Made>) -> String {
    let servers =
        ["github", "linear", "calendar-of-the-whole-company"].map(|server| name(server).upstream);
    TokensPage::new(ada(), tokens, servers.into(), Draft::default(), made, NOW).to_string()
}

fn token(name: &str, days_ago: u32) -> PersonalToken {
    let created_at = NOW.minus(Duration::from_hours(24 * u64::from(days_ago)));
    PersonalToken {
        id: TokenId::new(format!("id-{days_ago}")),
        user: UserId::new("ada"),
        name: name.to_owned(),
        reach: Reach::only([self::name("github"), self::name("linear")]).reading(),
        created_at,
        expires_at: created_at.plus(Duration::from_hours(24 * 30)),
        last_used_at: (days_ago > 0).then(|| NOW.minus(Duration::from_mins(12))),
    }
}

fn programs() -> String {
    let server = |server: &str| Opens::Upstream(name(server));
    let program = |client: &str, vouched, opens| LetIn {
        grant: GrantId::new(client),
        client: client.to_owned(),
        vouched,
        opens,
        since: NOW.minus(Duration::from_hours(50)),
        renewed_at: NOW.minus(Duration::from_mins(12)),
        expires_at: NOW.plus(Duration::from_hours(24 * 88)),
    };
    let programs = vec![
        program("Desk", Vouched::Operator, Opens::Everything),
        program("attache on the command line", Vouched::Operator, Opens::Api),
        program("Scribe", Vouched::Host("scribe.example.com".to_owned()), server("linear")),
        program("Notepad", Vouched::Nobody, server("github")),
    ];
    ProgramsPage::new(ada(), programs, NOW).to_string()
}

fn activities() -> Vec<(&'static str, String)> {
    let failed = Outcome::Failure(Reason::ProviderUnavailable);
    let listed: Vec<_> = [
        (1, Some("github"), Action::Inject, Outcome::Success),
        (2, Some("github"), Action::Inject, Outcome::Success),
        (61, Some("github@work"), Action::Refresh, Outcome::Success),
        (70, Some("linear"), Action::Refresh, failed),
        (80, Some("linear"), Action::Connect, Outcome::Failure(Reason::AccessDenied)),
        (300, None, Action::TokenCreate, Outcome::Success),
        (4000, None, Action::SignIn, Outcome::Success),
    ]
    .into_iter()
    .map(|(minutes, server, action, outcome)| listed(minutes, server, action, outcome))
    .collect();
    let place = Some(Place((NOW, 7)));
    let page = |listed: &[Listed], from, older| {
        ActivityPage::new(ada(), listed, from, older, NOW).to_string()
    };
    vec![
        ("activity", page(&listed, None, place)),
        ("activity-last", page(&listed, place, None)),
        ("activity-empty", page(&[], None, None)),
    ]
}

fn listed(minutes: u64, server: Option<&str>, action: Action, outcome: Outcome) -> Listed {
    let event = AuditEvent {
        at: NOW.minus(Duration::from_mins(minutes)),
        user: Some(UserId::new("ada")),
        server: server.map(name),
        method: None,
        action,
        outcome,
        request_id: id(),
        count: None,
    };
    Listed { id: 1, event, at: None, seal: None }
}

fn clients() -> Vec<(&'static str, String)> {
    let served = |server: &str, protocol| Served {
        name: name(server).upstream,
        protocol,
        access: Access::Everyone,
    };
    let github = served("github", Protocol::Mcp);
    let weather = served("weather-of-the-whole-company", Protocol::Http);
    let page = |shown, signs_in| {
        let origin = "https://gw.example.com";
        ClientsPage::new(ada(), origin, &[&github, &weather], shown, signs_in).to_string()
    };
    vec![
        ("clients", page(None, true)),
        ("clients-of-one", page(Some(&github), true)),
        ("clients-without-sign-in", page(Some(&github), false)),
        ("clients-http", page(Some(&weather), true)),
    ]
}

/// A day with trouble of each kind, one without anything, and what is done about people and keys.
fn administration() -> Vec<(&'static str, String)> {
    let upstream = |server: &str, turn, used, reason: Option<Reason>| UpstreamDay {
        name: name(server).upstream,
        mode: "oauth_connect",
        connected: 12,
        ended: u64::from(reason.is_some()),
        day: Hour { used, failed: 3 },
        turn,
        trouble: reason
            .map(|reason| Trouble { reason, count: 3, last: NOW.minus(Duration::from_mins(4)) })
            .into_iter()
            .collect(),
    };
    let hour = |hour: u64| Hour { used: hour * 150 % 1_300, failed: hour % 5 };
    let day = Day {
        hours: (0..24).map(hour).collect(),
        upstreams: vec![
            upstream("github", None, 12_345, None),
            upstream("linear", Some(Turn::Operator), 0, Some(Reason::InvalidClient)),
            upstream("jira", Some(Turn::Nobody), 9, Some(Reason::ProviderUnavailable)),
            upstream("calendar-of-the-whole-company", None, 0, None),
        ],
        is_whole: false,
    };
    let quiet = Day { hours: vec![Hour::default(); 24], upstreams: Vec::new(), is_whole: true };
    let overview = |people, day| {
        admin::OverviewPage::new(ada(), Headcount { all: people, disabled: people / 9 }, day, NOW)
            .to_string()
    };
    let whom = |name: Option<&str>, disabled| store::Person {
        id: UserId::new("b3JkZXJseQ"),
        issuer: IssuerId::new("https://idp.example.com"),
        subject: "00u1<grace>".to_owned(),
        profile: Profile {
            email: name.map(|_| "grace@example.com".to_owned()),
            name: name.map(ToOwned::to_owned),
            groups: vec!["engineering".to_owned(), "platform".to_owned()],
        },
        disabled,
        created_at: NOW.minus(Duration::from_hours(2_000)),
        last_signed_in_at: Some(NOW.minus(Duration::from_hours(3))),
    };
    let (grace, nameless) = (whom(Some("Grace Hopper"), false), whom(None, true));
    let people = |sought: &str, people: &[store::Person]| {
        let next = people.first().map(|person| person.id.clone());
        admin::PeoplePage::new(ada(), sought, people, next.as_ref(), NOW).to_string()
    };
    let receipt = |revocation| Receipt { slot: Slot::Upstream(name("github")), revocation };
    let failed = Some(Revocation::Failed(Reason::ProviderUnavailable));
    let receipts = [receipt(Some(Revocation::Revoked)), receipt(None), receipt(failed)];
    let erased =
        |receipts: &[Receipt]| admin::OffboardedPage::new(ada(), &grace, receipts).to_string();
    let key = |name: &str, role, data_keys| Key {
        name: name.to_owned(),
        role,
        data_keys,
        audit_writers: 1,
        service_keys: 0,
    };
    let unused = Key { audit_writers: 0, ..key("local:77aa", KeyRole::Retired, 0) };
    let keys = [
        key("local:1b2c", KeyRole::Active, 4_711),
        key("local:9f0e", KeyRole::Retired, 12),
        unused,
        key("vault:transit/attache", KeyRole::Missing, 1),
    ];
    let entries = [
        listed(1, Some("github@work"), Action::Inject, Outcome::Success),
        listed(5, Some("linear"), Action::Refresh, Outcome::Failure(Reason::InvalidGrant)),
        listed(9, None, Action::SignIn, Outcome::Success),
    ];
    let asked = AuditQuery::parse("server=github&action=refresh&since=7d").expect("a good one");
    let audit = |query: &AuditQuery, entries: &[Listed], older| {
        admin::AuditPage::new(ada(), query, entries, older, NOW).to_string()
    };
    vec![
        ("admin", overview(1_234, &day)),
        ("admin-quiet", overview(0, &quiet)),
        ("admin-people", people("", &[grace.clone(), nameless.clone()])),
        ("admin-people-nobody", people("<b>", &[])),
        ("admin-person", admin::PersonPage::new(ada(), &grace, NOW).to_string()),
        ("admin-person-off", admin::PersonPage::new(ada(), &nameless, NOW).to_string()),
        ("admin-person-erased", erased(&receipts)),
        ("admin-person-erased-with-nothing", erased(&[])),
        ("admin-keys", admin::KeysPage::new(ada(), &keys).to_string()),
        ("admin-audit", audit(&AuditQuery::default(), &entries, Some(Place((NOW, 7))))),
        ("admin-audit-empty", audit(&asked, &[], None)),
    ]
}

fn sessions() -> String {
    let session = |number: u8| Session {
        digest: SessionDigest([number; 32]),
        user: UserId::new("ada"),
        created_at: NOW.minus(Duration::from_hours(u64::from(number))),
        expires_at: NOW.plus(Duration::from_hours(20)),
    };
    let sessions = [1, 4].map(session);
    SessionsPage::new(ada(), &sessions, SessionDigest([1; 32]), NOW).to_string()
}

fn nothing_yet() -> Vec<Connection> {
    ["github", "linear", "notion"].map(|server| connection(server, Status::NotConnected)).into()
}

fn everything() -> Vec<Connection> {
    let long = "https://graph.microsoft.example.com/Calendars.ReadWrite.Shared";
    vec![
        Connection {
            expires_at: Some(NOW.plus(Duration::from_mins(52))),
            scopes: vec!["repo".to_owned(), "read:user".to_owned()],
            account: Account::new(None, Some("ada-lovelace")),
            ..connection("github", Status::Connected)
        },
        Connection {
            expires_at: Some(NOW.plus(Duration::from_mins(17))),
            account: Account::new(None, Some("ada-lovelace")),
            same_account_as: Some(name("github")),
            ..connection("github@work", Status::Connected)
        },
        Connection {
            reason: Some(Reason::InvalidGrant),
            account: Account::new(None, Some("ada@example.com")),
            ..connection("linear", Status::NeedsReconnect)
        },
        connection("notion", Status::NotConnected),
        Connection {
            expires_at: Some(NOW.minus(Duration::from_hours(3))),
            ..connection("sentry", Status::Expired)
        },
        Connection {
            reason: Some(Reason::ProviderUnavailable),
            ..connection("jira", Status::Unavailable)
        },
        Connection {
            expires_at: Some(NOW.minus(Duration::from_mins(4))),
            scopes: vec![long.to_owned(), "offline_access".to_owned()],
            ..connection("calendar-of-the-whole-company", Status::Connected)
        },
        Connection {
            scopes: vec!["notes:read".to_owned()],
            wanted_scopes: vec!["notes:write".to_owned()],
            reason: Some(Reason::InsufficientScope),
            account: Account::new(None, Some("ada-lovelace")),
            ..connection("notes", Status::Connected)
        },
        connection("slack", Status::Connected),
        Connection {
            condition: Some(Condition::ProviderUnavailable),
            expires_at: Some(NOW.plus(Duration::from_mins(9))),
            ..connection("wiki", Status::Connected)
        },
        Connection {
            condition: Some(Condition::Expiring),
            expires_at: Some(NOW.plus(Duration::from_mins(33))),
            ends_at: Some(NOW.plus(Duration::from_hours(5 * 24))),
            ..connection("vercel", Status::Connected)
        },
        Connection {
            condition: Some(Condition::Misconfigured),
            reason: Some(Reason::InvalidClient),
            ..connection("zoom", Status::Unavailable)
        },
    ]
}

fn connection(server: &str, status: Status) -> Connection {
    let stored = status != Status::NotConnected;
    Connection {
        server: name(server),
        mode: "oauth_connect",
        status,
        condition: match status {
            Status::NotConnected => None,
            Status::Connected => Some(Condition::Connected),
            Status::Expired | Status::NeedsReconnect => Some(Condition::NeedsReconnect),
            Status::Unavailable => Some(Condition::ProviderUnavailable),
        },
        reason: None,
        account: None,
        same_account_as: None,
        provider: Some(format!("{server}.example.com")),
        token_type: stored.then(|| "Bearer".to_owned()),
        scopes: Vec::new(),
        wanted_scopes: Vec::new(),
        audience: None,
        obtained_via: stored.then_some(ObtainedVia::ConnectFlow),
        expires_at: None,
        ends_at: None,
        updated_at: stored.then(|| NOW.minus(Duration::from_hours(49))),
    }
}
