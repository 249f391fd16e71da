//! The web surface as browsers and programs meet it: real broker, real store, a scripted
//! authorization server.

#[cfg(test)] // where clippy lets tests unwrap
mod world;

use attache_core::{
    RequestId,
    audit::{self, Action, Outcome},
    problem::Kind,
};
use http::{Method, StatusCode, header};

use crate::world::{World, location, query};

const SERVER: &str = "/api/v1/user/credentials/github";

#[tokio::test]
async fn a_person_connects_looks_and_disconnects() {
    let world = World::new().await;
    let ada = world.signed_in("ada").await;

    let page = ada.get("/connect/github").await.text().await;
    for shown in ["Connect github", "ada@example.com", "as.example.com", "repo"] {
        assert!(page.contains(shown), "{shown}");
    }
    let back = ada.consent("github").await;
    let ended = ada.get(&back).await;
    assert_eq!(ended.status(), StatusCode::SEE_OTHER);
    assert_eq!(ended.header(header::REFERRER_POLICY), "no-referrer");
    let page = location(&ended);
    assert_eq!(page, "/ui/connections?credential_server=github&credential_connected=1");
    let page = ada.get(&page).await.text().await;
    assert!(page.contains("github is connected.") && page.contains("in 1 hour"), "{page}");
    assert!(page.contains(">ada-l<"), "{page}");
    assert!(ada.get("/connect/github").await.text().await.contains(">ada-l<"));

    let text = ada.get("/api/v1/user/credentials").await.text().await;
    assert!(!text.contains("secret-access") && !text.contains("secret-refresh"), "{text}");
    let listed: serde_json::Value = serde_json::from_str(&text).unwrap();
    let github = &listed["credentials"][0];
    assert_eq!(github["status"], "connected");
    assert_eq!(github["account"], serde_json::json!({ "id": null, "label": "ada-l" }));
    assert_eq!(github["health"], "connected");
    assert_eq!(github["connect_path"], "/connect/github");
    assert_eq!(github["expires_at"], "2026-11-23T13:00:00Z");

    let disconnected = ada.send(Method::DELETE, SERVER, &[]).await;
    let ids = [ended.header("x-request-id"), disconnected.header("x-request-id")];
    let [connect, disconnect] = ids.map(RequestId::new);
    let written = world.stores.audit.list(None, 10).await.unwrap();
    let written: Vec<_> =
        written.into_iter().rev().map(|one| (one.action, one.request_id)).collect();
    assert_eq!(
        written,
        [
            (Action::Acquire, Some(connect.clone())),
            (Action::Connect, Some(connect)),
            (Action::Disconnect, Some(disconnect.clone())),
            (Action::Revoke, Some(disconnect)),
        ]
    );
    assert_eq!(disconnected.json().await["revoked"], true);
    let again = ada.send(Method::DELETE, SERVER, &[]).await;
    assert_eq!(again.status(), StatusCode::NOT_FOUND);
    let problem = again.json().await;
    assert_eq!(problem["type"], "https://gw.example.com/problems/nothing-to-disconnect");
    assert_eq!(problem["connect_url"], "https://gw.example.com/connect/github");
}

