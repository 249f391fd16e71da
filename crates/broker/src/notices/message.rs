//! What a webhook is told, in the form of Standard Webhooks. No credential, and no word of a provider.

use attache_core::{
    ConnectionName, PublicOrigin, Slot, Timestamp, UserId,
    audit::Reason,
    store::{Claim, News, Person},
};
use attache_crypto::digest::{base64url, sha256};
use serde::Serialize;

#[derive(Debug, Serialize)]
pub(super) struct Message {
    #[serde(skip)]
    pub(super) id: String,
    r#type: &'static str,
    timestamp: Timestamp,
    data: Data,
}

#[derive(Debug, Serialize)]
struct Data {
    user: User,
    upstream: ConnectionName,
    ends_at: Timestamp,
    reason: Option<&'static str>,
    connect_url: String,
}

#[derive(Debug, Serialize)]
struct User {
    id: UserId,
    email: Option<String>,
    name: Option<String>,
}

impl Message {
    pub(super) fn new(
        claim: &Claim,
        person: Person,
        upstream: &ConnectionName,
        origin: &PublicOrigin,
        now: Timestamp,
    ) -> Self {
        let (kind, timestamp, ends_at, reason) = match claim.news {
            News::Ending { at } => ("connection.ending", now, at, None),
            News::Ended { at, reason } => ("connection.needs_reconnect", at, at, Some(reason)),
        };
        Self {
            id: id(&claim.key.user, &claim.key.slot, kind, ends_at),
            r#type: kind,
            timestamp,
            data: Data {
                user: User {
                    id: person.id,
                    email: person.profile.email,
                    name: person.profile.name,
                },
                upstream: upstream.clone(),
                ends_at,
                reason: reason.map(Reason::as_str),
                connect_url: origin.url(&format!("/connect/{upstream}")),
            },
        }
    }
}

/// The same whoever tells it, and however often: a receiver knows what it heard already.
fn id(user: &UserId, slot: &Slot, kind: &str, at: Timestamp) -> String {
    let what = format!("{user}\n{slot}\n{kind}\n{}", at.0);
    format!("msg_{}", base64url(&sha256(what.as_bytes())))
}
