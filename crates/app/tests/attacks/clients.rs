//! MCP clients that sign people in, and whoever would like to be one (AS-1 to AS-22).

use std::time::Duration;

use attache_sandbox::{
    Browser, Form, Page,
    people::{ADA, GRACE},
};
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use serde_json::json;
use sqlx::{Connection as _, PgConnection};
use url::Url;

use crate::{
    app::{App, CALLBACK, Landed, Tokens, error, is_callback, not_now, press},
    offboarding::{AT_ONCE, Replicas},
    postgres::Cluster,
    tokens::{holder, ids, post, token},
    visitor::Visitor,
    world::{Surroundings, World},
};

fn consent_form(page: &Page) -> Form {
    let form = page.forms().into_iter().find(|form| form.action.path() == "/oauth/authorize");
    form.expect("the consent page has its form")
}

const NO_GRANT: (u16, &str) = (400, "invalid_grant");

fn is(page: &Page, expected: (u16, &str)) -> bool {
    let (status, code) = error(page);
    (status, code.as_str()) == expected
}

/// A client with nothing but the URL gets as far as calling, and somebody who connects in the same
/// sitting is connected when it does.
#[tokio::test]
async fn a_client_finds_its_way_and_is_let_in() {
    let mut world = World::new().await;
    let url = world.origin.join("/mcp/notes").unwrap();
    let challenged = Browser::new().open(&url).await.unwrap();
    assert_eq!(challenged.status, StatusCode::UNAUTHORIZED);
    let challenge = challenged.header("www-authenticate").unwrap();
    let (_, metadata) = challenge.split_once("resource_metadata=\"").unwrap();
    let metadata = Url::parse(metadata.split('"').next().unwrap()).unwrap();
    let resource = Browser::new().open(&metadata).await.unwrap().json().unwrap();
    assert_eq!(resource["resource"], url.as_str());
    let issuer = resource["authorization_servers"][0].as_str().unwrap().to_owned();
    let server = Url::parse(&issuer).unwrap().join("/.well-known/oauth-authorization-server");
    let server = Browser::new().open(&server.unwrap()).await.unwrap();
    assert_eq!(server.header("access-control-allow-origin"), Some("*"));
    let server = server.json().unwrap();
    assert_eq!(server["issuer"], issuer);
    assert_eq!(server["code_challenge_methods_supported"], json!(["S256"]));

    // Asked before she is sent anywhere, and then to connect, in one sitting.
    let app = App::new(&world).await;
    let mut ada = world.stranger(ADA);
    let page = ada.url(&app.request(&[]));
    let asked = ada.open(&page).await;
    assert!(asked.body.contains("Notepad") && asked.body.contains("notes"), "{}", asked.body);
    assert!(ada.session().is_none());
    let decided = press(&mut ada, &asked, "allow").await;
    let offered = ada.follow_until(decided, is_callback).await;
    assert_eq!(offered.url.path(), "/oauth/authorize/continue");
    let form = offered.forms().into_iter().find(|form| form.action.path() == "/connect/notes");
    let away = ada.browser.submit(&offered, &form.unwrap(), None).await.unwrap();
    let landed = Landed::of(&ada.follow_until(away, is_callback).await);
    let tokens = Tokens::of(&world, &app.redeem(&landed.code()).await);
    assert!(tokens.program(&world).whoami("notes").await.contains("ada"));

    // It goes on: after an hour, and after a restart.
    world.later(Duration::from_mins(16));
    let late = tokens.program(&world).mcp("notes", "tools/list", &json!({})).await;
    assert_eq!(late.status, StatusCode::UNAUTHORIZED);
    let tokens = Tokens::of(&world, &app.refresh(&tokens.refresh).await);
    world.restart().await;
    assert!(tokens.program(&world).whoami("notes").await.contains("ada"));
    let tokens = Tokens::of(&world, &app.refresh(&tokens.refresh).await);
    assert!(tokens.program(&world).whoami("notes").await.contains("ada"));

    // Who is connected is not asked to connect.
    let again = app.approved_by(&mut ada).await;
    assert!(again.says("code").is_some());
    world.end().await;
}

#[tokio::test]
async fn not_now_leaves_a_token_that_says_where_to_connect() {
    let world = World::new().await;
    let mut ada = world.ada().await;
    let (_, tokens) = App::signed_in(&world, &mut ada).await;
    let said = tokens.program(&world).whoami("notes").await;
    assert!(said.contains("/connect/notes"), "{said}");
    world.end().await;
}

