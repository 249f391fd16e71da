//! Sockets. What listens, what connects, and the rules about where to.
//!
//! Two clients stand on one connector that asks [`address::EgressRules`] about the very
//! address it is about to use: [`upstream`] streams the data plane's requests, [`outbound`] fetches
//! the small documents of the control plane. [`line_service`] asks programs on this machine.
//! [`serve`] is the other side: the listener, its worker
//! threads, and how they end.

pub mod address;
pub mod body;
mod connect;
pub mod line_service;
pub mod outbound;
pub mod resolve;
pub mod serve;
pub mod shutdown;
pub mod tls;
pub mod upgrade;
pub mod upstream;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
