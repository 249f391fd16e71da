//! Answers on their way back whose messages become those of the other era.

use std::{
    fmt,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::Frame;
use serde_json::json;
use tokio::{runtime::Handle, time::timeout};

use crate::{
    body::BodyError,
    events::{EventReader, Turned, turned_event},
    gather::Gathered,
    listing::complete,
    member::{BEGIN_LIMIT, Member, Session},
};

/// What a message of the upstream is to the caller.
pub(super) enum Passage {
    /// Something that belongs to the request.
    On(Turned),
    Answer(String),
    /// An answer of the gateway's: the upstream wants what the caller cannot give.
    Instead(String),
}

/// Turns one message.
pub(super) type Turn = Box<dyn Fn(&str) -> Passage + Send + Sync>;

/// Events, each turned when it is whole.
pub struct TurnedBody {
    events: EventReader,
    turn: Turn,
    is_over: bool,
    under_way: Option<UnderWay>,
}

impl fmt::Debug for TurnedBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TurnedBody").finish_non_exhaustive()
    }
}

impl TurnedBody {
    pub(super) fn new(events: EventReader, turn: Turn, under_way: Option<UnderWay>) -> Self {
        Self { events, turn, is_over: false, under_way }
    }

    /// For a caller of 2026-07-28, by an upstream of an earlier revision.
    pub(crate) fn completing(events: EventReader) -> Self {
        let turn: Turn = Box::new(|message| match complete(message) {
            Ok(Some(completed)) => Passage::Answer(completed),
            _ => Passage::On(Turned::Same),
        });
        Self::new(events, turn, None)
    }

    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        loop {
            if self.is_over {
                return Poll::Ready(None);
            }
            let Gathered { bytes, place } = match std::task::ready!(self.events.poll_next(cx)) {
                Some(event) => event?,
                None => return Poll::Ready(None),
            };
            if let Some(bytes) = self.turned(bytes) {
                let event = Gathered { bytes, place };
                return Poll::Ready(Some(Ok(Frame::data(event.into_bytes()))));
            }
        }
    }

    fn turned(&mut self, event: Bytes) -> Option<Bytes> {
        turned_event(event, |message| match (self.turn)(message) {
            Passage::On(turned) => turned,
            Passage::Answer(answer) => {
                if let Some(under_way) = &mut self.under_way {
                    under_way.has_ended();
                }
                Turned::Into(answer)
            }
            Passage::Instead(answer) => {
                self.is_over = true;
                Turned::Into(answer)
            }
        })
    }
}

/// A request of somebody for whom hanging up is to cancel (PX-8), at an upstream that has to be told
/// so. It is when this is dropped before the answer.
pub(super) struct UnderWay {
    member: Member,
    session: Session,
    id: String,
    has_ended: bool,
}

impl UnderWay {
    pub(super) fn new(member: &Member, session: &Session, id: &str) -> Self {
        let (member, session) = (member.clone(), session.clone());
        Self { member, session, id: id.to_owned(), has_ended: false }
    }

    /// There is nothing left to cancel.
    pub(super) fn has_ended(&mut self) {
        self.has_ended = true;
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if self.has_ended {
            return;
        }
        let params = json!({ "requestId": self.id, "reason": "the caller hung up" });
        let message =
            json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": params });
        // On this worker, whose connections they are; elsewhere, at the end, nobody waits for it.
        if let Ok(worker) = Handle::try_current() {
            let (member, session) = (self.member.clone(), self.session.clone());
            worker.spawn(async move {
                drop(timeout(BEGIN_LIMIT, member.post(&session, &message)).await);
            });
        }
    }
}