#[tokio::test]
async fn who_says_no_is_believed() {
    let world = World::new().await;
    let app = App::new(&world).await;
    for mut person in [world.stranger(ADA), world.ada().await] {
        let page = person.url(&app.request(&[]));
        let asked = person.open(&page).await;
        let landed = Landed::of(&press(&mut person, &asked, "refuse").await);
        assert_eq!(landed.says("error").as_deref(), Some("access_denied"));
        assert_eq!(landed.says("code"), None);
    }
    assert_eq!(world.count("oauth_grant").await, 0);
    assert_eq!(world.count("audit_event WHERE action = 'client_approve'").await, 1, "hers alone");
    world.end().await;
}

/// The confused deputy: Eve has approved her own client, and lets Ada do the rest.
#[tokio::test]
async fn nobody_approves_for_somebody_else() {
    let world = World::new().await;
    let app = App::new(&world).await;
    let request = app.request(&[]);
    let mut eve = world.stranger(GRACE);
    let page = eve.url(&request);
    let asked = eve.open(&page).await;
    let decided = press(&mut eve, &asked, "allow").await;

    // The rest of the way, in Ada's browser: signed in or not, it leads nowhere.
    for mut ada in [world.stranger(ADA), world.ada().await] {
        let proceed = ada.visit("/oauth/authorize/continue").await;
        assert_eq!(proceed.status, StatusCode::BAD_REQUEST, "{}", proceed.body);
        assert!(proceed.body.contains("another browser"), "{}", proceed.body);
    }
    // The end of Eve's sign-in, in Ada's browser.
    let login = eve.follow_until(decided, |url| url.path() == "/login/callback").await;
    let callback = login.location().unwrap();
    let mut ada = world.stranger(ADA);
    assert!(ada.open(&callback).await.status.is_client_error());

    // Eve's form, posted by Ada's browser: with her ticket, with none, and with Ada's of another
    // request.
    let mut ada = world.ada().await;
    let forged = press(&mut ada, &asked, "allow").await;
    assert!(forged.status.is_client_error(), "{}", forged.status);
    let page = ada.url(&app.request(&[("state", "another")]));
    let hers = ada.open(&page).await;
    let mut form = consent_form(&hers);
    form.set("request", request.split_once('?').unwrap().1);
    let approve = form.buttons.iter().find(|button| button.value == "allow").cloned();
    let bent = ada.browser.submit(&hers, &form, approve.as_ref()).await.unwrap();
    assert_eq!(bent.status, StatusCode::BAD_REQUEST);
    form.set("ticket", "");
    let bare = ada.browser.submit(&hers, &form, approve.as_ref()).await.unwrap();
    assert_eq!(bare.status, StatusCode::BAD_REQUEST);
    assert_eq!(world.count("oauth_grant").await, 0);
    world.end().await;
}

/// Another page has Ada's browser post the form: her own cookies go along, and it still is not hers.
#[tokio::test]
async fn no_other_page_approves() {
    let world = World::new().await;
    let app = App::new(&world).await;
    let mut ada = world.ada().await;
    let page = ada.url(&app.request(&[]));
    let asked = ada.open(&page).await;
    assert!(asked.header("content-security-policy").unwrap().contains("frame-ancestors 'none'"));
    assert_eq!(asked.header("x-frame-options"), Some("DENY"));
    let url = ada.url("/oauth/authorize");
    for (origin, site) in [("http://evil.test", "cross-site"), ("null", "cross-site")] {
        let request = Request::post(url.as_str())
            .header(header::ORIGIN, origin)
            .header("sec-fetch-site", site)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Bytes::from("decision=allow"))
            .unwrap();
        assert_eq!(ada.send(request).await.status, StatusCode::FORBIDDEN, "{origin}");
    }
    world.end().await;
}

/// Ada approved, and before she went on somebody else signed in to her browser.
#[tokio::test]
async fn an_approval_is_of_the_session_it_was_given_in() {
    let world = World::new().await;
    let app = App::new(&world).await;
    let mut ada = world.ada().await;
    let page = ada.url(&app.request(&[]));
    let asked = ada.open(&page).await;
    let decided = press(&mut ada, &asked, "allow").await;
    assert_eq!(decided.status, StatusCode::SEE_OTHER);
    let mut grace = world.grace().await;
    let (origin, session) = (world.origin.clone(), grace.session().unwrap().to_owned());
    ada.browser.set_cookie(&origin, "attache_session", &session);
    assert_eq!(ada.follow(decided).await.status, StatusCode::BAD_REQUEST);
    drop(grace.visit("/ui/connections").await);
    world.end().await;
}

