//! As whom an authorization server will be asked. Nothing is registered here.

use attache_config::model::{AuthBroker, ClientAuth};
use attache_oauth::{
    auth_method::{AuthMethod, Proof},
    client_auth::{Client, ClientAuthentication},
    client_choice::{ByHand, ClientChoice, Known, NoClient, choose},
    discover::AuthorizationServer,
};

use super::{
    Tools,
    report::{Check, Finding},
};
use crate::wire::upstreams::is_public;

pub(super) fn examine(
    broker: &AuthBroker,
    server: &AuthorizationServer,
    tools: &Tools<'_>,
) -> Finding {
    let public = is_public(&tools.config.public_url);
    let known = Known {
        by_hand: broker.client_id.as_ref().map(|_| ByHand { issuer: broker.issuer.as_ref() }),
        registration: None,
        publishes_document: public && !broker.prefer_registration,
        publishes_keys: public,
    };
    match choose(server, known, tools.clock.now()) {
        Ok(ClientChoice::ByHand) => {
            Finding::ok(Check::Registration, "by hand: there is a client_id")
        }
        Ok(ClientChoice::Document(_)) => Finding::ok(
            Check::Registration,
            "it reads the document about this gateway at public_url, which it must be able to reach",
        ),
        Ok(ClientChoice::Registered(_) | ClientChoice::Register { .. }) => Finding::ok(
            Check::Registration,
            "it takes registrations: the gateway makes one when it is first needed",
        ),
        Err(NoClient::IssuerChanged) => {
            Finding::wrong(Check::Registration, "client_id is of another issuer").write(
                "upstream.auth_broker.client_id",
                "register the gateway at the issuer that is used, and write the id it gives",
            )
        }
        Err(NoClient::NoWay) => Finding::wrong(
            Check::Registration,
            "it takes neither registrations nor documents of this gateway",
        )
        .write(
            "upstream.auth_broker.client_id",
            "register the gateway there by hand, and write the id and the secret it gives",
        ),
    }
}

/// The client that the operator registered. One that signs has its key in the store, which is not
/// touched here.
pub(super) fn by_hand(broker: &AuthBroker, server: Option<&AuthorizationServer>) -> Option<Client> {
    let secret = broker.client_secret.as_ref().map(|secret| &secret.first);
    let authentication = match (method(broker, server)?, secret) {
        (AuthMethod::None, _) => ClientAuthentication::None,
        (AuthMethod::ClientSecretBasic, Some(secret)) => {
            ClientAuthentication::Basic(secret.clone())
        }
        (AuthMethod::ClientSecretPost, Some(secret)) => ClientAuthentication::Post(secret.clone()),
        _ => return None,
    };
    Some(Client { id: broker.client_id.clone()?, authentication })
}

/// As configured; else what the server takes of a client that is registered by hand.
pub(super) fn method(
    broker: &AuthBroker,
    server: Option<&AuthorizationServer>,
) -> Option<AuthMethod> {
    let configured = broker.client_auth.map(|method| match method {
        ClientAuth::Basic => AuthMethod::ClientSecretBasic,
        ClientAuth::Post => AuthMethod::ClientSecretPost,
        ClientAuth::None => AuthMethod::None,
        ClientAuth::PrivateKeyJwt => AuthMethod::PrivateKeyJwt,
    });
    let proof = if broker.client_secret.is_some() { Proof::Secret } else { Proof::Nothing };
    configured.or_else(|| AuthMethod::choose(&server?.token_endpoint_auth_methods_supported, proof))
}
