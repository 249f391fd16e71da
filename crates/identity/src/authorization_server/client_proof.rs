//! How a client says who it is at the token endpoint (RFC 6749 section 2.3): in one way.

use attache_core::Secret;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, header};
use url::form_urlencoded;

use super::{error::OAuthError, params::Params};

#[derive(Debug)]
pub(super) struct ClientProof {
    pub(super) id: String,
    pub(super) secret: Option<Secret>,
    /// Whether it was in the `Authorization` header.
    pub(super) header: bool,
}

impl ClientProof {
    pub(super) fn parse(params: &Params, headers: &HeaderMap) -> Result<Self, OAuthError> {
        let (id, secret) = (params.get("client_id"), params.get("client_secret"));
        let mut given = headers.get_all(header::AUTHORIZATION).iter();
        let Some(value) = given.next() else {
            let id = id.ok_or(OAuthError::InvalidRequest("client_id is missing"))?.to_owned();
            return Ok(Self { id, secret: secret.map(Secret::new), header: false });
        };
        if given.next().is_some() || secret.is_some() {
            return Err(OAuthError::InvalidRequest("a client authenticates in one way"));
        }
        let refused = || OAuthError::InvalidClient { header: true };
        let (named, secret) = value.to_str().ok().and_then(basic).ok_or_else(refused)?;
        if id.is_some_and(|id| id != named) {
            return Err(OAuthError::InvalidRequest("client_id is not the one that authenticates"));
        }
        let secret = (!secret.is_empty()).then_some(secret);
        Ok(Self { id: named, secret, header: true })
    }
}

/// Each part is form-encoded before both are base64-encoded (RFC 6749 section 2.3.1).
fn basic(value: &str) -> Option<(String, Secret)> {
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = pair.split_once(':')?;
    Some((decoded(id), Secret::new(decoded(secret))))
}

fn decoded(text: &str) -> String {
    // Whatever it is, it is one name without a value: the marks of pairs are escaped in it.
    let escaped = text.replace('=', "%3D").replace('&', "%26");
    form_urlencoded::parse(escaped.as_bytes()).map(|(name, _)| name.into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_client_says_who_it_is_in_one_way() {
        let encoded = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
        let said = |form: &str, given: &[String]| {
            let mut headers = HeaderMap::new();
            for value in given {
                headers.append(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
            }
            ClientProof::parse(&Params::parse(form.as_bytes()), &headers)
                .map(|proof| {
                    let secret = proof.secret.map_or(String::new(), |one| one.expose().to_owned());
                    format!("{} {secret} {}", proof.id, proof.header)
                })
                .map_err(|error| error.code())
        };
        for (form, given, expected) in [
            ("client_id=a", vec![], Ok("a  false")),
            ("client_id=a&client_secret=s", vec![], Ok("a s false")),
            ("", vec![encoded("a:s")], Ok("a s true")),
            ("client_id=a", vec![encoded("a%3Ab:s%26%3D+t")], Err("invalid_request")),
            ("", vec![encoded("a%3Ab:s%26%3D+t=&")], Ok("a:b s&= t=& true")),
            ("", vec![encoded("a:")], Ok("a  true")),
            ("", vec![], Err("invalid_request")),
            ("client_secret=s", vec![encoded("a:s")], Err("invalid_request")),
            ("client_id=b", vec![encoded("a:s")], Err("invalid_request")),
            ("", vec![encoded("a:s"), encoded("a:s")], Err("invalid_request")),
            ("client_id=a", vec!["Bearer x".to_owned()], Err("invalid_client")),
            ("", vec!["Basic !".to_owned()], Err("invalid_client")),
        ] {
            assert_eq!(said(form, &given), expected.map(str::to_owned), "{form} {given:?}");
        }
    }
}