/// Ada approved before she signed in, and left; whoever uses the browser next is asked.
#[tokio::test]
async fn signing_out_takes_an_approval_back() {
    let world = World::new().await;
    let app = App::new(&world).await;
    let mut shared = world.stranger(ADA);
    let page = shared.url(&app.request(&[]));
    let asked = shared.open(&page).await;
    let decided = press(&mut shared, &asked, "allow").await;
    assert_eq!(decided.status, StatusCode::SEE_OTHER);
    assert_eq!(post(&mut shared, "/logout", "").await.status, 303);
    let proceed = shared.visit("/oauth/authorize/continue").await;
    assert_eq!(proceed.status, StatusCode::BAD_REQUEST, "{}", proceed.body);
    assert_eq!(world.count("oauth_grant").await, 0);
    world.end().await;
}

/// AS-7: everything is never given to who did not ask for it.
#[tokio::test]
async fn a_client_that_names_nothing_is_not_given_everything() {
    let more = "[authorization_server]\ngateway_audience = true\n".to_owned();
    let surroundings = Surroundings { more, ..Surroundings::default() };
    let world = World::among("sqlite:attache.db", surroundings).await;
    let app = App::new(&world).await;
    let mut ada = world.ada().await;
    let everything = world.origin.origin().ascii_serialization();
    for (resource, code) in [("", Some("invalid_target")), (everything.as_str(), None)] {
        let page = ada.url(&app.request(&[("resource", resource)]));
        let asked = ada.open(&page).await;
        match code {
            Some(code) => assert_eq!(Landed::of(&asked).says("error").as_deref(), Some(code)),
            None => assert!(asked.body.contains("every server"), "{}", asked.body),
        }
    }
    world.end().await;
}

/// A name that anybody may give themselves is put to people for one server at a time, where the
/// operator says so; and what was approved before is not renewed.
#[tokio::test]
async fn a_client_that_nobody_chose_has_one_server_at_a_time() {
    let more = "[authorization_server]\ngateway_audience = true\n\
         [[authorization_server.client]]\nid = \"desk\"\n\
         redirect_uris = [\"http://127.0.0.1/callback\"]\n"
        .to_owned();
    let surroundings = Surroundings { more, ..Surroundings::default() };
    let mut world = World::among("sqlite:attache.db", surroundings).await;
    let app = App::new(&world).await;
    let mut desk = App::new(&world).await;
    desk.id = "desk".to_owned();
    let mut ada = world.ada().await;
    let request = app.request(&[("resource", &app.resource("/mcp"))]);
    let asked = ada.visit(&request).await;
    assert!(
        asked
            .body
            .contains("every MCP server that you can reach through this gateway, now and later")
    );
    let landed = app.approved_for(&mut ada, &request).await;
    let tokens = Tokens::of(&world, &app.redeem(&landed.code()).await);

    let flag = "[authorization_server]\nall_servers_for_anybody = false\n";
    world.surroundings.more = world.surroundings.more.replace("[authorization_server]\n", flag);
    world.restart().await;
    assert_eq!(error(&app.refresh(&tokens.refresh).await), (400, "invalid_grant".to_owned()));
    for path in ["/mcp", ""] {
        for (client, code) in [(&app, Some("invalid_target")), (&desk, None)] {
            let request = client.request(&[("resource", &client.resource(path))]);
            let asked = ada.open(&ada.url(&request)).await;
            match code {
                Some(code) => assert_eq!(Landed::of(&asked).says("error").as_deref(), Some(code)),
                None => assert_eq!(asked.status, StatusCode::OK, "{}", asked.body),
            }
        }
    }
    let asked = ada.visit(&app.request(&[])).await;
    assert_eq!(asked.status, StatusCode::OK, "one server is for anybody");
    world.end().await;
}

