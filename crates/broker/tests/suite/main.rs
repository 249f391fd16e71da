//! The broker against a real store and a scripted authorization server.
//!
//! One program for all themes, so that the store is linked once. Time is the world's fake clock;
//! only pauses between two tries are real, because `SQLite` answers from a thread of its own, which
//! a paused runtime does not wait for.

#![cfg(test)]

mod account;
mod accounts;
mod audit;
mod authority;
mod breaker;
mod changes;
mod connect;
mod ending;
mod refresh;
mod service_key;
mod step_up;
mod support;
mod vault;
