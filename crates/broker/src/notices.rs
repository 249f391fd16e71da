//! Telling of connections that will end, or ended, while nobody looks.
//!
//! [`Agenda`] writes down what there is to tell when a credential is written, and when to; [`Herald`]
//! tells it to a webhook, one replica for all.

mod agenda;
mod herald;
mod message;

pub(crate) use self::agenda::Written;
pub use self::{
    agenda::Agenda,
    herald::{Herald, HeraldParts, Webhook},
};