#[tokio::test]
async fn a_code_goes_where_the_client_registered_and_nowhere_else() {
    let world = World::new().await;
    let app = App::new(&world).await;
    let mut ada = world.ada().await;
    for uri in [
        "",
        "http://127.0.0.1:9/callback/",
        "http://127.0.0.1:9/callback?x=1",
        "http://127.0.0.1:9/Callback",
        "http://127.0.0.1:9/x/../callback",
        "http://127.0.0.1:9@evil.test/callback",
        "http://127.0.0.1.evil.test/callback",
        "http://localhost:9/callback",
        "http://[::1]:9/callback",
        "https://127.0.0.1:9/callback",
        "http://evil.test/callback",
        "//evil.test/callback",
        "http://127.0.0.1:9/callback#x",
        "javascript:alert(1)",
    ] {
        let page = ada.url(&app.request(&[("redirect_uri", uri)]));
        let page = ada.open(&page).await;
        assert_eq!((page.status.as_u16(), page.location()), (400, None), "{uri}");
        assert!(!page.body.contains("evil.test"), "{}", page.body);
    }
    let page = ada.url(&app.request(&[("client_id", "client-nobody")]));
    let page = ada.open(&page).await;
    assert_eq!((page.status.as_u16(), page.location()), (400, None));
    let page = ada.url(&format!("{}&client_id={}", app.request(&[]), app.id));
    assert_eq!(ada.open(&page).await.status, StatusCode::BAD_REQUEST, "named twice");

    // Another port is the same program; the code is then for that address.
    let other = "http://127.0.0.1:4321/callback";
    let page = ada.url(&app.request(&[("redirect_uri", other)]));
    let asked = ada.open(&page).await;
    let decided = press(&mut ada, &asked, "allow").await;
    let page = ada.follow_until(decided, |url| url.as_str().starts_with(other)).await;
    let page = not_now(&mut ada, page).await;
    let location = page.location().unwrap();
    let (_, code) = location.query_pairs().find(|(name, _)| name == "code").unwrap();
    assert!(is(&app.redeem(&code).await, NO_GRANT), "at the registered port");
    let redeemed = app.redeem_with(&code, &[("redirect_uri", other)]).await;
    Tokens::of(&world, &redeemed);
    world.end().await;
}

#[tokio::test]
async fn what_cannot_be_had_is_said_to_the_client() {
    let world = World::new().await;
    let app = App::new(&world).await;
    let mut ada = world.ada().await;
    let elsewhere = "https://elsewhere.example/mcp/notes";
    for (changed, code) in [
        (("code_challenge", ""), "invalid_request"),
        (("code_challenge_method", "plain"), "invalid_request"),
        (("code_challenge_method", ""), "invalid_request"),
        (("response_type", "token"), "unsupported_response_type"),
        (("resource", elsewhere), "invalid_target"),
        (("resource", ""), "invalid_target"),
        (("resource", world.origin.as_str()), "invalid_target"),
        (("scope", "admin"), "invalid_scope"),
        (("prompt", "none"), "interaction_required"),
    ] {
        let page = ada.url(&app.request(&[changed]));
        let landed = Landed::of(&ada.open(&page).await);
        assert_eq!(landed.says("error").as_deref(), Some(code), "{changed:?}");
    }

    // But no link of ours leads to a site that anybody could have registered.
    let elsewhere = "https://elsewhere.example/callback";
    let app = App::registered(&world, &json!({ "redirect_uris": [elsewhere] })).await;
    let page = ada.url(&app.request(&[("redirect_uri", elsewhere), ("scope", "admin")]));
    let page = ada.open(&page).await;
    assert_eq!((page.status.as_u16(), page.location()), (400, None));
    world.end().await;
}

#[tokio::test]
async fn a_code_is_good_for_who_can_prove_what_it_was_given_for() {
    let world = World::new().await;
    let mut ada = world.ada().await;
    let (app, other) = (App::new(&world).await, App::new(&world).await);
    let code = app.approved_by(&mut ada).await.code();
    let (long, mail) = ("v".repeat(129), app.resource("/mcp/mail"));
    for (changed, expected) in [
        (("code_verifier", ""), NO_GRANT),
        (("code_verifier", "short"), NO_GRANT),
        (("code_verifier", other.verifier.as_str()), NO_GRANT),
        (("code_verifier", long.as_str()), NO_GRANT),
        (("client_id", other.id.as_str()), NO_GRANT),
        (("client_id", "client-nobody"), (401, "invalid_client")),
        (("client_secret", "guess"), (401, "invalid_client")),
        (("redirect_uri", ""), NO_GRANT),
        (("redirect_uri", "http://127.0.0.1:10/callback"), NO_GRANT),
        (("resource", mail.as_str()), (400, "invalid_target")),
        (("scope", "mcp:use admin"), (400, "invalid_scope")),
        (("grant_type", "password"), (400, "unsupported_grant_type")),
        (("grant_type", ""), (400, "invalid_request")),
        (("code", ""), (400, "invalid_request")),
        (("code", "guess"), NO_GRANT),
    ] {
        let page = app.redeem_with(&code, &[changed]).await;
        assert!(is(&page, expected), "{changed:?}: {} {}", page.status, page.body);
    }
    // None of that spent it.
    Tokens::of(&world, &app.redeem(&code).await);

    let late = app.approved_by(&mut ada).await.code();
    world.later(Duration::from_secs(61));
    assert!(is(&app.redeem(&late).await, NO_GRANT), "a minute is over");
    world.end().await;
}

