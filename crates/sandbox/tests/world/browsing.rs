use attache_sandbox::{Browser, Client, people::GRACE};
use url::Url;

use crate::support::*;

/// A client whose redirect URI is a page of another peer, so that there is somewhere to arrive.
#[tokio::test]
async fn a_redirect_is_followed_to_the_end_or_stolen_on_the_way() {
    let (notes, _) = notes().await;
    let (elsewhere, _) = crate::support::notes().await;
    let callback = elsewhere.url().join("/trap").unwrap();
    notes.register(Client { redirect_prefix: callback.to_string(), ..gateway() });
    let url = authorization_url(notes.url(), &[("redirect_uri", callback.as_str())]);
    let leads_there = |url: &Url| url.path() == "/trap";

    let mut browser = Browser::of(GRACE);
    let page = browser.open(&url).await.unwrap();
    let stolen = browser.follow_until(page, leads_there).await.unwrap();
    assert!(stolen.location().is_some_and(|url| url.query().unwrap().contains("code=")));
    assert_eq!(elsewhere.stats().trapped, 0, "stopped before it");
    assert_eq!(browser.follow(stolen).await.unwrap().status, 204);
    assert_eq!(elsewhere.stats().trapped, 1);
    let typed = elsewhere.recorder().requests().remove(0);
    assert_eq!(typed.header("sec-fetch-site"), Some("none"), "redirects of a typed address");

    let mut browser = Browser::new();
    let page = browser.open(&url).await.unwrap();
    browser.set_cookie(notes.url(), "planted", "1");
    let back = browser.press(&page, "Allow as Ada").await.unwrap();
    let posted = notes.recorder().requests().pop().unwrap();
    assert_eq!(posted.header("origin"), Some(notes.issuer()));
    assert_eq!(posted.header("sec-fetch-site"), Some("same-origin"));
    assert_eq!(posted.header("cookie"), Some("planted=1"));
    assert_eq!(posted.body, b"account=ada");

    assert_eq!(browser.follow(back).await.unwrap().status, 204);
    let arrived = elsewhere.recorder().requests().pop().unwrap();
    assert_eq!((arrived.method.as_str(), arrived.header("cookie")), ("GET", None));
    assert_eq!(arrived.header("sec-fetch-site"), Some("same-site"));
}
