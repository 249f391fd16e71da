//! A browser for programs: cookies, redirects one at a time, forms. One for each person.
//!
//! It speaks plain HTTP/1.1, which is what a sandbox on loopback needs, and tells servers where a
//! navigation comes from as browsers do: `Origin` and `Sec-Fetch-Site`.

mod html;
mod jar;
mod wire;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use serde_json::Value;
use url::{Url, form_urlencoded};

pub use html::{Button, Form};
pub use wire::BrowserError;

use crate::people::{Person, USER_HEADER};
use jar::Jar;

/// Redirects that are followed for one page.
const MAX_REDIRECTS: usize = 20;
const FORM_TYPE: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");

#[derive(Debug, Default)]
pub struct Browser {
    jar: Jar,
    person: Option<Person>,
}

impl Browser {
    /// Of somebody who answers every question by pressing buttons.
    pub fn new() -> Self {
        Self::default()
    }

    /// Of somebody whom the sandbox's pages know and let through at once: every request carries
    /// `X-Sandbox-User`.
    pub fn of(person: Person) -> Self {
        Self { person: Some(person), ..Self::default() }
    }

    /// Opens a page and follows where it leads.
    pub async fn visit(&mut self, url: &Url) -> Result<Page, BrowserError> {
        let page = self.open(url).await?;
        self.follow(page).await
    }

    /// Opens a page, as if its address had been typed in. A redirect is returned as it is.
    pub async fn open(&mut self, url: &Url) -> Result<Page, BrowserError> {
        self.navigate(Navigation::to(url.clone())).await
    }

    /// Opens a page through a link on `page`. A redirect is returned as it is.
    pub async fn click(&mut self, page: &Page, url: &Url) -> Result<Page, BrowserError> {
        self.navigate(Navigation::from(page, url)).await
    }

    /// Presses the button that says `label`, in the first form that has it. A redirect is returned
    /// as it is.
    pub async fn press(&mut self, page: &Page, label: &str) -> Result<Page, BrowserError> {
        let pressed = page
            .forms()
            .into_iter()
            .find_map(|form| form.button(label).cloned().map(|button| (form, button)));
        let (form, button) = pressed.ok_or(BrowserError::NoSuchButton)?;
        self.submit(page, &form, Some(&button)).await
    }

    /// Sends a form of `page`. A redirect is returned as it is.
    pub async fn submit(
        &mut self,
        page: &Page,
        form: &Form,
        button: Option<&Button>,
    ) -> Result<Page, BrowserError> {
        let pressed = button.map(|button| (button.name.as_str(), button.value.as_str()));
        let fields = form.fields.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let encoded = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields.chain(pressed.filter(|(name, _)| !name.is_empty())))
            .finish();
        let mut navigation = Navigation::from(page, &form.action);
        if form.post {
            navigation.method = Method::POST;
            navigation.body = encoded.into();
        } else {
            navigation.url.set_query(Some(&encoded));
        }
        self.navigate(navigation).await
    }

    /// Follows redirects to the end.
    pub async fn follow(&mut self, page: Page) -> Result<Page, BrowserError> {
        self.follow_until(page, |_| false).await
    }

    /// Follows redirects until one leads to a URL that `stop` wants: the page returned is that
    /// redirect, not followed.
    pub async fn follow_until(
        &mut self,
        mut page: Page,
        stop: impl Fn(&Url) -> bool,
    ) -> Result<Page, BrowserError> {
        for _ in 0..MAX_REDIRECTS {
            let Some(url) = page.location().filter(|url| !stop(url)) else { return Ok(page) };
            page = self.navigate(page.onwards(url)).await?;
        }
        Err(BrowserError::TooManyRedirects)
    }

    /// Any request at all, with this browser's cookies and nothing else added.
    pub async fn send(&mut self, mut request: Request<Bytes>) -> Result<Page, BrowserError> {
        let url = Url::parse(&request.uri().to_string()).map_err(|_| BrowserError::NotPlainHttp)?;
        if let Some(cookies) = self.jar.header(&url) {
            request.headers_mut().insert(header::COOKIE, cookies);
        }
        let came_by = Navigation {
            method: request.method().clone(),
            body: request.body().clone(),
            ..Navigation::to(url.clone())
        };
        let (parts, body) = wire::exchange(&url, request).await?;
        self.jar.take(&url, &parts.headers);
        let body = String::from_utf8_lossy(&body).into_owned();
        Ok(Page { status: parts.status, headers: parts.headers, url, body, came_by })
    }

    /// The value of a cookie that would be sent to `url`.
    pub fn cookie(&self, url: &Url, name: &str) -> Option<&str> {
        self.jar.value(url, name)
    }

    /// Plants a cookie, as a neighbour on the same host can.
    pub fn set_cookie(&mut self, url: &Url, name: &str, value: &str) {
        self.jar.put(url, name, value);
    }

    async fn navigate(&mut self, navigation: Navigation) -> Result<Page, BrowserError> {
        let mut request = Request::new(navigation.body.clone());
        *request.method_mut() = navigation.method.clone();
        *request.uri_mut() =
            navigation.url.as_str().parse().map_err(|_| BrowserError::NotPlainHttp)?;
        *request.headers_mut() = navigation.headers();
        if let Some(person) = self.person {
            request.headers_mut().insert(USER_HEADER, HeaderValue::from_static(person.id));
        }
        let page = self.send(request).await?;
        Ok(Page { came_by: navigation, ..page })
    }
}

