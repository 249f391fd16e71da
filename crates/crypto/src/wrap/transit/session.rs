//! Signed in at Vault: a token, renewed at half of its life.

use std::{fmt, sync::Arc, time::Duration};

use attache_core::{Secret, outbound::Outbound};
use serde::{
    Deserialize, Serialize,
    de::{DeserializeOwned, IgnoredAny},
};
use tokio::{sync::Mutex, time::Instant};
use url::Url;

use super::{
    SignIn,
    call::{CallError, Vault},
};
use crate::keyring::KeyError;

/// A token this young that is refused is refused for its policy: signing in again changes nothing.
const YOUNG: Duration = Duration::from_secs(5);

/// When a renewal that Vault could not answer is tried again.
const RENEW_AGAIN: Duration = Duration::from_secs(10);

/// The least and the most that [`Session::stay`] asks its caller to wait.
const SOONEST: Duration = Duration::from_secs(1);
const LATEST: Duration = Duration::from_hours(1);

const RENEW: &str = "auth/token/renew-self";

pub(super) struct Session {
    vault: Vault,
    sign_in: SignIn,
    /// Locked while signing in, so that one does it for all.
    token: Mutex<Option<Token>>,
}

#[derive(Clone)]
struct Token {
    secret: Secret,
    signed_in: Instant,
    /// `None` for a token without an end, such as a root token.
    life: Option<Life>,
}

#[derive(Clone, Copy)]
struct Life {
    renew_at: Instant,
    end: Instant,
    renewable: bool,
}

#[derive(Serialize)]
struct Nothing {}

#[derive(Serialize)]
struct Login<'a> {
    role_id: &'a str,
    secret_id: &'a str,
}

#[derive(Deserialize)]
struct Auth {
    client_token: String,
    /// Seconds; 0 is without end.
    lease_duration: u64,
    renewable: bool,
}

#[derive(Deserialize)]
struct SignedIn {
    auth: Auth,
}

#[derive(Deserialize)]
struct Answer<D> {
    data: D,
}

#[derive(Deserialize)]
struct Lookup {
    /// Whole seconds that are left: 0 also in the last one.
    ttl: u64,
    /// `null` is without end.
    expire_time: Option<IgnoredAny>,
    renewable: bool,
}

impl Session {
    pub(super) fn new(address: &Url, sign_in: SignIn, outbound: Arc<dyn Outbound>) -> Self {
        Self { vault: Vault::new(address, outbound), sign_in, token: Mutex::default() }
    }

    /// Posts with a valid token; `D` is what is in the answer's `data`.
    pub(super) async fn post<D: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<D, KeyError> {
        let token = self.token().await?;
        let mut answer = self.vault.post(path, Some(&token.secret), body).await;
        if matches!(answer, Err(CallError::Forbidden)) && token.signed_in.elapsed() >= YOUNG {
            // Revoked, or run out by Vault's clock.
            self.drop_token(&token).await;
            let token = self.token().await?;
            answer = self.vault.post(path, Some(&token.secret), body).await;
        }
        let Answer { data } = answer.map_err(|error| {
            key_error(error, "its policy does not allow update on the key's encrypt and decrypt")
        })?;
        Ok(data)
    }

    /// Signs in or renews, if it is time; how long until it is time again.
    pub(super) async fn stay(&self) -> Result<Duration, KeyError> {
        let life = self.token().await?.life;
        let until = life.map(|life| life.renew_at.saturating_duration_since(Instant::now()));
        Ok(until.unwrap_or(LATEST).clamp(SOONEST, LATEST))
    }

    async fn token(&self) -> Result<Token, KeyError> {
        let mut held = self.token.lock().await;
        let now = Instant::now();
        let token = match held.take() {
            Some(token) if token.life.is_none_or(|life| now < life.renew_at) => token,
            Some(token) if token.life.is_some_and(|life| life.renewable && now < life.end) => {
                self.renew(token).await?
            }
            // There is no other.
            Some(token) if matches!(self.sign_in, SignIn::Token(_)) && token.is_live(now) => token,
            _ => self.sign_in().await?,
        };
        *held = Some(token.clone());
        Ok(token)
    }

    async fn drop_token(&self, refused: &Token) {
        let mut held = self.token.lock().await;
        held.take_if(|token| token.signed_in == refused.signed_in);
    }

    async fn renew(&self, token: Token) -> Result<Token, KeyError> {
        let renewed = self.vault.post(RENEW, Some(&token.secret), &Nothing {});
        match renewed.await {
            Ok(SignedIn { auth }) => Ok(Token { signed_in: token.signed_in, ..Token::of(auth) }),
            // It still has the half of its life.
            Err(CallError::Key(KeyError::Unavailable(_))) => {
                let renew_at = Instant::now() + RENEW_AGAIN;
                Ok(Token { life: token.life.map(|life| Life { renew_at, ..life }), ..token })
            }
            Err(_) => self.sign_in().await,
        }
    }

    async fn sign_in(&self) -> Result<Token, KeyError> {
        match &self.sign_in {
            SignIn::Token(secret) => self.take_up(secret).await,
            SignIn::AppRole { role_id, secret_id } => {
                let login = Login { role_id, secret_id: secret_id.expose() };
                let signed_in = self.vault.post("auth/approle/login", None, &login).await;
                let SignedIn { auth } = signed_in.map_err(|error| {
                    key_error(error, "the AppRole's role id or secret id is not accepted")
                })?;
                Ok(Token::of(auth))
            }
        }
    }

    /// A token that was given may have little of its life left: it is renewed at once.
    async fn take_up(&self, secret: &Secret) -> Result<Token, KeyError> {
        let looked_up = self.vault.get("auth/token/lookup-self", secret).await;
        let Answer { data: Lookup { ttl, expire_time, renewable } } = looked_up
            .map_err(|error| key_error(error, "the token is not valid, or not any more"))?;
        let left = expire_time.map(|_| Duration::from_secs(ttl));
        let token = Token::new(secret.clone(), left, renewable);
        if !renewable {
            return Ok(token);
        }
        let renewed = self.vault.post(RENEW, Some(secret), &Nothing {}).await;
        Ok(renewed.map_or(token, |SignedIn { auth }| Token::of(auth)))
    }
}

impl Token {
    fn of(auth: Auth) -> Self {
        let Auth { client_token, lease_duration, renewable } = auth;
        let life = (lease_duration > 0).then(|| Duration::from_secs(lease_duration));
        Self::new(Secret::new(client_token), life, renewable)
    }

    fn new(secret: Secret, left: Option<Duration>, renewable: bool) -> Self {
        let signed_in = Instant::now();
        let life = left.and_then(|left| {
            let (renew_at, end) = (signed_in.checked_add(left / 2)?, signed_in.checked_add(left)?);
            Some(Life { renew_at, end, renewable })
        });
        Self { secret, signed_in, life }
    }

    fn is_live(&self, now: Instant) -> bool {
        self.life.is_none_or(|life| now < life.end)
    }
}

fn key_error(error: CallError, forbidden: &'static str) -> KeyError {
    match error {
        CallError::Forbidden => KeyError::Refused(forbidden),
        CallError::Key(error) => error,
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session({:?})", self.vault)
    }
}
