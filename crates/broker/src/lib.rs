//! Strictly per person: a ready credential, else one refreshed or obtained, else an actionable
//! refusal. There is no other branch, and no credential that is not the caller's own.
//!
//! Three doors: [`Broker`] serves the data plane, [`Connections`] serves people, [`Offboarding`]
//! whoever runs the gateway; and a window, [`Overview`], for the two of them. Behind them:
//!
//! - [`vault`] seals and opens credentials under a data key per person;
//! - [`service_key`] is a key that all replicas share;
//! - [`rewrap`] brings all of these under another key-encryption key;
//! - [`flight`] makes one piece of work of many callers' wishes, owned by none of them;
//! - [`upstream::Mode`] is how an upstream's credentials are had, one file a mode: [`connect`],
//!   [`api_key`], [`exchange`] and its [`id_jag`];
//! - `subject` is what is exchanged: the caller's own token, or one that was kept;
//! - [`connect`] speaks to an upstream's authorization server, which `breaker` spares while it fails;
//! - [`condition`] says whose move a connection is, and when it ends;
//! - [`term`] ends connections that were made for a while;
//! - [`notices`] tells of what will end, or ended;
//! - [`audit`] writes down what happened;
//! - [`metrics`] counts what went wrong.

mod account;
pub mod api_key;
pub mod audit;
pub mod authority;
mod bells;
mod breaker;
pub mod broker;
pub mod condition;
pub mod connect;
pub mod connections;
mod demands;
mod disconnect;
mod due;
pub mod exchange;
pub mod flight;
pub mod id_jag;
pub mod injection;
pub mod metrics;
pub mod notices;
pub mod offboarding;
pub mod overview;
mod plaintext;
mod put;
mod ready;
mod refresh;
pub mod replacement;
pub mod rewrap;
mod rotation;
pub mod service_key;
pub mod signing_keys;
mod step_up;
mod subject;
pub mod tasks;
pub mod term;
pub mod upstream;
pub mod vault;

pub use api_key::{ApiKey, Entered, KeyKind, KeyOffer, KeyTest};
pub use broker::{Broker, ObtainError, Parts};
pub use condition::Condition;
pub use connections::{
    Act, BrowserSession, ConnectError, Connection, Connections, Ended, Finished, Offer, Status,
};
pub use exchange::{ExchangeForm, TokenExchange};
pub use id_jag::CrossAppAccess;
pub use injection::{Destination, HeaderForm, Injection};
pub use metrics::Metrics;
pub use offboarding::Offboarding;
pub use overview::Overview;
pub use replacement::{Decision, Replacement};
pub use rotation::Rotation;
pub use service_key::{ServiceKey, ServiceKeyParts};
pub use signing_keys::SigningKeys;
pub use subject::{IDENTITY_PROVIDER, SubjectTokens};
pub use tasks::Tasks;
pub use upstream::{Brokered, Mode};
