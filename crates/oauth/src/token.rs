//! The token endpoint (RFC 6749 sections 4.1.3, 5 and 6), in the provider's [`Dialect`].

mod exchange;
mod id_jag;
mod on_behalf_of;
mod response;

use std::{collections::BTreeMap, sync::Arc};

use attache_core::{
    Dialect, Secret,
    dialect::{Params, Pkce, Rotation},
    outbound::Outbound,
};
use url::Url;

pub use self::{
    exchange::{ExchangeGrant, ExchangedToken},
    id_jag::{IdJag, IdJagGrant, SignInProof},
    on_behalf_of::OnBehalfOfGrant,
    response::TokenResponse,
};
use crate::{client_auth::Client, endpoint, error::TokenError};

#[derive(Clone, Debug)]
pub struct TokenEndpoint {
    pub url: Url,
    pub client: Client,
    pub dialect: Arc<Dialect>,
}

/// What a callback brought, and what proves that we asked for it.
#[derive(Clone, Copy, Debug)]
pub struct CodeGrant<'a> {
    pub code: &'a Secret,
    /// The PKCE verifier.
    pub verifier: &'a Secret,
    /// Character for character the one of the authorization request.
    pub redirect_uri: &'a str,
    pub resource: Option<&'a str>,
    /// What else of the callback was to be kept, by name.
    pub captured: &'a BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug)]
pub struct RefreshGrant<'a> {
    pub refresh_token: &'a Secret,
    pub resource: Option<&'a str>,
    /// Named only where the dialect says so: what was granted is the default, and servers differ
    /// about anything else (OC-24).
    pub scopes: &'a [String],
}

impl TokenEndpoint {
    /// Turns an authorization code into tokens (RFC 6749 section 4.1.3).
    pub async fn exchange_code(
        &self,
        outbound: &dyn Outbound,
        grant: CodeGrant<'_>,
    ) -> Result<TokenResponse, TokenError> {
        let dialect = &*self.dialect;
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", grant.code.expose()),
            ("redirect_uri", grant.redirect_uri),
        ];
        if dialect.pkce == Pkce::S256 {
            form.push(("code_verifier", grant.verifier.expose()));
        }
        form.extend(dialect.resource(grant.resource).map(|resource| ("resource", resource)));
        let body = self.ask(outbound, &self.url, form, &dialect.token_params).await?;
        TokenResponse::of_code(&body, dialect, grant.captured)
    }

    /// Turns a refresh token into a fresh access token (RFC 6749 section 6).
    ///
    /// After [`TokenError::Lost`] or [`TokenError::Malformed`] the refresh token may be spent (OC-27).
    pub async fn refresh(
        &self,
        outbound: &dyn Outbound,
        grant: RefreshGrant<'_>,
    ) -> Result<TokenResponse, TokenError> {
        let dialect = &*self.dialect;
        let scopes = grant.scopes.join(&dialect.scope_separator);
        let mut form =
            vec![("grant_type", "refresh_token"), ("refresh_token", grant.refresh_token.expose())];
        if dialect.refresh_scope && !scopes.is_empty() {
            form.push((&dialect.scope_param, &scopes));
        }
        form.extend(dialect.resource(grant.resource).map(|resource| ("resource", resource)));
        let url = dialect.refresh_endpoint.as_ref().unwrap_or(&self.url);
        let body = self.ask(outbound, url, form, &dialect.refresh_params).await.map_err(
            |error| match (error, dialect.rotation) {
                (TokenError::Lost, Rotation::No) => TokenError::Unavailable { retry_after: None },
                (error, _) => error,
            },
        )?;
        TokenResponse::of_refresh(&body, dialect)
    }

    /// Whose `access_token` this is, for people to read; `None` when the provider does not say.
    pub async fn account(&self, outbound: &dyn Outbound, access_token: &Secret) -> Option<String> {
        let endpoint = self.dialect.account.as_ref()?;
        let request =
            endpoint::bearer(http::Method::GET, &endpoint.url, access_token, &self.dialect);
        let body = endpoint::send(outbound, request.ok()?, &self.dialect).await.ok()?;
        response::account_at(&body, &endpoint.path)
    }

    /// With what the provider wants besides; a parameter of the grant cannot be overridden.
    async fn ask(
        &self,
        outbound: &dyn Outbound,
        url: &Url,
        mut form: Vec<(&str, &str)>,
        extra: &Params,
    ) -> Result<bytes::Bytes, TokenError> {
        for (name, value) in extra {
            if !form.iter().any(|(taken, _)| taken == name) {
                form.push((name, value));
            }
        }
        endpoint::post(outbound, url, &self.client, &self.dialect, &form).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{client_auth::ClientAuthentication, scripted::Scripted};

    #[tokio::test]
    async fn a_grant_asks_for_exactly_this() {
        let endpoint = TokenEndpoint {
            url: Url::parse("https://as.example.com/token").unwrap(),
            client: Client { id: "c".to_owned(), authentication: ClientAuthentication::None },
            dialect: Arc::default(),
        };
        let outbound = Scripted::always(200, &[], r#"{"access_token":"a","token_type":"bearer"}"#);
        let (code, verifier, refresh_token) =
            (Secret::new("c/1"), Secret::new("v"), Secret::new("r&1"));
        for resource in [None, Some("https://api.example.com/mcp")] {
            let grant = CodeGrant {
                code: &code,
                verifier: &verifier,
                redirect_uri: "https://gw.example.com/cb",
                resource,
                captured: &BTreeMap::new(),
            };
            endpoint.exchange_code(&outbound, grant).await.unwrap();
            let scopes = &["repo".to_owned()];
            let grant = RefreshGrant { refresh_token: &refresh_token, resource, scopes };
            endpoint.refresh(&outbound, grant).await.unwrap();
        }
        let bodies: Vec<_> =
            outbound.asked.lock().unwrap().iter().map(|asked| asked.body().clone()).collect();
        let code = "grant_type=authorization_code&code=c%2F1\
                    &redirect_uri=https%3A%2F%2Fgw.example.com%2Fcb&code_verifier=v";
        let refresh = "grant_type=refresh_token&refresh_token=r%261";
        let resource = "&resource=https%3A%2F%2Fapi.example.com%2Fmcp";
        let expected = [
            format!("{code}&client_id=c"),
            format!("{refresh}&client_id=c"),
            format!("{code}{resource}&client_id=c"),
            format!("{refresh}{resource}&client_id=c"),
        ];
        assert_eq!(bodies, expected);
    }

    /// Where a refresh spends nothing, a lost answer leaves no doubt.
    #[tokio::test]
    async fn a_lost_answer_is_a_doubt_only_where_refreshing_spends() {
        let outbound = Scripted::always(502, &[], "");
        for (rotation, expected) in [
            (Rotation::Unknown, TokenError::Lost),
            (Rotation::Yes, TokenError::Lost),
            (Rotation::No, TokenError::Unavailable { retry_after: None }),
        ] {
            let endpoint = TokenEndpoint {
                url: Url::parse("https://as.example.com/token").unwrap(),
                client: Client { id: "c".to_owned(), authentication: ClientAuthentication::None },
                dialect: Arc::new(Dialect { rotation, ..Dialect::default() }),
            };
            let refresh_token = &Secret::new("r");
            let grant = RefreshGrant { refresh_token, resource: None, scopes: &[] };
            assert_eq!(endpoint.refresh(&outbound, grant).await.unwrap_err(), expected);
        }
    }
}
