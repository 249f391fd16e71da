//! Every way to change a log that we could think of, and what `verify` calls it.

use attache_broker::audit::verify::{Place, Problem};
use attache_core::audit::trail::WriterId;
use attache_crypto::digest::sha256;

use crate::desk::{Desk, entry};

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
    use At::{A, ARow, B, WriterA};
    use Problem::{Altered, Beheaded, Cut, Duplicate, Missing, Stray, UnknownKey, WriterAltered};
    desk.write_a_log().await;
    let untouched = desk.report().await;
    assert!(untouched.problems.is_empty(), "{untouched:?}");
    assert_eq!((untouched.rows, untouched.proven), (11, 11));
    let ends: Vec<_> = untouched.chains.iter().map(|chain| (chain.last, chain.ended)).collect();
    assert!(ends.contains(&(6, false)) && ends.contains(&(5, true)), "{ends:?}");

    let edit =
        |set: &str| format!("UPDATE audit_event SET {set} WHERE writer = {{A}} AND sequence = 3");
    let mut cases = Vec::new();
    for set in [
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
    ] {
        cases.push((edit(set), vec![(Altered, A(3))]));
    }
    let delete = |rows: &str| format!("DELETE FROM audit_event WHERE {rows}");
    let copy = |place: &str| {
        format!("{COPY}, {place} FROM audit_event WHERE writer = {{A}} AND sequence = 3")
    };
    cases.extend([
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
                    let (from, to) = step.split_once(" -> ").unwrap();
                    format!(
                        "UPDATE audit_event SET sequence = {to} WHERE writer = {{A}} AND sequence = {from}"
                    )
                })
                .join("; "),
            vec![(Altered, A(3))],
        ),
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
    ]);
    cases.push((rewritten_suffix(desk), vec![(Altered, A(4))]));

    for (sql, expected) in cases {
        desk.clear().await;
        desk.write_a_log().await;
        let writers = desk.writers().await;
        let [a, b] = writers[..] else { panic!("{writers:?}") };
        desk.run(&sql).await;
        let found = desk.problems().await;
        for (problem, at) in expected {
            let shown = found.iter().find(|(kind, _)| *kind == problem);
            let shown = shown.unwrap_or_else(|| panic!("{sql}: no {problem:?} in {found:?}"));
            match place(at, a, b) {
                Some(place) => assert_eq!(shown.1, place, "{sql}: {found:?}"),
                None => assert!(matches!(shown.1, Place::Row(_)), "{sql}: {found:?}"),
            }
        }
        if sql.starts_with("DROP INDEX") {
            desk.clear().await;
            desk.run("CREATE UNIQUE INDEX audit_event_by_place ON audit_event (writer, sequence)")
                .await;
        }
    }
}

fn place(at: At, a: WriterId, b: WriterId) -> Option<Place> {
    match at {
        At::A(sequence) => Some(entry(a, sequence)),
        At::B(sequence) => Some(entry(b, sequence)),
        At::WriterA => Some(Place::Writer(a)),
        At::ARow => None,
    }
}

/// Everything from the fourth entry on is somebody else's doing, with hashes that follow from each
/// other: what a chain without a key would take for true.
fn rewritten_suffix(desk: &Desk) -> String {
    let mut hash = [0; 32];
    (4..=6)
        .map(|sequence| {
            hash = sha256(&[&hash[..], b"mallory"].concat());
            format!(
                "UPDATE audit_event SET user_id = 'mallory', seal = {} WHERE writer = {{A}} AND sequence = {sequence}; ",
                desk.bytes(&hash)
            )
        })
        .collect()
}
