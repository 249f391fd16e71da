//! What people let clients do at the built-in authorization server, and clients that registered
//! themselves there.

use super::Result;
use crate::{GrantId, Timestamp, UserId};

/// One approval: of one client, by one person, for one resource. Its refresh tokens are one family
/// that lives as long as the grant (AS-20).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Random.
    pub id: GrantId,
    pub user: UserId,
    pub client_id: String,
    /// As it was shown to the person.
    pub client_name: String,
    /// What its tokens are for: their `aud` (RFC 8707).
    pub resource: String,
    pub scopes: Vec<String>,
    pub created_at: Timestamp,
    /// Nothing of it is good from here on.
    pub expires_at: Timestamp,
}

/// The authorization code of a grant, and what whoever brings it must prove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    /// SHA-256 of the code.
    pub digest: [u8; 32],
    /// Of PKCE, by S256 (RFC 7636 section 4.2).
    pub challenge: String,
    pub redirect_uri: String,
    pub expires_at: Timestamp,
}

/// A code that was issued: it is kept after it was redeemed, so that it is known when it comes back
/// (RFC 6749 section 10.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    pub grant: Grant,
    pub code: Code,
    pub redeemed: bool,
}

/// Where a family of refresh tokens is: digests of what its tokens have in common, of the one that
/// is good, and of the one before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Family {
    pub grant: Grant,
    pub family: [u8; 32],
    pub turn: [u8; 32],
    pub last_turn: Option<[u8; 32]>,
    pub turned_at: Timestamp,
}

/// One whose client has its tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveGrant {
    pub grant: Grant,
    /// When the client got an access token last.
    pub renewed_at: Timestamp,
}

#[async_trait::async_trait]
pub trait GrantStore: std::fmt::Debug + Send + Sync {
    /// Keeps at most `bound` grants of one person, dropping the oldest; deletes expired ones.
    async fn insert(&self, grant: &Grant, code: &Code, bound: u32, now: Timestamp) -> Result<()>;

    /// An unexpired grant.
    async fn find(&self, id: &GrantId, now: Timestamp) -> Result<Option<Grant>>;

    /// Reads without taking: who may redeem is decided before a code is spent.
    async fn find_code(&self, digest: [u8; 32], now: Timestamp) -> Result<Option<Issued>>;

    /// Spends the code and begins the family, with a new end of the grant. Of two callers, one gets
    /// `true`.
    async fn redeem(
        &self,
        digest: [u8; 32],
        family: [u8; 32],
        turn: [u8; 32],
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<bool>;

    /// By the digest of what all tokens of a family have in common.
    async fn find_family(&self, family: [u8; 32], now: Timestamp) -> Result<Option<Family>>;

    /// Makes `to` the good one in the place of `from`. Of two callers, one gets `true`.
    async fn rotate(
        &self,
        family: [u8; 32],
        from: [u8; 32],
        to: [u8; 32],
        now: Timestamp,
    ) -> Result<bool>;

    /// Whether there was such a grant.
    async fn remove(&self, id: &GrantId) -> Result<bool>;

    /// The redeemed and unexpired grants of one person, the newest first; at most 1,000.
    async fn list(&self, user: &UserId, now: Timestamp) -> Result<Vec<ActiveGrant>>;
}

/// A client that registered itself (RFC 7591).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisteredClient {
    pub id: String,
    pub name: String,
    pub redirect_uris: Vec<String>,
    /// `none`, `client_secret_basic` or `client_secret_post`.
    pub auth_method: String,
    /// SHA-256 of its secret, if it has one.
    pub secret: Option<[u8; 32]>,
    pub created_at: Timestamp,
    /// Forgotten from here on, unless somebody approves it again.
    pub expires_at: Timestamp,
}

#[async_trait::async_trait]
pub trait ClientStore: std::fmt::Debug + Send + Sync {
    /// Keeps at most `bound` clients that nobody ever approved, dropping the oldest of them, and
    /// at most as many that somebody did; deletes expired ones. `false` when there is no room.
    async fn insert(&self, client: &RegisteredClient, bound: u32, now: Timestamp) -> Result<bool>;

    /// Makes room among those that somebody approved: forgets up to `limit` of the oldest that have no
    /// grant any more. How many.
    async fn evict(&self, limit: u32, now: Timestamp) -> Result<u64>;

    /// An unexpired client.
    async fn find(&self, id: &str, now: Timestamp) -> Result<Option<RegisteredClient>>;

    /// Somebody approved it: it is kept until then.
    async fn keep(&self, id: &str, until: Timestamp) -> Result<()>;
}
