//! A world of its own for each test: its time, its people, its database, its authorization server.

mod authorization_server;
mod clock;
mod faulty_store;
mod gate;
mod world;

use std::time::Duration;

pub(crate) use self::{
    authorization_server::{AuthorizationServer, LIFE, Manner, Trouble},
    faulty_store::Operation,
    gate::Held,
    world::{Gateway, START, Someone, World, bearer, key_ring, server},
};

/// What no error, log, answer or row may contain: part of every token and of every text that the
/// authorization server writes.
pub(crate) const MARK: &str = "SHIBBOLETH";

/// Waits for something that a task does on its own; longer than any pause of the broker's.
pub(crate) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let patience = Duration::from_secs(5);
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(patience, wait).await.is_ok(), "it never came true: {what}");
}
