//! What the measurements share. Each is a program of its own under `bin/`, run by
//! `cargo xtask bench`; `docs/performance.md` says what they found.

pub mod folder;
pub mod gateway;
pub mod people;
pub mod processor;
pub mod report;
