//! What an entry's seal covers: everything it says, its place, and the seal before it.

use attache_core::{
    RequestId, Timestamp, UserId,
    audit::{
        AuditEvent, Method, Outcome,
        trail::{Entry, Head, Position, Seal, Writer, WriterId},
    },
    store::{KeyOwner, WrappedKey},
};
use attache_crypto::{
    digest::MacKey,
    keyring::{KeyError, KeyRing},
    random::Random,
    seal::DataKey,
};

/// What the entries of one writer are sealed for.
const PURPOSE: &str = "attache/audit-entry/1";

/// Seals the entries of one writer.
#[derive(Debug)]
pub(super) struct WriterKey(MacKey);

impl WriterKey {
    pub(super) async fn generate(
        random: &dyn Random,
        ring: &KeyRing,
        writer: WriterId,
        started_at: Timestamp,
    ) -> Result<(Self, WrappedKey), KeyError> {
        let key = DataKey::generate(random);
        let owner = KeyOwner::AuditWriter { id: writer, started_at };
        let wrapped = ring.wrap(&key, &owner).await?;
        Ok((Self(key.mac_key(PURPOSE)), wrapped))
    }

    pub(super) async fn unwrap(ring: &KeyRing, writer: &Writer) -> Result<Self, KeyError> {
        let owner = KeyOwner::AuditWriter { id: writer.id, started_at: writer.started_at };
        let key = ring.unwrap(&writer.key, &owner).await?;
        Ok(Self(key.mac_key(PURPOSE)))
    }

    pub(super) fn seal(
        &self,
        at: Position,
        event: &AuditEvent,
        seen: &[Position],
        before: Seal,
    ) -> Seal {
        let AuditEvent { at: when, user, server, method, action, outcome, request_id, count } =
            event;
        let (outcome, reason) = match outcome {
            Outcome::Success => ("success", None),
            Outcome::Failure(reason) => ("failure", Some(reason.as_str())),
        };
        let seen: Vec<u8> = seen
            .iter()
            .flat_map(|Position { writer, sequence }| {
                writer.0.into_iter().chain(sequence.to_be_bytes())
            })
            .collect();
        let parts: [&[u8]; 13] = [
            &at.writer.0,
            &at.sequence.to_be_bytes(),
            &when.0.to_be_bytes(),
            &optional(user.as_ref().map(UserId::as_str)),
            &optional(server.as_ref().map(ToString::to_string).as_deref()),
            &optional(method.map(Method::as_str)),
            action.as_str().as_bytes(),
            outcome.as_bytes(),
            &optional(reason),
            &optional(request_id.as_ref().map(RequestId::as_str)),
            &optional(count.map(|count| count.to_string()).as_deref()),
            &seen,
            &before.0,
        ];
        Seal(self.0.sign(&parts))
    }

    /// Seals what `draft` says as the next entry after `head`, and moves `head` there.
    pub(super) fn entry(&self, writer: WriterId, head: &mut Head, draft: Draft) -> Entry {
        let Draft { event, seen } = draft;
        let at = Position { writer, sequence: head.sequence.saturating_add(1) };
        let seal = self.seal(at, &event, &seen, head.seal);
        *head = Head { sequence: at.sequence, seal };
        Entry { at, event, seen, seal }
    }
}

/// An entry without a place.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) event: AuditEvent,
    pub(super) seen: Vec<Position>,
}

/// Absent differs from empty.
fn optional(text: Option<&str>) -> Vec<u8> {
    text.map_or_else(Vec::new, |text| [b"=", text.as_bytes()].concat())
}
