//! The tools of all upstreams in one list, which is one person's.

use std::{
    collections::HashSet,
    sync::{Arc, Weak},
    time::Duration,
};

use attache_broker::Injection;
use attache_core::{ConnectionName, Timestamp, UserId};
use quick_cache::{Weighter, sync::Cache};
use serde::Deserialize;
use serde_json::{
    json,
    value::{RawValue, to_raw_value},
};
use tokio::time::timeout;

use super::{
    member::{Absent, Member, SILENT, UNREADABLE},
    name,
    session::Session,
};
use crate::{members::Members, refusal::Refusal};

/// How long one upstream may take for its list, the beginning of a session included.
const LIST_LIMIT: Duration = Duration::from_secs(15);
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
}

#[derive(Clone, Debug)]
struct Kept {
    list: Arc<str>,
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
        OVERHEAD + (groups + kept.list.len()) as u64
    }
}

impl Member {
    /// Its tools as they are called here: objects with commas between them.
    pub(super) async fn list(&self, session: Option<Session>) -> Result<Arc<str>, Absent> {
        let whose = Whose {
            user: self.who.user.clone(),
            groups: self.who.groups.clone(),
            rules: self.route.policy.standing(&self.who, self.now()),
            server: self.name.clone(),
        };
        let (cache, with) = (&self.front().lists().0, self.ready());
        let kept = cache.get(&whose).filter(|kept| self.now() < kept.until);
        if let Some(kept) = kept.filter(|kept| self.is_with(kept.with.as_ref(), with.as_ref())) {
            return Ok(kept.list);
        }
        let list = timeout(LIST_LIMIT, self.fetch(session)).await.map_err(|_| SILENT)??;
        let with = with.as_ref().map(Arc::downgrade);
        // What changed meanwhile may be what was listed, or may not.
        if self.is_with(with.as_ref(), self.ready().as_ref()) {
            let until = self.now().plus(LIST_LIFE);
            cache.insert(whose, Kept { list: Arc::clone(&list), with, until });
        }
        Ok(list)
    }

    fn is_with(&self, then: Option<&Weak<Injection>>, now: Option<&Arc<Injection>>) -> bool {
        match (then, now) {
            (None, None) => self.route.broker.is_none(),
            (Some(then), Some(now)) => std::ptr::eq(then.as_ptr(), Arc::as_ptr(now)),
            _ => false,
        }
    }

    async fn fetch(&self, session: Option<Session>) -> Result<Arc<str>, Absent> {
        if let Some(session) = session.or_else(|| self.without_session()) {
            match self.pages(&session).await {
                Err(Absent::Refused(Refusal::UnknownSession)) => {}
                listed => return listed,
            }
        }
        let fresh = self.begin().await?;
        self.pages(fresh.session()).await
    }

    async fn pages(&self, session: &Session) -> Result<Arc<str>, Absent> {
        let (mut found, mut params) = (Found::default(), json!({}));
        for number in 1..=PAGES {
            let page = self.ask(session, number, "tools/list", &params).await?;
            let page: Page<'_> = serde_json::from_str(&page).map_err(|_| UNREADABLE)?;
            for tool in page.tools {
                found.put(&self.name, tool);
            }
            if found.text.len() > LIST_BYTES {
                tracing::warn!(upstream = %self.name, "an upstream's list of tools is too large");
                return Err(UNREADABLE);
            }
            let Some(cursor) = page.next_cursor else { return Ok(found.text.into()) };
            params = json!({ "cursor": cursor });
        }
        tracing::warn!(upstream = %self.name, "an upstream's list of tools has too many pages");
        Ok(found.text.into())
    }
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    tools: Vec<&'a RawValue>,
    #[serde(rename = "nextCursor")]
    next_cursor: Option<String>,
}

#[derive(Default)]
struct Found {
    names: HashSet<String>,
    text: String,
}

impl Found {
    /// Leaves out what has no name, one that is too long here, or one that was there already.
    fn put(&mut self, server: &ConnectionName, tool: &RawValue) {
        if let Some((name, tool)) = renamed(server, tool)
            && self.names.insert(name)
        {
            join(&mut self.text, &tool);
        }
    }
}

fn renamed(server: &ConnectionName, tool: &RawValue) -> Option<(String, String)> {
    let mut tool: Members<'_> = serde_json::from_str(tool.get()).ok()?;
    let own: String = serde_json::from_str(tool.get("name")?.get()).ok()?;
    let name = name::outward(&server.upstream, &own)?;
    let raw = to_raw_value(&name).ok()?;
    tool.set("name", &raw);
    let tool = serde_json::to_string(&tool).ok()?;
    Some((name, tool))
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
        let mut shelf = Found::default();
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
    }
}
