//! Where a list of events goes on, on its way through the address bar.

use std::{fmt, str::FromStr};

use attache_broker::overview;
use attache_core::{Timestamp, audit::trail::Listed};
use url::form_urlencoded;

/// Behind the event of this time and number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(pub overview::Place);

impl Place {
    /// What a query says by `before`.
    pub(crate) fn asked(query: Option<&str>) -> Option<Self> {
        let query = query.unwrap_or_default().as_bytes();
        let (_, place) = form_urlencoded::parse(query).find(|(name, _)| name == "before")?;
        place.parse().ok()
    }

    /// Cuts what was read beyond `limit`, and says where the rest begins.
    pub(crate) fn cut(listed: &mut Vec<Listed>, limit: usize) -> Option<Self> {
        let more = listed.len() > limit;
        listed.truncate(limit);
        listed.last().filter(|_| more).map(|last| Self((last.event.at, last.id)))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self((at, id)) = self;
        write!(f, "{}.{id}", at.0)
    }
}

impl FromStr for Place {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (at, id) = text.split_once('.').ok_or(())?;
        let number = |text: &str| text.parse().map_err(|_| ());
        Ok(Self((Timestamp(number(at)?), number(id)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_the_address_bar() {
        let place = Place((Timestamp(1_795_435_200_000), 7));
        assert_eq!(Place::asked(Some(&format!("before={place}"))), Some(place));
        for bad in ["", "before=", "before=7", "before=7.", "before=7.x", "before=7.8.9"] {
            assert_eq!(Place::asked(Some(bad)), None, "{bad}");
        }
    }
}
