//! OAuth as messages: requests built, responses parsed, errors classified; it opens no socket.
//!
//! Whatever needs the network is handed an [`Outbound`](attache_core::outbound::Outbound). What a
//! remote server wrote never leaves this crate as text: codes are mapped onto the closed list
//! [`Reason`](attache_core::audit::Reason), descriptions are forgotten.

mod address;
pub mod auth_method;
pub mod authorize;
pub mod callback;
pub mod certificate_assertion;
pub mod challenge;
pub mod client_assertion;
pub mod client_auth;
pub mod client_choice;
pub mod client_metadata;
pub mod discover;
mod endpoint;
pub mod error;
pub mod id_token;
pub mod introspection;
pub mod issuer;
mod json;
mod kept;
pub mod logout_token;
pub mod pushed;
pub mod register;
pub mod revoke;
pub mod scope;
#[cfg(test)]
mod scripted;
pub mod secret_rotation;
pub mod token;
