//! What a caller may ask of an upstream that they may use: only to read, or only some tools.

use std::sync::Arc;

use attache_core::{Principal, Timestamp};
use bytes::Bytes;
use http::{Method, header, request};
use http_body::Body;
use tokio::time::timeout;

use crate::{
    body::{Arriving, BodyError},
    front::BODY_LIMIT,
    gather::{GatherError, Gathered, Places, gather},
    headers::overrides_method,
    inspect::{Message, TOOLS_LIST, Unclear},
    listing::Listing,
    refusal::Refusal,
    snapshot::{Protocol, Route},
};

/// Methods of MCP that change nothing at the server but the caller's own session. `tools/call` is
/// none, whatever a server says of a tool: its annotations are its own word, which the
/// specification tells clients not to trust.
const READING: [&str; 21] = [
    "initialize",
    "ping",
    "server/discover",
    "tools/list",
    "resources/list",
    "resources/templates/list",
    "resources/read",
    "resources/subscribe",
    "resources/unsubscribe",
    "subscriptions/listen",
    "prompts/list",
    "prompts/get",
    "completion/complete",
    "logging/setLevel",
    "tasks/get",
    "tasks/list",
    "tasks/result",
    "notifications/initialized",
    "notifications/cancelled",
    "notifications/progress",
    "notifications/roots/list_changed",
];

/// Before one route, for one caller.
pub(crate) struct Gate<'a> {
    who: &'a Arc<Principal>,
    route: &'a Arc<Route>,
    places: &'a Arc<Places>,
    now: Timestamp,
}

/// What may go on to the upstream.
pub(crate) struct Passed {
    pub(crate) body: Arriving,
    /// What of the answer the caller may see.
    pub(crate) listing: Option<Listing>,
}

impl Passed {
    fn unseen(body: Arriving) -> Self {
        Self { body, listing: None }
    }
}

impl<'a> Gate<'a> {
    pub(crate) fn new(
        who: &'a Arc<Principal>,
        route: &'a Arc<Route>,
        places: &'a Arc<Places>,
        now: Timestamp,
    ) -> Self {
        Self { who, route, places, now }
    }

    pub(crate) async fn admit(
        &self,
        head: &request::Parts,
        body: Arriving,
    ) -> Result<Passed, Refusal> {
        let reads = self.who.reach.is_read_only();
        match self.route.protocol {
            Protocol::Http if reads && !only_reads(head) => Err(Refusal::ReadOnly),
            Protocol::Mcp if reads || self.route.has_tool_rules() => self.inspect(head, body).await,
            Protocol::Http | Protocol::Mcp => Ok(Passed::unseen(body)),
        }
    }

    async fn inspect(&self, head: &request::Parts, body: Arriving) -> Result<Passed, Refusal> {
        match head.method {
            Method::POST => {}
            // Nothing is asked, and what is listened to may repeat an earlier answer.
            Method::GET | Method::HEAD | Method::DELETE if body.is_end_stream() => {
                return Ok(Passed { listing: self.listing(), ..Passed::unseen(body) });
            }
            Method::GET | Method::HEAD | Method::DELETE => {
                return Err(Refusal::Unclear(Unclear::Message));
            }
            _ => return Err(Refusal::Method),
        }
        let whole = match body {
            Arriving::Whole(whole) => whole,
            Arriving::Streamed(body) => message(body, self.places, self.who).await?.into_bytes(),
        };
        let message = Message::parse(&head.headers, &whole).map_err(Refusal::Unclear)?;
        let method = message.method.as_deref();
        if self.who.reach.is_read_only() && method.is_none_or(|method| !READING.contains(&method)) {
            // An answer to what the upstream asked may be a consent, or what a model says.
            return Err(Refusal::ReadOnly);
        }
        if let Some(tool) = &message.tool {
            if !self.route.tools.permit(self.who, tool) {
                return Err(Refusal::ToolNotOpen { id: message.id.map(|id| id.get().to_owned()) });
            }
            let judged = self.route.policy.judge(self.who, Some(tool), self.now);
            judged.map_err(|denial| Refusal::Denied(denial, Some(whole.clone())))?;
        }
        let listing = if method == Some(TOOLS_LIST) { self.listing() } else { None };
        Ok(Passed { body: Arriving::Whole(whole), listing })
    }

    fn listing(&self) -> Option<Listing> {
        let listing = || Listing::new(self.who, self.route, self.places, self.now);
        self.route.has_tool_rules().then(listing)
    }
}

/// A message that the gateway reads itself, before it or anything of it goes on.
pub(crate) async fn message<B>(
    body: B,
    places: &Places,
    who: &Principal,
) -> Result<Gathered, Refusal>
where
    B: Body<Data = Bytes, Error: Into<BodyError>>,
{
    let gathered = timeout(BODY_LIMIT, gather(body, places, &who.user)).await;
    gathered.map_err(|_| Refusal::BodyTooSlow)?.map_err(|error| match error {
        GatherError::TooLarge => Refusal::BodyTooLarge,
        GatherError::Broken => Refusal::BodyTooSlow,
    })
}

/// Safe methods (RFC 9110 section 9.2.1), and no other protocol after them.
fn only_reads(head: &request::Parts) -> bool {
    matches!(head.method, Method::GET | Method::HEAD | Method::OPTIONS)
        && !head.headers.contains_key(header::UPGRADE)
        && !overrides_method(&head.headers)
}
