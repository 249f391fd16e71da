//! The gateway of a person, who is signed in there or brings a token.

use attache_core::{Clock as _, ConnectionName, Secret, SystemClock};
use http::{Method, StatusCode};
use serde_json::Value;
use tokio::sync::Mutex;
use url::Url;

use super::{
    login::token::{self, Answer, Refusal},
    remote::Remote,
    sign_in::{SignIn, SignIns},
};
use crate::{Failure, cli::Global};

/// What a command needs of it.
pub(super) struct Gateway {
    remote: Remote,
    who: Who,
}

/// How the person is known there.
enum Who {
    Token(Secret),
    SignedIn { kept: Mutex<SignIn>, all: SignIns },
}

impl Gateway {
    /// The one that is named or, where the person is signed in to one only, that; a token is of the
    /// one that is named.
    pub(super) fn of(global: &Global) -> Result<Self, Failure> {
        if global.token.is_some() && global.url.is_none() {
            return Err(Failure::Usage(
                "whose token is it? Name the gateway with --url or ATTACHE_URL: it is sent to no \
                 other"
                    .to_owned(),
            ));
        }
        let remote = Remote::new(&gateway_url(global)?)?;
        let given = global.token.as_deref().map(|token| Who::Token(Secret::new(token)));
        let who = given.map_or_else(|| Who::signed_in(remote.origin()), Ok)?;
        Ok(Self { remote, who })
    }

    pub(super) async fn credentials(&self) -> Result<Vec<Value>, Failure> {
        let answer = self.call(Method::GET, "/api/v1/user/credentials").await?;
        Ok(answer.get("credentials").and_then(Value::as_array).cloned().unwrap_or_default())
    }

    pub(super) async fn credential(&self, server: &ConnectionName) -> Result<Value, Failure> {
        self.credential_if_any(server).await?.ok_or_else(|| {
            let what = match server.account {
                None => format!("there is no server {server} that you may connect"),
                Some(_) => format!("you have not connected an account {server}"),
            };
            Failure::Failed(format!("{what}: see `attache credential list`"))
        })
    }

    pub(super) async fn credential_if_any(
        &self,
        server: &ConnectionName,
    ) -> Result<Option<Value>, Failure> {
        let name = server.to_string();
        let listed = self.credentials().await?;
        Ok(listed.into_iter().find(|one| field(one, "server") == name))
    }

    pub(super) async fn call(&self, method: Method, path: &str) -> Result<Value, Failure> {
        let bearer = self.bearer().await?;
        let (status, body) = self.remote.call(method, path, Some(&bearer)).await?;
        match status {
            status if status.is_success() => Ok(body),
            StatusCode::UNAUTHORIZED => Err(Failure::Failed(match &self.who {
                Who::Token(_) => "the gateway does not accept this token".to_owned(),
                Who::SignedIn { .. } => token::ended(self.remote.origin()),
            })),
            status => {
                let detail = body.get("detail").and_then(Value::as_str);
                Err(Failure::Failed(format!(
                    "the gateway answered {status}: {}",
                    detail.unwrap_or("no more is known")
                )))
            }
        }
    }

    pub(super) fn url(&self, path: &str) -> String {
        self.remote.url(path)
    }

    /// One that is good: renewed when it ends soon, and kept before it is used.
    async fn bearer(&self) -> Result<Secret, Failure> {
        let (kept, all) = match &self.who {
            Who::Token(token) => return Ok(token.clone()),
            Who::SignedIn { kept, all } => (kept, all),
        };
        let mut kept = kept.lock().await;
        if kept.ends_soon(SystemClock.now()) {
            *kept = match token::refresh(&self.remote, &kept.refresh_token).await? {
                Answer::Tokens(fresh) => fresh,
                Answer::Refused(Refusal::Ended) => {
                    all.forget(self.remote.origin())?;
                    return Err(Failure::Failed(token::ended(self.remote.origin())));
                }
                Answer::Refused(_) => {
                    return Err(Failure::Failed(
                        "the gateway does not renew the sign-in just now: try again".to_owned(),
                    ));
                }
            };
            all.keep(&kept)?;
        }
        Ok(kept.access_token.clone())
    }
}

impl Who {
    fn signed_in(gateway: &str) -> Result<Self, Failure> {
        let all = SignIns::here()?;
        let kept = all.find(gateway)?.ok_or_else(|| {
            Failure::Usage(format!(
                "you are not signed in: `attache login --url {gateway}` does that, or put an \
                 access token of yours in ATTACHE_TOKEN"
            ))
        })?;
        Ok(Self::SignedIn { kept: Mutex::new(kept), all })
    }
}

/// The gateway that is meant.
pub(super) fn gateway_url(global: &Global) -> Result<Url, Failure> {
    if let Some(url) = &global.url {
        return Ok(url.clone());
    }
    let known = SignIns::here().and_then(|all| all.gateways()).unwrap_or_default();
    match known.as_slice() {
        [only] => only.parse().map_err(Failure::usage),
        [] => Err(Failure::Usage(
            "which gateway? Name it with --url or ATTACHE_URL, as in https://gw.example.com"
                .to_owned(),
        )),
        several => Err(Failure::Usage(format!(
            "which gateway? You are signed in to {}: name one with --url or ATTACHE_URL",
            several.join(" and ")
        ))),
    }
}

pub(super) fn field<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or("-")
}
