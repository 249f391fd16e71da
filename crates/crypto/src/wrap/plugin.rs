//! A key behind a program of the operator's own: an HSM, a cloud's key service, anything.
//!
//! The protocol is one line of JSON to the program and one back, over a connection of its own:
//!
//! ```text
//! {"op":"id"}                                      {"id":"NAME"}
//! {"op":"wrap","key":BASE64,"person":ID}           {"wrapped":BASE64}
//! {"op":"unwrap","wrapped":BASE64,"person":ID}     {"key":BASE64}
//! ```
//!
//! or `{"error":"tampered"}`, `{"error":"refused"}`, `{"error":"unavailable"}`. `NAME` says which
//! key it is, wherever the program runs. What was wrapped for one person must not unwrap for
//! another. The gateway's own keys belong to "persons" whose id has a colon.

use std::{sync::Arc, time::Duration};

use attache_core::{
    Secret,
    line_service::{LineError, LineService},
    outbound::Limits,
    store::{KeyId, KeyOwner, WrappedKey},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    keyring::{KeyError, KeyWrapper},
    seal::DataKey,
};

/// One exchange: five seconds, 64 KiB.
const LIMITS: Limits = Limits { timeout: Duration::from_secs(5), max_body: 64 * 1024 };

/// Characters of a key's name.
const LONGEST_NAME: usize = 64;

/// Room for a question with a key in it, so that no copy is left behind by growing.
const QUESTION: usize = 1024;

/// A key known by the name its program gives it: the socket may move.
#[derive(Debug)]
pub struct Plugin {
    id: KeyId,
    service: Arc<dyn LineService>,
}

#[derive(Debug, thiserror::Error)]
enum PluginFault {
    #[error(transparent)]
    Line(#[from] LineError),
    #[error("the plugin answered something that is not in the protocol")]
    Malformed,
    #[error("the plugin says that it cannot work right now")]
    Away,
}

#[derive(Serialize)]
#[serde(tag = "op", rename_all = "lowercase")]
enum Question<'a> {
    Id,
    Wrap { key: &'a str, person: &'a str },
    Unwrap { wrapped: &'a str, person: &'a str },
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Answer {
    Id(String),
    Wrapped(String),
    Key(Zeroed),
    Error(Word),
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Tampered,
    Refused,
    #[serde(other)]
    Unavailable,
}

/// A text that is wiped when dropped.
#[derive(Deserialize)]
#[serde(from = "String")]
struct Zeroed(Zeroizing<String>);

impl From<String> for Zeroed {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl Plugin {
    /// Asks the program which key it holds.
    ///
    /// # Errors
    /// [`KeyError`] when it does not say.
    pub async fn meet(service: Arc<dyn LineService>) -> Result<Self, KeyError> {
        let Answer::Id(name) = ask(&*service, &Question::Id).await? else {
            return Err(unavailable(PluginFault::Malformed));
        };
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(plain) {
            return Err(KeyError::Refused(
                "the name of the plugin's key must be 1 to 64 of A-Z, a-z, 0-9, dot, - and _",
            ));
        }
        Ok(Self { id: KeyId(format!("plugin:{name}").into()), service })
    }
}

#[async_trait::async_trait]
impl KeyWrapper for Plugin {
    fn id(&self) -> &KeyId {
        &self.id
    }

    async fn wrap(&self, key: &DataKey, owner: &KeyOwner) -> Result<WrappedKey, KeyError> {
        let key = key.to_base64();
        let question = Question::Wrap { key: &key, person: &owner.to_string() };
        let Answer::Wrapped(text) = ask(&*self.service, &question).await? else {
            return Err(unavailable(PluginFault::Malformed));
        };
        let bytes = STANDARD.decode(text).map_err(|_| unavailable(PluginFault::Malformed))?;
        Ok(WrappedKey { wrapped_by: self.id.clone(), bytes })
    }