/// Wrong-account linking: pointed out before anything is replaced, and only whoever approved
/// decides, in their browser, by a form of ours.
#[tokio::test]
async fn another_account_is_pointed_out_before_it_replaces_the_first() {
    let world = World::new().await;
    let (ada, grace) = (world.signed_in("ada").await, world.signed_in("grace").await);
    let elsewhere = world.signed_in("ada").await;
    for (press, outcome, account) in
        [("keep", "credential_kept", "ada-l"), ("replace", "credential_connected", "<grace>")]
    {
        let connected = ada.get(&ada.consent("github").await).await;
        assert!(location(&connected).ends_with("credential_connected=1"));
        let asked = ada.get(&ada.consent_as("%3Cgrace%3E", "github").await).await;
        assert_eq!(asked.header(header::REFERRER_POLICY), "no-referrer");
        let asked = location(&asked);
        assert_eq!(asked, "/connect/github/account");
        let page = ada.get(&asked).await.text().await;
        assert!(page.contains("ada-l") && page.contains("&#60;grace&#62;"), "{page}");
        let (_, rest) = page.split_once(&format!("{asked}/{press}?")).unwrap();
        let (attempt, _) = rest.split_once('"').unwrap();
        let form = format!("{asked}/{press}?{attempt}");

        for stranger in [&grace, &elsewhere] {
            let seen = stranger.get(&asked).await;
            assert_eq!(
                query(&location(&seen), "credential_error").as_deref(),
                Some("flow_unknown")
            );
            let pressed = stranger.send(Method::POST, &form, &[]).await;
            let ended = query(&location(&pressed), "credential_error");
            assert_eq!(ended.as_deref(), Some("flow_unknown"));
        }
        assert_eq!(
            world.nobody().send(Method::POST, &form, &[]).await.status(),
            StatusCode::UNAUTHORIZED
        );
        let cross = [("sec-fetch-site", "cross-site"), ("origin", "https://evil.test")];
        let forged = ada.send(Method::POST, &form, &cross).await;
        assert_eq!(forged.status(), StatusCode::FORBIDDEN);
        assert_eq!(ada.get(&form).await.status(), StatusCode::METHOD_NOT_ALLOWED);

        let pressed = ada.send(Method::POST, &form, &[]).await;
        assert_eq!(query(&location(&pressed), outcome).as_deref(), Some("1"));
        let listed = ada.get("/api/v1/user/credentials").await.json().await;
        assert_eq!(listed["credentials"][0]["account"]["label"], account);
        let again = ada.send(Method::POST, &form, &[]).await;
        assert_eq!(query(&location(&again), "credential_error").as_deref(), Some("flow_unknown"));
    }
}

/// Each under a name of its owner's, asked for by a form that changes nothing.
#[tokio::test]
async fn a_person_adds_another_account() {
    let world = World::new().await;
    let ada = world.signed_in("ada").await;
    let form = "action=\"/connect/github\"";
    assert!(!ada.get("/ui/connections").await.text().await.contains(form), "connect first");
    ada.get(&ada.consent("github").await).await;
    assert!(ada.get("/ui/connections").await.text().await.contains(form));

    let named = ada.get("/connect/github?account=work").await;
    assert_eq!(location(&named), "/connect/github@work");
    for bad in ["", "Work", "work%40home", "..", "a%2Fb"] {
        let refused = ada.get(&format!("/connect/github?account={bad}")).await;
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{bad}");
    }
    let twice = ada.get("/connect/github@work?account=home").await;
    assert_eq!(twice.status(), StatusCode::BAD_REQUEST);

    assert!(ada.get("/connect/github@work").await.text().await.contains("Connect github@work"));
    let back = ada.consent("github@work").await;
    let page = location(&ada.get(&back).await);
    assert_eq!(page, "/ui/connections?credential_server=github@work&credential_connected=1");
    let html = ada.get(&page).await.text().await;
    assert!(html.contains("github@work is connected."), "{html}");
    assert!(html.contains("which github is, too"), "{html}");

    let listed = ada.get("/api/v1/user/credentials").await.json().await;
    let rows = listed["credentials"].as_array().unwrap();
    let row = |key: &str| rows[..2].iter().map(|one| one[key].clone()).collect::<Vec<_>>();
    assert_eq!(row("server"), ["github", "github@work"]);
    assert_eq!(row("connect_path"), ["/connect/github", "/connect/github@work"]);
    assert_eq!(row("same_account_as"), [serde_json::Value::Null, "github".into()]);
    let to_page = ada.get("/api/v1/user/credentials/github@work/connect").await;
    assert_eq!(location(&to_page), "/connect/github@work");

    // Another account of the provider asks, and about this one alone.
    let asked = location(&ada.get(&ada.consent_as("grace", "github@work").await).await);
    assert_eq!(asked, "/connect/github@work/account");
    assert!(ada.get(&asked).await.text().await.contains("Replace the github@work account?"));
    let nothing = ada.get("/connect/github/account").await;
    assert_eq!(query(&location(&nothing), "credential_error").as_deref(), Some("flow_unknown"));

    let gone = ada.send(Method::POST, "/ui/connections/github@work/disconnect", &[]).await;
    let html = ada.get(&location(&gone)).await.text().await;
    assert!(html.contains("github@work is disconnected."), "{html}");
    let work = "/api/v1/user/credentials/github@work";
    let again = ada.send(Method::DELETE, work, &[]).await;
    assert_eq!(again.status(), StatusCode::NOT_FOUND);
    let connect_url = "https://gw.example.com/connect/github@work";
    assert_eq!(again.json().await["connect_url"], connect_url);
    let first = ada.send(Method::DELETE, SERVER, &[]).await;
    assert_eq!(first.json().await["deleted"], true);
}