/// An answer: a page, a redirect that was not followed, or whatever else came.
#[derive(Clone)]
pub struct Page {
    pub url: Url,
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// The first mebibyte at most is taken; more is an error.
    pub body: String,
    came_by: Navigation,
}

impl Page {
    /// Where a redirect leads.
    pub fn location(&self) -> Option<Url> {
        let location = self.header(header::LOCATION.as_str())?;
        self.status.is_redirection().then(|| self.url.join(location).ok()).flatten()
    }

    /// The first value of a header, when it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub fn forms(&self) -> Vec<Form> {
        html::forms(&self.body, &self.url)
    }

    /// The body, when it is JSON.
    pub fn json(&self) -> Option<Value> {
        serde_json::from_str(&self.body).ok()
    }

    /// Only 307 and 308 are followed with the same method and body (RFC 9110 section 15.4).
    fn onwards(&self, url: Url) -> Navigation {
        let again =
            matches!(self.status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT);
        let navigation = if again {
            self.came_by.clone()
        } else {
            Navigation { method: Method::GET, body: Bytes::new(), ..self.came_by.clone() }
        };
        Navigation { site: navigation.site_towards(&url), url, ..navigation }
    }
}

/// Body and query can hold codes: left out.
impl std::fmt::Debug for Page {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let origin = self.url.origin().ascii_serialization();
        write!(f, "Page({} {origin}{})", self.status, self.url.path())
    }
}

/// One step of the browser.
#[derive(Clone)]
struct Navigation {
    method: Method,
    url: Url,
    body: Bytes,
    /// The page it began on; `None` when it was typed in.
    initiator: Option<Url>,
    site: Site,
}

/// How far the initiator is from what is asked, at the farthest point of a chain of redirects
/// (Fetch Metadata, section 2.4).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Site {
    None,
    Origin,
    Neighbour,
    Foreign,
}

impl Navigation {
    fn to(url: Url) -> Self {
        Self { method: Method::GET, url, body: Bytes::new(), initiator: None, site: Site::None }
    }

    fn from(page: &Page, url: &Url) -> Self {
        let unsure = Self { initiator: Some(page.url.clone()), ..Self::to(url.clone()) };
        Self { site: unsure.site_towards(url), ..unsure }
    }

    fn site_towards(&self, url: &Url) -> Site {
        let Some(initiator) = &self.initiator else { return Site::None };
        let here = if initiator.origin() == url.origin() {
            Site::Origin
        } else if initiator.host() == url.host() {
            Site::Neighbour
        } else {
            Site::Foreign
        };
        here.max(self.site)
    }

    fn headers(&self) -> HeaderMap {
        let site = match self.site {
            Site::None => "none",
            Site::Origin => "same-origin",
            Site::Neighbour => "same-site",
            Site::Foreign => "cross-site",
        };
        let mut headers = HeaderMap::new();
        let mut set = |name: &'static str, value| headers.insert(name, value);
        set("accept", HeaderValue::from_static("text/html,*/*;q=0.8"));
        set("sec-fetch-dest", HeaderValue::from_static("document"));
        set("sec-fetch-mode", HeaderValue::from_static("navigate"));
        set("sec-fetch-site", HeaderValue::from_static(site));
        if self.method == Method::POST {
            set("content-type", FORM_TYPE);
            let origin = self.initiator.as_ref().map(|url| url.origin().ascii_serialization());
            if let Some(Ok(origin)) = origin.map(|origin| HeaderValue::from_str(&origin)) {
                set("origin", origin);
            }
        }
        headers
    }
}
