//! Metadata of authorization servers (RFC 8414) and `OpenID` providers (OpenID Connect Discovery).

mod authorization_server;
mod document;
mod openid_provider;

pub use self::{
    authorization_server::AuthorizationServer, document::DiscoveryError,
    openid_provider::OpenIdProvider,
};
