//! What a token endpoint answers (RFC 6749 section 5.1), wherever the provider puts it.

use std::{collections::BTreeMap, time::Duration};

use attache_core::{
    Dialect, Secret, account,
    dialect::{ExpiresUnit, JsonPath, ResponsePaths},
};
use url::Url;

use crate::{error::TokenError, json::Json, scope};

/// A successful answer. Its tokens are visible ASCII and short: none can break out of a header
/// (OC-22).
#[derive(Clone, Debug)]
pub struct TokenResponse {
    pub access_token: Secret,
    /// `Bearer` in the provider's spelling.
    pub token_type: String,
    /// More than nothing and at most ten years; `None` when the provider gave no usable lifetime.
    pub expires_in: Option<Duration>,
    /// `None`: keep the one there is.
    pub refresh_token: Option<Secret>,
    /// How long the refresh token lives, within the same bounds as `expires_in`.
    pub refresh_expires_in: Option<Duration>,
    /// `None`: what was asked for was granted.
    pub scopes: Option<Vec<String>>,
    pub id_token: Option<Secret>,
    /// Whose tokens these are, for people to read: one short line.
    pub account: Option<String>,
    /// Where this person's requests go, within the hosts that the dialect allows. `None` after a
    /// refresh: where they went before.
    pub base_url: Option<Url>,
}

impl TokenResponse {
    /// With what the callback brought: a provider that has a host a person must have named it.
    pub(super) fn of_code(
        body: &[u8],
        dialect: &Dialect,
        captured: &BTreeMap<String, String>,
    ) -> Result<Self, TokenError> {
        let response = Self::read(body, dialect, &dialect.response, captured)?;
        if dialect.base_url.is_some() && response.base_url.is_none() {
            return Err(TokenError::Malformed("no base URL on a host that is allowed"));
        }
        Ok(response)
    }

    pub(super) fn of_refresh(body: &[u8], dialect: &Dialect) -> Result<Self, TokenError> {
        Self::read(body, dialect, &dialect.refresh_response, &BTreeMap::new())
    }

    fn read(
        body: &[u8],
        dialect: &Dialect,
        paths: &ResponsePaths,
        captured: &BTreeMap<String, String>,
    ) -> Result<Self, TokenError> {
        let json = Json::parse(body)
            .filter(Json::is_table)
            .ok_or(TokenError::Malformed("no JSON token response"))?;
        let expires_in = json.at(&paths.expires_in).and_then(|life| lifetime(life, dialect));
        Ok(Self {
            access_token: token(json.at(&paths.access_token))?
                .ok_or(TokenError::Malformed("no access token"))?,
            token_type: token_type(json.at(&paths.token_type), dialect)?,
            expires_in: expires_in.or(dialect.default_expires_in),
            refresh_token: token(json.at(&paths.refresh_token))?,
            refresh_expires_in: REFRESH_EXPIRES_IN
                .iter()
                .find_map(|key| lifetime(json.get(key)?, dialect)),
            scopes: json.at(&paths.scope).map(|scope| scopes(scope, paths)).transpose()?,
            id_token: token(json.get("id_token"))?,
            account: paths.account.as_ref().and_then(|path| label(json.at(path)?)),
            base_url: base_url(&json, dialect, captured),
        })
    }
}

/// No RFC has a word for it: GitHub's, Keycloak's and Intuit's.
const REFRESH_EXPIRES_IN: [&str; 3] =
    ["refresh_token_expires_in", "refresh_expires_in", "x_refresh_token_expires_in"];

/// `Bearer` where the provider names none.
fn token_type(given: Option<&Json<'_>>, dialect: &Dialect) -> Result<String, TokenError> {
    let word = match given {
        None => return Ok("Bearer".to_owned()),
        Some(Json::Text(word)) => word.as_str(),
        Some(_) => return Err(TokenError::Malformed("a token type that is no text")),
    };
    if dialect.bearer_types.iter().any(|bearer| bearer == word) {
        return Ok("Bearer".to_owned());
    }
    if !word.eq_ignore_ascii_case("bearer") {
        return Err(TokenError::Malformed("a token that is not a bearer token"));
    }
    Ok(word.to_owned())
}

