//! The sessions of all upstreams in one id, which the caller holds (PX-12).
//!
//! There is no table here either. An upstream that is not among them, or has ended its session,
//! gets one that lasts for one request.

use std::collections::BTreeMap;

use attache_core::ConnectionName;
use http::HeaderValue;

use crate::{
    mcp::legacy,
    member::{Fresh, Session},
};

/// Of all that is sealed into one id: servers that a caller's requests also pass give up on heads
/// of 8 KiB.
const LARGEST: usize = 3 * 1024;

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sessions(BTreeMap<ConnectionName, Session>);

impl Sessions {
    pub(super) fn of(&self, name: &ConnectionName) -> Option<&Session> {
        self.0.get(name)
    }

    /// As long as there is room; what is not kept ends.
    pub(super) fn keep(&mut self, fresh: Fresh) {
        let line = line(fresh.name(), fresh.session());
        if line.is_some_and(|line| self.to_text().len() + line.len() <= LARGEST) {
            let (name, session) = fresh.keep();
            self.0.insert(name, session);
        }
    }

    /// A line each.
    pub(super) fn to_text(&self) -> String {
        self.0.iter().filter_map(|(name, session)| line(name, session)).collect()
    }

    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let lines = str::from_utf8(text).ok()?.lines();
        let sessions = lines.map(|line| {
            let mut words = line.split(' ');
            let name = words.next()?.parse().ok()?;
            let version = legacy(words.next()?)?;
            let id = words.next().map(|id| HeaderValue::from_str(id).ok());
            let id = match id {
                None => None,
                Some(id) => Some(id?),
            };
            Some((name, Session { version, id }))
        });
        sessions.collect::<Option<_>>().map(Self)
    }
}

/// `None` for an id that is not visible ASCII, which ours are.
fn line(name: &ConnectionName, session: &Session) -> Option<String> {
    let version = session.version;
    Some(match &session.id {
        None => format!("{name} {version}\n"),
        Some(id) => format!("{name} {version} {}\n", id.to_str().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_read_as_they_were_written() {
        let text = "mail 2025-03-26\nnotes 2025-11-25 s-1\n";
        let sessions = Sessions::parse(text.as_bytes()).unwrap();
        assert_eq!(sessions.to_text(), text);
        let notes = sessions.of(&"notes".parse().unwrap()).unwrap();
        let id = Some(HeaderValue::from_static("s-1"));
        assert_eq!(*notes, Session { version: "2025-11-25", id });
        assert_eq!(Sessions::parse(b""), Some(Sessions::default()));
        assert_eq!(Sessions::parse(b"notes 1999-01-01\n"), None);
    }
}
