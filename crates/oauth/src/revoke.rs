//! Token revocation (RFC 7009): OC-28.

use attache_core::{Secret, outbound::Outbound};
use url::Url;

use crate::{client_auth::Client, endpoint, error::TokenError};

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

/// Ends a token at the server that issued it. A token that the server does not know counts as
/// revoked (RFC 7009 section 2.2).
///
/// # Errors
/// [`TokenError`]: the errors are those of the token endpoint (RFC 7009 section 2.2.1), with
/// `unsupported_token_type` as `RevocationUnsupported`.
pub async fn revoke(
    outbound: &dyn Outbound,
    endpoint: &Url,
    client: &Client,
    token: &Secret,
    hint: TokenHint,
) -> Result<(), TokenError> {
    let form = [("token", token.expose()), ("token_type_hint", hint.as_str())];
    endpoint::post(outbound, endpoint, client, &form).await.map(drop)
}