    async fn unwrap(&self, wrapped: &WrappedKey, owner: &KeyOwner) -> Result<DataKey, KeyError> {
        let wrapped = STANDARD.encode(&wrapped.bytes);
        let question = Question::Unwrap { wrapped: &wrapped, person: &owner.to_string() };
        match ask(&*self.service, &question).await? {
            Answer::Key(Zeroed(key)) => DataKey::from_base64(&key),
            _ => None,
        }
        .ok_or_else(|| unavailable(PluginFault::Malformed))
    }
}

async fn ask(service: &dyn LineService, question: &Question<'_>) -> Result<Answer, KeyError> {
    let mut line = Vec::with_capacity(QUESTION);
    serde_json::to_writer(&mut line, question).expect("texts are JSON");
    let line = Secret::new(String::from_utf8(line).expect("JSON is text"));
    let answer = service.ask(&line, LIMITS).await.map_err(|error| match error {
        LineError::NotOurs => {
            KeyError::Refused("the plugin's path is not a socket that this account or root owns")
        }
        error => unavailable(error.into()),
    })?;
    match serde_json::from_str(answer.expose()) {
        Ok(Answer::Error(Word::Tampered)) => Err(KeyError::Tampered),
        Ok(Answer::Error(Word::Refused)) => {
            Err(KeyError::Refused("the plugin may not use its key"))
        }
        Ok(Answer::Error(Word::Unavailable)) => Err(unavailable(PluginFault::Away)),
        Ok(answer) => Ok(answer),
        Err(_) => Err(unavailable(PluginFault::Malformed)),
    }
}

fn unavailable(fault: PluginFault) -> KeyError {
    KeyError::Unavailable(Box::new(fault))
}

#[cfg(test)]
mod tests {
    use attache_core::UserId;

    use super::*;
    use crate::random::SystemRandom;

    /// Answers every question with one line.
    #[derive(Debug)]
    struct Says(&'static str);

    #[async_trait::async_trait]
    impl LineService for Says {
        async fn ask(&self, line: &Secret, _: Limits) -> Result<Secret, LineError> {
            assert!(!line.expose().contains('\n'));
            Ok(Secret::new(self.0))
        }
    }

    #[tokio::test]
    async fn what_a_plugin_says_is_sorted_by_whose_move_it_is() {
        type Expected = fn(&KeyError) -> bool;
        let cases: [(&str, Expected); 9] = [
            (r#"{"error":"tampered"}"#, |e| matches!(e, KeyError::Tampered)),
            (r#"{"error":"refused"}"#, |e| matches!(e, KeyError::Refused(_))),
            (r#"{"error":"unavailable"}"#, |e| matches!(e, KeyError::Unavailable(_))),
            (r#"{"error":"secret detail"}"#, |e| matches!(e, KeyError::Unavailable(_))),
            (r#"{"id":"hsm"}"#, |e| matches!(e, KeyError::Unavailable(_))),
            (r#"{"key":"c2hvcnQ="}"#, |e| matches!(e, KeyError::Unavailable(_))),
            (r#"{"wrapped":"?"}"#, |e| matches!(e, KeyError::Unavailable(_))),
            ("", |e| matches!(e, KeyError::Unavailable(_))),
            ("hello", |e| matches!(e, KeyError::Unavailable(_))),
        ];
        let ada = KeyOwner::Person(UserId::new("ada"));
        let key = DataKey::generate(&SystemRandom);
        for (line, expected) in cases {
            let id = KeyId("plugin:hsm".into());
            let plugin = Plugin { id: id.clone(), service: Arc::new(Says(line)) };
            let wrapped = WrappedKey { wrapped_by: id, bytes: vec![1] };
            for error in [
                plugin.wrap(&key, &ada).await.unwrap_err(),
                plugin.unwrap(&wrapped, &ada).await.unwrap_err(),
            ] {
                assert!(expected(&error), "{line}: {error:?}");
                assert!(!format!("{error} {error:?}").contains("detail"), "{error:?}");
            }
        }
    }

    #[tokio::test]
    async fn a_keys_name_is_short_and_plain() {
        let met = Plugin::meet(Arc::new(Says(r#"{"id":"hsm-1.eu_west"}"#))).await.unwrap();
        assert_eq!(met.id().0.as_ref(), "plugin:hsm-1.eu_west");
        for line in [r#"{"id":""}"#, r#"{"id":"a b"}"#, r#"{"id":"a\nb"}"#, r#"{"wrapped":""}"#] {
            assert!(Plugin::meet(Arc::new(Says(line))).await.is_err(), "{line}");
        }
    }
}
