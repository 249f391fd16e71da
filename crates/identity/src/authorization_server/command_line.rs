//! The client that every gateway knows: `attache login`.

use super::{client::ConfiguredClient, redirect_uri::RedirectUri};

pub const CLIENT_ID: &str = "attache-cli";
/// On a loopback address, with whatever port is free (RFC 8252 section 7.3).
pub const CALLBACK: &str = "/callback";

/// Public: whoever has the program has all that it has.
pub(super) fn client() -> ConfiguredClient {
    ConfiguredClient {
        id: CLIENT_ID.to_owned(),
        name: "attache on the command line".to_owned(),
        redirect_uris: vec![RedirectUri::kept(format!("http://127.0.0.1{CALLBACK}"))],
        secret: None,
    }
}
