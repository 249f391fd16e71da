//! Sessions that the gateway keeps at upstreams for callers who have none to hold.
//!
//! Each is one person's, at one account, for one client of theirs, and no longer than the credential
//! that it was begun with. Another replica begins its own.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::Duration,
};

use attache_broker::Injection;
use attache_core::{ConnectionName, Timestamp, UserId, principal::AuthenticatedBy};
use quick_cache::sync::Cache;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::member::{Absent, Fresh, Member, Session};

/// Of all people.
const SESSIONS: usize = 4096;
/// Without a request it is ended, or left to the upstream to end.
const IDLE: Duration = Duration::from_mins(15);
/// Of what an upstream says of itself; more than that is not repeated.
const ABOUT_BYTES: usize = 8 * 1024;

#[derive(Debug)]
pub(crate) struct KeptSessions(Cache<Whose, Arc<Kept>>);

impl Default for KeptSessions {
    fn default() -> Self {
        Self(Cache::new(SESSIONS))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Whose {
    user: UserId,
    server: ConnectionName,
    /// What lets the client in, where it is more than a name for its person.
    client: Option<String>,
}

#[derive(Debug)]
pub(super) struct Kept {
    pub(super) session: Session,
    pub(super) about: About,
    /// What it was begun with: whose account it is does not change meanwhile.
    with: Option<Weak<Injection>>,
    used: AtomicI64,
}

/// What a server says of itself when a session is begun.
#[derive(Debug, Default, Deserialize)]
pub(super) struct About {
    #[serde(default)]
    pub(super) capabilities: Offers,
    #[serde(rename = "serverInfo")]
    pub(super) server: Option<Box<RawValue>>,
    pub(super) instructions: Option<String>,
}

/// What can be had in either era; how something is said in one of them alone is left out.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) struct Offers {
    tools: Option<serde::de::IgnoredAny>,
    prompts: Option<serde::de::IgnoredAny>,
    resources: Option<serde::de::IgnoredAny>,
    completions: Option<serde::de::IgnoredAny>,
}

impl Offers {
    pub(super) fn to_json(self) -> serde_json::Value {
        let offers = [
            ("tools", self.tools),
            ("prompts", self.prompts),
            ("resources", self.resources),
            ("completions", self.completions),
        ];
        let offers = offers.into_iter().filter(|(_, offered)| offered.is_some());
        offers.map(|(name, _)| (name.to_owned(), serde_json::json!({}))).collect()
    }
}

impl About {
    pub(super) fn parse(text: &str) -> Self {
        let about: Self = serde_json::from_str(text).unwrap_or_default();
        if text.len() <= ABOUT_BYTES {
            return about;
        }
        Self { capabilities: about.capabilities, ..Self::default() }
    }
}

impl Kept {
    fn of(fresh: Fresh, with: Option<&Arc<Injection>>, now: Timestamp) -> Self {
        let about = About::parse(fresh.about());
        let (_, session) = fresh.keep();
        let with = with.map(Arc::downgrade);
        Self { session, about, with, used: AtomicI64::new(now.0) }
    }

    fn serves(&self, member: &Member) -> bool {
        let used = Timestamp(self.used.load(Relaxed));
        let fresh = member.now() < used.plus(IDLE);
        let serves = fresh && member.is_with(self.with.as_ref(), member.ready().as_ref());
        if serves {
            self.used.store(member.now().0, Relaxed);
        }
        serves
    }
}

impl KeptSessions {
    /// The caller's at this upstream, begun where there is none; of those who come at once, one
    /// begins it.
    pub(super) async fn of(&self, member: &Member) -> Result<Arc<Kept>, Absent> {
        let whose = Whose::of(member);
        if let Some(kept) = self.0.get(&whose) {
            if kept.serves(member) {
                return Ok(kept);
            }
            self.forget(member, &kept);
            // Dropped, it ends.
            drop(member.with(kept.session.clone()));
        }
        let begin = async {
            let fresh = member.begin().await?;
            Ok(Arc::new(Kept::of(fresh, member.ready().as_ref(), member.now())))
        };
        self.0.get_or_insert_async(&whose, begin).await
    }

    /// Of this very session only: somebody may have begun another.
    pub(super) fn forget(&self, member: &Member, kept: &Arc<Kept>) {
        self.0.remove_if(&Whose::of(member), |other| Arc::ptr_eq(other, kept));
    }
}

impl Whose {
    fn of(member: &Member) -> Self {
        let client = match &member.who.authenticated_by {
            AuthenticatedBy::Client(grant) => Some(grant.to_string()),
            AuthenticatedBy::PersonalToken(token) => Some(token.to_string()),
            AuthenticatedBy::AccessToken(_) | AuthenticatedBy::Session(_) => None,
        };
        Self { user: member.who.user.clone(), server: member.name.clone(), client }
    }
}
