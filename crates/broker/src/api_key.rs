//! `api_key`: a person brings a key of their own. Nobody issues it to us and nobody renews it.

use std::{sync::Arc, time::Duration};

use attache_core::{
    ConnectionName, Credential, Principal, Secret, Timestamp,
    audit::{Action, Outcome, Reason},
    outbound::{FetchError, Limits, Outbound},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri, header};

use crate::{
    connections::{Act, ConnectError, Connections, Status, check_room},
    injection::HeaderForm,
    upstream::{Brokered, Mode},
};

/// Bytes of a key, or of a name or password: more than any provider's, less than a header may have.
pub const LONGEST_KEY: usize = 4096;
/// What asking an upstream about a key may cost; a person waits for it.
const TEST_LIMITS: Limits = Limits { timeout: Duration::from_secs(10), max_body: 1024 * 1024 };

#[derive(Debug)]
pub struct ApiKey {
    pub kind: KeyKind,
    /// Asked with a new key before it is kept; `None`: every key is believed.
    pub test: Option<KeyTest>,
}

/// What a person enters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    Key,
    /// A user's name and a password (RFC 7617).
    Basic,
}

/// Whether an upstream takes a key, found out by asking it.
#[derive(Debug)]
pub struct KeyTest {
    pub url: Uri,
    /// An MCP endpoint, which takes POST.
    pub is_mcp: bool,
    pub outbound: Arc<dyn Outbound>,
}

/// What a person entered, of whichever kind.
#[derive(Clone, Debug)]
pub enum Entered {
    Key(Secret),
    Basic { username: Secret, password: Secret },
}

/// What the page asks a person for.
#[derive(Clone, Debug)]
pub struct KeyOffer {
    pub server: ConnectionName,
    pub kind: KeyKind,
    pub status: Status,
}

impl Connections {
    /// What may be entered; `None` where no key is wanted, or not of this person.
    pub async fn key_offer(
        &self,
        who: &Principal,
        server: &ConnectionName,
    ) -> Result<Option<KeyOffer>, ConnectError> {
        let Some((_, api_key)) = self.keyed(who, server) else { return Ok(None) };
        let Some(connection) = self.find(who, server).await? else { return Ok(None) };
        let status = connection.status;
        Ok(Some(KeyOffer { server: server.clone(), kind: api_key.kind, status }))
    }

    /// Keeps a key in the place of the one before, once the upstream did not refuse it. Written to
    /// the audit before it is stored.
    ///
    /// # Errors
    /// [`ConnectError`]: nothing was stored, and what was is untouched.
    pub async fn enter_key(&self, act: &Act, entered: &Entered) -> Result<(), ConnectError> {
        let Some((upstream, api_key)) = self.keyed(&act.who, &act.server) else {
            return Err(ConnectError(Reason::WrongUpstream));
        };
        let kept = self.keep_key(act, upstream, api_key, entered).await;
        if let Err(ConnectError(reason)) = kept {
            self.audit(act, Action::Connect, Outcome::Failure(reason)).await?;
        }
        kept
    }

    async fn keep_key(
        &self,
        act: &Act,
        upstream: &Brokered,
        api_key: &ApiKey,
        entered: &Entered,
    ) -> Result<(), ConnectError> {
        let token = api_key.kind.read(entered).ok_or(ConnectError(Reason::KeyMalformed))?;
        let key = upstream.key(&act.who, act.server.account.as_ref());
        self.vault().can_seal_for(&key).await?;
        check_room(&self.broker.parts.store.list(&act.who.user).await?, &act.server)?;
        if let Some(test) = &api_key.test {
            test.ask(&upstream.form, &token).await.map_err(ConnectError)?;
        }
        let credential = credential(token, upstream.origin.clone(), self.broker.parts.clock.now());
        self.audit(act, Action::Connect, Outcome::Success).await?;
        self.store(&key, &credential, upstream.obtained_via()).await
    }

    fn keyed(&self, who: &Principal, server: &ConnectionName) -> Option<(&Brokered, &ApiKey)> {
        let upstream = self.permitted(who, server)?;
        match &upstream.mode {
            Mode::ApiKey(api_key) => Some((upstream, api_key)),
            Mode::OauthConnect(_) | Mode::TokenExchange(_) => None,
        }
    }
}

