//! Answers of MCP servers on their way back of which something is changed.
//!
//! Lists of tools lose those that the caller may not call. That is for people's and models' eyes:
//! what is not listed is refused when it is called, too.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use attache_core::{Principal, Timestamp};
use bytes::Bytes;
use http_body::Frame;
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};
use tokio::time::timeout;

use crate::{
    body::{BodyError, Guarded, REPLAY_LIMIT},
    events::{EventBuffer, changed},
    gather::{GATHER_LIMIT, Gathered, Place, Places, gather},
    members::Members,
    snapshot::Route,
};

/// How long a list may take to arrive whole.
pub(crate) const LIST_LIMIT: Duration = Duration::from_secs(30);

/// Whose list it will be.
#[derive(Clone, Debug)]
pub(crate) struct Listing {
    who: Arc<Principal>,
    route: Arc<Route>,
    places: Arc<Places>,
    /// Of the question.
    now: Timestamp,
    change: Change,
}

#[derive(Clone, Copy, Debug)]
enum Change {
    /// Without tools that are not open to them.
    Shorten,
    /// For a caller of 2026-07-28, by an upstream of an earlier revision: every result says what it
    /// is (PX-10).
    Complete,
}

/// What came for a list is not one that can be looked through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a list of tools in JSON, or too large or too slow a one")]
pub(crate) struct Unreadable;

impl Listing {
    pub(crate) fn new(
        who: &Arc<Principal>,
        route: &Arc<Route>,
        places: &Arc<Places>,
        now: Timestamp,
    ) -> Self {
        Self {
            who: Arc::clone(who),
            route: Arc::clone(route),
            places: Arc::clone(places),
            now,
            change: Change::Shorten,
        }
    }

    pub(crate) fn completing(
        who: &Arc<Principal>,
        route: &Arc<Route>,
        places: &Arc<Places>,
        now: Timestamp,
    ) -> Self {
        Self { change: Change::Complete, ..Self::new(who, route, places, now) }
    }

    /// An answer that comes in one piece.
    pub(crate) async fn whole(&self, body: Incoming) -> Result<Bytes, Unreadable> {
        let gathered = timeout(LIST_LIMIT, gather(body, &self.places, &self.who.user)).await;
        let mut gathered = gathered.map_err(|_| Unreadable)?.map_err(|_| Unreadable)?;
        let text = str::from_utf8(&gathered.bytes).map_err(|_| Unreadable)?;
        if let Some(changed) = self.changed(text).map_err(|_| Unreadable)? {
            gathered.bytes = changed.into();
        }
        Ok(gathered.into_bytes())
    }

    fn is_open(&self, tool: &str) -> bool {
        let Self { who, route, now, .. } = self;
        route.tools.permit(who, tool) && route.policy.judge(who, Some(tool), *now).is_ok()
    }

    /// `None`: it may pass as it is.
    fn changed(&self, message: &str) -> serde_json::Result<Option<String>> {
        match self.change {
            Change::Shorten => shorten(message, &|tool| self.is_open(tool)),
            Change::Complete => complete(message),
        }
    }
}

/// Events on their way, each looked through when it is whole.
#[derive(Debug)]
pub struct Events {
    from: Guarded,
    listing: Listing,
    buffer: EventBuffer,
    /// Among the large bodies, while the event at hand is one.
    place: Option<Place>,
}

impl Events {
    pub(crate) fn new(from: Guarded, listing: Listing) -> Self {
        Self { from, listing, buffer: EventBuffer::default(), place: None }
    }

    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        loop {
            if let Some(event) = self.buffer.next() {
                let bytes = changed(event, |message| self.listing.changed(message));
                let event = Gathered { bytes, place: self.place.take() };
                return Poll::Ready(Some(Ok(Frame::data(event.into_bytes()))));
            }
            match std::task::ready!(self.from.poll(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.take(&data)?,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                // What is left is no whole event, which nobody would act on.
                ended => return Poll::Ready(ended),
            }
        }
    }

