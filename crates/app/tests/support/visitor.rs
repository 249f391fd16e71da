//! A person with a browser.

use std::cell::Cell;

use attache_sandbox::{Browser, Page, Person};
use bytes::Bytes;
use http::{Request, StatusCode};
use url::Url;

use crate::witness::Witness;

/// The session cookie's name, where the gateway is on plain http.
pub(crate) const SESSION: &str = "attache_session";

/// Somebody who says yes to whatever they are asked, as themselves.
pub(crate) struct Visitor {
    pub(crate) browser: Browser,
    origin: Url,
    witness: Witness,
}

/// Where a callback left the browser.
pub(crate) struct Landing {
    /// `connected`, or the label of what went wrong.
    pub(crate) outcome: String,
    /// The page that says so.
    pub(crate) page: Page,
}

impl Visitor {
    pub(crate) fn new(person: Person, origin: &Url, witness: &Witness) -> Self {
        let (origin, witness) = (origin.clone(), witness.clone());
        Self { browser: Browser::of(person), origin, witness }
    }

    /// Opens a page of the gateway and goes where it leads, through sign-in if need be.
    pub(crate) async fn visit(&mut self, path: &str) -> Page {
        let url = self.url(path);
        let page = self.open(&url).await;
        self.follow(page).await
    }

    /// Opens one page, wherever it is; a redirect is not followed.
    pub(crate) async fn open(&mut self, url: &Url) -> Page {
        let page = self.browser.open(url).await.expect("the server answers");
        self.noted(page)
    }

    pub(crate) async fn follow(&mut self, page: Page) -> Page {
        self.follow_until(page, |_| false).await
    }

    /// Follows redirects until one leads to an address that `stop` wants; that one is returned.
    pub(crate) async fn follow_until(
        &mut self,
        mut page: Page,
        stop: impl Fn(&Url) -> bool,
    ) -> Page {
        while page.location().is_some_and(|url| !stop(&url)) {
            let went = Cell::new(false);
            let one_step = self.browser.follow_until(page, |_| went.replace(true)).await;
            page = self.noted(one_step.expect("the server answers"));
        }
        page
    }

    /// Any request at all, with this browser's cookies.
    pub(crate) async fn send(&mut self, request: Request<Bytes>) -> Page {
        let page = self.browser.send(request).await.expect("the server answers");
        self.noted(page)
    }

    /// Reads the connect page and agrees: the address at the authorization server.
    pub(crate) async fn begin(&mut self, upstream: &str) -> Url {
        let asked = self.visit(&format!("/connect/{upstream}")).await;
        assert_eq!(asked.status, StatusCode::OK, "the connect page of {upstream}");
        let sent_away = self.go_on(&asked, upstream).await;
        assert_eq!(sent_away.status, StatusCode::SEE_OTHER, "what was posted stays here");
        sent_away.location().expect("an authorization server to go to")
    }

    /// Opens the connect page, presses the button, and gives what came of that.
    pub(crate) async fn try_to_begin(&mut self, upstream: &str) -> Page {
        let asked = self.visit(&format!("/connect/{upstream}")).await;
        self.go_on(&asked, upstream).await
    }

    async fn go_on(&mut self, asked: &Page, upstream: &str) -> Page {
        let action = format!("/connect/{upstream}");
        let form = asked.forms().into_iter().find(|form| form.action.path() == action);
        let form = form.expect("the connect page has its form");
        let pressed = self.browser.submit(asked, &form, form.buttons.first()).await;
        self.noted(pressed.expect("the gateway answers"))
    }

    /// Says yes there: the callback that the browser is sent to, not yet opened.
    pub(crate) async fn approve(&mut self, authorization: &Url) -> Url {
        self.open(authorization).await.location().expect("a way back")
    }

    /// Brings the answer to the gateway.
    pub(crate) async fn finish(&mut self, callback: &Url) -> Landing {
        let ended = self.open(callback).await;
        assert_eq!(ended.status, StatusCode::SEE_OTHER, "a callback ends at a page of ours");
        assert_eq!(ended.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(ended.header("cache-control"), Some("no-store"));
        let place = ended.location().expect("a page to end at");
        assert_eq!((place.origin(), place.path()), (self.origin.origin(), "/ui/connections"));
        let says = |name: &str| {
            place.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
        };
        let outcome = says("credential_error")
            .or_else(|| says("credential_connected").map(|_| "connected".to_owned()))
            .expect("an outcome");
        let words = ["credential_server", "credential_error", "credential_connected"];
        assert!(place.query_pairs().all(|(key, _)| words.contains(&&*key)), "{place}");
        Landing { outcome, page: self.follow(ended).await }
    }

    /// The whole way, as it should go or as the peers were told to bend it.
    pub(crate) async fn connect(&mut self, upstream: &str) -> Landing {
        let authorization = self.begin(upstream).await;
        let callback = self.approve(&authorization).await;
        self.finish(&callback).await
    }

    /// Whether this browser is signed in, without signing it in.
    pub(crate) async fn is_signed_in(&mut self) -> bool {
        let connections = self.url("/ui/connections");
        self.open(&connections).await.status == StatusCode::OK
    }

    pub(crate) fn session(&self) -> Option<&str> {
        self.browser.cookie(&self.origin, SESSION)
    }

    pub(crate) fn url(&self, path: &str) -> Url {
        self.origin.join(path).expect("a path of the gateway")
    }

    fn noted(&self, page: Page) -> Page {
        if page.url.origin() == self.origin.origin() {
            self.witness.hear(&page);
        }
        page
    }
}
