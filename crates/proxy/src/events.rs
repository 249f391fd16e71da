//! Server-sent events as they come, cut where each of them ends.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use attache_core::UserId;
use bytes::{Buf as _, Bytes, BytesMut};
use http_body::Body as _;

use crate::{
    body::{BodyError, REPLAY_LIMIT, ResponseBody},
    gather::{GATHER_LIMIT, Gathered, Place, Places},
};

/// Bytes that are cut where a blank line ends an event.
#[derive(Debug)]
pub(crate) struct EventBuffer {
    bytes: BytesMut,
    /// How much was looked at.
    seen: usize,
    at_line_start: bool,
    after_cr: bool,
}

impl Default for EventBuffer {
    fn default() -> Self {
        Self { bytes: BytesMut::new(), seen: 0, at_line_start: true, after_cr: false }
    }
}

impl EventBuffer {
    /// With `data` after it: how much there is.
    pub(crate) fn push(&mut self, data: &[u8]) -> usize {
        self.bytes.extend_from_slice(data);
        self.bytes.len()
    }

    /// The next whole event, its blank line included.
    pub(crate) fn next(&mut self) -> Option<Bytes> {
        while let Some(byte) = self.bytes.get(self.seen) {
            self.seen += 1;
            let second_half = self.after_cr && *byte == b'\n';
            self.after_cr = *byte == b'\r';
            if second_half {
                if self.seen == 1 {
                    // The rest of the blank line before.
                    self.bytes.advance(1);
                    self.seen = 0;
                }
                continue;
            }
            let ends_line = matches!(byte, b'\r' | b'\n');
            let ends_event = ends_line && self.at_line_start;
            self.at_line_start = ends_line;
            if ends_event {
                let event = self.bytes.split_to(self.seen).freeze();
                self.seen = 0;
                return Some(event);
            }
        }
        None
    }
}

/// Events of an answer, each when it is whole.
pub(crate) struct EventReader {
    from: ResponseBody,
    buffer: EventBuffer,
    places: Arc<Places>,
    user: UserId,
    /// Among the large bodies, while the event at hand is one.
    place: Option<Place>,
}

impl EventReader {
    pub(crate) fn new(from: ResponseBody, places: &Arc<Places>, user: &UserId) -> Self {
        let (places, user) = (Arc::clone(places), user.clone());
        Self { from, buffer: EventBuffer::default(), places, user, place: None }
    }

    /// Nothing is lost when nobody waits for it to the end. `None`: there is none any more.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        let event = poll_fn(|cx| self.poll_next(cx)).await?;
        event.ok().map(Gathered::into_bytes)
    }

    pub(crate) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Gathered, BodyError>>> {
        loop {
            if let Some(bytes) = self.buffer.next() {
                let place = self.place.take();
                return Poll::Ready(Some(Ok(Gathered { bytes, place })));
            }
            match std::task::ready!(Pin::new(&mut self.from).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.take(&data)?;
                    }
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                // What is left is no whole event, which nobody would act on.
                None => return Poll::Ready(None),
            }
        }
    }

    fn take(&mut self, data: &[u8]) -> Result<(), BodyError> {
        let size = self.buffer.push(data);
        if size > REPLAY_LIMIT && self.place.is_none() {
            // Nobody waits within a stream: without a place it is over.
            self.place = Some(self.places.try_take(&self.user)?);
        }
        if size > GATHER_LIMIT { Err("an event is too large".into()) } else { Ok(()) }
    }
}

/// What a message in an event becomes.
pub(crate) enum Turned {
    Same,
    Into(String),
    /// Nobody is told.
    Nothing,
}

/// `event` as it is, unless its data is a message that has to be another.
pub(crate) fn changed(
    event: Bytes,
    changed: impl FnOnce(&str) -> serde_json::Result<Option<String>>,
) -> Bytes {
    let turned = |message: &str| match changed(message) {
        Ok(Some(other)) => Turned::Into(other),
        _ => Turned::Same,
    };
    turned_event(event, turned).unwrap_or_default()
}

/// `event` with its message turned; one without data stays as it is.
pub(crate) fn turned_event(event: Bytes, turn: impl FnOnce(&str) -> Turned) -> Option<Bytes> {
    let Some(parts) = Parts::of(&event) else { return Some(event) };
    if parts.data.is_empty() {
        return Some(event);
    }
    match turn(&parts.data) {
        Turned::Same => Some(event),
        Turned::Nothing => None,
        Turned::Into(other) => {
            let rest = parts.rest.concat();
            Some(Bytes::from(format!("{rest}data: {other}\n\n")))
        }
    }
}

/// The data of an event, and what else there is of it.
pub(crate) struct Parts {
    pub(crate) data: String,
    /// Lines with their ends.
    rest: Vec<String>,
}

impl Parts {
    /// `None` for what is not UTF-8, which no event is.
    pub(crate) fn of(event: &[u8]) -> Option<Self> {
        let text = str::from_utf8(event).ok()?;
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let (mut data, mut rest) = (Vec::new(), Vec::new());
        for line in text.lines() {
            match line.strip_prefix("data:") {
                Some(value) => data.push(value.strip_prefix(' ').unwrap_or(value)),
                None if !line.is_empty() => rest.push(format!("{line}\n")),
                None => {}
            }
        }
        Some(Self { data: data.join("\n"), rest })
    }

    /// The type of the event; `message` where none is said.
    pub(crate) fn kind(&self) -> &str {
        let said = self.rest.iter().rev().find_map(|line| line.strip_prefix("event:"));
        said.map_or("message", str::trim)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = r#"{"id":7,"result":{"nextCursor":"c","tools":[1,2]}}"#;
    const SHORTER: &str = r#"{"id":7,"result":{}}"#;

    #[test]
    fn events_are_cut_at_blank_lines_wherever_the_bytes_break() {
        let shorter =
            |message: &str| Ok((message.replace('\n', "") == LIST).then(|| SHORTER.to_owned()));
        let split = LIST.replace(",\"tools\"", ",\ndata:\"tools\"");
        for (sent, received) in [
            (format!("id: 1\ndata: {LIST}\n\n"), format!("id: 1\ndata: {SHORTER}\n\n")),
            (format!(":\n\ndata:{split}\nid: 2\n\n"), format!(":\n\nid: 2\ndata: {SHORTER}\n\n")),
            (format!("event: message\r\ndata: {LIST}\r\n\r\n: x\r\n\r\n"), {
                format!("event: message\ndata: {SHORTER}\n\n: x\r\n\r")
            }),
            (format!("data: {LIST}\r\r"), format!("data: {SHORTER}\n\n")),
            ("data: {}\n\ndata: un".to_owned(), "data: {}\n\n".to_owned()),
        ] {
            for step in [1, 7, sent.len()] {
                let mut buffer = EventBuffer::default();
                let mut out = Vec::new();
                for piece in sent.as_bytes().chunks(step) {
                    buffer.push(piece);
                    while let Some(event) = buffer.next() {
                        out.extend_from_slice(&changed(event, shorter));
                    }
                }
                assert_eq!(String::from_utf8(out).unwrap(), received, "by {step}");
            }
        }
    }
}
