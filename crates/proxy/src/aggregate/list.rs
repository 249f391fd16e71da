//! What all upstreams list, in one list, which is one person's.

use std::{
    collections::HashSet,
    sync::{Arc, Weak},
    time::Duration,
};

use attache_broker::Injection;
use attache_core::{ConnectionName, Timestamp, UserId};
use quick_cache::{Weighter, sync::Cache};
use serde_json::{
    json,
    value::{RawValue, to_raw_value},
};
use tokio::{runtime::Handle, sync::oneshot, time::timeout};

use super::{kind::Kind, name};
use crate::{
    member::{Absent, Member, SILENT, Session, UNREADABLE},
    members::Members,
    refusal::Refusal,
};

/// How long one upstream may take for its list, the beginning of a session included.
const LIST_LIMIT: Duration = Duration::from_secs(15);
/// How long a caller waits for it; the next one finds what came after that.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);
/// How long nobody waits for an upstream that was silent for so long.
const SILENCE: Duration = Duration::from_secs(30);
/// Of one upstream: what models are shown of it.
const LIST_BYTES: usize = 1024 * 1024;
/// Of all: whoever does not fit is left out.
const MERGED_BYTES: usize = 4 * 1024 * 1024;
/// Pages of one upstream's list.
const PAGES: usize = 20;
/// How long a list is taken for an upstream's, while its credential is the same.
const LIST_LIFE: Duration = Duration::from_mins(1);
/// Of lists in memory, of all people.
const CACHE_BYTES: u64 = 32 * 1024 * 1024;
/// What one costs beside its text, about.
const OVERHEAD: u64 = 512;

/// Lists that were had a moment ago.
#[derive(Debug)]
pub(crate) struct Lists(Cache<Whose, Kept, Bytes>);

/// What is listed depends on nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Whose {
    user: UserId,
    /// Rules about tools are about groups.
    groups: Vec<String>,
    /// The rules that close something to them now.
    rules: Vec<usize>,
    server: ConnectionName,
    kind: Kind,
}

#[derive(Clone, Debug)]
struct Kept {
    /// `None`: it was silent.
    list: Option<Arc<str>>,
    /// The credential that it was had with: nobody's list outlives their connection, or shows
    /// another account's.
    with: Option<Weak<Injection>>,
    until: Timestamp,
}

impl Default for Lists {
    fn default() -> Self {
        let items = usize::try_from(CACHE_BYTES / 8192).unwrap_or(usize::MAX);
        Self(Cache::with_weighter(items, CACHE_BYTES, Bytes))
    }
}

#[derive(Clone, Debug)]
struct Bytes;

impl Weighter<Whose, Kept> for Bytes {
    fn weight(&self, whose: &Whose, kept: &Kept) -> u64 {
        let groups: usize = whose.groups.iter().map(String::len).sum();
        OVERHEAD + (groups + kept.list.as_ref().map_or(0, |list| list.len())) as u64
    }
}

impl Member {
    /// What it lists, as it is called here: objects with commas between them.
    pub(super) async fn list(
        self,
        kind: Kind,
        session: Option<Session>,
    ) -> Result<Arc<str>, Absent> {
        let whose = Whose {
            user: self.who.user.clone(),
            groups: self.who.groups.clone(),
            rules: self.route.policy.standing(&self.who, self.now()),
            server: self.name.clone(),
            kind,
        };
        let (cache, with) = (&self.front.lists().0, self.ready());
        match cache.get(&whose).filter(|kept| self.now() < kept.until) {
            Some(Kept { list: Some(list), with: then, .. })
                if self.is_with(then.as_ref(), with.as_ref()) =>
            {
                return Ok(list);
            }
            Some(Kept { list: None, .. }) => return Err(SILENT),
            _ => {}
        }
        let (told, asked) = oneshot::channel();
        let (member, asks) = (self.clone(), whose.clone());
        // It goes on when nobody waits any more.
        let asking = async move { drop(told.send(member.had(asks, session).await)) };
        Handle::try_current().map_err(|_| SILENT)?.spawn(asking);
        if let Ok(listed) = timeout(PATIENCE, asked).await {
            return listed.map_err(|_| SILENT)?;
        }
        let silent = Kept { list: None, with: None, until: self.now().plus(SILENCE) };
        cache.insert(whose, silent);
        Err(SILENT)
    }

    async fn had(self, whose: Whose, session: Option<Session>) -> Result<Arc<str>, Absent> {
        let with = self.ready();
        let listed = timeout(LIST_LIMIT, self.fetch(whose.kind, session));
        let list = match listed.await.map_err(|_| SILENT)? {
            // Many servers have tools and nothing else.
            Err(Absent::Refused(Refusal::UpstreamUnreadable)) if whose.kind != Kind::Tools => {
                "".into()
            }
            listed => listed?,
        };
        let with = with.as_ref().map(Arc::downgrade);
        // What changed meanwhile may be what was listed, or may not.
        if self.is_with(with.as_ref(), self.ready().as_ref()) {
            let until = self.now().plus(LIST_LIFE);
            let kept = Kept { list: Some(Arc::clone(&list)), with, until };
            self.front.lists().0.insert(whose, kept);
        }
        Ok(list)
    }

    async fn fetch(&self, kind: Kind, session: Option<Session>) -> Result<Arc<str>, Absent> {
        if let Some(session) = session.or_else(|| self.without_session()) {
            match self.pages(kind, &session).await {
                Err(Absent::Refused(Refusal::UnknownSession)) => {}
                listed => return listed,
            }
        }
        let fresh = self.begin().await?;
        self.pages(kind, fresh.session()).await
    }

