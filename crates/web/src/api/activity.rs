//! `/api/v1/user/activity`: what was done in a person's name.

use attache_core::{
    ConnectionName, RequestId, Timestamp, UserId,
    audit::{AuditEvent, Method, Outcome, Reason, trail::Listed},
    store::StoreError,
};
use axum::{
    Json,
    extract::{RawQuery, State},
    response::Response,
};
use http::request::Parts;
use serde::Serialize;

use crate::{Web, caller::Caller, place::Place, problem::store_failed};

/// Events in one answer.
const PAGE: u32 = 100;

/// `GET /api/v1/user/activity?before=PLACE`: the newest first.
pub(crate) async fn list(
    State(web): State<Web>,
    Caller(who): Caller,
    RawQuery(query): RawQuery,
    parts: Parts,
) -> Result<Json<Activity>, Response> {
    let from = Place::asked(query.as_deref());
    let (listed, next) =
        web.activity(&who.user, from, PAGE).await.map_err(|error| store_failed(&parts, &error))?;
    let activity = listed.into_iter().map(|listed| Event::from(listed.event)).collect();
    Ok(Json(Activity { activity, next: next.map(|place| place.to_string()) }))
}

impl Web {
    /// At most `limit` events of this person's, and where there are more.
    pub(crate) async fn activity(
        &self,
        user: &UserId,
        from: Option<Place>,
        limit: u32,
    ) -> Result<(Vec<Listed>, Option<Place>), StoreError> {
        let below = from.map(|place| place.0);
        let mut listed = self.overview.activity(user, below, limit.saturating_add(1)).await?;
        let more = Place::cut(&mut listed, usize::try_from(limit).unwrap_or(usize::MAX));
        Ok((listed, more))
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct Activity {
    activity: Vec<Event>,
    /// `before` of the next page; `null` at the end.
    next: Option<String>,
}

/// The words of `attache audit list`.
#[derive(Debug, Serialize)]
pub(crate) struct Event {
    at: Timestamp,
    server: Option<ConnectionName>,
    method: Option<&'static str>,
    action: &'static str,
    outcome: &'static str,
    reason: Option<&'static str>,
    request_id: Option<RequestId>,
}

impl From<AuditEvent> for Event {
    fn from(event: AuditEvent) -> Self {
        let (outcome, reason) = match event.outcome {
            Outcome::Success => ("success", None),
            Outcome::Failure(reason) => ("failure", Some(reason)),
        };
        Self {
            at: event.at,
            server: event.server,
            method: event.method.map(Method::as_str),
            action: event.action.as_str(),
            outcome,
            reason: reason.map(Reason::as_str),
            request_id: event.request_id,
        }
    }
}
