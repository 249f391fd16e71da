//! Token revocation (RFC 7009): OC-28.

use attache_core::{Dialect, Secret, audit::Reason, dialect::RevocationStyle, outbound::Outbound};
use http::{Method, StatusCode};
use url::Url;

use crate::{
    client_auth::Client,
    endpoint::{self, LIMITS},
    error::TokenError,
};

/// What kind of token is handed back, so that the server need not search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenHint {
    AccessToken,
    RefreshToken,
}

impl TokenHint {
    fn as_str(self) -> &'static str {
        match self {
            Self::AccessToken => "access_token",
            Self::RefreshToken => "refresh_token",
        }
    }
}

/// Ends a token at the server that issued it, as its dialect says. A token that the server does not
/// know counts as revoked (RFC 7009 section 2.2). Where only access tokens can be ended, a refresh
/// token ends with its own.
///
/// # Errors
/// [`RevokeError`]: the token may still be good where it came from.
pub async fn revoke(
    outbound: &dyn Outbound,
    endpoint: &Url,
    client: &Client,
    dialect: &Dialect,
    token: &Secret,
    hint: TokenHint,
) -> Result<(), RevokeError> {
    let style = dialect.revocation;
    let request = match (style, hint) {
        (RevocationStyle::Rfc7009, _) => {
            let form = [("token", token.expose()), ("token_type_hint", hint.as_str())];
            client.post(endpoint, &form, dialect)
        }
        (RevocationStyle::NoHint, _) => {
            client.post(endpoint, &[("token", token.expose())], dialect)
        }
        (_, TokenHint::RefreshToken) => return Ok(()),
        (RevocationStyle::DeleteBasic, TokenHint::AccessToken) => {
            client.delete(endpoint, token, dialect)
        }
        (RevocationStyle::Bearer, TokenHint::AccessToken) => {
            endpoint::bearer(Method::POST, endpoint, token, dialect)
        }
    };
    let request = request.map_err(|_| RevokeError::Failed(TokenError::Blocked))?;
    let response = outbound.fetch(request, LIMITS).await.map_err(TokenError::from)?;
    if style == RevocationStyle::DeleteBasic && response.status() == StatusCode::NOT_FOUND {
        return Ok(());
    }
    match endpoint::judge(response, dialect) {
        // The one thing that is refused at revocation with this word: a token that is over.
        Ok(_) | Err(TokenError::Refused(Reason::InvalidGrant)) => Ok(()),
        Err(TokenError::Refused(Reason::RevocationUnsupported)) => Err(RevokeError::Unsupported),
        Err(error) => Err(RevokeError::Failed(error)),
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RevokeError {
    /// Nobody's move: it ends when it expires (`unsupported_token_type`).
    #[error("the authorization server does not revoke tokens of this kind")]
    Unsupported,
    /// Otherwise the errors are those of the token endpoint (RFC 7009 section 2.2.1).
    #[error(transparent)]
    Failed(#[from] TokenError),
}

impl RevokeError {
    /// The word for logs, answers and the audit.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Unsupported => Reason::RevocationUnsupported,
            Self::Failed(error) => error.reason(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{client_auth::ClientAuthentication, scripted::Scripted};

    #[tokio::test]
    async fn hands_the_token_back_and_believes_a_2xx() {
        let endpoint = Url::parse("https://as.example.com/revoke").unwrap();
        let client = Client { id: "c".to_owned(), authentication: ClientAuthentication::None };
        let token = Secret::new("t/1");
        for (status, body, expected) in [
            (200, "", Ok(())),
            (204, "", Ok(())),
            (200, "{}", Ok(())),
            (400, r#"{"error":"unsupported_token_type"}"#, Err(Reason::RevocationUnsupported)),
            (400, r#"{"error":"invalid_grant"}"#, Ok(())),
            (400, r#"{"error":"invalid_client"}"#, Err(Reason::InvalidClient)),
            (503, "", Err(Reason::ProviderUnavailable)),
        ] {
            let outbound = Scripted::always(status, &[], body);
            let dialect = Dialect::default();
            let hint = TokenHint::RefreshToken;
            let done = revoke(&outbound, &endpoint, &client, &dialect, &token, hint).await;
            assert_eq!(done.map_err(|error| error.reason()), expected, "{status} {body}");
            let asked = outbound.asked.lock().unwrap();
            assert_eq!(asked[0].body(), "token=t%2F1&token_type_hint=refresh_token&client_id=c");
        }
    }
}
