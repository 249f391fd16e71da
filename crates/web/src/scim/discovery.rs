//! What of SCIM there is here (RFC 7643 sections 5 to 7).

use attache_identity::scim::{MAX_PAGE, ScimError};
use axum::{extract::Path, response::Response};
use http::request::Parts;
use serde_json::{Value, json};

use super::{
    BASE,
    answer::{Failed, USER, scim},
};
use crate::problem::url;

pub(super) async fn service_provider(parts: Parts) -> Response {
    let not = json!({ "supported": false });
    scim(json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
        "patch": { "supported": true },
        "bulk": { "supported": false, "maxOperations": 0, "maxPayloadSize": 0 },
        "filter": { "supported": true, "maxResults": MAX_PAGE },
        "changePassword": not,
        "sort": not,
        "etag": not,
        "authenticationSchemes": [{
            "type": "oauthbearertoken",
            "name": "Bearer token",
            "description": "The secret that the gateway's configuration names",
            "primary": true,
        }],
        "meta": {
            "resourceType": "ServiceProviderConfig",
            "location": url(&parts, &format!("{BASE}/ServiceProviderConfig")),
        },
    }))
}

pub(super) async fn resource_types(parts: Parts) -> Response {
    scim(listed(&type_of_users(&parts)))
}

pub(super) async fn resource_type(parts: Parts) -> Response {
    scim(type_of_users(&parts))
}

pub(super) async fn schemas(parts: Parts) -> Response {
    scim(listed(&schema_of_users(&parts)))
}

pub(super) async fn schema(Path(urn): Path<String>, parts: Parts) -> Result<Response, Failed> {
    if urn == USER { Ok(scim(schema_of_users(&parts))) } else { Err(Failed(ScimError::NotFound)) }
}

fn listed(one: &Value) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
        "totalResults": 1,
        "startIndex": 1,
        "itemsPerPage": 1,
        "Resources": [one],
    })
}

fn type_of_users(parts: &Parts) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"],
        "id": "User",
        "name": "User",
        "endpoint": "/Users",
        "schema": USER,
        "meta": {
            "resourceType": "ResourceType",
            "location": url(parts, &format!("{BASE}/ResourceTypes/User")),
        },
    })
}

fn schema_of_users(parts: &Parts) -> Value {
    let attribute = |name: &str, kind: &str, required: bool, unique: bool| {
        json!({
            "name": name,
            "type": kind,
            "multiValued": false,
            "required": required,
            "caseExact": name == "externalId",
            "mutability": "readWrite",
            "returned": "default",
            "uniqueness": if unique { "server" } else { "none" },
        })
    };
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"],
        "id": USER,
        "name": "User",
        "description": "Somebody who may use the gateway, or may not any more",
        "attributes": [
            attribute("userName", "string", true, true),
            attribute("externalId", "string", false, false),
            attribute("active", "boolean", false, false),
        ],
        "meta": {
            "resourceType": "Schema",
            "location": url(parts, &format!("{BASE}/Schemas/{USER}")),
        },
    })
}
