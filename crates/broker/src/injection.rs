//! A credential rendered to the bytes of one header.

use attache_core::{Credential, Secret, Timestamp, store::Version};
use http::{
    HeaderName, HeaderValue, Request, Uri, header,
    uri::{Authority, PathAndQuery, Scheme},
};
use url::Url;

use crate::upstream::Brokered;

/// Which header carries the token, and what stands around it: `Authorization`, `Bearer {token}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderForm {
    pub name: HeaderName,
    pub prefix: String,
    pub suffix: String,
}

impl HeaderForm {
    /// `None` when the token has bytes that no header may carry. They were refused when the token
    /// arrived (OC-22); this is the second lock on that door.
    pub(crate) fn render(&self, token: &Secret) -> Option<HeaderValue> {
        let text = format!("{}{}{}", self.prefix, token.expose(), self.suffix);
        let mut value = HeaderValue::try_from(text).ok()?;
        value.set_sensitive(true); // kept out of HPACK tables and of `Debug`
        Some(value)
    }
}

/// What the data plane writes on a request, and how long it may.
#[derive(Debug)]
pub struct Injection {
    pub name: HeaderName,
    /// Marked sensitive.
    pub value: HeaderValue,
    /// The stored version this came from: what an upstream's 401 is reported against.
    pub version: Version,
    /// From here on it is renewed in the background while it still serves.
    pub refresh_at: Option<Timestamp>,
    pub expires_at: Option<Timestamp>,
    /// Where this person's requests go, when that is not where the upstream is configured to be.
    pub destination: Option<Destination>,
}

/// The host that a provider named when a person connected, within those that the upstream's dialect
/// allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    authority: Authority,
    host: HeaderValue,
    /// Before the path of the request; without a slash at its end.
    base_path: String,
}

impl Destination {
    /// `None` for what is no https URL with a host.
    fn parse(url: &Url) -> Option<Self> {
        let uri: Uri =
            url.as_str().parse().ok().filter(|uri: &Uri| uri.scheme() == Some(&Scheme::HTTPS))?;
        let authority = uri.authority()?.clone();
        let host = HeaderValue::from_str(authority.as_str()).ok()?;
        Some(Self { authority, host, base_path: uri.path().trim_end_matches('/').to_owned() })
    }

    /// Sends a request here instead: other host, same path and query.
    ///
    /// # Errors
    /// When the two paths together are no path: longer than 64 KiB.
    pub fn redirect<B>(&self, request: &mut Request<B>) -> http::Result<()> {
        let path = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
        *request.uri_mut() = Uri::builder()
            .scheme(Scheme::HTTPS)
            .authority(self.authority.clone())
            .path_and_query(format!("{}{path}", self.base_path))
            .build()?;
        request.headers_mut().insert(header::HOST, self.host.clone());
        Ok(())
    }
}

impl Injection {
    pub(crate) fn new(
        upstream: &Brokered,
        credential: &Credential,
        version: Version,
        refresh_at: Option<Timestamp>,
    ) -> Option<Self> {
        let token = credential.access_token.as_ref()?;
        let destination = upstream.connect().and_then(|connect| connect.base_url(credential));
        Some(Self {
            name: upstream.form.name.clone(),
            value: upstream.form.render(token)?,
            destination: destination.and_then(Destination::parse),
            version,
            refresh_at,
            expires_at: [credential.expires_at, credential.term.map(|term| term.until)]
                .into_iter()
                .flatten()
                .min(),
        })
    }

    pub fn is_live(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }

    pub fn wants_refresh(&self, now: Timestamp) -> bool {
        self.refresh_at.is_some_and(|at| now >= at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_goes_where_the_person_is() {
        for (base, asked, expected) in [
            ("https://acme.my.salesforce.com", "/", "https://acme.my.salesforce.com/"),
            (
                "https://acme.my.salesforce.com/",
                "/data/v60?q=1",
                "https://acme.my.salesforce.com/data/v60?q=1",
            ),
            (
                "https://api.example.com/v3/company/9/",
                "/query",
                "https://api.example.com/v3/company/9/query",
            ),
        ] {
            let destination = Destination::parse(&Url::parse(base).unwrap()).unwrap();
            let mut request = Request::new(());
            *request.uri_mut() = format!("https://login.example.com{asked}").parse().unwrap();
            destination.redirect(&mut request).unwrap();
            assert_eq!(request.uri(), expected);
            assert_eq!(request.headers()["host"], request.uri().host().unwrap());
        }
        assert_eq!(Destination::parse(&Url::parse("http://acme.example.com").unwrap()), None);
    }
}
