//! The words every other part uses, and the seams between the parts.
//!
//! Nothing here does I/O. A type lives here when two crates that must not know each other both
//! speak of it: people ([`Principal`]), what a secret is for ([`Slot`]), the traits behind which
//! storage and the network stand ([`store`], [`outbound`]), and what is written to the audit log.

pub mod access;
pub mod account;
pub mod audit;
pub mod authenticator;
pub mod changes;
pub mod client_address;
pub mod credential;
pub mod dialect;
pub mod explain;
pub mod hours;
pub mod ids;
pub mod line_service;
pub mod origin;
pub mod outage;
pub mod outbound;
pub mod policy;
pub mod principal;
pub mod problem;
pub mod reach;
pub mod secret;
pub mod store;
pub mod subject_token;
pub mod time;
pub mod tools;
pub mod traffic;

pub use access::Access;
pub use account::Account;
pub use client_address::ClientAddress;
pub use credential::{Credential, CredentialKey, ObtainedVia, Slot, Validity};
pub use dialect::Dialect;
pub use ids::{
    AccountName, ClaimName, ConnectionName, GrantId, IssuerId, RequestId, RuleName, ServiceKeyName,
    TokenId, UpstreamName, UserId,
};
pub use origin::PublicOrigin;
pub use principal::Principal;
pub use reach::Reach;
pub use secret::Secret;
pub use time::{Clock, SystemClock, Timestamp};
