//! What the sandbox's services keep: a list of notes an account.

use std::collections::HashMap;

use crate::shared::Shared;

/// Notes of one account; the oldest go first.
const MAX_NOTES: usize = 100;
/// Characters of a note; the rest is dropped.
const MAX_LENGTH: usize = 2_000;

/// One notebook an account, in memory. Hand the same to the MCP server and to the HTTP API, and a
/// note written through one is read through the other.
#[derive(Debug, Default)]
pub struct Notes(Shared<HashMap<String, Vec<String>>>);

impl Notes {
    /// How many notes the account has now.
    pub(crate) fn add(&self, account: &str, text: &str) -> usize {
        self.0.with(|all| {
            let notes = all.entry(account.to_owned()).or_default();
            if notes.len() >= MAX_NOTES {
                notes.remove(0);
            }
            notes.push(text.chars().take(MAX_LENGTH).collect());
            notes.len()
        })
    }

    /// The oldest first.
    pub fn of(&self, account: &str) -> Vec<String> {
        self.0.with(|all| all.get(account).cloned().unwrap_or_default())
    }
}