    fn take(&mut self, data: &[u8]) -> Result<(), BodyError> {
        let size = self.buffer.push(data);
        if size > REPLAY_LIMIT && self.place.is_none() {
            // Nobody waits within a stream: without a place it is over.
            self.place = Some(self.listing.places.try_take(&self.listing.who.user)?);
        }
        if size > GATHER_LIMIT { Err(Unreadable.into()) } else { Ok(()) }
    }
}

/// The answer `message` with the permitted ones of its tools; `None` when it lists none.
fn shorten(message: &str, permits: &dyn Fn(&str) -> bool) -> serde_json::Result<Option<String>> {
    let mut message: Members<'_> = serde_json::from_str(message)?;
    let Some(result) = message.get("result") else { return Ok(None) };
    let Ok(mut members) = serde_json::from_str::<Members<'_>>(result.get()) else {
        return Ok(None);
    };
    let Some(tools) = members.get("tools") else { return Ok(None) };
    let Ok(mut tools) = serde_json::from_str::<Vec<&RawValue>>(tools.get()) else {
        return Ok(None);
    };
    tools.retain(|tool| {
        let tool: Result<Named, _> = serde_json::from_str(tool.get());
        tool.is_ok_and(|tool| permits(&tool.name))
    });
    let tools = to_raw_value(&tools)?;
    members.set("tools", &tools);
    let result = to_raw_value(&members)?;
    message.set("result", &result);
    serde_json::to_string(&message).map(Some)
}

/// The answer `message` with a result that says that it is one; `None` when it does already, or has
/// none.
pub(crate) fn complete(message: &str) -> serde_json::Result<Option<String>> {
    let mut message: Members<'_> = serde_json::from_str(message)?;
    let Some(result) = message.get("result") else { return Ok(None) };
    let Ok(mut members) = serde_json::from_str::<Members<'_>>(result.get()) else {
        return Ok(None);
    };
    if members.get("resultType").is_some() {
        return Ok(None);
    }
    let kind = to_raw_value("complete")?;
    members.push("resultType", &kind);
    let result = to_raw_value(&members)?;
    message.set("result", &result);
    serde_json::to_string(&message).map(Some)
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = r#"{"jsonrpc":"2.0","id":7,"result":{"nextCursor":"c","tools":[{"name":"read","big":1e400},{"title":"nameless"},{"name":"delete"}],"_meta":{}}}"#;
    const SHORTER: &str = r#"{"jsonrpc":"2.0","id":7,"result":{"nextCursor":"c","tools":[{"name":"read","big":1e400}],"_meta":{}}}"#;

    fn reads(tool: &str) -> bool {
        tool == "read"
    }

    #[test]
    fn a_list_loses_what_is_not_open_and_nothing_else() {
        assert_eq!(shorten(LIST, &reads).unwrap().as_deref(), Some(SHORTER));
        for other in [
            r#"{"id":7,"error":{"code":1}}"#,
            r#"{"id":7,"result":{"content":[]}}"#,
            r#"{"id":7,"result":{"tools":7}}"#,
            r#"{"id":7,"result":null}"#,
        ] {
            assert_eq!(shorten(other, &reads).unwrap(), None, "{other}");
        }
        assert!(shorten("[]", &reads).is_err());
    }

    #[test]
    fn a_result_says_that_it_is_one_and_keeps_what_it_says() {
        let result = |members: &str| format!(r#"{{"id":7,"result":{{{members}}}}}"#);
        for (came, goes) in [
            ("", Some(r#""resultType":"complete""#)),
            (r#""content":[1e400]"#, Some(r#""content":[1e400],"resultType":"complete""#)),
            (r#""resultType":"input_required""#, None),
        ] {
            assert_eq!(complete(&result(came)).unwrap(), goes.map(result), "{came}");
        }
        assert_eq!(complete(r#"{"id":7,"error":{"code":1}}"#).unwrap(), None);
        assert_eq!(complete(r#"{"method":"notifications/progress"}"#).unwrap(), None);
    }
}