/// Whoever has seen a code may be as fast as its client: then neither keeps anything.
#[tokio::test]
async fn a_code_that_comes_back_ends_what_it_began() {
    let world = World::new().await;
    let mut ada = world.ada().await;
    let app = App::new(&world).await;
    let code = app.approved_by(&mut ada).await.code();
    let tokens = Tokens::of(&world, &app.redeem(&code).await);
    let program = tokens.program(&world);
    assert!(program.whoami("notes").await.contains("/connect/notes"));

    let other = App::new(&world).await;
    assert!(is(&app.redeem_with(&code, &[("client_id", &other.id)]).await, NO_GRANT));
    assert!(program.whoami("notes").await.contains("/connect/notes"), "another client's word");

    assert!(is(&app.redeem(&code).await, NO_GRANT));
    assert!(is(&app.refresh(&tokens.refresh).await, NO_GRANT));
    let after = program.mcp("notes", "tools/list", &json!({})).await;
    assert_eq!(after.status, StatusCode::UNAUTHORIZED, "its access token is over at once");

    let code = app.approved_by(&mut ada).await.code();
    let racing: Vec<_> = (0..8).map(|_| app.redeem(&code)).collect();
    let mut won = Vec::new();
    for page in futures(racing).await {
        if page.status == StatusCode::OK {
            won.push(Tokens::of(&world, &page));
        } else {
            assert!(is(&page, NO_GRANT), "{}", page.body);
        }
    }
    assert!(won.len() <= 1, "{} have tokens for one code", won.len());
    for tokens in &won {
        assert!(is(&app.refresh(&tokens.refresh).await, NO_GRANT));
    }
    assert_eq!(world.count("oauth_grant").await, 0);
    world.end().await;
}

/// All at once.
async fn futures<F: Future<Output = Page>>(all: Vec<F>) -> Vec<Page> {
    let mut waiting: Vec<_> = all.into_iter().map(Box::pin).collect();
    let mut done: Vec<Option<Page>> = waiting.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (one, done) in waiting.iter_mut().zip(&mut done) {
            if done.is_none()
                && let std::task::Poll::Ready(page) = one.as_mut().poll(context)
            {
                *done = Some(page);
            }
        }
        if done.iter().all(Option::is_some) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    done.into_iter().flatten().collect()
}

/// A client that did not hear the answer asks again, and is answered the same; whoever comes later
/// with what was spent ends the whole family.
#[tokio::test]
async fn a_spent_refresh_token_ends_its_family_after_the_grace() {
    let world = World::new().await;
    let mut ada = world.ada().await;
    let (app, first) = App::signed_in(&world, &mut ada).await;
    let second = Tokens::of(&world, &app.refresh(&first.refresh).await);
    let again = Tokens::of(&world, &app.refresh(&first.refresh).await);
    assert_eq!(second.refresh, again.refresh, "within the grace");
    let racing: Vec<_> = (0..8).map(|_| app.refresh(&second.refresh)).collect();
    let thirds: Vec<String> =
        futures(racing).await.iter().map(|page| Tokens::of(&world, page).refresh).collect();
    assert!(thirds.iter().all(|one| one == &thirds[0]), "all are told the same");
    let other = App::new(&world).await;
    assert!(is(&other.refresh(&second.refresh).await, NO_GRANT), "another client");
    let wider = app.refresh_with(&thirds[0], &[("scope", "mcp:use admin")]).await;
    assert!(is(&wider, (400, "invalid_scope")));
    let mail = app.resource("/mcp/mail");
    let elsewhere = app.refresh_with(&thirds[0], &[("resource", &mail)]).await;
    assert!(is(&elsewhere, (400, "invalid_target")));

    world.later(Duration::from_secs(61));
    assert!(is(&app.refresh(&second.refresh).await, NO_GRANT), "the grace is over");
    assert!(is(&app.refresh(&thirds[0]).await, NO_GRANT), "the family has ended");
    let after = second.program(&world).mcp("notes", "tools/list", &json!({})).await;
    assert_eq!(after.status, StatusCode::UNAUTHORIZED);

    // One from long before, at any time.
    let (app, first) = App::signed_in(&world, &mut ada).await;
    let second = Tokens::of(&world, &app.refresh(&first.refresh).await);
    let third = Tokens::of(&world, &app.refresh(&second.refresh).await);
    assert!(is(&app.refresh(&first.refresh).await, NO_GRANT));
    assert!(is(&app.refresh(&third.refresh).await, NO_GRANT));

    // What never was one ends nothing.
    let (app, tokens) = App::signed_in(&world, &mut ada).await;
    for guess in ["attr_guess.guess", "attr_", "guess", &tokens.access] {
        assert!(is(&app.refresh(guess).await, NO_GRANT), "{guess}");
    }
    Tokens::of(&world, &app.refresh(&tokens.refresh).await);
    // And after 90 days the person is asked again, however busy it was.
    world.later(Duration::from_hours(90 * 24));
    assert!(is(&app.refresh(&tokens.refresh).await, NO_GRANT));
    world.end().await;
}

