//! One file a reader.

pub(crate) mod answer_head;
pub(crate) mod authorization_server;
pub(crate) mod callback;
mod check;
pub(crate) mod introspection;
pub(crate) mod jwt;
pub(crate) mod key_set;
pub(crate) mod openid_provider;
pub(crate) mod protected_resource;
pub(crate) mod provider_template;
pub(crate) mod pushed_request;
pub(crate) mod registration;
pub(crate) mod scope;
mod scripted;
mod signed;
pub(crate) mod token_response;
pub(crate) mod www_authenticate;
