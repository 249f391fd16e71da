//! Key-encryption keys, whole: the real Vault, the reference plugin, the command,
//! and a rotation under load.

#![cfg(test)]

mod bao;
mod commands;
#[expect(dead_code, reason = "the attacks ask more of it")]
#[path = "../support/forge.rs"]
mod forge;
mod load;
mod plugin;
#[expect(dead_code, reason = "the store's own tests ask more of it")]
#[path = "../../../store/tests/support/postgres.rs"]
mod postgres;
mod props;
mod rotation;
mod upstream;
mod vault;
