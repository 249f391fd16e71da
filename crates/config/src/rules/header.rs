//! Which headers may be set, by whom.

use http::{HeaderName, HeaderValue, header};

use crate::{
    diagnose::Place,
    model::HeaderFormat,
    rules::secret,
    schema::{SecretSource, Upstream},
    secrets::Secrets,
};

/// What a message is, where it goes and how it is framed: never configured (RFC 9110 section
/// 7.6.1, RFC 9112 section 6).
const STRUCTURAL: &[HeaderName] = &[
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::EXPECT,
    header::HOST,
    header::PROXY_AUTHENTICATE,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];
const STRUCTURAL_NAMES: &[&str] = &["keep-alive", "proxy-connection", "http2-settings"];

/// Headers that mean something else, so that a credential in them would break the request or leak.
const NOT_FOR_CREDENTIALS: &[HeaderName] = &[
    header::ACCEPT,
    header::CONTENT_ENCODING,
    header::CONTENT_TYPE,
    header::COOKIE,
    header::FORWARDED,
    header::ORIGIN,
    header::PROXY_AUTHORIZATION,
    header::REFERER,
    header::SET_COOKIE,
    header::USER_AGENT,
];
const NOT_FOR_CREDENTIALS_PREFIXES: &[&str] = &["mcp-", "sec-", "x-forwarded-"];

/// Names under which APIs take a credential. Beside a broker such a header would be a shared
/// identity sent along with a person's own, and upstreams differ in which of the two they believe.
const CREDENTIALS: &[&str] = &[
    "api-key",
    "apikey",
    "authorization",
    "cookie",
    "private-token",
    "proxy-authorization",
    "x-access-token",
    "x-amz-security-token",
    "x-api-key",
    "x-api-token",
    "x-apikey",
    "x-auth",
    "x-auth-token",
    "x-goog-api-key",
    "x-vault-token",
];

/// The header the credential goes into.
pub(crate) fn injection(name: &str, place: &Place<'_>) -> Option<HeaderName> {
    let header = parse(name, place)?;
    let taken = structural(&header)
        || NOT_FOR_CREDENTIALS.contains(&header)
        || NOT_FOR_CREDENTIALS_PREFIXES.iter().any(|prefix| header.as_str().starts_with(prefix));
    if taken {
        place.error(
            format!("a credential cannot be injected into {name}"),
            "use Authorization or a header of the API, such as X-Api-Key",
        );
        return None;
    }
    Some(header)
}

/// What goes around the token: `{token}` exactly once, in text that a header can hold.
pub(crate) fn format(text: &str, place: &Place<'_>) -> Option<HeaderFormat> {
    const HELP: &str = "write {token} where the credential goes, such as \"Bearer {token}\"";
    let mut parts = text.split("{token}");
    let (Some(prefix), Some(suffix), None) = (parts.next(), parts.next(), parts.next()) else {
        place.error("header_format must contain {token} exactly once", HELP);
        return None;
    };
    let plain = |c: char| c == '\t' || (' '..='~').contains(&c);
    if !text.chars().all(plain) {
        place.error("header_format must be printable ASCII without line breaks", HELP);
        return None;
    }
    Some(HeaderFormat { prefix: prefix.to_owned(), suffix: suffix.to_owned() })
}

/// The static headers; `injected` is the broker's, when there is one.
pub(super) fn statics(
    upstream: &Upstream,
    injected: Option<&HeaderName>,
    secrets: &Secrets<'_>,
    place: &Place<'_>,
) -> Vec<(HeaderName, HeaderValue)> {
    let mut seen: Vec<HeaderName> = Vec::new();
    let mut headers = Vec::new();
    for (name, source) in &upstream.headers {
        let place = place.key(name);
        let Some(header) = parse(name, &place) else { continue };
        if structural(&header) {
            place.wrong_key(format!("{name} cannot be set: HTTP itself uses it"), "leave it out");
        } else if seen.contains(&header) {
            place.wrong_key(
                format!("duplicate header: {name}"),
                "the case of a name is no difference",
            );
        } else if upstream.auth_broker.is_some() && is_credential(&header, injected) {
            place.wrong_key(
                format!("a static {name} header is configured beside auth_broker"),
                "a brokered upstream gets the caller's own credential and no other: remove the \
                 header, or remove auth_broker if the credential is to be shared",
            );
        } else if let Some(value) = value(source, secrets, &place) {
            headers.push((header.clone(), value));
        }
        seen.push(header);
    }
    headers
}

fn is_credential(header: &HeaderName, injected: Option<&HeaderName>) -> bool {
    injected == Some(header) || CREDENTIALS.contains(&header.as_str())
}

pub(crate) fn structural(header: &HeaderName) -> bool {
    STRUCTURAL.contains(header) || STRUCTURAL_NAMES.contains(&header.as_str())
}

pub(crate) fn parse(name: &str, place: &Place<'_>) -> Option<HeaderName> {
    let header = HeaderName::try_from(name).ok();
    if header.is_none() {
        place
            .error("this is not a header's name", "letters, digits and hyphens, such as X-Api-Key");
    }
    header
}

/// Marked as sensitive, whatever it is: then it is in no log and in no compression table.
fn value(source: &SecretSource, secrets: &Secrets<'_>, place: &Place<'_>) -> Option<HeaderValue> {
    let text = match source {
        // An empty header is odd, but it is no missing secret.
        SecretSource::Text(text) => text.clone(),
        reference => secret(reference, secrets, place)?,
    };
    let Ok(mut value) = HeaderValue::from_str(text.expose()) else {
        place.error("a header's value is visible ASCII without line breaks", "");
        return None;
    };
    value.set_sensitive(true);
    Some(value)
}
