use std::time::Duration;

use attache_sandbox::{Browser, Stats};

use crate::support::*;

#[tokio::test]
async fn who_asks_wrongly_is_refused_in_the_right_place() {
    type Change<'a> = &'a [(&'a str, &'a str)];
    let (notes, _) = notes().await;
    // What is changed in a good request, and the error it goes back with: none is a page.
    let cases: [(Change<'_>, Option<&str>); 9] = [
        (&[("client_id", "nobody")], None),
        (&[("redirect_uri", "http://127.0.0.1:2/callback")], None),
        (&[("redirect_uri", "")], None),
        (&[("response_type", "token")], Some("unsupported_response_type")),
        (&[("code_challenge", "")], Some("invalid_request")),
        (&[("code_challenge_method", "plain")], Some("invalid_request")),
        (&[("code_challenge_method", "")], Some("invalid_request")),
        (&[("scope", "notes everything")], Some("invalid_scope")),
        (&[("resource", "/relative")], Some("invalid_target")),
    ];
    for (changes, error) in cases {
        let url = authorization_url(notes.url(), changes);
        let page = Browser::new().open(&url).await.unwrap();
        match error {
            None => assert_eq!((page.status.as_u16(), page.location()), (400, None), "{changes:?}"),
            Some(error) => {
                assert_eq!(returned(&page, "error"), [error], "{changes:?}");
                assert_eq!(returned(&page, "iss"), [notes.issuer()], "{changes:?}");
                assert_eq!(returned(&page, "state"), ["a state"], "{changes:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_person_chooses_the_account_and_decides() {
    let (notes, _) = notes().await;
    let mut browser = Browser::new();
    let url = authorization_url(notes.url(), &[("resource", "http://127.0.0.1:9/mcp")]);
    let page = browser.open(&url).await.unwrap();
    let denied = browser.press(&page, "Deny").await.unwrap();
    assert_eq!(returned(&denied, "error"), ["access_denied"]);

    let allowed = browser.press(&page, "Allow as Grace").await.unwrap();
    let page = token(&notes, &for_code(&returned(&allowed, "code").concat())).await;
    let holder = notes.tokens().check(&member(&page, "access_token")).unwrap();
    assert_eq!(holder.account, "grace");
    assert_eq!(holder.resource.as_deref(), Some("http://127.0.0.1:9/mcp"));
}

#[tokio::test]
async fn a_code_is_good_once_for_its_client_and_its_verifier() {
    let (notes, hour) = notes().await;
    let code = code_of_ada(&notes, "").await;
    for (name, wrong, error) in [
        ("code_verifier", "another-verifier-of-forty-three-characters", "invalid_grant"),
        ("redirect_uri", "http://127.0.0.1:1/callback/other", "invalid_grant"),
        ("client_secret", "wrong", "invalid_client"),
        ("resource", "http://127.0.0.1:9/other", "invalid_target"),
    ] {
        let mut fields = for_code(&code);
        fields.retain(|(it, _)| *it != name);
        fields.push((name, wrong));
        assert_eq!(member(&token(&notes, &fields).await, "error"), error, "{name}");
    }
    let good = token(&notes, &for_code(&code)).await;
    let access_token = member(&good, "access_token");
    assert!(notes.tokens().check(&access_token).is_some());

    assert_eq!(member(&token(&notes, &for_code(&code)).await, "error"), "invalid_grant");
    assert!(notes.tokens().check(&access_token).is_none(), "a replay ends the grant");

    let late = code_of_ada(&notes, "").await;
    hour.passes(Duration::from_mins(1));
    assert_eq!(member(&token(&notes, &for_code(&late)).await, "error"), "invalid_grant");
}

#[tokio::test]
async fn refresh_tokens_rotate_and_their_reuse_ends_the_grant() {
    let (notes, hour) = notes().await;
    notes.set_lifetime(Duration::from_secs(5));
    let first = token(&notes, &for_code(&code_of_ada(&notes, "").await)).await;
    hour.passes(Duration::from_secs(5));
    assert!(notes.tokens().check(&member(&first, "access_token")).is_none(), "expired");

    let second = token(&notes, &for_refresh(&member(&first, "refresh_token"))).await;
    let third = token(&notes, &for_refresh(&member(&second, "refresh_token"))).await;
    let access_token = member(&third, "access_token");
    assert!(notes.tokens().check(&access_token).is_some());
    notes.expire_access_tokens();
    assert!(notes.tokens().check(&access_token).is_none());

    let reused = token(&notes, &for_refresh(&member(&first, "refresh_token"))).await;
    assert_eq!(member(&reused, "error"), "invalid_grant");
    let newest = token(&notes, &for_refresh(&member(&third, "refresh_token"))).await;
    assert_eq!(member(&newest, "error"), "invalid_grant", "the whole family is gone");
    let expected =
        Stats { authorizations: 1, code_exchanges: 1, refreshes: 2, reuses: 1, ..Stats::default() };
    assert_eq!(notes.stats(), expected);
}

#[tokio::test]
async fn a_grant_ends_by_revocation_or_in_the_accounts_settings() {
    let (notes, _) = notes().await;
    for by in ["refresh_token", "access_token", "settings"] {
        let issued = token(&notes, &for_code(&code_of_ada(&notes, "").await)).await;
        if by == "settings" {
            notes.withdraw("ada");
        } else {
            let revoked = member(&issued, by);
            let fields = [("client_id", "gateway"), ("client_secret", "hush"), ("token", &revoked)];
            let answer = post(&notes.url().join("/revoke").unwrap(), &fields).await;
            assert_eq!(answer.status, 200, "{by}");
        }
        assert!(notes.tokens().check(&member(&issued, "access_token")).is_none(), "{by}");
        let refreshed = token(&notes, &for_refresh(&member(&issued, "refresh_token"))).await;
        assert_eq!(member(&refreshed, "error"), "invalid_grant", "{by}");
    }
    assert_eq!(notes.stats().revocations, 2);
}
