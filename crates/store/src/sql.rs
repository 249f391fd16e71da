//! SQL, one file a kind of record: the statements, the trait, the row reader. The same text runs on
//! both databases.
//!
//! Columns are listed, never `*`: a replica of the last version must not be surprised by a column
//! that a migration added under it.

mod audit;
mod client;
mod connect;
mod credential;
mod demand;
mod device;
mod end;
mod grant;
mod login;
mod notice;
mod own_key;
mod person;
mod personal_token;
mod provisioned;
mod registration;
mod roster;
mod session;
mod survey;
mod trail;
mod wrapped_key;

use serde_json::Value;

/// How many rows one insert sweeps at most: it pays for itself and a little more, and is never held
/// up by a heap of them.
const SWEPT_PER_INSERT: u32 = 100;

/// A JSON array of strings; [`Row::list`](crate::db::Row::list) reads it.
fn list(items: &[String]) -> String {
    items.iter().map(String::as_str).collect::<Value>().to_string()
}

/// Enough of a digest to find the row by.
fn prefix(digest: &[u8; 32]) -> String {
    let [a, b, c, d, ..] = digest;
    format!("{a:02x}{b:02x}{c:02x}{d:02x}…")
}
