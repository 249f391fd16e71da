//! Token exchange (RFC 8693): a person's token of one kind for one of another.

use std::time::Duration;

use attache_core::{Secret, outbound::Outbound};

use super::{TokenEndpoint, TokenResponse};
use crate::{error::TokenError, json::Json};

pub(super) const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
/// RFC 8693 section 3.
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// What is asked for (RFC 8693 section 2.1).
#[derive(Clone, Copy, Debug)]
pub struct ExchangeGrant<'a> {
    /// An access token; what is asked for is one, too.
    pub subject_token: &'a Secret,
    pub audience: Option<&'a str>,
    pub resource: Option<&'a str>,
    pub scopes: &'a [String],
}

/// A token to be used as a bearer token, and nothing else: none is kept, so none is renewed.
#[derive(Clone, Debug)]
pub struct ExchangedToken {
    pub access_token: Secret,
    /// `None` when the server gave no usable lifetime.
    pub expires_in: Option<Duration>,
}

impl TokenEndpoint {
    /// # Errors
    /// [`TokenError::Malformed`] for an answer of another kind than was asked for, and for what is
    /// no bearer token, `N_A` among it (TX-1).
    pub async fn exchange_token(
        &self,
        outbound: &dyn Outbound,
        grant: ExchangeGrant<'_>,
    ) -> Result<ExchangedToken, TokenError> {
        let scopes = grant.scopes.join(" ");
        let mut form = vec![
            ("grant_type", GRANT_TYPE),
            ("subject_token", grant.subject_token.expose()),
            ("subject_token_type", ACCESS_TOKEN),
            ("requested_token_type", ACCESS_TOKEN),
        ];
        form.extend(grant.audience.map(|audience| ("audience", audience)));
        form.extend(grant.resource.map(|resource| ("resource", resource)));
        if !scopes.is_empty() {
            form.push(("scope", &scopes));
        }
        let body = self.ask(outbound, &self.url, form, &self.dialect.token_params).await?;
        let json = Json::parse(&body).ok_or(TokenError::Malformed("no JSON token response"))?;
        of_the_type_asked_for(&json)?;
        let token = TokenResponse::of_refresh(&body, &self.dialect)?;
        Ok(ExchangedToken { access_token: token.access_token, expires_in: token.expires_in })
    }
}

/// RFC 8693 section 2.2.1 requires both to be said.
fn of_the_type_asked_for(json: &Json<'_>) -> Result<(), TokenError> {
    match json.get("issued_token_type") {
        Some(Json::Text(given)) if given.as_str() == ACCESS_TOKEN => {}
        Some(_) => return Err(TokenError::Malformed("a token of another type than was asked for")),
        None => {
            return Err(TokenError::Malformed("a token that does not say of which type it is"));
        }
    }
    token_type_is_said(json)
}

/// For answers in which the lack of it is no promise.
pub(super) fn token_type_is_said(json: &Json<'_>) -> Result<(), TokenError> {
    let is_said = json.get("token_type").is_some();
    is_said.then_some(()).ok_or(TokenError::Malformed("a token that is not a bearer token"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use attache_core::{Dialect, audit::Reason};
    use url::Url;

    use super::*;
    use crate::{
        client_auth::{Client, ClientAuthentication},
        scripted::Scripted,
    };

    async fn exchanged(outbound: &Scripted) -> Result<ExchangedToken, TokenError> {
        let dialect = Dialect {
            token_params: vec![("connection".to_owned(), "hr".to_owned())],
            ..Dialect::default()
        };
        let authentication = ClientAuthentication::Post(Secret::new("s"));
        let endpoint = TokenEndpoint {
            url: Url::parse("https://idp.example.com/token").unwrap(),
            client: Client { id: "c".to_owned(), authentication },
            dialect: Arc::new(dialect),
        };
        let grant = ExchangeGrant {
            subject_token: &Secret::new("MARK.subject"),
            audience: Some("hr-api"),
            resource: Some("https://hr.example.com/"),
            scopes: &["read".to_owned(), "write".to_owned()],
        };
        endpoint.exchange_token(outbound, grant).await
    }

    fn answer(issued: &str, token_type: &str) -> String {
        format!(
            r#"{{"access_token":"MARK","issued_token_type":"urn:ietf:params:oauth:token-type:{issued}",
                "token_type":"{token_type}","expires_in":60,"refresh_token":"MARK2"}}"#
        )
    }

    #[tokio::test]
    async fn it_asks_for_exactly_this() {
        let outbound = Scripted::always(200, &[], &answer("access_token", "Bearer"));
        let token = exchanged(&outbound).await.unwrap();
        assert_eq!(token.access_token.expose(), "MARK");
        assert_eq!(token.expires_in, Some(Duration::from_mins(1)));
        let asked = outbound.asked.lock().unwrap();
        let form: Vec<_> = url::form_urlencoded::parse(asked[0].body()).into_owned().collect();
        let form: Vec<_> = form.iter().map(|(name, value)| (&**name, &**value)).collect();
        let expected = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("subject_token", "MARK.subject"),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
            ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
            ("audience", "hr-api"),
            ("resource", "https://hr.example.com/"),
            ("scope", "read write"),
            ("connection", "hr"),
            ("client_id", "c"),
            ("client_secret", "s"),
        ];
        assert_eq!(form, expected);
    }

    /// TX-1, TX-2.
    #[tokio::test]
    async fn only_a_bearer_token_of_the_type_that_was_asked_for_is_taken() {
        let no_type = r#"{"access_token":"MARK","token_type":"Bearer"}"#.to_owned();
        let no_bearer = answer("access_token", "Bearer").replace("\"token_type\":\"Bearer\",", "");
        for (status, body, expected) in [
            (200, answer("id-jag", "N_A"), "a token of another type than was asked for"),
            (200, answer("refresh_token", "Bearer"), "a token of another type than was asked for"),
            (200, answer("jwt", "Bearer"), "a token of another type than was asked for"),
            (200, answer("access_token", "N_A"), "a token that is not a bearer token"),
            (200, answer("access_token", "DPoP"), "a token that is not a bearer token"),
            (200, no_bearer, "a token that is not a bearer token"),
            (200, no_type, "a token that does not say of which type it is"),
            (200, "<html>MARK".to_owned(), "no JSON token response"),
        ] {
            let error = exchanged(&Scripted::always(status, &[], &body)).await.unwrap_err();
            assert_eq!(error, TokenError::Malformed(expected), "{body}");
        }
        for (code, expected) in [
            ("invalid_request", Reason::InvalidRequest),
            ("invalid_token", Reason::InvalidGrant),
            ("invalid_target", Reason::InvalidTarget),
            ("access_denied", Reason::AccessDenied),
            ("MARK", Reason::Other),
        ] {
            let body = format!(r#"{{"error":"{code}","error_description":"MARK"}}"#);
            let error = exchanged(&Scripted::always(400, &[], &body)).await.unwrap_err();
            assert_eq!(error, TokenError::Refused(expected), "{code}");
        }
    }
}