#[tokio::test]
async fn a_person_enters_a_key_that_the_server_accepts() {
    const FORM: [(&str, &str); 1] = [("content-type", "application/x-www-form-urlencoded")];
    let world = World::new().await;
    let ada = world.signed_in("ada").await;
    let page = ada.get("/connect/weather").await;
    assert!(page.text().await.contains("action=\"/connect/weather/key\""));
    let begun = ada.send(Method::POST, "/connect/weather", &[]).await;
    assert_eq!(begun.status(), StatusCode::NOT_FOUND, "there is nowhere to consent");

    let enter = "/connect/weather/key";
    for (body, words) in [
        ("api_key=bad-key", "does not accept the key"),
        ("api_key=two+words", "not a key that can be sent"),
        ("api_key=a&api_key=b", "not a key that can be sent"),
        ("username=ada&password=good-key", "not a key that can be sent"),
        ("", "not a key that can be sent"),
    ] {
        let refused = ada.send_body(Method::POST, enter, &FORM, body).await;
        assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        let page = refused.text().await;
        assert!(page.contains(words) && !page.contains("bad-key"), "{page}");
        assert!(!page.contains("secret-words"), "{page}");
    }
    let long = format!("api_key={}", "k".repeat(64 * 1024));
    let refused = ada.send_body(Method::POST, enter, &FORM, &long).await;
    assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let cross = [FORM[0], ("sec-fetch-site", "cross-site"), ("origin", "https://evil.test")];
    let forged = ada.send_body(Method::POST, enter, &cross, "api_key=good-key").await;
    assert_eq!(forged.status(), StatusCode::FORBIDDEN);
    let stranger = world.nobody().send_body(Method::POST, enter, &FORM, "api_key=good-key").await;
    assert_eq!(stranger.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(ada.credential("weather").await["status"], "not_connected");

    let kept = ada.send_body(Method::POST, enter, &FORM, "api_key=+good-key%0D%0A").await;
    assert_eq!(query(&location(&kept), "credential_connected").as_deref(), Some("1"));
    let connected = ada.credential("weather").await;
    assert_eq!(
        (&connected["status"], &connected["mode"]),
        (&"connected".into(), &"api_key".into())
    );
    assert_eq!(connected["obtained_via"], "api_key");
    assert!(ada.get("/connect/weather").await.text().await.contains("Replace weather"));
    let written = world.stores.audit.list(None, 10).await.unwrap();
    assert_eq!(written[0].method, Some(audit::Method::ApiKey));
    assert_eq!((written[0].action, written[0].outcome), (Action::Connect, Outcome::Success));
}

#[tokio::test]
async fn their_browser_may_send_it_to_the_api_too() {
    const JSON: [(&str, &str); 1] = [("content-type", "application/json")];
    let world = World::new().await;
    let ada = world.signed_in("ada").await;
    let at = |server: &str| format!("/api/v1/user/credentials/{server}");
    for (server, body, status, kind) in [
        ("weather", r#"{"api_key":"bad-key"}"#, 422, "key-not-accepted"),
        ("weather", r#"{"api_key":7}"#, 422, "key-not-accepted"),
        ("weather", r#"{"key":"good-key"}"#, 422, "key-not-accepted"),
        ("github", r#"{"api_key":"good-key"}"#, 405, "method-not-allowed"),
        ("payroll", r#"{"api_key":"good-key"}"#, 404, "no-such-upstream"),
        ("nothing", r#"{"api_key":"good-key"}"#, 404, "no-such-upstream"),
    ] {
        let refused = ada.send_body(Method::PUT, &at(server), &JSON, body).await;
        assert_eq!(refused.status().as_u16(), status, "{server} {body}");
        let problem = refused.json().await;
        let address = format!("https://gw.example.com/problems/{kind}");
        assert_eq!(problem["type"], address.as_str(), "{problem}");
        assert!(!problem.to_string().contains("-key\""), "{problem}");
    }
    let good = r#"{"api_key":"good-key"}"#;
    let untyped = ada.send_body(Method::PUT, &at("weather"), &[], good).await;
    assert_eq!(untyped.status(), StatusCode::UNPROCESSABLE_ENTITY, "no form can do this");
    let kept = ada.send_body(Method::PUT, &at("weather"), &JSON, good).await;
    assert_eq!(kept.status(), StatusCode::OK);
    assert_eq!(kept.json().await["status"], "connected");
    let ended = ada.send(Method::DELETE, &at("weather"), &[]).await.json().await;
    assert_eq!((&ended["deleted"], &ended["revoked"]), (&true.into(), &false.into()));
    assert_eq!(ada.credential("weather").await["status"], "not_connected");
}

#[tokio::test]
async fn who_may_not_finish_a_consent_does_not_spend_it() {
    let world = World::new().await;
    let (ada, grace) = (world.signed_in("ada").await, world.signed_in("grace").await);
    let back = ada.consent("github").await;
    for (browser, reason) in [(world.nobody(), "wrong_browser"), (grace, "wrong_person")] {
        let ended = browser.get(&back).await;
        assert_eq!(query(&location(&ended), "credential_error").as_deref(), Some(reason));
    }
    let ended = ada.get(&back).await;
    assert_eq!(query(&location(&ended), "credential_connected").as_deref(), Some("1"));
    let replayed = ada.get(&back).await;
    assert_eq!(query(&location(&replayed), "credential_error").as_deref(), Some("flow_unknown"));
}

#[tokio::test]
async fn another_site_cannot_act_through_a_persons_browser() {
    let world = World::new().await;
    let ada = world.signed_in("ada").await;
    let ours = "https://gw.example.com";
    let cases: [(&[(&str, &str)], StatusCode); 8] = [
        (
            &[("sec-fetch-site", "cross-site"), ("origin", "https://evil.test")],
            StatusCode::FORBIDDEN,
        ),
        (&[("sec-fetch-site", "same-site"), ("origin", "null")], StatusCode::FORBIDDEN),
        (&[("origin", "https://evil.test")], StatusCode::FORBIDDEN),
        (&[("origin", "http://gw.example.com")], StatusCode::FORBIDDEN),
        (&[("origin", "null")], StatusCode::FORBIDDEN),
        (&[("host", "rebound.test")], StatusCode::FORBIDDEN),
        (&[("sec-fetch-site", "same-origin"), ("origin", ours)], StatusCode::SEE_OTHER),
        (&[("origin", ours)], StatusCode::SEE_OTHER),
    ];
    for (headers, expected) in cases {
        let answer = ada.send(Method::POST, "/connect/github", headers).await;
        assert_eq!(answer.status(), expected, "{headers:?}");
    }
    let readings = ada.send(Method::GET, "/ui/connections", &[("host", "rebound.test")]).await;
    assert_eq!(readings.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_stranger_is_sent_to_sign_in_and_back() {
    let world = World::new().await;
    let nobody = world.nobody();
    let page = nobody.get("/connect/github?e=1").await;
    assert_eq!(location(&page), "/login?return_to=%2Fconnect%2Fgithub%3Fe%3D1");
    // A form is not followed by a redirect to the identity provider: `form-action` would stop it.
    let form = nobody.send(Method::POST, "/connect/github", &[]).await;
    assert_eq!(form.status(), StatusCode::UNAUTHORIZED);
    assert!(form.text().await.contains("href=\"/login\""));

    let api = nobody.get("/api/v1/user/credentials").await;
    assert_eq!(api.status(), StatusCode::UNAUTHORIZED);
    let metadata = "https://gw.example.com/.well-known/oauth-protected-resource";
    let challenge = format!("Bearer resource_metadata=\"{metadata}\"");
    assert_eq!(api.header(header::WWW_AUTHENTICATE), challenge);
    assert_eq!(api.header(header::CONTENT_TYPE), "application/problem+json");
    let id = api.header("x-request-id").to_owned();
    assert_eq!(api.json().await["request_id"], id.as_str());
}

#[tokio::test]
async fn a_server_that_is_not_for_this_person_does_not_exist() {
    let world = World::new().await;
    let ada = world.signed_in("ada").await;
    let long = format!("github@{}", "a".repeat(33));
    for server in [
        "payroll",
        "no-such-thing",
        "..",
        "GitHub",
        "payroll@work",
        "github@",
        "@work",
        "github@a@b",
        "github@Work",
        "github@..%2Fx",
        "github%40a%40b",
        &long,
    ] {
        let page = ada.get(&format!("/connect/{server}")).await;
        assert_eq!(page.status(), StatusCode::NOT_FOUND, "{server}");
        let api = format!("/api/v1/user/credentials/{server}");
        let gone = ada.send(Method::DELETE, &api, &[]).await;
        assert_eq!(gone.status(), StatusCode::NOT_FOUND, "{server}");
        assert_eq!(
            gone.json().await["type"],
            "https://gw.example.com/problems/no-such-upstream",
            "{server}"
        );
    }
    assert!(!ada.get("/ui/connections").await.text().await.contains("payroll"));
}

#[tokio::test]
async fn looking_at_a_link_changes_nothing() {
    let world = World::new().await;
    let ada = world.signed_in("ada").await;
    let from_api = ada.get("/api/v1/user/credentials/github/connect").await;
    assert_eq!(from_api.status(), StatusCode::SEE_OTHER);
    assert_eq!(location(&from_api), "/connect/github");
    for path in ["/logout", "/ui/connections/github/disconnect"] {
        let looked = ada.get(path).await;
        assert_eq!(looked.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
        assert_eq!(looked.header(header::ALLOW), "POST", "{path}");
    }
    let out = ada.send(Method::POST, "/logout", &[]).await;
    assert_eq!(location(&out), "/ui/signed-out");
    assert!(out.header(header::SET_COOKIE).contains("Max-Age=0"));
    let gone = ada.get("/ui/connections").await;
    assert_eq!(location(&gone), "/login?return_to=%2Fui%2Fconnections");
}

#[tokio::test]
async fn every_answer_is_fenced() {
    let world = World::new().await;
    let ada = world.signed_in("ada").await;
    for path in ["/", "/ui/connections", "/connect/github", "/nothing", "/api/v1/user/credentials"]
    {
        let answer = ada.send(Method::GET, path, &[("x-request-id", "mine")]).await;
        let policy = answer.header(header::CONTENT_SECURITY_POLICY);
        assert!(policy.starts_with("default-src 'none'"), "{path}");
        assert!(policy.contains("frame-ancestors 'none'"), "{path}");
        assert_eq!(answer.header(header::X_CONTENT_TYPE_OPTIONS), "nosniff", "{path}");
        assert_eq!(answer.header(header::CACHE_CONTROL), "no-store", "{path}");
        assert!(answer.header(header::STRICT_TRANSPORT_SECURITY).starts_with("max-age="), "{path}");
        assert_ne!(answer.header("x-request-id"), "mine", "{path}");
    }
    let style = ada.get(&attache_web::assets::STYLE.path).await;
    assert!(style.header(header::CACHE_CONTROL).contains("immutable"));
}

#[tokio::test]
async fn a_refusal_at_the_provider_is_told_kindly_and_written_down() {
    let world = World::new().await;
    let ada = world.signed_in("ada").await;
    let back = ada.consent("github").await.replace("code=ada-l", "error=access_denied");
    let page = location(&ada.get(&back).await);
    assert_eq!(query(&page, "credential_error").as_deref(), Some("access_denied"));
    assert!(ada.get(&page).await.text().await.contains("The request was declined."));
    let last = world.stores.audit.list(None, 1).await.unwrap().pop().unwrap();
    assert_eq!(last.action, Action::Deny);
    assert!(matches!(last.outcome, Outcome::Failure(_)));
}

/// RS-1 to RS-4, for browser clients too.
#[tokio::test]
async fn whoever_may_not_call_yet_learns_where_tokens_come_from() {
    let world = World::new().await;
    let nobody = world.nobody();
    let from_a_page = [("origin", "https://inspector.example")];
    for (path, resource_name) in [
        ("", "attache"),
        ("/mcp/github", "attache: github"),
        ("/mcp/github@work", "attache: github@work"),
        ("/mcp/no-such-thing", "attache: no-such-thing"),
        ("/http/payroll", "attache: payroll"),
    ] {
        let location = format!("/.well-known/oauth-protected-resource{path}");
        let answer = nobody.send(Method::GET, &location, &from_a_page).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        assert_eq!(answer.header(header::CONTENT_TYPE), "application/json");
        assert_eq!(answer.header(header::CACHE_CONTROL), "max-age=300");
        assert_eq!(answer.header(header::ACCESS_CONTROL_ALLOW_ORIGIN), "*");
        let expected = serde_json::json!({
            "resource": format!("https://gw.example.com{path}"),
            "authorization_servers": ["https://idp.example.com", "https://ci.example.com"],
            "bearer_methods_supported": ["header"],
            "resource_name": resource_name,
        });
        assert_eq!(answer.json().await, expected, "{path}");
    }

    let location = "/.well-known/oauth-protected-resource/mcp/github";
    let asks_first = [
        ("origin", "https://inspector.example"),
        ("access-control-request-method", "GET"),
        ("access-control-request-headers", "mcp-protocol-version"),
    ];
    let allowed = nobody.send(Method::OPTIONS, location, &asks_first).await;
    assert_eq!(allowed.status(), StatusCode::OK);
    assert_eq!(allowed.header(header::ACCESS_CONTROL_ALLOW_HEADERS), "*");
    for (path, headers, expected) in [
        (location, ("host", "rebound.test"), StatusCode::FORBIDDEN),
        ("/.well-known/oauth-protected-resource/mcp/GitHub", from_a_page[0], StatusCode::NOT_FOUND),
        ("/.well-known/oauth-protected-resource/mcp/a@b@c", from_a_page[0], StatusCode::NOT_FOUND),
        ("/.well-known/oauth-protected-resource/mcp/a/b", ("accept", "*/*"), StatusCode::NOT_FOUND),
        ("/ui/connections", from_a_page[0], StatusCode::FORBIDDEN),
        ("/no-such-page", from_a_page[0], StatusCode::FORBIDDEN),
    ] {
        let answer = nobody.send(Method::GET, path, &[headers]).await;
        assert_eq!(answer.status(), expected, "{path}");
    }
}

/// Every `type` that anything here prints, the data plane's too, can be looked up.
#[tokio::test]
async fn every_problem_has_a_page() {
    let world = World::new().await;
    for kind in Kind::ALL {
        let facts = kind.facts();
        let page = world.nobody().get(&facts.path()).await;
        assert_eq!(page.status(), StatusCode::OK, "{}", facts.slug);
        let html = page.text().await.replace("&#39;", "'");
        for words in [facts.title, facts.happened, facts.next] {
            assert!(html.contains(words), "{}: {words}", facts.slug);
        }
    }
    assert_eq!(world.nobody().get("/problems/none").await.status(), StatusCode::NOT_FOUND);
}
