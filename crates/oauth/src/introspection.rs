//! Token introspection (RFC 7662): what a token is, asked of whoever gave it.

use attache_core::{Dialect, outbound::Outbound};
use serde_json::{Map, Value};
use url::Url;

use crate::{
    client_auth::Client,
    endpoint,
    error::TokenError,
    json::{self, Json},
};

#[derive(Clone, Debug)]
pub struct IntrospectionEndpoint {
    pub url: Url,
    /// Who asks: nobody else is told (section 2.1).
    pub client: Client,
}

impl IntrospectionEndpoint {
    /// What is said of a token that is good; `None` of any other.
    ///
    /// # Errors
    /// [`TokenError`]: nobody knows what the token is.
    pub async fn ask(
        &self,
        outbound: &dyn Outbound,
        token: &str,
    ) -> Result<Option<Map<String, Value>>, TokenError> {
        let form = [("token", token), ("token_type_hint", "access_token")];
        let dialect = Dialect::default();
        let body = endpoint::post(outbound, &self.url, &self.client, &dialect, &form).await?;
        read(&body)
    }
}

/// An answer (section 2.2). One that says a thing twice says nothing.
#[doc(hidden)]
pub fn read(body: &[u8]) -> Result<Option<Map<String, Value>>, TokenError> {
    const NONE: TokenError = TokenError::Malformed("something that does not say what the token is");
    if Json::parse(body).is_none() {
        return Err(NONE);
    }
    let answer: Map<String, Value> = json::object(body).ok_or(NONE)?;
    match answer.get("active") {
        Some(Value::Bool(true)) => Ok(Some(answer)),
        Some(Value::Bool(false)) => Ok(None),
        _ => Err(NONE),
    }
}

#[cfg(test)]
mod tests {
    use attache_core::{Secret, audit::Reason};

    use super::*;
    use crate::{client_auth::ClientAuthentication, scripted::Scripted};

    #[tokio::test]
    async fn only_a_plain_yes_is_one() {
        let authentication = ClientAuthentication::Basic(Secret::new("s"));
        let client = Client { id: "gw".to_owned(), authentication };
        let url = Url::parse("https://as.example.com/introspect").unwrap();
        let endpoint = IntrospectionEndpoint { url, client };
        let malformed = Err(Reason::MalformedResponse);
        for (status, body, expected) in [
            (200, r#"{"active":true,"sub":"ada"}"#, Ok(true)),
            (200, r#"{"active":false,"sub":"ada"}"#, Ok(false)),
            (200, r#"{"active":"true"}"#, malformed),
            (200, r#"{"active":1}"#, malformed),
            (200, r#"{"active":false,"active":true}"#, malformed),
            (200, r#"{"sub":"ada"}"#, malformed),
            (200, "[true]", malformed),
            (200, "", malformed),
            (401, r#"{"error":"invalid_client"}"#, Err(Reason::InvalidClient)),
            (302, "", malformed),
            (503, "", Err(Reason::ProviderUnavailable)),
        ] {
            let outbound = Scripted::always(status, &[], body);
            let said = endpoint.ask(&outbound, "t/1").await;
            let said = said.map(|claims| claims.is_some()).map_err(|error| error.reason());
            assert_eq!(said, expected, "{status} {body}");
            let asked = outbound.asked.lock().unwrap();
            assert_eq!(asked[0].body(), "token=t%2F1&token_type_hint=access_token");
        }
    }
}
