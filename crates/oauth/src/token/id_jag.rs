//! Identity assertion authorization grants (ID-JAG, draft-ietf-oauth-identity-assertion-authz-grant):
//! the identity provider says to another authorization server who somebody is, and that server gives a
//! token for it.

use attache_core::{Secret, outbound::Outbound};

use super::{
    ExchangedToken, TokenEndpoint, TokenResponse,
    exchange::{GRANT_TYPE as TOKEN_EXCHANGE, token_type_is_said},
    on_behalf_of::GRANT_TYPE as JWT_BEARER,
    response::token,
};
use crate::{error::TokenError, json::Json, scope};

const ID_JAG: &str = "urn:ietf:params:oauth:token-type:id-jag";
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
const REFRESH_TOKEN: &str = "urn:ietf:params:oauth:token-type:refresh_token";

/// What a person's sign-in left us, as the provider that gave it is shown it again.
#[derive(Clone, Copy, Debug)]
pub enum SignInProof<'a> {
    /// Whose audience is our client at the identity provider.
    IdToken(&'a Secret),
    RefreshToken(&'a Secret),
}

/// What is asked of the identity provider (section 4.3 of the draft).
#[derive(Clone, Copy, Debug)]
pub struct IdJagGrant<'a> {
    pub proof: SignInProof<'a>,
    /// The issuer of the authorization server that the assertion is for, and no other.
    pub audience: &'a str,
    /// What is called there (RFC 8707).
    pub resource: &'a str,
    pub scopes: &'a [String],
}

/// An assertion for one authorization server: shown to it once, and kept nowhere.
#[derive(Clone, Debug)]
pub struct IdJag {
    pub(super) assertion: Secret,
    /// `None`: those that were asked for.
    pub scopes: Option<Vec<String>>,
}

impl TokenEndpoint {
    /// Of the identity provider.
    ///
    /// # Errors
    /// [`TokenError::Malformed`] for an answer that is no ID-JAG, or calls it an access token (TX-1).
    pub async fn id_jag(
        &self,
        outbound: &dyn Outbound,
        grant: IdJagGrant<'_>,
    ) -> Result<IdJag, TokenError> {
        let (subject_token, subject_token_type) = match grant.proof {
            SignInProof::IdToken(token) => (token, ID_TOKEN),
            SignInProof::RefreshToken(token) => (token, REFRESH_TOKEN),
        };
        let scopes = grant.scopes.join(" ");
        let mut form = vec![
            ("grant_type", TOKEN_EXCHANGE),
            ("requested_token_type", ID_JAG),
            ("audience", grant.audience),
            ("resource", grant.resource),
            ("subject_token", subject_token.expose()),
            ("subject_token_type", subject_token_type),
        ];
        if !scopes.is_empty() {
            form.push(("scope", &scopes));
        }
        let body = self.ask(outbound, &self.url, form, &self.dialect.token_params).await?;
        let json = Json::parse(&body).ok_or(TokenError::Malformed("no JSON token response"))?;
        if json.get("issued_token_type").and_then(Json::text) != Some(ID_JAG) {
            return Err(TokenError::Malformed("a token of another type than was asked for"));
        }
        // It is no access token: whoever says so may have given one.
        let token_type = json.get("token_type").and_then(Json::text);
        if !token_type.is_some_and(|word| word.eq_ignore_ascii_case("N_A")) {
            return Err(TokenError::Malformed("an assertion that is said to be an access token"));
        }
        Ok(IdJag {
            assertion: token(json.get("access_token"))?
                .ok_or(TokenError::Malformed("no assertion"))?,
            scopes: json.get("scope").and_then(Json::text).map(scope::parse),
        })
    }

    /// Of the authorization server that the assertion is for (RFC 7523 section 2.1). A refresh token
    /// that it may give is not kept: the identity provider is asked again.
    ///
    /// # Errors
    /// [`TokenError::Malformed`] for what is no bearer token.
    pub async fn redeem_id_jag(
        &self,
        outbound: &dyn Outbound,
        id_jag: &IdJag,
        scopes: &[String],
    ) -> Result<ExchangedToken, TokenError> {
        let scopes = id_jag.scopes.as_deref().unwrap_or(scopes).join(" ");
        let mut form = vec![("grant_type", JWT_BEARER), ("assertion", id_jag.assertion.expose())];
        if !scopes.is_empty() {
            form.push(("scope", &scopes));
        }
        let body = self.ask(outbound, &self.url, form, &self.dialect.token_params).await?;
        let json = Json::parse(&body).ok_or(TokenError::Malformed("no JSON token response"))?;
        token_type_is_said(&json)?;
        let token = TokenResponse::of_refresh(&body, &self.dialect)?;
        Ok(ExchangedToken { access_token: token.access_token, expires_in: token.expires_in })
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use attache_core::audit::Reason;
    use url::Url;

    use super::*;
    use crate::{
        client_auth::{Client, ClientAuthentication},
        scripted::Scripted,
    };

    fn endpoint(client: &str) -> TokenEndpoint {
        let authentication = ClientAuthentication::Post(Secret::new("s"));
        TokenEndpoint {
            url: Url::parse("https://as.example.com/token").unwrap(),
            client: Client { id: client.to_owned(), authentication },
            dialect: Arc::default(),
        }
    }

    async fn asked(outbound: &Scripted, proof: SignInProof<'_>) -> Result<IdJag, TokenError> {
        let grant = IdJagGrant {
            proof,
            audience: "https://as.example.com/t1",
            resource: "https://api.example.com/mcp",
            scopes: &["read".to_owned(), "write".to_owned()],
        };
        endpoint("sso").id_jag(outbound, grant).await
    }

    fn form(outbound: &Scripted) -> Vec<(String, String)> {
        let asked = outbound.asked.lock().unwrap();
        url::form_urlencoded::parse(asked[0].body()).into_owned().collect()
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn answer(issued: &str, token_type: &str) -> String {
        format!(
            r#"{{"access_token":"MARK.jag","issued_token_type":"urn:ietf:params:oauth:token-type:{issued}",
                "token_type":"{token_type}","expires_in":300,"scope":"read"}}"#
        )
    }