/// An empty token is no token; one that could do harm in a header is an error (OC-22).
pub(super) fn token(given: Option<&Json<'_>>) -> Result<Option<Secret>, TokenError> {
    let text = match given {
        None => return Ok(None),
        Some(Json::Text(text)) => text.as_str(),
        Some(_) => return Err(TokenError::Malformed("a token that is no text")),
    };
    if text.len() > MAX_TOKEN {
        return Err(TokenError::Malformed("too long a token"));
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(TokenError::Malformed("a token that fits no header"));
    }
    Ok((!text.is_empty()).then(|| Secret::new(text)))
}

/// Bytes of one token. The longest are JWTs full of groups; servers take headers of 8 to 32 KiB.
const MAX_TOKEN: usize = 16 * 1024;

/// Providers write numbers, floats and numeric strings. Zero, less, or no number at all say
/// nothing about how long the token lives: then the upstream's 401 is the truth.
fn lifetime(expires_in: &Json<'_>, dialect: &Dialect) -> Option<Duration> {
    let number: f64 = match expires_in {
        Json::Number(number) => number.as_f64()?,
        Json::Text(text) => text.as_str().trim().parse().ok()?,
        _ => return None,
    };
    let seconds = match dialect.expires_unit {
        ExpiresUnit::Seconds => number,
        ExpiresUnit::Milliseconds => number / 1000.0,
    };
    (seconds > 0.0).then(|| Duration::from_secs_f64(seconds.min(MAX_LIFETIME.as_secs_f64())))
}

/// Longer is "for ever", which no one can promise.
const MAX_LIFETIME: Duration = Duration::from_hours(10 * 365 * 24);

/// A text (RFC 6749 section 3.3), or a list (Twitch).
fn scopes(given: &Json<'_>, paths: &ResponsePaths) -> Result<Vec<String>, TokenError> {
    const NO_TEXT: TokenError = TokenError::Malformed("a scope that is no text");
    match given {
        Json::Text(text) => Ok(scope::split(text.as_str(), paths.scope_separator)),
        Json::List(items) => {
            let words = items.iter().map(Json::text).collect::<Option<Vec<_>>>();
            Ok(scope::list(words.ok_or(NO_TEXT)?))
        }
        _ => Err(NO_TEXT),
    }
}

/// Who the account endpoint says it is.
pub(super) fn account_at(body: &[u8], path: &JsonPath) -> Option<String> {
    label(Json::parse(body)?.at(path)?)
}

fn label(given: &Json<'_>) -> Option<String> {
    account::line(&given.word()?)
}

/// Where the provider says this person's requests go. A value that is missing, or that leads where
/// it may not, is none.
fn base_url(
    json: &Json<'_>,
    dialect: &Dialect,
    captured: &BTreeMap<String, String>,
) -> Option<Url> {
    let mut captured = captured.clone();
    for (name, path) in &dialect.token_capture {
        captured.extend(json.at(path).and_then(Json::word).map(|word| (name.clone(), word)));
    }
    dialect.base_url.as_ref()?.resolve(&captured)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Result<TokenResponse, TokenError> {
        TokenResponse::of_refresh(body.as_bytes(), &Dialect::default())
    }

    /// What a person reads is one line of theirs, whatever the provider says.
    #[test]
    fn a_label_is_one_short_line() {
        for (name, expected) in [
            (r#""ada@example.com""#, Some("ada@example.com")),
            (r#""  Ada Lovelace ""#, Some("Ada Lovelace")),
            ("42", Some("42")),
            (r#""""#, None),
            (r#""a\nb""#, None),
            (r#""a\u202eb""#, None),
            ("null", None),
            (r#"{"MARK":1}"#, None),
        ] {
            let body = format!(r#"{{"user":[{{"name":{name}}}]}}"#);
            let path = JsonPath::parse("user.0.name").unwrap();
            assert_eq!(account_at(body.as_bytes(), &path).as_deref(), expected, "{name}");
        }
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
            for key in REFRESH_EXPIRES_IN {
                let body = format!(r#"{{"access_token":"a","{key}":{expires_in}}}"#);
                let lifetime = parse(&body).unwrap().refresh_expires_in;
                assert_eq!(lifetime.map(|span| span.as_secs_f64()), expected, "{key} {expires_in}");
            }
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
