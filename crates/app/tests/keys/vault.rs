//! Transit keys against a real `OpenBao`.

use std::{sync::Arc, time::Duration};

use attache_broker::rewrap::{Lost, Rewrap};
use attache_core::{
    Secret, UserId,
    store::{KeyOwner, WrappedKey},
};
use attache_crypto::{
    keyring::{KeyError, KeyRing, KeyWrapper as _},
    random::SystemRandom,
    seal::DataKey,
    wrap::{
        local::LocalKey,
        transit::{SignIn, Transit, TransitSettings},
    },
};
use attache_net::{outbound::DedicatedClient, tls::Trust};
use attache_store::{Location, Store};
use serde_json::{Value, json};

use crate::{
    bao::Bao,
    props::{people, ring_of},
};

fn transit(bao: &Bao, sign_in: SignIn) -> Arc<Transit> {
    let outbound = Arc::new(DedicatedClient::new(&bao.address, &Trust::load(None).unwrap()));
    let settings =
        TransitSettings { name: "attache".to_owned(), address: bao.address.clone(), sign_in };
    Arc::new(Transit::new(settings, outbound))
}

async fn wrap(transit: &Transit, user: &KeyOwner) -> Result<WrappedKey, KeyError> {
    transit.wrap(&DataKey::generate(&SystemRandom), user).await
}

#[tokio::test]
async fn a_token_or_an_app_role_wraps_for_one_person() {
    let bao = Bao::start("signin").await;
    let (role_id, secret_id) = bao.app_role(60, 120).await;
    let token = bao.token(json!({})).await;
    let ways = [
        transit(&bao, SignIn::Token(token)),
        transit(&bao, SignIn::AppRole { role_id: role_id.clone(), secret_id }),
    ];
    let [ada, grace] = ["ada", "grace"].map(|name| KeyOwner::Person(UserId::new(name)));
    for transit in &ways {
        let wrapped = wrap(transit, &ada).await.unwrap();
        for transit in &ways {
            transit.unwrap(&wrapped, &ada).await.unwrap();
        }
        let stolen = transit.unwrap(&wrapped, &grace).await;
        assert!(matches!(stolen, Err(KeyError::Tampered)), "{stolen:?}");
        let mut bytes = wrapped.bytes.clone();
        bytes[20] ^= 1;
        let changed = transit.unwrap(&WrappedKey { bytes, ..wrapped }, &ada).await;
        assert!(matches!(changed, Err(KeyError::Tampered)), "{changed:?}");
    }

    let wrong = SignIn::AppRole { role_id, secret_id: Secret::new("hunter2") };
    let refused = wrap(&transit(&bao, wrong), &ada).await;
    let Err(KeyError::Refused(why)) = refused else { unreachable!("{refused:?}") };
    assert!(why.contains("AppRole"), "{why}");
}

#[tokio::test]
async fn a_wrong_policy_token_or_key_is_named() {
    let bao = Bao::start("policy").await;
    let user = KeyOwner::Person(UserId::new("ada"));
    let nothing = bao.token(json!({ "policies": ["default"] })).await;
    let ours = bao.token(json!({})).await;
    let wrapped = wrap(&transit(&bao, SignIn::Token(ours.clone())), &user).await.unwrap();
    for (token, word) in [(nothing, "policy"), (Secret::new("s.unknown"), "token")] {
        let transit = transit(&bao, SignIn::Token(token));
        for refused in
            [wrap(&transit, &user).await.map(drop), transit.unwrap(&wrapped, &user).await.map(drop)]
        {
            let Err(KeyError::Refused(why)) = refused else { unreachable!("{refused:?}") };
            assert!(why.contains(word), "{why}");
        }
    }

    let ours = transit(&bao, SignIn::Token(ours));
    bao.rotate_key().await;
    bao.must("POST", "transit/keys/attache/config", json!({"min_decryption_version": 2})).await;
    let old = ours.unwrap(&wrapped, &user).await;
    let Err(KeyError::Refused(why)) = old else { unreachable!("{old:?}") };
    assert!(why.contains("min_decryption_version"), "{why}");

    bao.must("POST", "transit/keys/attache/config", json!({"deletion_allowed": true})).await;
    bao.must("DELETE", "transit/keys/attache", Value::Null).await;
    let gone = ours.unwrap(&wrapped, &user).await;
    let Err(KeyError::Refused(why)) = gone else { unreachable!("{gone:?}") };
    assert!(why.contains("no key of this name"), "{why}");
}

