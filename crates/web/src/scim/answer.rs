//! What a provider is answered (RFC 7644 sections 3.1 and 3.12).

use attache_core::{Timestamp, store::Resource};
use attache_identity::scim::{Directory, Page, ScimError};
use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, header, request::Parts};
use serde_json::{Value, json};

use super::BASE;
use crate::problem::url;

pub(super) const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const LIST: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";
const ERROR: &str = "urn:ietf:params:scim:api:messages:2.0:Error";

pub(super) fn scim(body: Value) -> Response {
    let mut response = Json(body).into_response();
    let media_type = HeaderValue::from_static("application/scim+json");
    response.headers_mut().insert(header::CONTENT_TYPE, media_type);
    response
}

pub(super) fn user(directory: &Directory, known: &Resource, parts: &Parts) -> Response {
    scim(resource(directory, known, parts))
}

pub(super) fn list(directory: &Directory, page: &Page, start: u32, parts: &Parts) -> Response {
    let resources: Vec<Value> =
        page.people.iter().map(|known| resource(directory, known, parts)).collect();
    scim(json!({
        "schemas": [LIST],
        "totalResults": page.total,
        "startIndex": start,
        "itemsPerPage": resources.len(),
        "Resources": resources,
    }))
}

pub(super) fn location(known: &Resource, parts: &Parts) -> String {
    url(parts, &format!("{BASE}/Users/{}", known.person.id))
}

/// What the provider said of them, and whether they are let in: nothing that a sign-in brought.
fn resource(directory: &Directory, known: &Resource, parts: &Parts) -> Value {
    let (user_name, external_id) = directory.names(known);
    let created = known.person.created_at;
    let mut resource = json!({
        "schemas": [USER],
        "id": known.person.id,
        "userName": user_name,
        "active": !known.person.disabled,
        "meta": {
            "resourceType": "User",
            "created": created,
            "lastModified": known.updated_at.map_or(created, |at: Timestamp| at.max(created)),
            "location": location(known, parts),
        },
    });
    if let (Some(external_id), Some(members)) = (external_id, resource.as_object_mut()) {
        members.insert("externalId".to_owned(), json!(external_id));
    }
    resource
}

/// Wait for so long, in seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("60");

pub(super) struct Failed(pub(super) ScimError);

impl From<ScimError> for Failed {
    fn from(error: ScimError) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let Self(error) = self;
        if let ScimError::Unavailable(cause) = &error {
            tracing::error!(cause = cause as &dyn std::error::Error, "the store failed a request");
        }
        let status = error.status();
        let mut body = json!({
            "schemas": [ERROR],
            "status": status.as_str(),
            "detail": error.to_string(),
        });
        if let (Some(word), Some(members)) = (error.scim_type(), body.as_object_mut()) {
            members.insert("scimType".to_owned(), json!(word));
        }
        let mut response = scim(body);
        *response.status_mut() = status;
        let headers = response.headers_mut();
        match error {
            ScimError::Unauthenticated => {
                let challenge = HeaderValue::from_static("Bearer realm=\"scim\"");
                headers.insert(header::WWW_AUTHENTICATE, challenge);
            }
            ScimError::TooOften | ScimError::Unavailable(_) => {
                headers.insert(header::RETRY_AFTER, RETRY_AFTER);
            }
            _ => {}
        }
        response
    }
}
