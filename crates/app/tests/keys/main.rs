//! Key-encryption keys, whole: the real Vault, the reference plugin, the command.

#![cfg(test)]

mod bao;
mod commands;
mod plugin;
#[expect(dead_code, reason = "the store's own tests ask more of it")]
#[path = "../../../store/tests/support/postgres.rs"]
mod postgres;
mod props;
mod vault;
