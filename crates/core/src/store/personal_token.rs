//! Tokens that people make for their own programs.

use std::fmt;

use super::{Person, Result};
use crate::{Reach, Timestamp, TokenId, UserId};

/// A personal access token, but for the token itself: the store has its SHA-256.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonalToken {
    pub id: TokenId,
    pub user: UserId,
    /// The person's own word for it.
    pub name: String,
    pub reach: Reach,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    /// To a minute.
    pub last_used_at: Option<Timestamp>,
}

#[async_trait::async_trait]
pub trait PersonalTokenStore: fmt::Debug + Send + Sync {
    /// Whether there was room: a person has at most `bound` of them. Those that have run out make
    /// room first.
    async fn insert(&self, token: &PersonalToken, digest: [u8; 32], bound: u32) -> Result<bool>;

    /// The token whose SHA-256 this is, unless it has run out, and its person.
    async fn find(
        &self,
        digest: [u8; 32],
        now: Timestamp,
    ) -> Result<Option<(PersonalToken, Person)>>;

    /// One person's, the newest first, those that have run out included.
    async fn list(&self, user: &UserId) -> Result<Vec<PersonalToken>>;

    /// It was used now, if it was not used after `before` already.
    async fn touch(&self, id: &TokenId, before: Timestamp, now: Timestamp) -> Result<()>;

    /// Whether this person had such a token.
    async fn remove(&self, user: &UserId, id: &TokenId) -> Result<bool>;
}
