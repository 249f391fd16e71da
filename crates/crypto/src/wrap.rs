//! The kinds of key-encryption key.

pub mod local;
