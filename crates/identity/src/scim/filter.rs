//! The filters that providers search with (RFC 7644 section 3.4.2.2): one attribute, `eq`, one text.

use super::{ScimError, user::attribute_name};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    UserName(String),
    ExternalId(String),
    Id(String),
}

impl Filter {
    /// # Errors
    /// [`ScimError::InvalidFilter`] for everything else that the language can say: half of a filter
    /// finds people who were not meant.
    pub fn parse(text: &str) -> Result<Self, ScimError> {
        let mut words = text.trim().splitn(3, ' ');
        let (Some(attribute), Some(operator), Some(value)) =
            (words.next(), words.next(), words.next())
        else {
            return Err(ScimError::InvalidFilter);
        };
        if !operator.eq_ignore_ascii_case("eq") {
            return Err(ScimError::InvalidFilter);
        }
        // A JSON text and nothing behind it.
        let value: String =
            serde_json::from_str(value.trim()).map_err(|_| ScimError::InvalidFilter)?;
        if value.is_empty() || value.contains(char::is_control) {
            return Err(ScimError::InvalidFilter);
        }
        match attribute_name(attribute).as_str() {
            "username" => Ok(Self::UserName(value)),
            "externalid" => Ok(Self::ExternalId(value)),
            "id" => Ok(Self::Id(value)),
            _ => Err(ScimError::InvalidFilter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_providers_send_and_nothing_else() {
        let name = |text: &str| Some(Filter::UserName(text.to_owned()));
        for (text, expected) in [
            (r#"userName eq "ada@example.com""#, name("ada@example.com")),
            (r#" USERNAME EQ "ada" "#, name("ada")),
            (r#"urn:ietf:params:scim:schemas:core:2.0:User:userName eq "ada""#, name("ada")),
            (r#"userName eq "a\" or userName eq \"b""#, name(r#"a" or userName eq "b"#)),
            (r#"userName eq "100%_\\""#, name(r"100%_\")),
            (r#"externalId eq "00u1""#, Some(Filter::ExternalId("00u1".to_owned()))),
            (r#"id eq "x""#, Some(Filter::Id("x".to_owned()))),
            (r#"userName eq "a" or userName eq "b""#, None),
            (r#"userName eq "a") or (userName eq "b""#, None),
            (r#"not (userName eq "a")"#, None),
            (r#"userName eq "a" and active eq true"#, None),
            (r#"userName ne "a""#, None),
            (r#"userName sw "a""#, None),
            (r#"emails.value eq "a""#, None),
            ("userName pr", None),
            ("userName eq", None),
            ("userName eq a", None),
            ("userName eq 'a'", None),
            (r#"userName eq """#, None),
            ("userName eq \"a\nb\"", None),
            ("userName eq null", None),
            ("", None),
        ] {
            assert_eq!(Filter::parse(text).ok(), expected, "{text}");
        }
    }
}