    #[tokio::test]
    async fn two_servers_are_asked_for_exactly_this() {
        let token = Secret::new("MARK");
        for (proof, named) in [
            (SignInProof::IdToken(&token), "id_token"),
            (SignInProof::RefreshToken(&token), "refresh_token"),
        ] {
            let provider = Scripted::always(200, &[], &answer("id-jag", "N_A"));
            let id_jag = asked(&provider, proof).await.unwrap();
            let named = format!("urn:ietf:params:oauth:token-type:{named}");
            let expected = [
                ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
                ("requested_token_type", "urn:ietf:params:oauth:token-type:id-jag"),
                ("audience", "https://as.example.com/t1"),
                ("resource", "https://api.example.com/mcp"),
                ("subject_token", "MARK"),
                ("subject_token_type", &named),
                ("scope", "read write"),
                ("client_id", "sso"),
                ("client_secret", "s"),
            ];
            assert_eq!(form(&provider), pairs(&expected));

            // With no more than the provider allowed.
            let body = r#"{"access_token":"MARK.2","token_type":"Bearer","expires_in":60,"refresh_token":"MARK.3"}"#;
            let server = Scripted::always(200, &[], body);
            let scopes = ["read".to_owned(), "write".to_owned()];
            let redeemed = endpoint("c").redeem_id_jag(&server, &id_jag, &scopes).await.unwrap();
            assert_eq!(redeemed.access_token.expose(), "MARK.2");
            assert_eq!(redeemed.expires_in, Some(Duration::from_mins(1)));
            let expected = [
                ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
                ("assertion", "MARK.jag"),
                ("scope", "read"),
                ("client_id", "c"),
                ("client_secret", "s"),
            ];
            assert_eq!(form(&server), pairs(&expected));
        }
    }

    /// TX-1: an access token is not sent on as an assertion, nor an assertion injected as a token.
    #[tokio::test]
    async fn only_an_assertion_is_taken_for_one() {
        let untyped = answer("id-jag", "N_A").replace("\"token_type\":\"N_A\",", "");
        let unnamed = r#"{"access_token":"MARK","token_type":"N_A"}"#.to_owned();
        let empty = answer("id-jag", "N_A").replace("MARK.jag", "");
        for (body, expected) in [
            (answer("access_token", "Bearer"), "a token of another type than was asked for"),
            (answer("access_token", "N_A"), "a token of another type than was asked for"),
            (answer("id_token", "N_A"), "a token of another type than was asked for"),
            (unnamed, "a token of another type than was asked for"),
            (answer("id-jag", "Bearer"), "an assertion that is said to be an access token"),
            (untyped, "an assertion that is said to be an access token"),
            (empty, "no assertion"),
            ("<html>MARK".to_owned(), "no JSON token response"),
        ] {
            let provider = Scripted::always(200, &[], &body);
            let error = asked(&provider, SignInProof::IdToken(&Secret::new("t"))).await;
            assert_eq!(error.unwrap_err(), TokenError::Malformed(expected), "{body}");
        }
        let id_jag = IdJag { assertion: Secret::new("MARK"), scopes: None };
        for token_type in ["\"N_A\"", "\"DPoP\"", "7"] {
            let body = format!(r#"{{"access_token":"MARK","token_type":{token_type}}}"#);
            let server = Scripted::always(200, &[], &body);
            let error = endpoint("c").redeem_id_jag(&server, &id_jag, &[]).await.unwrap_err();
            assert!(matches!(error, TokenError::Malformed(_)), "{body}");
        }
        let refused = Scripted::always(400, &[], r#"{"error":"invalid_grant"}"#);
        let error = endpoint("c").redeem_id_jag(&refused, &id_jag, &[]).await.unwrap_err();
        assert_eq!(error, TokenError::Refused(Reason::InvalidGrant));
    }
}
