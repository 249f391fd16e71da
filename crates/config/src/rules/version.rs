//! What the file may say and this version of the gateway cannot do.
//!
//! Apart from the other rules: those are the format's, and stay when these are gone.

use crate::{
    diagnose::Place,
    schema::{AuthBroker, ClientAuth, File, Mode},
};

pub(crate) fn supported(file: &File, root: &Place<'_>) {
    for (index, upstream) in file.upstream.iter().enumerate() {
        let place = root.key("upstream").index(index);
        if upstream.protocol == "sse" {
            place.key("protocol").error(
                "this version does not support protocol \"sse\"",
                "use the server's streamable-http endpoint, if it has one",
            );
        }
        if let Some(section) = &upstream.auth_broker {
            broker(section, &place.key("auth_broker"));
        }
    }
}

fn broker(section: &AuthBroker, place: &Place<'_>) {
    match section.mode {
        Some(Mode::OauthConnect) => endpoints(section, place),
        Some(_) => place.key("mode").error(
            "this version knows auth_broker.mode \"oauth_connect\" only",
            "write mode = \"oauth_connect\", or remove this upstream",
        ),
        None => {}
    }
    if section.client_auth == Some(ClientAuth::PrivateKeyJwt) {
        place.key("client_auth").error(
            "this version does not support client_auth \"private_key_jwt\"",
            "write \"basic\" or \"post\" with a client_secret, or \"none\"",
        );
    }
}

/// One of the two endpoints alone is against the format's own rules, and so is a `token_endpoint`
/// without a `client_id`. A template has both, or something is wrong with it.
fn endpoints(section: &AuthBroker, place: &Place<'_>) {
    let nowhere = section.authorization_endpoint.is_none() && section.token_endpoint.is_none();
    if nowhere && section.provider.is_none() {
        let more = if section.client_id.is_some() { "" } else { " and client_id" };
        place.key("authorization_endpoint").missing(
            "this version does not discover authorization servers",
            format!("add authorization_endpoint, token_endpoint{more}"),
        );
    }
}
