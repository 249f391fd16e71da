//! Calls and notifications of callers, in the sessions that they have.

use std::sync::Arc;

use attache_core::{ConnectionName, Principal, RequestId};
use bytes::Bytes;
use http::{HeaderName, Response, StatusCode, header, request};
use tokio::{task::JoinSet, time::timeout};

use super::name;
use crate::{
    body::ResponseBody,
    front::Front,
    mcp::is_modern,
    member::{Absent, BEGIN_LIMIT, Member, Session, UNREADABLE, Way, is_over, speak},
    session::MCP_SESSION_ID,
    snapshot::{Protocol, Route, Snapshot},
};

/// Upstreams that are asked at the same time for one request.
const AT_ONCE: usize = 16;

/// What a message repeats of itself is not true of what it becomes.
const OF_THE_MESSAGE: [HeaderName; 4] = [
    header::CONTENT_LENGTH,
    MCP_SESSION_ID,
    HeaderName::from_static("mcp-method"),
    HeaderName::from_static("mcp-name"),
];

/// `work` for each, in no order; what is under way ends when nobody waits for it any more.
pub(super) async fn each<T, F>(members: Vec<Member>, work: impl Fn(Member) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let (mut waiting, mut tasks) = (members.into_iter(), JoinSet::new());
    let mut done = Vec::new();
    for member in waiting.by_ref().take(AT_ONCE) {
        tasks.spawn(work(member));
    }
    while let Some(ended) = tasks.join_next().await {
        match ended {
            Ok(result) => done.push(result),
            Err(panicked) => tracing::error!(%panicked, "an upstream could not be asked"),
        }
        if let Some(member) = waiting.next() {
            tasks.spawn(work(member));
        }
    }
    done
}

impl Member {
    /// `None`: not an MCP server, not theirs, not within their token's reach, or called so that its
    /// tools could be taken for another's.
    pub(super) fn of(
        front: &Front,
        snapshot: &Arc<Snapshot>,
        id: &RequestId,
        who: &Arc<Principal>,
        route: &Arc<Route>,
        name: ConnectionName,
    ) -> Option<Self> {
        let reach = who.reach.narrowed(&name)?;
        let is_theirs = route.protocol == Protocol::Mcp
            && route.access.permits(who)
            && name::is_plain(&route.name);
        is_theirs.then(|| Self {
            front: front.clone(),
            snapshot: Arc::clone(snapshot),
            id: id.clone(),
            who: Arc::new(Principal { reach, ..Principal::clone(who) }),
            route: Arc::clone(route),
            name,
            way: Way::Bridged,
        })
    }

    /// Carries a call there: in the session `kept`, if the upstream still has it, else in one that
    /// lasts as long as the answer.
    pub(super) async fn call(
        &self,
        kept: Option<&Session>,
        head: &request::Parts,
        body: Bytes,
    ) -> Result<Response<ResponseBody>, Absent> {
        let completes = is_modern(&head.headers);
        if let Some(session) = kept.cloned().or_else(|| self.without_session()) {
            let answered = self.visit(within(head, &session), body.clone(), completes).await;
            let status = answered.as_ref().map(Response::status);
            let is_over = match status {
                Ok(StatusCode::BAD_REQUEST) => self.has_forgotten(&session).await,
                _ => is_over(&answered),
            };
            if !is_over {
                return answered.map(stripped);
            }
        }
        let fresh = self.begin().await?;
        let answered = self.visit(within(head, fresh.session()), body, completes).await?;
        if answered.status() == StatusCode::NOT_FOUND {
            // To the caller's client that would be the end of its own session, with all of them.
            return Err(UNREADABLE);
        }
        Ok(stripped(answered).map(|body| fresh.last_as_long_as(body)))
    }

    /// Carries what nobody answers to an upstream that was told of the session.
    pub(super) async fn notify(&self, session: &Session, head: &request::Parts, body: Bytes) {
        let told = self.visit(within(head, session), body, false);
        if !matches!(timeout(BEGIN_LIMIT, told).await, Ok(Ok(_))) {
            tracing::debug!(upstream = %self.name, "an upstream was not told");
        }
    }
}

/// A caller's, in `session`.
fn within(head: &request::Parts, session: &Session) -> request::Parts {
    let mut head = head.clone();
    for name in OF_THE_MESSAGE {
        head.headers.remove(name);
    }
    speak(&mut head.headers, session);
    head
}

/// It is the gateway's, or in the caller's own id.
fn stripped(mut response: Response<ResponseBody>) -> Response<ResponseBody> {
    response.headers_mut().remove(MCP_SESSION_ID);
    response
}
