//! Against a script of answers; the real service is in the tests of `app`.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use attache_core::outbound::{FetchError, Limits};
use bytes::Bytes;
use http::{Request, Response};

use super::*;
use crate::random::SystemRandom;

/// What each call is answered with, in this order; the last one again and again.
#[derive(Debug)]
struct Script {
    answers: Mutex<VecDeque<(u16, &'static str)>>,
    asked: Mutex<Vec<Asked>>,
}

#[derive(Clone, Debug)]
struct Asked {
    path: String,
    token: Option<String>,
    body: serde_json::Value,
}

impl Script {
    fn new(answers: &[(u16, &'static str)]) -> Arc<Self> {
        Arc::new(Self {
            answers: Mutex::new(answers.iter().copied().collect()),
            asked: Mutex::default(),
        })
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn paths(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.path).collect()
    }
}

#[async_trait::async_trait]
impl Outbound for Script {
    async fn fetch(
        &self,
        request: Request<Bytes>,
        _: Limits,
    ) -> Result<Response<Bytes>, FetchError> {
        let token = request.headers().get("x-vault-token");
        self.asked.lock().unwrap().push(Asked {
            path: request.uri().path().to_owned(),
            token: token.map(|token| token.to_str().unwrap().to_owned()),
            body: serde_json::from_slice(request.body()).unwrap_or_default(),
        });
        let mut answers = self.answers.lock().unwrap();
        let (status, body) =
            if answers.len() > 1 { answers.pop_front() } else { answers.front().copied() }.unwrap();
        if status == 0 {
            return Err(FetchError::Transport("the cable is cut".into()));
        }
        Ok(Response::builder().status(status).body(Bytes::from_static(body.as_bytes())).unwrap())
    }
}

const FOREVER: (u16, &str) = (200, r#"{"data":{"ttl":0,"expire_time":null,"renewable":false}}"#);
const WRAPPED: (u16, &str) = (200, r#"{"data":{"ciphertext":"vault:v7:aGVsbG8="}}"#);
const FORBIDDEN: (u16, &str) = (403, r#"{"errors":["permission denied"]}"#);
const SEALED: (u16, &str) = (503, r#"{"errors":["Vault is sealed"]}"#);
const LOGIN: (u16, &str) =
    (200, r#"{"auth":{"client_token":"s.1","lease_duration":100,"renewable":true}}"#);
const LOGIN_AGAIN: (u16, &str) =
    (200, r#"{"auth":{"client_token":"s.2","lease_duration":100,"renewable":true}}"#);

fn transit(script: &Arc<Script>, sign_in: SignIn) -> Transit {
    let address = Url::parse("https://vault.example.com/crypt/eu/").unwrap();
    Transit::new(TransitSettings { name: "k".to_owned(), address, sign_in }, script.clone())
}

fn token() -> SignIn {
    SignIn::Token(Secret::new("s.given"))
}

fn app_role() -> SignIn {
    SignIn::AppRole { role_id: "role".to_owned(), secret_id: Secret::new("secret") }
}

async fn wrap(transit: &Transit) -> Result<WrappedKey, KeyError> {
    transit.wrap(&DataKey::generate(&SystemRandom), &UserId::new("ada").into()).await
}

#[tokio::test]
async fn a_data_key_is_bound_to_its_person_and_goes_to_the_engine_of_the_address() {
    let script = Script::new(&[FOREVER, WRAPPED]);
    let transit = transit(&script, token());
    let wrapped = wrap(&transit).await.unwrap();
    assert_eq!(wrapped.bytes, b"vault:v7:aGVsbG8=");
    assert_eq!(wrapped.wrapped_by.0.as_ref(), "transit:k@https://vault.example.com/crypt/eu");
    transit.wrap(&DataKey::generate(&SystemRandom), &UserId::new("grace").into()).await.unwrap();

    let asked = script.asked();
    let paths = script.paths();
    let encrypt = "/v1/crypt/eu/encrypt/k";
    assert_eq!(paths, ["/v1/auth/token/lookup-self", encrypt, encrypt], "signed in once");
    assert!(asked.iter().all(|one| one.token.as_deref() == Some("s.given")), "{asked:?}");
    let person = |one: &Asked| one.body["associated_data"].as_str().unwrap().to_owned();
    assert_ne!(person(&asked[1]), person(&asked[2]));
    assert_eq!(format!("{transit:?}"), "Transit(transit:k@https://vault.example.com/crypt/eu)");
}

#[tokio::test(start_paused = true)]
async fn what_vault_says_is_sorted_by_whose_move_it_is() {
    type Expected = fn(&KeyError) -> bool;
    let cases: [(u16, &'static str, Expected); 12] = [
        (400, r#"{"errors":["cipher: message authentication failed"]}"#, |e| {
            matches!(e, KeyError::Tampered)
        }),
        (400, r#"{"errors":["invalid ciphertext: no prefix"]}"#, |e| {
            matches!(e, KeyError::Tampered)
        }),
        (400, r#"{"errors":["encryption key not found"]}"#, |e| matches!(e, KeyError::Refused(_))),
        (400, r#"{"errors":["ciphertext or signature version is disallowed by policy"]}"#, |e| {
            matches!(e, KeyError::Refused(_))
        }),
        (403, r#"{"errors":["permission denied"]}"#, |e| matches!(e, KeyError::Refused(_))),
        (404, r#"{"errors":["no handler for route"]}"#, |e| matches!(e, KeyError::Refused(_))),
        (429, "", |e| matches!(e, KeyError::Unavailable(_))),
        (500, "secret detail", |e| matches!(e, KeyError::Unavailable(_))),
        (503, r#"{"errors":["Vault is sealed"]}"#, |e| matches!(e, KeyError::Unavailable(_))),
        (0, "", |e| matches!(e, KeyError::Unavailable(_))),
        (200, "<html>secret detail</html>", |e| matches!(e, KeyError::Unavailable(_))),
        (302, "", |e| matches!(e, KeyError::Unavailable(_))),
    ];
    let wrapped =
        WrappedKey { wrapped_by: KeyId("transit:k".into()), bytes: b"vault:v1:AA==".to_vec() };
    for (status, body, expected) in cases {
        let script = Script::new(&[FOREVER, (status, body)]);
        let transit = transit(&script, token());
        let error = transit.unwrap(&wrapped, &UserId::new("ada").into()).await.unwrap_err();
        assert!(expected(&error), "{status} {body}: {error:?}");
        assert!(!format!("{error} {error:?}").contains("detail"), "{error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_vault_that_is_away_for_a_moment_is_asked_again_and_not_for_ever() {
    let script = Script::new(&[FOREVER, SEALED, (0, ""), (500, ""), WRAPPED]);
    wrap(&transit(&script, token())).await.unwrap();

    let script = Script::new(&[SEALED]);
    let error = wrap(&transit(&script, token())).await.unwrap_err();
    assert!(matches!(error, KeyError::Unavailable(_)), "{error:?}");
    assert_eq!(script.paths().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_at_half_of_its_life_and_replaced_after_its_end() {
    let renewed = (200, r#"{"auth":{"client_token":"s.1","lease_duration":100,"renewable":true}}"#);
    let script = Script::new(&[LOGIN, WRAPPED, renewed, WRAPPED, FORBIDDEN, LOGIN_AGAIN, WRAPPED]);
    let transit = transit(&script, app_role());
    assert_eq!(transit.stay_signed_in().await.unwrap(), Duration::from_secs(50));
    wrap(&transit).await.unwrap();
    tokio::time::advance(Duration::from_secs(51)).await;
    wrap(&transit).await.unwrap();
    tokio::time::advance(Duration::from_secs(51)).await;
    wrap(&transit).await.unwrap();
    let (login, renew) = ("/v1/auth/approle/login", "/v1/auth/token/renew-self");
    let encrypt = "/v1/crypt/eu/encrypt/k";
    assert_eq!(script.paths(), [login, encrypt, renew, encrypt, renew, login, encrypt]);
    let asked = script.asked();
    assert_eq!((asked[0].token.as_deref(), asked[6].token.as_deref()), (None, Some("s.2")));
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_vault_cannot_answer_costs_nothing_yet() {
    let script = Script::new(&[LOGIN, SEALED, SEALED, SEALED, SEALED, WRAPPED]);
    let transit = transit(&script, app_role());
    transit.stay_signed_in().await.unwrap();
    tokio::time::advance(Duration::from_secs(51)).await;
    wrap(&transit).await.unwrap();
    assert_eq!(script.asked().last().unwrap().token.as_deref(), Some("s.1"));
}

#[tokio::test(start_paused = true)]
async fn a_token_in_its_last_second_is_not_taken_for_one_without_an_end() {
    let last = (200, r#"{"data":{"ttl":0,"expire_time":"2026-11-23T12:00:00Z","renewable":true}}"#);
    let script = Script::new(&[last, LOGIN, WRAPPED]);
    let transit = transit(&script, token());
    assert_eq!(transit.stay_signed_in().await.unwrap(), Duration::from_secs(50));
    assert_eq!(script.paths()[1], "/v1/auth/token/renew-self");
}

/// A gateway with the wrong policy must not fill Vault with tokens.
#[tokio::test(start_paused = true)]
async fn a_refusal_means_another_sign_in_only_when_the_token_is_old() {
    let script = Script::new(&[LOGIN, FORBIDDEN, FORBIDDEN, LOGIN_AGAIN, FORBIDDEN]);
    let transit = transit(&script, app_role());
    for _ in 0..2 {
        assert!(matches!(wrap(&transit).await, Err(KeyError::Refused(_))));
        tokio::time::advance(Duration::from_secs(3)).await;
    }
    let logins = script.paths().iter().filter(|path| path.ends_with("login")).count();
    assert_eq!(logins, 1, "still young");
}

#[tokio::test(start_paused = true)]
async fn an_old_token_that_is_refused_is_replaced() {
    let script = Script::new(&[LOGIN, FORBIDDEN, LOGIN_AGAIN, WRAPPED]);
    let transit = transit(&script, app_role());
    transit.stay_signed_in().await.unwrap();
    tokio::time::advance(Duration::from_secs(10)).await;
    wrap(&transit).await.unwrap();
}

#[tokio::test]
async fn the_newest_version_is_learnt_from_what_was_wrapped() {
    let script = Script::new(&[FOREVER, WRAPPED]);
    let transit = transit(&script, token());
    for (bytes, current) in [("vault:v7:AA==", true), ("vault:v6:AA==", false), ("garbage", false)]
    {
        let wrapped =
            WrappedKey { wrapped_by: transit.id().clone(), bytes: bytes.as_bytes().to_vec() };
        assert_eq!(transit.is_current(&wrapped).await.unwrap(), current, "{bytes}");
    }
    assert_eq!(script.paths().len(), 2, "asked once");
}
