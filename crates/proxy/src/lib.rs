//! The path of a request: who calls, may they, with which credential, and the bytes.
//!
//! [`front`] is the life of a request, top to bottom; every other file is one of its steps.

mod account;
mod aggregate;
pub mod body;
mod breaker;
mod bridge;
mod crowd;
mod events;
#[cfg(feature = "ext-authz")]
mod ext_authz;
mod forward;
mod forward_auth;
pub mod front;
mod gate;
mod gather;
mod guard;
mod headers;
mod inspect;
mod listing;
mod mcp;
mod member;
mod members;
pub mod metrics;
mod refusal;
mod request_id;
mod rest;
mod revision;
pub mod route;
mod session;
pub mod snapshot;
mod sse;
mod trailers;
mod websocket;

pub use forward_auth::{Proof, Proxy};
pub use front::{Front, FrontParts};
pub use metrics::Metrics;
pub use session::SESSION_KEY;
pub use snapshot::{Protocol, Route, Snapshot, Transport};
