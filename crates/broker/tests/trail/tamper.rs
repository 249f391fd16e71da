//! Every way to change a log that we could think of, and what `verify` calls it.

use std::fmt::Write as _;

use attache_broker::audit::verify::{
    Place,
    Problem::{self, Altered, Beheaded, Cut, Duplicate, Missing, Stray, UnknownKey, WriterAltered},
};
use attache_core::audit::trail::WriterId;
use attache_crypto::digest::sha256;

use crate::{
    desk::{Desk, entry},
    tamper::At::{A, ARow, B, WriterA},
};

#[tokio::test(flavor = "multi_thread")]
async fn nothing_goes_unseen_on_sqlite() {
    matrix(&Desk::sqlite("tamper").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_goes_unseen_on_postgresql() {
    matrix(&Desk::postgres().await).await;
}

#[derive(Clone, Copy, Debug)]
enum At {
    A(i64),
    B(i64),
    WriterA,
    ARow,
}

const COPY: &str = "INSERT INTO audit_event (at, user_id, server, method, action, outcome, reason,
        request_id, count, writer, sequence, seen, seal)
    SELECT at, user_id, server, method, action, outcome, reason, request_id, count";

async fn matrix(desk: &Desk) {
    desk.write_a_log().await;
    let untouched = desk.report().await;
    assert!(untouched.problems.is_empty(), "{untouched:?}");
    assert_eq!((untouched.rows, untouched.proven), (11, 11));
    let ends: Vec<_> = untouched.chains.iter().map(|chain| (chain.last, chain.ended)).collect();
    assert!(ends.contains(&(6, false)) && ends.contains(&(5, true)), "{ends:?}");

    for (sql, expected) in [edits(), moves(), others(desk)].concat() {
        desk.clear().await;
        desk.write_a_log().await;
        let writers = desk.writers().await;
        let [a, b] = writers[..] else { unreachable!("{writers:?}") };
        desk.run(&sql).await;
        let found = desk.problems().await;
        for (problem, at) in expected {
            let shown = found.iter().find(|(kind, _)| *kind == problem).map(|(_, at)| *at);
            match place(at, a, b) {
                Some(place) => assert_eq!(shown, Some(place), "{sql}: {problem:?} in {found:?}"),
                None => assert!(matches!(shown, Some(Place::Row(_))), "{sql}: {found:?}"),
            }
        }
        if sql.starts_with("DROP INDEX") {
            desk.clear().await;
            desk.run("CREATE UNIQUE INDEX audit_event_by_place ON audit_event (writer, sequence)")
                .await;
        }
    }
}

/// What is typed, and what must be said of it.
type Case = (String, Vec<(Problem, At)>);

fn edit(set: &str) -> String {
    format!("UPDATE audit_event SET {set} WHERE writer = {{A}} AND sequence = 3")
}

fn delete(rows: &str) -> String {
    format!("DELETE FROM audit_event WHERE {rows}")
}

fn copy(place: &str) -> String {
    format!("{COPY}, {place} FROM audit_event WHERE writer = {{A}} AND sequence = 3")
}

/// Each column of one entry.
fn edits() -> Vec<Case> {
    [
        "at = at + 1",
        "user_id = 'grace'",
        "user_id = NULL",
        "user_id = ''",
        "server = 'other'",
        "method = 'api_key'",
        "action = 'revoke'",
        "action = 'not a word'",
        "outcome = 'success', reason = NULL",
        "reason = 'access_denied'",
        "request_id = 'r-9'",
        "count = 4",
        "count = -1",
        "count = NULL",
        "seen = seal",
        "seal = (SELECT seal FROM audit_event WHERE writer = {A} AND sequence = 4)",
        "seal = NULL",
    ]
    .map(|set| (edit(set), vec![(Altered, A(3))]))
    .to_vec()
}

/// Entries that are taken away or put elsewhere.
fn moves() -> Vec<Case> {
    vec![
        // Moved to the end, of its own chain or of another one.
        (edit("sequence = 60"), vec![(Missing, A(3))]),
        (edit("writer = {B}, sequence = 6"), vec![(Altered, B(6)), (Missing, A(3))]),
        (edit("writer = NULL"), vec![(Missing, A(3)), (Stray, ARow)]),
        (edit("sequence = NULL"), vec![(Missing, A(3)), (Stray, ARow)]),
        (delete("writer = {A} AND sequence = 4"), vec![(Missing, A(4))]),
        (delete("writer = {A} AND sequence = 1"), vec![(Missing, A(1))]),
        // The tail, and a whole chain: the next process had seen them.
        (delete("writer = {A} AND sequence > 4"), vec![(Cut, A(6))]),
        (
            delete("writer = {A}") + "; DELETE FROM audit_writer WHERE writer = {A}",
            vec![(Cut, A(6))],
        ),
        ("DELETE FROM audit_writer WHERE writer = {A}".to_owned(), vec![(Cut, A(6)), (Stray, ARow)]),
        // Two rows change places.
        (
            ["3 -> 99", "4 -> 3", "99 -> 4"]
                .map(|step| {
                    let (from, to) = step.split_once(" -> ").expect("no faults here");
                    format!(
                        "UPDATE audit_event SET sequence = {to} WHERE writer = {{A}} AND sequence = {from}"
                    )
                })
                .join("; "),
            vec![(Altered, A(3))],
        ),
    ]
}

fn others(desk: &Desk) -> Vec<Case> {
    vec![
        (rewritten_suffix(desk), vec![(Altered, A(4))]),
        // Copies: at the end, at no place, and, without the index that forbids it, twice at one.
        (copy("writer, 7, seen, seal"), vec![(Altered, A(7))]),
        (copy("NULL, NULL, NULL, NULL"), vec![(Stray, ARow)]),
        (copy("writer, 0, seen, seal"), vec![(Stray, ARow)]),
        (
            "DROP INDEX audit_event_by_place; ".to_owned() + &copy("writer, 3, seen, seal"),
            vec![(Duplicate, A(3))],
        ),
        // A beginning that nobody's retention removed.
        (
            "UPDATE audit_writer SET expired_sequence = 2, expired_seal =
                (SELECT seal FROM audit_event WHERE writer = {A} AND sequence = 2)
             WHERE writer = {A}; DELETE FROM audit_event WHERE writer = {A} AND sequence <= 2"
                .to_owned(),
            vec![(Beheaded, A(2))],
        ),
        (
            "UPDATE audit_writer SET started_at = started_at - 1 WHERE writer = {A}".to_owned(),
            vec![(WriterAltered, WriterA)],
        ),
        (
            "UPDATE audit_writer SET wrapped =
                (SELECT wrapped FROM audit_writer WHERE writer = {B}) WHERE writer = {A}"
                .to_owned(),
            vec![(WriterAltered, WriterA)],
        ),
        (
            "UPDATE audit_writer SET wrapped_by = 'local:0' WHERE writer = {A}".to_owned(),
            vec![(UnknownKey("local:0".into()), WriterA)],
        ),
    ]
}

fn place(at: At, a: WriterId, b: WriterId) -> Option<Place> {
    match at {
        A(sequence) => Some(entry(a, sequence)),
        B(sequence) => Some(entry(b, sequence)),
        WriterA => Some(Place::Writer(a)),
        ARow => None,
    }
}

/// Everything from the fourth entry on is somebody else's doing, with hashes that follow from each
/// other: what a chain without a key would take for true.
fn rewritten_suffix(desk: &Desk) -> String {
    let (mut hash, mut sql) = ([0; 32], String::new());
    for sequence in 4..=6 {
        hash = sha256(&[&hash[..], b"mallory"].concat());
        let seal = desk.bytes(&hash);
        write!(
            sql,
            "UPDATE audit_event SET user_id = 'mallory', seal = {seal}
             WHERE writer = {{A}} AND sequence = {sequence}; "
        )
        .expect("a String takes any text");
    }
    sql
}
