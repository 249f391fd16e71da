//! Who asks for tokens: clients that the operator names, that publish a document about themselves,
//! or that registered themselves. In this order, whatever a stranger says (AS-18).

use std::{collections::BTreeMap, sync::Arc};

use attache_core::{
    Clock, Secret,
    store::{ClientStore, RegisteredClient, StoreError},
};
use attache_crypto::digest::{same, sha256};
use url::Url;

use super::{
    document::{Asker, DocumentError, Documents},
    redirect_uri::{Destination, RedirectUri},
    resource::Opens,
};

/// Bytes of a client id: one that is a URL of a document is the longest.
const MAX_ID: usize = 512;
/// Bytes of a name that is shown.
const MAX_NAME: usize = 80;

#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) vouched: Vouched,
    /// Whether the operator chose it, or the host that publishes it: others' hosts are anybody's.
    pub(super) is_chosen: bool,
    /// All that it may have; `None`: whatever a client may that is vouched for so.
    pub(super) only: Option<Opens>,
    pub(super) redirect_uris: Vec<RedirectUri>,
    pub(super) authentication: Authentication,
}

/// Who says that the client is what it calls itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Vouched {
    Operator,
    /// Whoever has this host.
    Host(String),
    Nobody,
}

/// How it proves at the token endpoint that it is itself (RFC 6749 section 2.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Authentication {
    None,
    /// By SHA-256 of its secret.
    Secret([u8; 32]),
}

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("there is no such client")]
    Unknown,
    #[error("what the client publishes about itself: {0}")]
    Document(#[from] DocumentError),
    /// Nobody's move: later.
    #[error("too many documents are being asked for")]
    Busy,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// One that the operator names.
#[derive(Clone, Debug)]
pub struct ConfiguredClient {
    pub id: String,
    pub name: String,
    pub redirect_uris: Vec<RedirectUri>,
    pub secret: Option<Secret>,
}

#[derive(Debug)]
pub(super) struct Clients {
    pub(super) configured: BTreeMap<String, Arc<Client>>,
    /// Where client-id metadata documents are accepted.
    pub(super) documents: Option<Documents>,
    /// Where clients may register themselves.
    pub(super) registered: Option<Arc<dyn ClientStore>>,
    pub(super) clock: Arc<dyn Clock>,
}

impl Clients {
    pub(super) async fn find(&self, id: &str, asker: Asker) -> Result<Arc<Client>, ClientError> {
        if id.len() > MAX_ID {
            return Err(ClientError::Unknown);
        }
        if let Some(configured) = self.configured.get(id) {
            return Ok(Arc::clone(configured));
        }
        if id.starts_with("https://") {
            let documents = self.documents.as_ref().ok_or(ClientError::Unknown)?;
            return documents.find(id, asker).await;
        }
        let store = self.registered.as_ref().ok_or(ClientError::Unknown)?;
        let found = store.find(id, self.clock.now()).await?;
        Ok(Arc::new(found.ok_or(ClientError::Unknown)?.into()))
    }
}

impl Clients {
    /// Who vouched for the client of this id, whatever became of it.
    pub(super) fn vouched(&self, id: &str) -> Vouched {
        let host = || Url::parse(id).ok()?.host_str().map(str::to_owned);
        match host().filter(|_| id.starts_with("https://")) {
            _ if self.configured.contains_key(id) => Vouched::Operator,
            Some(host) => Vouched::Host(host),
            None => Vouched::Nobody,
        }
    }
}

impl Client {
    pub(super) fn may_return_to(&self, redirect_uri: &str) -> bool {
        self.redirect_uris.iter().any(|one| one.matches(redirect_uri))
    }

    /// Whether anybody could have had this client lead to another site. Nobody is sent there before
    /// they said so: a link of ours would lead wherever its writer likes (RFC 9700 section 4.11.2).
    pub(super) fn is_strange(&self, redirect_uri: &str) -> bool {
        match (&self.vouched, Destination::of(redirect_uri)) {
            (Vouched::Operator, _) | (_, Destination::ThisMachine) => false,
            (Vouched::Host(host), Destination::Site(site)) => !self.is_chosen || *host != site,
            _ => true,
        }
    }

    /// Whether the operator answers for it: then it may have what nobody else's may.
    pub(super) fn is_trusted(&self) -> bool {
        self.vouched == Vouched::Operator
    }

    /// Whether it can prove that it is itself.
    pub(super) fn is_confidential(&self) -> bool {
        self.authentication != Authentication::None
    }

    /// Whether `secret` is its own, or neither has one.
    pub(super) fn accepts(&self, secret: Option<&Secret>) -> bool {
        match (&self.authentication, secret) {
            (Authentication::None, None) => true,
            (Authentication::Secret(digest), Some(secret)) => {
                same(digest, &sha256(secret.expose().as_bytes()))
            }
            _ => false,
        }
    }
}

impl From<ConfiguredClient> for Client {
    fn from(client: ConfiguredClient) -> Self {
        let secret = client.secret.as_ref().map(|secret| sha256(secret.expose().as_bytes()));
        Self {
            id: client.id,
            name: client.name,
            vouched: Vouched::Operator,
            is_chosen: true,
            only: None,
            redirect_uris: client.redirect_uris,
            authentication: secret.map_or(Authentication::None, Authentication::Secret),
        }
    }
}

impl From<RegisteredClient> for Client {
    fn from(client: RegisteredClient) -> Self {
        Self {
            id: client.id,
            name: client.name,
            vouched: Vouched::Nobody,
            is_chosen: false,
            only: None,
            redirect_uris: client.redirect_uris.into_iter().map(RedirectUri::kept).collect(),
            authentication: client.secret.map_or(Authentication::None, Authentication::Secret),
        }
    }
}

/// What a client calls itself, fit to be shown: one short line, without characters that change how
/// others look.
pub(super) fn presentable(name: &str) -> Option<String> {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
    };
    let words: Vec<&str> = name.split(|c: char| c.is_whitespace()).collect();
    let mut shown: String = words.join(" ").chars().filter(|c| !hidden(*c)).collect();
    let end = (0..=MAX_NAME).rev().find(|end| shown.is_char_boundary(*end)).unwrap_or(0);
    shown.truncate(end.min(shown.len()));
    let shown = shown.trim();
    (!shown.is_empty()).then(|| shown.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_line_that_hides_nothing() {
        let long = "\u{e9}".repeat(MAX_NAME);
        for (name, shown) in [
            ("Claude Code", Some("Claude Code")),
            ("  a\n\tb ", Some("a  b")),
            ("safe\u{202e}live\u{200b}", Some("safelive")),
            ("\u{0}\u{200b} ", None),
            ("", None),
            (&long, Some(&long[..MAX_NAME])),
        ] {
            assert_eq!(presentable(name).as_deref(), shown, "{name:?}");
        }
    }
}