#[tokio::test]
async fn a_token_opens_what_it_was_given_for() {
    let world = World::new().await;
    let mut ada = world.ada().await;
    let (_, tokens) = App::signed_in(&world, &mut ada).await;
    let program = tokens.program(&world);
    for upstream in ["mail", "vip", "rooms", "nothing"] {
        let page = program.mcp(upstream, "tools/list", &json!({})).await;
        assert_eq!(page.status, StatusCode::UNAUTHORIZED, "{upstream}");
        let challenge = page.header("www-authenticate").unwrap();
        assert!(challenge.contains("invalid_token"), "{challenge}");
        assert!(challenge.contains(&format!("/mcp/{upstream}\"")), "{challenge}");
    }
    assert_eq!(program.get("/api/v1/user/credentials").await.status, StatusCode::UNAUTHORIZED);
    world.end().await;
}

/// Tokens that look like ours.
#[tokio::test]
async fn only_our_own_tokens_are_ours() {
    let world = World::new().await;
    let other_world = World::new().await;
    let mut ada = world.ada().await;
    let (_, tokens) = App::signed_in(&world, &mut ada).await;
    let claims = tokens.access.split('.').nth(1).unwrap();
    let claims = base64::Engine::decode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, claims).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
    let mut whole = claims.clone();
    whole["aud"] = json!(world.origin.origin().ascii_serialization());

    // As the gateway itself would sign them, elsewhere.
    let mut theirs = other_world.ada().await;
    let (_, foreign) = App::signed_in(&other_world, &mut theirs).await;
    let (head, rest) = tokens.access.split_once('.').unwrap();
    let (_, signature) = rest.split_once('.').unwrap();
    let bent = attache_crypto::digest::base64url(whole.to_string().as_bytes());
    for (what, token) in [
        ("unsigned", crate::forge::Forge::unsigned(&claims)),
        ("signed with a public key", world.forge.signed_with_the_public_key(&claims)),
        ("of another issuer's key", world.forge.sign("at+jwt", &claims)),
        ("of a stranger's key", world.forge.signed_by_a_stranger(&claims)),
        ("of another deployment", foreign.access),
        ("with another payload", format!("{head}.{bent}.{signature}")),
        ("a refresh token", tokens.refresh.clone()),
    ] {
        let page = world.program_with(&token).mcp("notes", "tools/list", &json!({})).await;
        assert_eq!(page.status, StatusCode::UNAUTHORIZED, "{what}");
    }
    other_world.end().await;
    world.end().await;
}

