//! What a provider says of a person (RFC 7643 section 4.1): what is read of it.

use serde_json::{Map, Value};

use super::ScimError;

/// Whom a message is about. The rest of what it says, such as names and addresses, is not kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    pub user_name: Option<String>,
    pub external_id: Option<String>,
    /// `None`: not said, so it stays as it is.
    pub active: Option<bool>,
}

/// The members of a message.
///
/// # Errors
/// [`ScimError::InvalidSyntax`] for anything but a JSON object.
pub fn object(body: &[u8]) -> Result<Map<String, Value>, ScimError> {
    serde_json::from_slice(body).map_err(|_| ScimError::InvalidSyntax)
}

impl User {
    pub fn read(members: &Map<String, Value>) -> Result<Self, ScimError> {
        let mut user = Self::default();
        for (name, value) in members {
            user.set(name, value)?;
        }
        Ok(user)
    }

    /// Ignores what is not kept: a provider sends all that it has.
    pub(super) fn set(&mut self, name: &str, value: &Value) -> Result<(), ScimError> {
        match attribute_name(name).as_str() {
            "username" => once(&mut self.user_name, text(value)?),
            "externalid" => once(&mut self.external_id, text(value)?),
            "active" => once(&mut self.active, Some(flag(value)?)),
            _ => Ok(()),
        }
    }
}

/// Bytes of a `userName` or an `externalId`.
const LONGEST: usize = 256;

/// Names are the same in any case, and with the schema before them (RFC 7643 section 2.1).
pub(super) fn attribute_name(name: &str) -> String {
    const SCHEMA: &str = "urn:ietf:params:scim:schemas:core:2.0:user:";
    let name = name.to_ascii_lowercase();
    name.strip_prefix(SCHEMA).map_or(name.clone(), str::to_owned)
}

/// What is said twice may be read in two ways.
fn once<T>(place: &mut Option<T>, value: Option<T>) -> Result<(), ScimError> {
    if place.is_some() {
        return Err(ScimError::InvalidSyntax);
    }
    *place = value;
    Ok(())
}

fn text(value: &Value) -> Result<Option<String>, ScimError> {
    if value.is_null() {
        return Ok(None);
    }
    let text = value
        .as_str()
        .filter(|text| (1..=LONGEST).contains(&text.len()) && !text.contains(char::is_control));
    let text = text.ok_or(ScimError::InvalidValue("a name is a text of 1 to 256 bytes"))?;
    Ok(Some(text.to_owned()))
}

/// Entra writes it as a text, and in upper case.
fn flag(value: &Value) -> Result<bool, ScimError> {
    match value {
        Value::Bool(flag) => Ok(*flag),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Ok(true),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Ok(false),
        _ => Err(ScimError::InvalidValue("active is true or false")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(user: &Value) -> Result<User, ScimError> {
        User::read(user.as_object().unwrap())
    }

    #[test]
    fn reads_what_it_keeps_and_ignores_the_rest() {
        let user = read(&json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
            "username": "ada@example.com", "externalId": "00u1", "active": "False",
            "name": { "givenName": "Ada" }, "emails": [{ "value": "x", "primary": true }],
            "password": "hunter2", "groups": [],
        }));
        let expected = User {
            user_name: Some("ada@example.com".to_owned()),
            external_id: Some("00u1".to_owned()),
            active: Some(false),
        };
        assert_eq!(user.unwrap(), expected);
        let [on, off] = [json!("TRUE"), json!(false)].map(|active| json!({ "active": active }));
        assert_eq!(read(&on).unwrap().active, Some(true));
        assert_eq!(read(&off).unwrap().active, Some(false));
        assert_eq!(read(&json!({})).unwrap(), User::default());
    }

    #[test]
    fn refuses_what_is_no_name_and_no_flag() {
        for bad in [
            json!({ "userName": "" }),
            json!({ "userName": 7 }),
            json!({ "externalId": "a\nb" }),
            json!({ "externalId": "a".repeat(257) }),
            json!({ "userName": "a", "username": "b" }),
            json!({ "active": "no" }),
            json!({ "active": null }),
            json!({ "active": 0 }),
            json!({ "active": true, "Active": false }),
        ] {
            assert!(read(&bad).is_err(), "{bad}");
        }
        for bad in ["", "[]", "null", "{", "\"a\""] {
            assert!(object(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
