//! A receiver hears of connections before they end: signed, once, and no secret.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use attache_sandbox::{
    TokenAnswer,
    people::{ADA, GRACE},
};
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use tokio::time::sleep;

use crate::{
    bare::Arrived,
    postgres::Cluster,
    world::{Surroundings, World},
};

const SECRET: &str = "whsec_VGhlIHJlY2VpdmVyIGtub3dzIHRoaXMsIHRvby4=";
const DAY: Duration = Duration::from_hours(24);
/// A few looks of every gateway at what is due.
const SOME_LOOKS: Duration = Duration::from_secs(5);

/// As a receiver does it in another language, by the specification alone.
const VERIFY: &str = r#"
import base64, hashlib, hmac, sys
secret, id, timestamp, signature = sys.argv[1:]
key = base64.b64decode(secret.removeprefix("whsec_"))
signed = f"{id}.{timestamp}.".encode() + sys.stdin.buffer.read()
mine = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
sys.exit(0 if hmac.compare_digest(f"v1,{mine}", signature) else 1)
"#;

fn is_signed(hook: &Arrived, body: &str) -> bool {
    use std::io::Write as _;
    let header = |name: &str| hook.all(name).join("|");
    let mut verifier = Command::new("python3")
        .args(["-c", VERIFY, SECRET, &header("webhook-id"), &header("webhook-timestamp")])
        .arg(header("webhook-signature"))
        .stdin(std::process::Stdio::piped())
        .spawn()
        .expect("Python 3");
    let mut stdin = verifier.stdin.take().expect("piped");
    stdin.write_all(body.as_bytes()).expect("it reads");
    drop(stdin);
    verifier.wait().expect("it ends").success()
}

fn told(world: &World) -> Vec<Arrived> {
    world.bare.arrived().into_iter().filter(|arrived| arrived.target == "/hook").collect()
}

async fn told_at_last(world: &World, count: usize) -> Vec<Arrived> {
    let begin = Instant::now();
    while told(world).len() < count {
        assert!(begin.elapsed() < Duration::from_secs(30), "{} of {count}", told(world).len());
        sleep(Duration::from_millis(50)).await;
    }
    sleep(SOME_LOOKS).await;
    let told = told(world);
    assert_eq!(told.len(), count, "once for all gateways");
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_is_told_once_signed_and_before() {
    let more = format!("[notices]\nwebhook = \"{{bare}}hook\"\nsecret = \"{SECRET}\"");
    let surroundings = Surroundings { more, ..Surroundings::default() };
    let cluster = Cluster::start();
    let world = World::among(cluster.url().expose(), surroundings).await;
    let (replica, origin) = world.replica().await;

    // A month without a way to renew it. Whoever leaves before is not written to.
    for server in [&world.notes, &world.mail] {
        server.set_lifetime(30 * DAY);
        server.token_answers().next(TokenAnswer::NoRefreshToken);
    }
    let mut ada = world.ada().await;
    for upstream in ["notes", "mail"] {
        assert_eq!(ada.connect(upstream).await.outcome, "connected");
    }
    let end = world.now() + 30 * 24 * 60 * 60;
    let program = world.program(ADA);
    let leave = program.request(Method::DELETE, "/api/v1/user/credentials/mail");
    program.send(leave.body(Bytes::new()).expect("a request")).await;
    world.later(26 * DAY);
    sleep(SOME_LOOKS).await;
    assert!(told(&world).is_empty());

    // A receiver that is not ready is asked again, with the same message.
    world.bare.refuse_next(1);
    world.later(DAY);
    told_at_last(&world, 1).await;
    world.later(Duration::from_secs(30));
    let all = told_at_last(&world, 2).await;
    let [first, second] = &all[..] else { unreachable!("two") };
    assert_eq!(first.all("webhook-id"), second.all("webhook-id"));
    assert_ne!(first.all("webhook-timestamp"), second.all("webhook-timestamp"));
    for hook in &all {
        assert!(is_signed(hook, &hook.body));
        assert!(!is_signed(hook, &hook.body.replace("notes", "mails")), "it was changed");
    }
    let message: Value = serde_json::from_str(&second.body).expect("JSON");
    let data = message.get("data").expect("data");
    let says = |name: &str| data.get(name).and_then(Value::as_str).expect("a text");
    assert_eq!(message.get("type"), Some(&json!("connection.ending")));
    assert_eq!(data.pointer("/user/email"), Some(&json!("ada@example.com")));
    assert_eq!((says("upstream"), data.get("reason")), ("notes", Some(&Value::Null)));
    assert_eq!(says("ends_at"), attache_core::Timestamp::from_seconds(end).to_string());
    let here = [&world.origin, &origin].map(|origin| format!("{origin}connect/notes"));
    assert!(here.contains(&says("connect_url").to_owned()), "{data}");

    // Withdrawn at the provider: told when the gateway finds out, whoever asks how often.
    world.notes.set_lifetime(Duration::from_hours(1));
    assert_eq!(world.grace().await.connect("notes").await.outcome, "connected");
    world.notes.withdraw(GRACE.id);
    world.later(Duration::from_hours(2));
    for origin in [&world.origin, &origin] {
        world.program_at(GRACE, origin).whoami("notes").await;
    }
    let all = told_at_last(&world, 3).await;
    let ended = all.last().expect("the third");
    assert!(is_signed(ended, &ended.body));
    let message: Value = serde_json::from_str(&ended.body).expect("JSON");
    assert_eq!(message.get("type"), Some(&json!("connection.needs_reconnect")));
    assert_eq!(message.pointer("/data/user/email"), Some(&json!("grace@example.com")));
    assert_eq!(message.pointer("/data/reason"), Some(&json!("invalid_grant")));

    for hook in &all {
        let secrets = [world.notes.secrets(), world.mail.secrets()].concat();
        assert!(!secrets.iter().any(|secret| hook.body.contains(secret)), "{}", hook.body);
    }
    let log = "SELECT outcome FROM audit_event WHERE action = 'notify'";
    let mut prompt = PgConnection::connect(cluster.url().expose()).await.expect("a prompt");
    let log: Vec<String> = sqlx::query_scalar(log).fetch_all(&mut prompt).await.expect("good SQL");
    assert_eq!(log, ["success", "success"]);
    replica.stop().await;
    world.end().await;
}
