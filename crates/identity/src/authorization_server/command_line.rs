//! The client that every gateway knows: `attache login`.

use super::{
    client::{Client, ConfiguredClient},
    redirect_uri::RedirectUri,
    resource::Opens,
};

pub const CLIENT_ID: &str = "attache-cli";
/// On a loopback address, with whatever port is free (RFC 8252 section 7.3).
pub const CALLBACK: &str = "/callback";

/// Public, so that anybody can ask in its name: whoever lets it in, it gets the API and no server.
pub(super) fn client() -> Client {
    let client = ConfiguredClient {
        id: CLIENT_ID.to_owned(),
        name: "attache on the command line".to_owned(),
        redirect_uris: vec![RedirectUri::kept(format!("http://127.0.0.1{CALLBACK}"))],
        secret: None,
    };
    Client { only: Some(Opens::Api), ..client.into() }
}
