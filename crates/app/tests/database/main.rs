//! The gateway on PostgreSQL, with a cable between them that can be cut.

#[path = "../support/cable.rs"]
mod cable;