#[tokio::test]
async fn what_is_revoked_is_over_at_once() {
    let world = World::new().await;
    let mut ada = world.ada().await;
    let other = App::new(&world).await;
    for by_refresh_token in [true, false] {
        let (app, tokens) = App::signed_in(&world, &mut ada).await;
        let program = tokens.program(&world);
        assert!(program.whoami("notes").await.contains("/connect/notes"));
        let token = if by_refresh_token { &tokens.refresh } else { &tokens.access };
        assert_eq!(other.revoke(token).await.status, StatusCode::OK, "no word about others'");
        assert_eq!(app.revoke("guess").await.status, StatusCode::OK);
        assert!(program.whoami("notes").await.contains("/connect/notes"));
        assert_eq!(app.revoke(token).await.status, StatusCode::OK);
        let after = program.mcp("notes", "tools/list", &json!({})).await;
        assert_eq!(after.status, StatusCode::UNAUTHORIZED);
        assert!(is(&app.refresh(&tokens.refresh).await, NO_GRANT));
    }

    // And with it what is open.
    ada.connect("rooms").await;
    let app = App::new(&world).await;
    let request = app.request(&[("resource", &app.resource("/mcp/rooms"))]);
    let code = app.approved_for(&mut ada, &request).await.code();
    let tokens = Tokens::of(&world, &app.redeem(&code).await);
    let listen = "Accept: text/event-stream\r\nX-Play: silent\r\n";
    let mut stream = tokens.program(&world).open("GET /mcp/rooms", listen).await;
    assert!(stream.head.starts_with("HTTP/1.1 200"), "{}", stream.head);
    assert_eq!(app.revoke(&tokens.refresh).await.status, StatusCode::OK);
    assert!(stream.ends_within(AT_ONCE).await);
    world.end().await;
}

#[tokio::test]
async fn who_is_switched_off_gets_nothing_more() {
    let world = World::new().await;
    let mut ada = world.ada().await;
    let (app, tokens) = App::signed_in(&world, &mut ada).await;
    let code = app.approved_by(&mut ada).await.code();
    world.tamper("UPDATE person SET disabled = TRUE").await;
    assert!(is(&app.redeem(&code).await, NO_GRANT));
    assert!(is(&app.refresh(&tokens.refresh).await, NO_GRANT));
    let program = tokens.program(&world);
    let page = program.mcp("notes", "tools/list", &json!({})).await;
    assert_eq!(page.status, StatusCode::UNAUTHORIZED);

    // Signing out of a browser ends nothing of a program.
    world.tamper("UPDATE person SET disabled = FALSE").await;
    world.tamper("DELETE FROM session").await;
    Tokens::of(&world, &app.refresh(&tokens.refresh).await);
    world.end().await;
}

/// Whoever let a client in sees it, and ends all of it: what it holds, what is open, on every replica.
#[tokio::test(flavor = "multi_thread")]
async fn a_person_sees_and_ends_what_a_client_was_given() {
    let cluster = Cluster::start();
    let replicas = Replicas::on(&cluster).await;
    let world = &replicas.world;
    let (mut ada, mut grace) = (world.ada().await, world.grace().await);
    ada.connect("rooms").await;
    let mut held = Vec::new();
    for name in ["Kept <i>", "Ended"] {
        let app = App::registered(world, &json!({ "client_name": name })).await;
        let request = app.request(&[("resource", &app.resource("/mcp/rooms"))]);
        let landed = app.approved_for(&mut ada, &request).await;
        let tokens = Tokens::of(world, &app.redeem(&landed.code()).await);
        let program = tokens.program(world);
        let listen = "Accept: text/event-stream\r\nX-Play: silent\r\n";
        let stream = program.open("GET /mcp/rooms", listen).await;
        assert!(stream.head.starts_with("HTTP/1.1 200"), "{}", stream.head);
        held.push((app, tokens, program, stream));
        world.later(Duration::from_secs(1));
    }
    let page = ada.visit("/ui/programs").await;
    for shown in ["Kept &#60;i&#62;", "Ended", "It gave itself this name", "rooms"] {
        assert!(page.body.contains(shown), "{shown}: {}", page.body);
    }
    let [here, there] = replicas.programs(ADA);
    let [ended, _] = <[String; 2]>::try_from(ids(&here, "grants").await).expect("two");

    // Nobody else's hand, nor one that may only look.
    let path = format!("/api/v1/user/grants/{ended}");
    let looks = "name=c&reach=everything&access=look&days=1";
    let looks = holder(world, &token(&mut ada, looks).await);
    assert_eq!(ids(&looks, "grants").await.len(), 2);
    assert_eq!(ids(&world.program(GRACE), "grants").await.len(), 0);
    assert!(!grace.visit("/ui/programs").await.body.contains("Ended"));
    for (program, status) in [(&looks, 403), (&world.program(GRACE), 404), (&there, 204)] {
        let request = program.request(Method::DELETE, &path).body(Bytes::new());
        assert_eq!(program.send(request.unwrap()).await.status, status);
    }
    assert_eq!(post(&mut grace, &format!("/ui/programs/{ended}/end"), "").await.status, 404);

    for ((app, tokens, program, mut stream), ends) in held.into_iter().zip([false, true]) {
        assert_eq!(stream.ends_within(AT_ONCE).await, ends);
        let page = program.mcp("rooms", "tools/list", &json!({})).await;
        assert_eq!(page.status == StatusCode::UNAUTHORIZED, ends, "{}", page.body);
        assert_eq!(is(&app.refresh(&tokens.refresh).await, NO_GRANT), ends);
    }
    let [kept] = <[String; 1]>::try_from(ids(&here, "grants").await).expect("one");
    assert_eq!(post(&mut ada, &format!("/ui/programs/{kept}/end"), "").await.status, 303);
    assert_eq!(ids(&here, "grants").await.len(), 0);
    let mut prompt = PgConnection::connect(cluster.url().expose()).await.expect("a prompt");
    let log = "SELECT count(*) FROM audit_event WHERE action = 'grant_revoke' AND server = 'rooms'";
    let revoked: i64 = sqlx::query_scalar(log).fetch_one(&mut prompt).await.expect("good SQL");
    assert!(revoked > 0);
    replicas.end().await;
}

