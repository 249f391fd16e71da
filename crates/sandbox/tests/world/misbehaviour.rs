use std::time::Duration;

use attache_sandbox::{
    Browser, BrowserError, CallbackAnswer, MARKER, Page, TokenAnswer, people::ADA,
};

use crate::support::*;

#[tokio::test]
async fn the_token_endpoint_answers_as_the_script_says() {
    type AsTold = fn(&Page) -> bool;
    let (notes, _) = notes().await;
    let cases: [(TokenAnswer, AsTold); 10] = [
        (TokenAnswer::OkWithError("bad_verification_code"), |page| {
            page.status == 200 && member(page, "error_description") == MARKER
        }),
        (TokenAnswer::InvalidGrant, |page| page.status == 400),
        (TokenAnswer::TooManyRequests(Duration::from_secs(7)), |page| {
            page.status == 429 && page.header("retry-after") == Some("7")
        }),
        (TokenAnswer::Status500, |page| page.status == 500),
        (TokenAnswer::Html, |page| page.status == 200 && page.json().is_none()),
        (TokenAnswer::Redirect, |page| page.location().is_some_and(|url| url.path() == "/trap")),
        (TokenAnswer::CrLfToken, |page| member(page, "access_token").contains("\r\nX-Injected: 1")),
        (TokenAnswer::WrongTokenType, |page| member(page, "token_type") == "mac"),
        (TokenAnswer::ExpiresInString, |page| member(page, "expires_in") == "3600"),
        (TokenAnswer::NoRefreshToken, |page| member(page, "refresh_token").is_empty()),
    ];
    for (answer, as_told) in cases {
        let code = code_of_ada(&notes, "").await;
        notes.token_answers().next(answer);
        let page = token(&notes, &for_code(&code)).await;
        assert!(as_told(&page), "{answer:?}: {} {}", page.status, page.body);
        assert_eq!(notes.stats().trapped, 0, "this client follows nothing");
    }
    let normal = token(&notes, &for_code(&code_of_ada(&notes, "").await)).await;
    assert!(!member(&normal, "refresh_token").is_empty(), "the script has run out");
}

#[tokio::test]
async fn an_answer_can_be_lost_before_or_after_the_grant_was_used() {
    let (notes, _) = notes().await;
    let issued = token(&notes, &for_code(&code_of_ada(&notes, "").await)).await;
    let refresh_token = member(&issued, "refresh_token");
    let refresh = for_refresh(&refresh_token);
    let url = notes.url().join("/token").unwrap();
    for (answer, refreshes) in [(TokenAnswer::DropConnection, 0), (TokenAnswer::LoseAnswer, 1)] {
        notes.token_answers().next(answer);
        let request = form_request(&url, &refresh);
        let lost = Browser::new().send(request).await;
        assert!(matches!(lost, Err(BrowserError::Broken(_))), "{lost:?}");
        assert_eq!(notes.stats().refreshes, refreshes);
    }
    assert_eq!(member(&token(&notes, &refresh).await, "error"), "invalid_grant");
    assert_eq!(notes.stats().reuses, 1);
}

#[tokio::test]
async fn a_huge_answer_is_more_than_anybody_takes() {
    let (notes, _) = notes().await;
    notes.token_answers().next(TokenAnswer::Huge);
    let request = form_request(&notes.url().join("/token").unwrap(), &[]);
    let page = Browser::new().send(request).await;
    assert!(matches!(page, Err(BrowserError::TooLarge(_))), "{page:?}");
}

#[tokio::test]
async fn consent_comes_back_as_the_script_says() {
    let (notes, _) = notes().await;
    let issuer = notes.issuer();
    let attacker = "https://attacker.example";
    // How often code and state come, and the values of iss and error.
    let cases = [
        (CallbackAnswer::WrongIssuer, (1, 1), vec![attacker], vec![]),
        (CallbackAnswer::NoIssuer, (1, 1), vec![], vec![]),
        (CallbackAnswer::NoState, (1, 0), vec![issuer], vec![]),
        (CallbackAnswer::CodeTwice, (2, 1), vec![issuer], vec![]),
        (CallbackAnswer::Error("server_error"), (0, 1), vec![issuer], vec!["server_error"]),
        (CallbackAnswer::ErrorOfWrongIssuer("x"), (0, 1), vec![attacker], vec!["x"]),
        (CallbackAnswer::Normal, (1, 1), vec![issuer], vec![]),
    ];
    for (answer, (codes, states), issuers, errors) in cases {
        notes.callbacks().next(answer);
        let back = Browser::of(ADA).open(&authorization_url(notes.url(), &[])).await.unwrap();
        assert_eq!(returned(&back, "code").len(), codes, "{answer:?}");
        assert_eq!(returned(&back, "iss"), issuers, "{answer:?}");
        assert_eq!(returned(&back, "state").len(), states, "{answer:?}");
        assert_eq!(returned(&back, "error"), errors, "{answer:?}");
    }
}
