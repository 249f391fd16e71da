//! What of the audit is asked for, in an address.

use std::time::Duration;

use attache_core::{
    ConnectionName, Timestamp, UserId,
    audit::{Action, trail::Filter},
};
use url::form_urlencoded;

use crate::place::Place;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditQuery {
    pub user: Option<UserId>,
    pub server: Option<ConnectionName>,
    pub action: Option<Action>,
    pub span: Span,
}

/// How far back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Span {
    Hour,
    #[default]
    Day,
    Week,
    Month,
    Everything,
}

impl Span {
    pub const ALL: [Self; 5] = [Self::Hour, Self::Day, Self::Week, Self::Month, Self::Everything];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "1h",
            Self::Day => "24h",
            Self::Week => "7d",
            Self::Month => "30d",
            Self::Everything => "all",
        }
    }

    pub fn label(self) -> &'static str {
        match self {
            Self::Hour => "an hour ago",
            Self::Day => "24 hours ago",
            Self::Week => "7 days ago",
            Self::Month => "30 days ago",
            Self::Everything => "the beginning",
        }
    }

    fn length(self) -> Option<Duration> {
        const DAY: Duration = Duration::from_hours(24);
        match self {
            Self::Hour => Some(Duration::from_hours(1)),
            Self::Day => Some(DAY),
            Self::Week => Some(DAY * 7),
            Self::Month => Some(DAY * 30),
            Self::Everything => None,
        }
    }
}

impl AuditQuery {
    /// `None` where a value is none of ours: to show everything in its place would be a wrong
    /// answer. An empty one is not there, as a form sends it.
    pub fn parse(query: &str) -> Option<Self> {
        let mut asked = Self::default();
        let pairs = form_urlencoded::parse(query.as_bytes());
        for (name, value) in pairs.filter(|(_, value)| !value.is_empty()) {
            match &*name {
                "user" => asked.user = Some(UserId::new(&*value)),
                "server" => asked.server = Some(value.parse().ok()?),
                "action" => asked.action = Some(Action::parse(&value)?),
                "since" => {
                    asked.span = Span::ALL.into_iter().find(|span| span.as_str() == value)?;
                }
                _ => {}
            }
        }
        Some(asked)
    }

    pub(crate) fn filter(&self, below: Option<Place>, now: Timestamp) -> Filter {
        Filter {
            user: self.user.clone(),
            server: self.server.clone(),
            action: self.action,
            since: self.span.length().map(|length| now.minus(length)),
            below: below.map(|place| place.0),
        }
    }

    /// The same question at `path`, from a place on.
    pub(crate) fn address(&self, path: &str, before: Option<Place>) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("since", self.span.as_str());
        for (name, value) in [
            ("user", self.user.as_ref().map(ToString::to_string)),
            ("server", self.server.as_ref().map(ToString::to_string)),
            ("action", self.action.map(|action| action.as_str().to_owned())),
            ("before", before.map(|place| place.to_string())),
        ] {
            query.extend_pairs(value.map(|value| (name, value)));
        }
        format!("{path}?{}", query.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_the_address_bar() {
        let asked = AuditQuery {
            user: Some(UserId::new("a b&c")),
            server: Some("github@work".parse().unwrap()),
            action: Some(Action::Refresh),
            span: Span::Month,
        };
        let address = asked.address("/x", None);
        assert_eq!(AuditQuery::parse(address.strip_prefix("/x?").unwrap()), Some(asked));
        assert_eq!(AuditQuery::parse("user=&server=&action="), Some(AuditQuery::default()));
        for bad in ["action=everything", "server=A/B", "since=yesterday"] {
            assert_eq!(AuditQuery::parse(bad), None, "{bad}");
        }
    }
}
