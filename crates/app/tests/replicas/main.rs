//! Three gateways, one PostgreSQL and nothing else between them: they serve the same people, and a
//! refresh token that rotates survives whatever happens to any of them (OC-25 to OC-27).
//!
//! The gateways are the real binary, each a process of its own; the providers are those of
//! `tests/peers`; between everybody are cables and tolls of ours, which see what passes and say when
//! a process dies.

#![cfg(test)]

#[path = "../support/brokered.rs"]
mod brokered;
#[path = "../support/cable.rs"]
mod cable;
#[expect(dead_code, reason = "journeys are made with more clients")]
#[path = "../support/clients.rs"]
mod clients;
#[expect(dead_code, reason = "journeys ask more of it")]
#[path = "../support/gateway.rs"]
mod gateway;
#[path = "../support/http.rs"]
mod http;
#[expect(dead_code, reason = "journeys ask more of them")]
#[path = "../support/peers.rs"]
mod peers;
#[expect(dead_code, reason = "journeys ask more of it")]
#[path = "../support/people.rs"]
mod people;
#[expect(dead_code, reason = "the store's own tests ask more of it")]
#[path = "../../../store/tests/support/postgres.rs"]
mod postgres;

mod call;
mod chance;
mod chaos;
mod crowd;
mod database;
mod everything_is_shared;
mod front;
mod ledger;
mod mirror;
mod one_refresh;
mod site;
mod toll;
mod wire;
