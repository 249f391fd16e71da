//! Changes to a person (RFC 7644 section 3.5.2), as Okta and Entra write them.

use serde_json::{Map, Value};

use super::{ScimError, User, user::attribute_name};

/// Operations of one message: a provider sends one for each attribute.
const MOST: usize = 100;

/// What a message changes of a person. In it, the last that is said of an attribute counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch(pub User);

impl Patch {
    pub fn read(message: &Map<String, Value>) -> Result<Self, ScimError> {
        let operations = message.iter().find(|(name, _)| name.eq_ignore_ascii_case("operations"));
        let operations = operations.and_then(|(_, value)| value.as_array());
        let operations = operations.filter(|operations| operations.len() <= MOST);
        let mut changed = User::default();
        for operation in operations.ok_or(ScimError::InvalidSyntax)? {
            apply(operation, &mut changed)?;
        }
        Ok(Self(changed))
    }
}

fn apply(operation: &Value, changed: &mut User) -> Result<(), ScimError> {
    let member = |name: &str| operation.get(name);
    let word = member("op").and_then(Value::as_str).ok_or(ScimError::InvalidSyntax)?;
    let path = match member("path") {
        None | Some(Value::Null) => None,
        Some(path) => Some(path.as_str().ok_or(ScimError::InvalidSyntax)?),
    };
    let mut said = User::default();
    match (word.to_ascii_lowercase().as_str(), path, member("value")) {
        ("add" | "replace", Some(path), Some(value)) => said.set(path, value)?,
        ("add" | "replace", None, Some(Value::Object(members))) => said = User::read(members)?,
        // Taking away what is kept would make somebody nobody, or neither on nor off.
        ("remove", Some(path), _) => match attribute_name(path).as_str() {
            "username" | "externalid" | "active" => return Err(ScimError::Mutability),
            _ => {}
        },
        _ => return Err(ScimError::InvalidSyntax),
    }
    changed.user_name = said.user_name.or(changed.user_name.take());
    changed.external_id = said.external_id.or(changed.external_id.take());
    changed.active = said.active.or(changed.active);
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(operations: &Value) -> Result<User, ScimError> {
        let message = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": operations,
        });
        Patch::read(message.as_object().unwrap()).map(|Patch(user)| user)
    }

    #[test]
    fn reads_what_okta_and_entra_send() {
        let off = User { active: Some(false), ..User::default() };
        let name = |name: &str| User { user_name: Some(name.to_owned()), ..User::default() };
        for (operations, expected) in [
            (json!([{ "op": "replace", "value": { "active": false } }]), off.clone()),
            (json!([{ "op": "Replace", "path": "active", "value": "False" }]), off.clone()),
            (json!([{ "op": "replace", "path": "active", "value": false }]), off.clone()),
            (json!([{ "op": "Add", "path": "active", "value": "False" }]), off.clone()),
            (
                json!([
                    { "op": "Replace", "path": "emails[type eq \"work\"].value", "value": "x" },
                    { "op": "replace", "path": "name.givenName", "value": "Ada" },
                    { "op": "remove", "path": "title" },
                    { "op": "Replace", "path": "active", "value": "True" },
                    { "op": "Replace", "path": "active", "value": "False" },
                ]),
                off,
            ),
            (
                json!([{ "op": "replace", "path": "userName", "value": "countess" }]),
                name("countess"),
            ),
            (json!([]), User::default()),
        ] {
            assert_eq!(read(&operations).ok(), Some(expected), "{operations}");
        }
    }

    #[test]
    fn refuses_what_it_cannot_do() {
        let many = vec![json!({ "op": "add", "path": "title", "value": "x" }); MOST + 1];
        for operations in [
            json!({}),
            json!(null),
            json!(["active"]),
            json!([{ "path": "active", "value": false }]),
            json!([{ "op": "delete", "path": "active" }]),
            json!([{ "op": "remove" }]),
            json!([{ "op": "remove", "path": "active" }]),
            json!([{ "op": "remove", "path": "externalId" }]),
            json!([{ "op": "replace", "value": false }]),
            json!([{ "op": "replace", "path": "active" }]),
            json!([{ "op": "replace", "path": "active", "value": "maybe" }]),
            json!([{ "op": "replace", "path": ["active"], "value": false }]),
            json!(many),
        ] {
            assert!(read(&operations).is_err(), "{operations}");
        }
        assert!(Patch::read(&Map::new()).is_err());
    }
}