impl KeyKind {
    /// What goes into the header. Spaces around a key came with it from wherever it was copied.
    /// `None` for what is of another kind, or no header can carry.
    fn read(self, entered: &Entered) -> Option<Secret> {
        match (self, entered) {
            (Self::Key, Entered::Key(key)) => {
                let key = key.expose().trim_ascii();
                let fits = (1..=LONGEST_KEY).contains(&key.len());
                (fits && key.bytes().all(|byte| byte.is_ascii_graphic())).then(|| Secret::new(key))
            }
            (Self::Basic, Entered::Basic { username, password }) => {
                let (username, password) = (username.expose(), password.expose());
                let is_text =
                    |text: &str| text.len() <= LONGEST_KEY && !text.chars().any(char::is_control);
                let is_pair = is_text(username) && is_text(password) && !username.contains(':');
                let is_something = !username.is_empty() || !password.is_empty();
                let pair = Secret::new(format!("{username}:{password}"));
                (is_pair && is_something).then(|| Secret::new(STANDARD.encode(pair.expose())))
            }
            (Self::Key, Entered::Basic { .. }) | (Self::Basic, Entered::Key(_)) => None,
        }
    }
}

impl KeyTest {
    /// Sends the upstream what costs it least, as a person's request will carry the key.
    async fn ask(&self, form: &HeaderForm, token: &Secret) -> Result<(), Reason> {
        let value = form.render(token).ok_or(Reason::KeyMalformed)?;
        let request = Request::builder().uri(self.url.clone()).header(&form.name, value);
        let request = if self.is_mcp {
            request
                .method(Method::POST)
                .header(header::CONTENT_TYPE, "application/json")
                .header(header::ACCEPT, "application/json, text/event-stream")
                .body(Bytes::from_static(br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#))
        } else {
            request.method(Method::GET).body(Bytes::new())
        };
        let request = request.map_err(|_| Reason::Misconfigured)?;
        let answer = self.outbound.fetch(request, TEST_LIMITS).await.map_err(|error| {
            tracing::warn!(%error, "a key could not be tested");
            match error {
                FetchError::Blocked | FetchError::Insecure => Reason::Misconfigured,
                FetchError::TooLarge(_) => Reason::MalformedResponse,
                FetchError::Unreachable(_) | FetchError::Transport(_) | FetchError::Timeout(_) => {
                    Reason::UpstreamUnavailable
                }
            }
        })?;
        match answer.status() {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(Reason::KeyRefused),
            StatusCode::TOO_MANY_REQUESTS => Err(Reason::UpstreamUnavailable),
            status if status.is_server_error() => Err(Reason::UpstreamUnavailable),
            // A session missing, or nothing at this path: not about the key.
            _ => Ok(()),
        }
    }
}

fn credential(token: Secret, origin: String, now: Timestamp) -> Credential {
    Credential {
        access_token: Some(token),
        refresh_token: None,
        token_type: "api_key".to_owned(),
        scopes: Vec::new(),
        audience: None,
        issuer: None,
        obtained_at: now,
        expires_at: None,
        refresh_validity: None,
        // A name may be the secret half of a pair, so it is not shown.
        account: None,
        base_url: None,
        origin: Some(origin),
        id_token: None,
        term: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_entered_becomes_what_a_header_carries() {
        let key = |text: &str| Entered::Key(Secret::new(text));
        let pair = |username: &str, password: &str| Entered::Basic {
            username: Secret::new(username),
            password: Secret::new(password),
        };
        let longest = "k".repeat(LONGEST_KEY);
        for (kind, entered, expected) in [
            (KeyKind::Key, key("  abc-1\r\n"), Some("abc-1")),
            (KeyKind::Key, key(&longest), Some(&*longest)),
            (KeyKind::Key, key(&format!("{longest}k")), None),
            (KeyKind::Key, key("  "), None),
            (KeyKind::Key, key("two words"), None),
            (KeyKind::Key, key("a\r\nX-Admin: 1"), None),
            (KeyKind::Key, key("schlüssel"), None),
            // RFC 7617 section 2.1
            (KeyKind::Basic, pair("Aladdin", "open sesame"), Some("QWxhZGRpbjpvcGVuIHNlc2FtZQ==")),
            (KeyKind::Basic, pair("test", "123£"), Some("dGVzdDoxMjPCow==")),
            (KeyKind::Basic, pair("sk_live_1", ""), Some("c2tfbGl2ZV8xOg==")),
            (KeyKind::Basic, pair("", ""), None),
            (KeyKind::Basic, pair("a:b", "c"), None),
            (KeyKind::Basic, pair("a", "b\nc"), None),
            (KeyKind::Basic, key("abc"), None),
            (KeyKind::Key, pair("a", "b"), None),
        ] {
            let read = kind.read(&entered);
            assert_eq!(read.as_ref().map(Secret::expose), expected, "{kind:?}");
        }
    }
}
