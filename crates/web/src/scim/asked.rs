//! What a search asks for (RFC 7644 section 3.4.2).

use attache_identity::scim::{Filter, MAX_PAGE, ScimError};
use url::form_urlencoded;

pub(super) struct Asked {
    pub(super) filter: Option<Filter>,
    /// The first, from 1.
    pub(super) start: u32,
    /// At most [`MAX_PAGE`].
    pub(super) count: u32,
}

impl Asked {
    /// What else it asks, such as which attributes or in which order, changes nothing.
    pub(super) fn parse(query: &str) -> Result<Self, ScimError> {
        let mut asked = Self { filter: None, start: 1, count: MAX_PAGE };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                // Of two, it is not clear which is meant.
                "filter" if asked.filter.is_some() => return Err(ScimError::InvalidFilter),
                "filter" => asked.filter = Some(Filter::parse(&value)?),
                // Less than nothing is the least there is.
                "startIndex" => asked.start = number(&value)?.max(1),
                "count" => asked.count = number(&value)?.min(MAX_PAGE),
                _ => {}
            }
        }
        Ok(asked)
    }
}

fn number(text: &str) -> Result<u32, ScimError> {
    let number: i64 =
        text.parse().map_err(|_| ScimError::InvalidValue("startIndex and count are numbers"))?;
    Ok(u32::try_from(number.max(0)).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_bounded_and_filters_come_once() {
        for (query, expected) in [
            ("", Some((1, MAX_PAGE))),
            ("startIndex=3&count=2", Some((3, 2))),
            ("startIndex=0&count=-7", Some((1, 0))),
            ("count=1000000&attributes=userName", Some((1, MAX_PAGE))),
            ("startIndex=99999999999", Some((u32::MAX, MAX_PAGE))),
            ("startIndex=first", None),
            ("filter=userName+eq+%22a%22&filter=userName+eq+%22b%22", None),
            ("filter=", None),
        ] {
            let asked = Asked::parse(query).ok().map(|asked| (asked.start, asked.count));
            assert_eq!(asked, expected, "{query}");
        }
        let asked = Asked::parse("filter=userName%20eq%20%22a%2Bb%22").unwrap();
        assert_eq!(asked.filter, Some(Filter::UserName("a+b".to_owned())));
    }
}
