//! The token endpoint (RFC 6749 sections 4.1.3, 5 and 6).

use std::{fmt, time::Duration};

use attache_core::{Secret, outbound::Outbound};
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;
use url::Url;

use crate::{client_auth::Client, endpoint, error::TokenError, scope};

#[derive(Clone, Debug)]
pub struct TokenEndpoint {
    pub url: Url,
    pub client: Client,
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
}

/// It has no scope: asking for what was granted is the default, and servers differ about anything
/// else (OC-24).
#[derive(Clone, Copy, Debug)]
pub struct RefreshGrant<'a> {
    pub refresh_token: &'a Secret,
    pub resource: Option<&'a str>,
}

impl TokenEndpoint {
    /// Turns an authorization code into tokens (RFC 6749 section 4.1.3).
    pub async fn exchange_code(
        &self,
        outbound: &dyn Outbound,
        grant: CodeGrant<'_>,
    ) -> Result<TokenResponse, TokenError> {
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", grant.code.expose()),
            ("redirect_uri", grant.redirect_uri),
            ("code_verifier", grant.verifier.expose()),
        ];
        form.extend(grant.resource.map(|resource| ("resource", resource)));
        self.ask(outbound, &form).await
    }

    /// Turns a refresh token into a fresh access token (RFC 6749 section 6).
    ///
    /// After [`TokenError::Lost`] or [`TokenError::Malformed`] the refresh token may be spent (OC-27).
    pub async fn refresh(
        &self,
        outbound: &dyn Outbound,
        grant: RefreshGrant<'_>,
    ) -> Result<TokenResponse, TokenError> {
        let mut form =
            vec![("grant_type", "refresh_token"), ("refresh_token", grant.refresh_token.expose())];
        form.extend(grant.resource.map(|resource| ("resource", resource)));
        self.ask(outbound, &form).await
    }

    async fn ask(
        &self,
        outbound: &dyn Outbound,
        form: &[(&str, &str)],
    ) -> Result<TokenResponse, TokenError> {
        let body = endpoint::post(outbound, &self.url, &self.client, form).await?;
        TokenResponse::parse(&body)
    }
}

/// A successful answer (RFC 6749 section 5.1). Its tokens are visible ASCII and short: none can
/// break out of a header (OC-22).
#[derive(Clone, Debug)]
pub struct TokenResponse {
    pub access_token: Secret,
    /// `Bearer` in the provider's spelling.
    pub token_type: String,
    /// More than nothing and at most ten years; `None` when the provider gave no usable lifetime.
    pub expires_in: Option<Duration>,
    /// `None`: keep the one there is.
    pub refresh_token: Option<Secret>,
    /// `None`: what was asked for was granted.
    pub scopes: Option<Vec<String>>,
    pub id_token: Option<Secret>,
}

impl TokenResponse {
    fn parse(body: &[u8]) -> Result<Self, TokenError> {
        let wire: Wire = serde_json::from_slice(body)
            .map_err(|_| TokenError::Malformed("no JSON token response"))?;
        let token_type = wire.token_type.unwrap_or_else(|| "Bearer".to_owned());
        if !token_type.eq_ignore_ascii_case("bearer") {
            return Err(TokenError::Malformed("a token that is not a bearer token"));
        }
        Ok(Self {
            access_token: token(wire.access_token)?
                .ok_or(TokenError::Malformed("no access token"))?,
            token_type,
            expires_in: wire.expires_in.as_ref().and_then(lifetime),
            refresh_token: token(wire.refresh_token)?,
            scopes: wire.scope.map(Scope::tokens),
            id_token: token(wire.id_token)?,
        })
    }
}

#[derive(Deserialize)]
struct Wire {
    access_token: Option<Token>,
    token_type: Option<String>,
    expires_in: Option<Value>,
    refresh_token: Option<Token>,
    scope: Option<Scope>,
    id_token: Option<Token>,
}

/// Goes from the body into a [`Secret`] with no copy in between.
struct Token(Secret);

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Token;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a token")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Token, E> {
                Ok(Token(Secret::new(text)))
            }
        }

        deserializer.deserialize_str(Visitor)
    }
}

/// An empty token is no token; one that could do harm in a header is an error (OC-22).
fn token(token: Option<Token>) -> Result<Option<Secret>, TokenError> {
    let Some(Token(token)) = token.filter(|token| !token.0.is_empty()) else { return Ok(None) };
    let text = token.expose();
    if text.len() > MAX_TOKEN {
        return Err(TokenError::Malformed("too long a token"));
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(TokenError::Malformed("a token that fits no header"));
    }
    Ok(Some(token))
}

/// Bytes of one token. The longest are JWTs full of groups; servers take headers of 8 to 32 KiB.
const MAX_TOKEN: usize = 16 * 1024;

