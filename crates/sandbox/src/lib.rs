//! A small world to try things in, in one process and on loopback: an identity provider, an
//! authorization server, an MCP server and an HTTP API that behave, or misbehave, on request, and a
//! browser to play a person with.
//!
//! Every peer is started on an address, says its URL, and records what arrives at it. Nothing here
//! shares a line with the gateway's own OAuth code: a counterpart that made the same mistake would
//! not notice it.
//!
//! ```no_run
//! # async fn demo(ambient: attache_sandbox::Ambient) -> std::io::Result<()> {
//! use std::{net::{Ipv4Addr, SocketAddr}, sync::Arc};
//! use attache_sandbox::{AuthorizationServer, McpServer, Notes};
//!
//! let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
//! let notes = Arc::new(Notes::default());
//! let authorization_server = AuthorizationServer::start(anywhere, ambient).await?;
//! let mcp = McpServer::start(anywhere, authorization_server.tokens(), notes).await?;
//! # Ok(()) }
//! ```

pub mod ambient;
pub mod api;
pub mod authorization_server;
pub mod browser;
pub mod client;
pub mod entra;
pub mod idp;
pub mod mcp_server;
pub mod misbehave;
pub mod notes;
pub mod people;
pub mod protect;
pub mod recorder;

mod authorize;
mod bounded;
mod page;
mod params;
mod peer;
mod shared;
mod stream;

pub use ambient::Ambient;
pub use api::HttpApi;
pub use authorization_server::{AuthorizationServer, Stats};
pub use browser::{Browser, BrowserError, Form, Page};
pub use client::Client;
pub use entra::Entra;
pub use idp::IdentityProvider;
pub use mcp_server::McpServer;
pub use misbehave::{
    CallbackAnswer, IdJagAnswer, IdTokenAnswer, MARKER, Script, TokenAnswer, UnknownScopes,
};
pub use notes::Notes;
pub use people::Person;
pub use protect::{Holder, TokenCheck};
pub use recorder::{Recorded, Recorder};
