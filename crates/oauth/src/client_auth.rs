//! Saying who we are to an authorization server (RFC 6749 section 2.3, OC-10).

use attache_core::Secret;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use url::{Url, form_urlencoded};

use crate::client_assertion::AssertionSigner;

#[derive(Clone, Debug)]
pub struct Client {
    pub id: String,
    pub authentication: ClientAuthentication,
}

/// One method a request: a server that sees two must refuse.
#[derive(Clone, Debug)]
pub enum ClientAuthentication {
    /// `client_secret_basic`: what a server that names no method understands.
    Basic(Secret),
    /// `client_secret_post`.
    Post(Secret),
    /// `private_key_jwt`: a signature instead of a secret (RFC 7523).
    PrivateKeyJwt(AssertionSigner),
    /// A public client: only its id.
    None,
}

impl Client {
    /// A form, posted to `endpoint` as this client, that asks for JSON back: GitHub answers in
    /// another format otherwise (OC-21).
    pub(crate) fn post(
        &self,
        endpoint: &Url,
        parameters: &[(&str, &str)],
    ) -> http::Result<Request<Bytes>> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(parameters);
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(endpoint.as_str())
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let named = matches!(self.authentication, ClientAuthentication::Basic(_))
            || parameters.iter().any(|(name, _)| *name == "client_id");
        if !named {
            form.append_pair("client_id", &self.id);
        }
        match &self.authentication {
            ClientAuthentication::Basic(secret) => {
                request = request.header(header::AUTHORIZATION, basic(&self.id, secret)?);
            }
            ClientAuthentication::Post(secret) => {
                form.append_pair("client_secret", secret.expose());
            }
            ClientAuthentication::PrivateKeyJwt(signer) => {
                form.append_pair("client_assertion_type", ASSERTION_TYPE);
                form.append_pair("client_assertion", signer.assertion(&self.id).expose());
            }
            ClientAuthentication::None => {}
        }
        request.body(Bytes::from(form.finish()))
    }
}

/// RFC 7523 section 2.2.
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Both halves are form-encoded before they are joined (RFC 6749 section 2.3.1), so that a `:` or
/// a `%` in a secret survives.
fn basic(id: &str, secret: &Secret) -> http::Result<HeaderValue> {
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = Secret::new(format!("{}:{}", encode(id), encode(secret.expose())));
    let value = Secret::new(format!("Basic {}", STANDARD.encode(pair.expose())));
    let mut value = HeaderValue::from_str(value.expose())?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client_assertion::tests::signer;

    fn posted(authentication: ClientAuthentication) -> (Option<String>, String) {
        let client = Client { id: "id:1".to_owned(), authentication };
        let endpoint = Url::parse("https://as.example.com/token?tenant=1").unwrap();
        let request = client.post(&endpoint, &[("grant_type", "x y")]).unwrap();
        assert_eq!(request.method(), Method::POST);
        assert_eq!(request.uri(), "https://as.example.com/token?tenant=1");
        assert_eq!(request.headers()[header::ACCEPT], "application/json");
        let authorization = request.headers().get(header::AUTHORIZATION);
        let authorization = authorization.map(|value| {
            assert!(value.is_sensitive());
            value.to_str().unwrap().to_owned()
        });
        (authorization, String::from_utf8(request.body().to_vec()).unwrap())
    }

    #[test]
    fn each_method_says_who_we_are_in_one_place() {
        let secret = || Secret::new("p: %&é");
        // base64 of `id%3A1:p%3A+%25%26%C3%A9`
        let header = format!("Basic {}", STANDARD.encode("id%3A1:p%3A+%25%26%C3%A9"));
        assert_eq!(
            posted(ClientAuthentication::Basic(secret())),
            (Some(header), "grant_type=x+y".to_owned())
        );
        assert_eq!(
            posted(ClientAuthentication::Post(secret())),
            (None, "grant_type=x+y&client_id=id%3A1&client_secret=p%3A+%25%26%C3%A9".to_owned())
        );
        assert_eq!(
            posted(ClientAuthentication::None),
            (None, "grant_type=x+y&client_id=id%3A1".to_owned())
        );

        let (header, form) = posted(ClientAuthentication::PrivateKeyJwt(signer()));
        assert_eq!(header, None);
        let (form, assertion) = form.split_once("&client_assertion=").unwrap();
        assert_eq!(
            form,
            "grant_type=x+y&client_id=id%3A1&client_assertion_type=\
             urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer"
        );
        assert_eq!(assertion.split('.').count(), 3);
    }
}
