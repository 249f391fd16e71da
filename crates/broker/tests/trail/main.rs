//! The audit log against somebody who can write to the database, but has no key: on both databases,
//! whatever they do shows.

mod desk;
mod ledger;
mod retention;
mod tamper;

#[expect(dead_code, reason = "other tests crash their server")]
#[path = "../../../store/tests/support/postgres.rs"]
mod postgres;