/// Tokens of a few seconds, over more than their whole life, and then a server that was restarted.
#[tokio::test]
async fn a_token_is_renewed_and_after_its_last_day_there_is_another() {
    let mut bao = Bao::start("renewal").await;
    let (role_id, secret_id) = bao.app_role(4, 8).await;
    let periodic = bao.token(json!({ "period": "6s" })).await;
    let ways = [
        transit(&bao, SignIn::AppRole { role_id, secret_id }),
        transit(&bao, SignIn::Token(periodic)),
    ];
    let user = KeyOwner::Person(UserId::new("ada"));
    for _ in 0..10 {
        for transit in &ways {
            transit.stay_signed_in().await.unwrap();
            wrap(transit, &user).await.unwrap();
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }

    let wrapped = wrap(&ways[0], &user).await.unwrap();
    bao.crash();
    let away = ways[0].unwrap(&wrapped, &user).await;
    assert!(matches!(away, Err(KeyError::Unavailable(_))), "{away:?}");
    bao.restart().await;
    let sealed = ways[0].unwrap(&wrapped, &user).await;
    let Err(KeyError::Unavailable(why)) = sealed else { unreachable!("{sealed:?}") };
    assert!(why.to_string().contains("sealed"), "{why}");
    bao.unseal().await;
    ways[0].unwrap(&wrapped, &user).await.unwrap();
}

#[tokio::test]
async fn a_revoked_token_of_an_app_role_is_replaced() {
    let bao = Bao::start("revoked").await;
    let (role_id, secret_id) = bao.app_role(600, 600).await;
    let transit = transit(&bao, SignIn::AppRole { role_id, secret_id });
    let user = KeyOwner::Person(UserId::new("ada"));
    let wrapped = wrap(&transit, &user).await.unwrap();
    let accessors = bao.must("LIST", "auth/token/accessors", Value::Null).await;
    for accessor in accessors["data"]["keys"].as_array().unwrap() {
        let found =
            bao.must("POST", "auth/token/lookup-accessor", json!({ "accessor": accessor })).await;
        if found["data"]["path"] == "auth/approle/login" {
            let body = json!({ "accessor": accessor });
            bao.must("POST", "auth/token/revoke-accessor", body).await;
        }
    }
    // A token this young is taken to be refused for its policy.
    tokio::time::sleep(Duration::from_secs(5)).await;
    transit.unwrap(&wrapped, &user).await.unwrap();
}

#[tokio::test]
async fn data_keys_move_to_vault_and_on_to_its_keys_next_version() {
    let bao = Bao::start("rotate").await;
    let token = bao.token(json!({})).await;
    let store = Store::open(&Location::Memory).await.unwrap();
    let stores = store.stores();
    let local = Arc::new(LocalKey::from_base64(&LocalKey::generate(&SystemRandom)).unwrap());
    let names: Vec<String> = (0..50).map(|number| format!("person-{number:03}")).collect();
    let users = people(&stores, &ring_of(local.clone()), &names).await;

    for (version, rewrapped) in [(1, 50), (2, 50), (2, 0)] {
        let active = transit(&bao, SignIn::Token(token.clone()));
        let ring = KeyRing { active: active.clone(), retired: vec![local.clone()] };
        let rewrap = Rewrap::new(ring, &stores);
        let done = rewrap.rotate(Lost::Keep, &mut |_| {}).await.unwrap();
        assert_eq!((done.rewrapped, done.unreadable), (rewrapped, 0), "version {version}");
        assert_eq!(done.beside(active.id()), 0, "{done:?}");
        for user in &users {
            let wrapped = stores.data_keys.find(user).await.unwrap().unwrap();
            let expected = format!("vault:v{version}:");
            assert!(wrapped.bytes.starts_with(expected.as_bytes()), "{expected}");
        }
        if version == 1 {
            bao.rotate_key().await;
        }
    }

    // Now the first version may go.
    bao.must("POST", "transit/keys/attache/config", json!({"min_decryption_version": 2})).await;
    let ring = ring_of(transit(&bao, SignIn::Token(token)));
    let survey = Rewrap::new(ring, &stores).survey(&mut |_| {}).await.unwrap();
    assert_eq!(survey.unreadable, 0);
}