/// A client writes what it likes about itself.
#[tokio::test]
async fn a_client_is_shown_as_text() {
    let world = World::new().await;
    let name = "<script>alert(1)</script>\"' \u{202e}evil";
    let app = App::registered(&world, &json!({ "client_name": name })).await;
    let mut ada: Visitor = world.ada().await;
    let page = ada.url(&app.request(&[("state", "\"><script>x</script>")]));
    let asked = ada.open(&page).await;
    assert_eq!(asked.status, StatusCode::OK);
    assert!(!asked.body.contains("<script") && !asked.body.contains('\u{202e}'), "{}", asked.body);
    assert!(asked.body.contains("Nobody vouches for it"), "{}", asked.body);
    world.end().await;
}

/// Somebody registers clients and approves them, thousands of them: everybody else still can.
#[tokio::test]
async fn clients_that_nobody_uses_any_more_keep_no_other_out() {
    let world = World::new().await;
    let mut ada = world.ada().await;
    let (app, tokens) = App::signed_in(&world, &mut ada).await;
    world.tamper("UPDATE oauth_client SET created_at = 0").await;
    world
        .tamper(
            "WITH RECURSIVE counted (n) AS
                (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < 10000)
            INSERT INTO oauth_client
                (id, name, redirect_uris, auth_method, created_at, expires_at, approved)
            SELECT 'client-' || n, 'x', '[]', 'none', n, 9000000000000, TRUE FROM counted",
        )
        .await;
    drop(App::new(&world).await);
    drop(App::new(&world).await);
    assert_eq!(world.count("oauth_client WHERE approved = TRUE").await, 9_901);
    assert_eq!(
        world.counted("attache_clients_evicted").await,
        ["attache_clients_evicted_total 100"]
    );
    // The oldest of all is in use.
    Tokens::of(&world, &app.refresh(&tokens.refresh).await);
    world.end().await;
}

#[tokio::test]
async fn registrations_are_slow_bounded_and_forgotten() {
    let world = World::new().await;
    let app = App::new(&world).await;
    let mut made = 1;
    loop {
        let page = App::register(&world, &json!({})).await;
        if page.status != StatusCode::CREATED {
            assert_eq!(page.status, StatusCode::TOO_MANY_REQUESTS, "{}", page.body);
            break;
        }
        made += 1;
        assert!(made < 100, "nobody is slowed down");
    }
    assert_eq!(world.count("oauth_client").await, made);
    for (metadata, code) in [
        (json!({ "redirect_uris": ["http://evil.test/cb"] }), "invalid_redirect_uri"),
        (json!({ "redirect_uris": [] }), "invalid_redirect_uri"),
        (json!({ "grant_types": ["implicit"] }), "invalid_client_metadata"),
    ] {
        world.later(Duration::from_mins(1));
        assert!(is(&App::register(&world, &metadata).await, (400, code)), "{metadata}");
    }
    let mut ada = world.ada().await;
    let landed = app.approved_by(&mut ada).await;
    Tokens::of(&world, &app.redeem(&landed.code()).await);

    // A week later the others are forgotten; the one that was approved is not.
    world.later(Duration::from_hours(8 * 24));
    let late = App::new(&world).await;
    assert_eq!(world.count("oauth_client").await, 2);
    let mut ada = world.ada().await;
    for app in [app, late] {
        let page = ada.url(&app.request(&[("redirect_uri", CALLBACK)]));
        assert_eq!(ada.open(&page).await.status, StatusCode::OK);
    }
    world.end().await;
}
