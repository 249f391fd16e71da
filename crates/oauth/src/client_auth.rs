//! Saying who we are to an authorization server (RFC 6749 section 2.3, OC-10).

use attache_core::{
    Dialect, Secret,
    dialect::{BasicForm, BodyFormat},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use serde_json::{Map, Value};
use url::{Url, form_urlencoded};

use crate::{certificate_assertion::CertificateSigner, client_assertion::AssertionSigner};

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
    /// The same, with a key whose certificate the server has.
    Certificate(CertificateSigner),
    /// A public client: only its id.
    None,
}

impl Client {
    /// The same client with another secret; `None` for one that proves itself without.
    #[must_use]
    pub fn with_secret(&self, secret: Secret) -> Option<Self> {
        let authentication = match &self.authentication {
            ClientAuthentication::Basic(_) => ClientAuthentication::Basic(secret),
            ClientAuthentication::Post(_) => ClientAuthentication::Post(secret),
            ClientAuthentication::PrivateKeyJwt(_)
            | ClientAuthentication::Certificate(_)
            | ClientAuthentication::None => return None,
        };
        Some(Self { id: self.id.clone(), authentication })
    }

    /// Parameters, posted to `endpoint` as this client, that ask for JSON back: GitHub answers in
    /// another format otherwise (OC-21).
    pub(crate) fn post(
        &self,
        endpoint: &Url,
        parameters: &[(&str, &str)],
        dialect: &Dialect,
    ) -> http::Result<Request<Bytes>> {
        let mut parameters = parameters.to_vec();
        let assertion;
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(endpoint.as_str())
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, dialect.body.content_type());
        for (name, value) in &dialect.token_headers {
            request = request.header(name, value);
        }
        let id = dialect.client_id_param.as_str();
        let named = matches!(self.authentication, ClientAuthentication::Basic(_))
            || parameters.iter().any(|(name, _)| *name == id);
        if !named {
            parameters.push((id, &self.id));
        }
        match &self.authentication {
            ClientAuthentication::Basic(secret) => {
                let basic = basic(&self.id, secret, dialect.basic)?;
                request = request.header(header::AUTHORIZATION, basic);
            }
            ClientAuthentication::Post(secret) => {
                parameters.push(("client_secret", secret.expose()));
            }
            ClientAuthentication::PrivateKeyJwt(signer) => {
                assertion = signer.assertion(&self.id);
                parameters.push(("client_assertion_type", ASSERTION_TYPE));
                parameters.push(("client_assertion", assertion.expose()));
            }
            ClientAuthentication::Certificate(signer) => {
                assertion = signer.assertion(&self.id, endpoint);
                parameters.push(("client_assertion_type", ASSERTION_TYPE));
                parameters.push(("client_assertion", assertion.expose()));
            }
            ClientAuthentication::None => {}
        }
        request.body(encode(&parameters, dialect.body))
    }

    /// `token`, named in JSON to an endpoint that deletes it; always with Basic.
    pub(crate) fn delete(
        &self,
        endpoint: &Url,
        token: &Secret,
        dialect: &Dialect,
    ) -> http::Result<Request<Bytes>> {
        let mut request = Request::builder()
            .method(Method::DELETE)
            .uri(endpoint.as_str())
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, BodyFormat::Json.content_type());
        for (name, value) in &dialect.token_headers {
            request = request.header(name, value);
        }
        if let ClientAuthentication::Basic(secret) | ClientAuthentication::Post(secret) =
            &self.authentication
        {
            let basic = basic(&self.id, secret, dialect.basic)?;
            request = request.header(header::AUTHORIZATION, basic);
        }
        request.body(encode(&[("access_token", token.expose())], BodyFormat::Json))
    }
}

fn encode(parameters: &[(&str, &str)], format: BodyFormat) -> Bytes {
    let text = match format {
        BodyFormat::Form => {
            form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish()
        }
        BodyFormat::Json => {
            let object: Map<String, Value> = parameters
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).into()))
                .collect();
            Value::Object(object).to_string()
        }
    };
    Bytes::from(text)
}

/// RFC 7523 section 2.2.
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Both halves are form-encoded before they are joined (RFC 6749 section 2.3.1), so that a `:` or
/// a `%` in a secret survives.
fn basic(id: &str, secret: &Secret, form: BasicForm) -> http::Result<HeaderValue> {
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let secret = encode(secret.expose());
    let pair = Secret::new(match form {
        BasicForm::IdAndSecret => format!("{}:{secret}", encode(id)),
        BasicForm::SecretAlone => format!("{secret}:"),
    });
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
        let request =
            client.post(&endpoint, &[("grant_type", "x y")], &Dialect::default()).unwrap();
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