/// Providers write numbers, floats and numeric strings. Zero, less, or no number at all say
/// nothing about how long the token lives: then the upstream's 401 is the truth.
fn lifetime(expires_in: &Value) -> Option<Duration> {
    let seconds = match expires_in {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    (seconds > 0.0).then(|| Duration::from_secs_f64(seconds.min(MAX_LIFETIME.as_secs_f64())))
}

/// Longer is "for ever", which no one can promise.
const MAX_LIFETIME: Duration = Duration::from_hours(10 * 365 * 24);

/// A string split on spaces (RFC 6749 section 3.3), or a list (Twitch).
#[derive(Deserialize)]
#[serde(untagged)]
enum Scope {
    Text(String),
    List(Vec<String>),
}

impl Scope {
    fn tokens(self) -> Vec<String> {
        match self {
            Self::Text(text) => scope::parse(&text),
            Self::List(list) => scope::list(list),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{client_auth::ClientAuthentication, scripted::Scripted};

    fn endpoint() -> TokenEndpoint {
        TokenEndpoint {
            url: Url::parse("https://as.example.com/token").unwrap(),
            client: Client { id: "c".to_owned(), authentication: ClientAuthentication::None },
        }
    }

    fn parse(body: &str) -> Result<TokenResponse, TokenError> {
        TokenResponse::parse(body.as_bytes())
    }

    #[tokio::test]
    async fn a_grant_asks_for_exactly_this() {
        let outbound = Scripted::always(200, &[], r#"{"access_token":"a","token_type":"bearer"}"#);
        let (code, verifier, refresh_token) =
            (Secret::new("c/1"), Secret::new("v"), Secret::new("r&1"));
        for resource in [None, Some("https://api.example.com/mcp")] {
            let grant = CodeGrant {
                code: &code,
                verifier: &verifier,
                redirect_uri: "https://gw.example.com/cb",
                resource,
            };
            endpoint().exchange_code(&outbound, grant).await.unwrap();
            let grant = RefreshGrant { refresh_token: &refresh_token, resource };
            endpoint().refresh(&outbound, grant).await.unwrap();
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

    #[test]
    fn reads_everything_a_provider_may_say() {
        let response = parse(
            r#"{"access_token":"MARK!~+/=","token_type":"BEARER","expires_in":3600,"scope":"a  b",
                "refresh_token":"MARK1","id_token":"MARK.2.3","error":null,"instance_url":"x"}"#,
        )
        .unwrap();
        assert_eq!(response.access_token.expose(), "MARK!~+/=");
        assert_eq!(response.token_type, "BEARER");
        assert_eq!(response.expires_in, Some(Duration::from_hours(1)));
        assert_eq!(response.scopes, Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(response.refresh_token.as_ref().unwrap().expose(), "MARK1");
        assert_eq!(response.id_token.as_ref().unwrap().expose(), "MARK.2.3");
        assert!(!format!("{response:?}").contains("MARK"));

        let response = parse(r#"{"access_token":"a","refresh_token":"","scope":null}"#).unwrap();
        assert_eq!(response.token_type, "Bearer");
        assert!(response.refresh_token.is_none() && response.id_token.is_none());
        assert_eq!((response.expires_in, response.scopes), (None, None));
    }

    #[test]
    fn a_lifetime_is_sane_or_unknown() {
        const TEN_YEARS: f64 = 315_360_000.0;
        for (expires_in, expected) in [
            ("3600", Some(3600.0)),
            ("3600.5", Some(3600.5)),
            ("\"3600\"", Some(3600.0)),
            ("\" 3600.0 \"", Some(3600.0)),
            ("18446744073709551615", Some(TEN_YEARS)),
            ("1e300", Some(TEN_YEARS)),
            ("\"inf\"", Some(TEN_YEARS)),
            ("\"nan\"", None),
            ("0", None),
            ("-1", None),
            ("null", None),
            ("\"soon\"", None),
            ("[3600]", None),
        ] {
            let body = format!(r#"{{"access_token":"a","expires_in":{expires_in}}}"#);
            let lifetime = parse(&body).unwrap().expires_in;
            assert_eq!(lifetime.map(|span| span.as_secs_f64()), expected, "{expires_in}");
        }
    }

    #[test]
    fn only_scope_tokens_are_scopes() {
        for (scope, expected) in [
            (r#""""#, &[][..]),
            (r#""repo,gist user""#, &["repo,gist", "user"]),
            (r#"["a:b","c d","e\u0000"]"#, &["a:b"]),
            (r#""ok <é> \"q\" b\\c""#, &["ok"]),
        ] {
            let body = format!(r#"{{"access_token":"a","scope":{scope}}}"#);
            assert_eq!(parse(&body).unwrap().scopes.unwrap(), expected, "{scope}");
        }
    }

    /// OC-21, OC-22: nothing that is not a bearer token in printable bytes becomes a credential.
    #[test]
    fn refuses_what_is_no_bearer_token() {
        let long = format!(r#"{{"access_token":"{}"}}"#, "a".repeat(MAX_TOKEN + 1));
        for body in [
            "",
            "MARK",
            "[]",
            "<html>MARK</html>",
            "access_token=MARK&token_type=bearer",
            r#"{"access_token":""}"#,
            r#"{"token_type":"bearer"}"#,
            r#"{"access_token":null}"#,
            r#"{"access_token":{"MARK":1}}"#,
            r#"{"access_token":"MARK","access_token":"MARK"}"#,
            r#"{"access_token":"MARK","token_type":"mac"}"#,
            r#"{"access_token":"MARK","token_type":"DPoP"}"#,
            r#"{"access_token":"MARK","token_type":""}"#,
            r#"{"access_token":"MARK\r\nSet-Cookie: x"}"#,
            r#"{"access_token":"MARK b"}"#,
            r#"{"access_token":"MARKé"}"#,
            r#"{"access_token":"MARK\u0000"}"#,
            r#"{"access_token":"a","refresh_token":"MARK\n"}"#,
            r#"{"access_token":"a","id_token":"MARK\n"}"#,
            r#"{"access_token":"a","refresh_token":7}"#,
            &long,
        ] {
            let error = parse(body).unwrap_err();
            assert!(matches!(error, TokenError::Malformed(_)), "{body}: {error:?}");
            assert!(!format!("{error} {error:?}").contains("MARK"), "{body}");
        }
    }
}
