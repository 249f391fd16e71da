//! The clients a peer knows, and how they prove to be who they are (RFC 6749 section 2.3).

use attache_core::Secret;
use attache_crypto::digest::same;
use axum::{
    Json,
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, StatusCode, header};
use serde_json::json;
use url::{Url, form_urlencoded};

use crate::{params::Params, shared::Shared};

/// Registered clients; a registration of the same id replaces the one before.
const MAX_CLIENTS: usize = 100;

#[derive(Clone, Debug)]
pub struct Client {
    pub id: String,
    /// `None`: a public client, which proves nothing.
    pub secret: Option<Secret>,
    /// Every redirect URI of the client begins with this. End it with `/`, or name one URI whole.
    pub redirect_prefix: String,
}

impl Client {
    pub(crate) fn may_redirect_to(&self, redirect_uri: &str) -> bool {
        Url::parse(redirect_uri).is_ok_and(|url| {
            url.fragment().is_none() && url.as_str().starts_with(&self.redirect_prefix)
        })
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Clients(Shared<Vec<Client>>);

impl Clients {
    pub(crate) fn register(&self, client: Client) {
        self.0.with(|clients| {
            clients.retain(|known| known.id != client.id);
            clients.push(client);
            if clients.len() > MAX_CLIENTS {
                clients.remove(0);
            }
        });
    }

    pub(crate) fn find(&self, id: &str) -> Option<Client> {
        self.0.with(|clients| clients.iter().find(|client| client.id == id).cloned())
    }

    /// Who calls the token or revocation endpoint: by `client_secret_basic`, `client_secret_post`,
    /// or, for a public client, by its id alone. Two at once are none.
    pub(crate) fn authenticate(
        &self,
        headers: &HeaderMap,
        params: &Params,
    ) -> Result<Client, InvalidClient> {
        let (id, secret) = match (headers.get(header::AUTHORIZATION), params.get("client_secret")) {
            (Some(_), Some(_)) => return Err(InvalidClient),
            (Some(value), None) => {
                let (id, secret) = value.to_str().ok().and_then(basic).ok_or(InvalidClient)?;
                (id, Some(secret))
            }
            (None, secret) => {
                let id = params.get("client_id").ok_or(InvalidClient)?;
                (id.to_owned(), secret.map(str::to_owned))
            }
        };
        let client = self.find(&id).ok_or(InvalidClient)?;
        let proved = match (&client.secret, &secret) {
            (None, None) => true,
            (Some(known), Some(given)) => same(known.expose().as_bytes(), given.as_bytes()),
            _ => false,
        };
        if proved { Ok(client) } else { Err(InvalidClient) }
    }
}

#[derive(Debug)]
pub(crate) struct InvalidClient;

impl IntoResponse for InvalidClient {
    fn into_response(self) -> Response {
        let challenge = [(header::WWW_AUTHENTICATE, "Basic realm=\"sandbox\"")];
        let body = Json(json!({ "error": "invalid_client" }));
        (StatusCode::UNAUTHORIZED, challenge, body).into_response()
    }
}

/// Both halves are form-encoded before they are joined (RFC 6749 section 2.3.1).
fn basic(value: &str) -> Option<(String, String)> {
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let joined = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    let (id, secret) = joined.split_once(':')?;
    Some((form_decoded(id), form_decoded(secret)))
}

fn form_decoded(text: &str) -> String {
    // A name without a value: what the parser decodes is the text.
    form_urlencoded::parse(text.as_bytes()).map(|(name, _)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_proves_itself_in_exactly_one_way() {
        let clients = Clients::default();
        clients.register(Client {
            id: "gate way".to_owned(),
            secret: Some(Secret::new("s:e%c+r")),
            redirect_prefix: "https://gw.example.com/callback".to_owned(),
        });
        let basic = |text: &str| Some(format!("Basic {}", STANDARD.encode(text)));
        let cases = [
            (basic("gate+way:s%3Ae%25c%2Br"), "", true),
            (basic("gate+way:wrong"), "", false),
            (None, "client_id=gate+way&client_secret=s%3Ae%25c%2Br", true),
            (None, "client_id=gate+way", false),
            (basic("gate+way:s%3Ae%25c%2Br"), "client_secret=s%3Ae%25c%2Br", false),
            (None, "", false),
        ];
        for (authorization, form, proves) in cases {
            let mut headers = HeaderMap::new();
            if let Some(value) = &authorization {
                headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            }
            let params = Params::parse(form.as_bytes()).unwrap();
            let outcome = clients.authenticate(&headers, &params);
            assert_eq!(outcome.is_ok(), proves, "{authorization:?} {form}");
        }
    }
}