    async fn pages(&self, kind: Kind, session: &Session) -> Result<Arc<str>, Absent> {
        let (mut found, mut params) = (Found::of(kind), json!({}));
        for number in 1..=PAGES {
            let page = self.ask(session, number, kind.method(), &params).await?;
            let next = found.page(&self.name, &page)?;
            if found.text.len() > LIST_BYTES {
                tracing::warn!(upstream = %self.name, "an upstream's list is too large");
                return Err(UNREADABLE);
            }
            let Some(cursor) = next else { return Ok(found.text.into()) };
            params = json!({ "cursor": cursor });
        }
        tracing::warn!(upstream = %self.name, "an upstream's list has too many pages");
        Ok(found.text.into())
    }
}

struct Found {
    kind: Kind,
    names: HashSet<String>,
    text: String,
}

impl Found {
    fn of(kind: Kind) -> Self {
        Self { kind, names: HashSet::new(), text: String::new() }
    }

    /// Where the next page begins, if there is one.
    fn page(&mut self, server: &ConnectionName, page: &str) -> Result<Option<String>, Absent> {
        let page: Members<'_> = serde_json::from_str(page).map_err(|_| UNREADABLE)?;
        let listed = page.get(self.kind.member()).ok_or(UNREADABLE)?;
        let listed: Vec<&RawValue> = serde_json::from_str(listed.get()).map_err(|_| UNREADABLE)?;
        for one in listed {
            self.put(server, one);
        }
        let next = page.get("nextCursor").map(|next| serde_json::from_str(next.get()));
        Ok(next.transpose().map_err(|_| UNREADABLE)?.flatten())
    }

    /// Leaves out what has no name, one that is too long here, or one that was there already.
    fn put(&mut self, server: &ConnectionName, one: &RawValue) {
        if let Some((name, one)) = self.renamed(server, one)
            && self.names.insert(name)
        {
            join(&mut self.text, &one);
        }
    }

    fn renamed(&self, server: &ConnectionName, one: &RawValue) -> Option<(String, String)> {
        let mut one: Members<'_> = serde_json::from_str(one.get()).ok()?;
        let own: String = serde_json::from_str(one.get(self.kind.key())?.get()).ok()?;
        let name = self.kind.outward(&server.upstream, &own)?;
        let raw = to_raw_value(&name).ok()?;
        one.set(self.kind.key(), &raw);
        let one = serde_json::to_string(&one).ok()?;
        Some((name, one))
    }
}

fn join(text: &mut String, more: &str) {
    if !text.is_empty() && !more.is_empty() {
        text.push(',');
    }
    text.push_str(more);
}

/// In place of the tools of an upstream that its person has to connect first.
pub(super) fn connect_tool(name: &ConnectionName, words: &str) -> String {
    json!({
        "name": name::of_connect(&name.upstream),
        "description": words,
        "inputSchema": { "type": "object", "properties": {} },
    })
    .to_string()
}

/// Lists that many answers share, until they are joined in one of its own.
#[derive(Default)]
pub(super) struct Merged {
    lists: Vec<Arc<str>>,
    /// Bytes of them together.
    size: usize,
}

impl Merged {
    pub(super) fn add(&mut self, name: &ConnectionName, list: Arc<str>) {
        if self.size + list.len() > MERGED_BYTES {
            return tracing::warn!(upstream = %name, "the tools of all upstreams are too many");
        }
        self.size += list.len();
        self.lists.push(list);
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// A JSON array.
    pub(super) fn joined(&self) -> Box<RawValue> {
        let mut text = String::with_capacity(self.size + self.lists.len() + 2);
        text.push('[');
        for list in self.lists.iter().filter(|list| !list.is_empty()) {
            if text.len() > 1 {
                text.push(',');
            }
            text.push_str(list);
        }
        text.push(']');
        RawValue::from_string(text).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_keeps_everything_but_its_name() {
        let mut shelf = Found::of(Kind::Tools);
        for tool in [
            r#"{"name":"read","inputSchema":{"name":1e400}}"#,
            r#"{"name":"read","title":"again"}"#,
            r#"{"title":"nameless"}"#,
            r#"{"name":""}"#,
        ] {
            let tool = RawValue::from_string(tool.to_owned()).unwrap();
            shelf.put(&"notes".parse().unwrap(), &tool);
        }
        let expected = r#"{"name":"notes__read","inputSchema":{"name":1e400}},{"name":"notes__"}"#;
        assert_eq!(shelf.text, expected);
        let mut merged = Merged::default();
        for list in ["", &shelf.text, "", "{}"] {
            merged.add(&"notes".parse().unwrap(), list.into());
        }
        assert_eq!(merged.joined().get(), format!("[{expected},{{}}]"));

        let mut resources = Found::of(Kind::Resources);
        let page = r#"{"resources":[{"uri":"file:///a","name":"a"}],"nextCursor":"2"}"#;
        let next = resources.page(&"notes".parse().unwrap(), page).unwrap();
        assert_eq!(next.as_deref(), Some("2"));
        assert_eq!(resources.text, r#"{"uri":"attache://notes/file:///a","name":"a"}"#);
        assert!(resources.page(&"notes".parse().unwrap(), r#"{"tools":[]}"#).is_err());
    }
}
