use std::time::Duration;

use attache_crypto::jose::{Algorithm, JwtError, KeySet, verify};
use attache_sandbox::{Browser, IdTokenAnswer, IdentityProvider, people::ADA};
use http::Method;
use serde_json::json;

use crate::support::*;

async fn provider() -> IdentityProvider {
    attache_crypto::install_provider();
    let (ambient, _) = ambient();
    let provider = IdentityProvider::start(ANYWHERE, ambient).await.unwrap();
    provider.register(gateway());
    provider
}

async fn keys(provider: &IdentityProvider) -> KeySet {
    let page = Browser::new().open(&provider.url().join("/jwks").unwrap()).await.unwrap();
    KeySet::parse(page.body.as_bytes()).unwrap()
}

#[tokio::test]
async fn a_person_presses_a_button_and_is_told_of_once() {
    let provider = provider().await;
    let mut browser = Browser::new();
    let url = authorization_url(provider.url(), &[("nonce", "n-1"), ("scope", "openid email")]);
    let page = browser.open(&url).await.unwrap();
    assert!(page.body.contains("nothing leaves your machine"));
    let back = browser.press(&page, "Sign in as Grace").await.unwrap();

    assert_eq!(back.status, 303);
    assert_eq!(returned(&back, "state"), ["a state"]);
    assert_eq!(returned(&back, "iss"), [provider.issuer()]);
    let code = returned(&back, "code").concat();
    let token_url = provider.url().join("/token").unwrap();
    let page = post(&token_url, &for_code(&code)).await;
    let claims = verify(&member(&page, "id_token"), &keys(&provider).await, &[Algorithm::Es256]);
    let claims = claims.unwrap().claims;
    for (name, value) in [
        ("sub", json!("grace")),
        ("iss", json!(provider.issuer())),
        ("aud", json!("gateway")),
        ("nonce", json!("n-1")),
        ("email", json!("grace@example.com")),
        ("email_verified", json!(true)),
    ] {
        assert_eq!(claims.get(name), Some(&value), "{name}");
    }
    let userinfo = provider.url().join("/userinfo").unwrap();
    let page_of_token = member(&page, "access_token");
    let about = call(Method::GET, &userinfo, Some(&page_of_token), "").await;
    assert_eq!(member(&about, "name"), "Grace Hopper");

    let again = post(&token_url, &for_code(&code)).await;
    assert_eq!((again.status.as_u16(), member(&again, "error").as_str()), (400, "invalid_grant"));
}

#[tokio::test]
async fn id_tokens_can_be_forged_on_request() {
    let provider = provider().await;
    let keys = keys(&provider).await;
    for (answer, outcome) in [
        (IdTokenAnswer::UnknownKey, Err(JwtError::UnknownKey)),
        (IdTokenAnswer::Unsigned, Err(JwtError::Algorithm)),
        (IdTokenAnswer::WrongNonce, Ok("somebody else's")),
        (IdTokenAnswer::Normal, Ok("n")),
    ] {
        provider.id_tokens().next(answer);
        let url = authorization_url(provider.url(), &[("nonce", "n")]);
        let back = Browser::of(ADA).open(&url).await.unwrap();
        let code = returned(&back, "code").concat();
        let page = post(&provider.url().join("/token").unwrap(), &for_code(&code)).await;
        let nonce = verify(&member(&page, "id_token"), &keys, &[Algorithm::Es256])
            .map(|token| token.claims.get("nonce").unwrap().as_str().unwrap().to_owned());
        match outcome {
            Ok(expected) => assert_eq!(nonce.unwrap(), expected),
            Err(expected) => {
                assert_eq!(format!("{:?}", nonce.unwrap_err()), format!("{expected:?}"));
            }
        }
    }
}

#[tokio::test]
async fn an_access_token_is_for_one_audience() {
    let provider = provider().await;
    let token = provider.access_token("ada", "https://gw.example.com", Duration::from_mins(1));
    let token = verify(&token.unwrap(), &keys(&provider).await, &[Algorithm::Es256]).unwrap();
    assert_eq!(token.typ.as_deref(), Some("at+jwt"));
    assert_eq!(token.claims.get("aud"), Some(&json!("https://gw.example.com")));
    assert_eq!(token.claims.get("groups"), Some(&json!(["engineering"])));
    assert_eq!(provider.access_token("mallory", "x", Duration::from_mins(1)), None);
}
