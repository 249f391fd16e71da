//! The authorization response (RFC 6749 sections 4.1.2 and 4.1.2.1) and whose it is (RFC 9207).

use std::{collections::BTreeMap, fmt};

use attache_core::{Dialect, Secret, audit::Reason};
use url::form_urlencoded;

use crate::error::reason;

/// What a browser brought back to the redirect URI.
pub struct Callback {
    pub state: String,
    /// Who answered, for [`check_issuer`] before anything else is acted on.
    pub iss: Option<String>,
    pub outcome: CallbackOutcome,
    /// What else the dialect keeps of a redirect, by name.
    pub captured: BTreeMap<String, String>,
}

#[derive(Debug)]
pub enum CallbackOutcome {
    Code(Secret),
    Error(Reason),
}

impl Callback {
    /// Reads the query of the redirect, without its `?`. Parameters nobody asked for are ignored;
    /// those that count come at most once (OC-19).
    ///
    /// # Errors
    /// [`MalformedCallback`] for a repeated or missing parameter, for `code` and `error` together,
    /// or for more than 16 KiB.
    pub fn parse(query: &str, dialect: &Dialect) -> Result<Self, MalformedCallback> {
        if query.len() > MAX_QUERY {
            return Err(MalformedCallback);
        }
        let (mut code, mut state, mut iss, mut error) = (None, None, None, None);
        let mut captured = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let kept = dialect.callback_capture.iter().find(|(_, parameter)| **parameter == name);
            if let Some((kept, _)) = kept
                && captured.insert(kept.clone(), value.to_string()).is_some()
            {
                return Err(MalformedCallback);
            }
            let place = match &*name {
                name if name == dialect.code_param => &mut code,
                "state" => &mut state,
                "iss" => &mut iss,
                "error" => &mut error,
                _ => continue,
            };
            if place.replace(value.into_owned()).is_some() {
                return Err(MalformedCallback);
            }
        }
        let outcome = match (code, error) {
            (Some(code), None) if is_visible(&code) => CallbackOutcome::Code(Secret::new(code)),
            (None, Some(error)) => CallbackOutcome::Error(reason(&error)),
            _ => return Err(MalformedCallback),
        };
        let state = state.filter(|state| is_visible(state)).ok_or(MalformedCallback)?;
        Ok(Self { state, iss, outcome, captured })
    }
}

/// Neither code nor state, and no text that a stranger can put into our logs.
impl fmt::Debug for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callback").field("outcome", &self.outcome).finish_non_exhaustive()
    }
}

/// Whether the answer is from the server that was asked (RFC 9207 section 2.4, OC-18), by simple
/// string comparison.
///
/// `advertised` is the server's `authorization_response_iss_parameter_supported`. Without an
/// `expected` issuer there is nothing to compare with; the redirect URI of its own that each
/// upstream has (OC-17) then stands alone.
///
/// # Errors
/// [`WrongIssuer`]: neither code nor error of this callback may be used or shown.
pub fn check_issuer(
    given: Option<&str>,
    expected: Option<&str>,
    advertised: bool,
) -> Result<(), WrongIssuer> {
    let right = match (given, expected) {
        (Some(given), Some(expected)) => given == expected,
        (Some(_), None) | (None, _) => !advertised,
    };
    if right { Ok(()) } else { Err(WrongIssuer) }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the authorization response is malformed")]
pub struct MalformedCallback;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the authorization response is not from the server that was asked")]
pub struct WrongIssuer;

/// Bytes of query: codes of a few KiB exist, and servers refuse longer request lines anyway.
const MAX_QUERY: usize = 16 * 1024;

/// `1*VSCHAR` (RFC 6749 appendix A).
fn is_visible(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Result<Callback, MalformedCallback> {
        Callback::parse(query, &Dialect::default())
    }

    #[test]
    fn reads_a_code_and_a_refusal() {
        let callback = parse("code=a%2Fb&state=s&iss=https%3A%2F%2Fas&session_state=x");
        let callback = callback.unwrap();
        assert_eq!((callback.state.as_str(), callback.iss.as_deref()), ("s", Some("https://as")));
        assert!(matches!(&callback.outcome, CallbackOutcome::Code(code) if code.expose() == "a/b"));

        for (error, expected) in [
            ("access_denied", Reason::AccessDenied),
            ("temporarily_unavailable", Reason::TemporarilyUnavailable),
            ("wrong_person", Reason::Other),
            ("", Reason::Other),
        ] {
            let callback = parse(&format!("error={error}&state=s")).unwrap();
            assert!(matches!(callback.outcome, CallbackOutcome::Error(given) if given == expected));
        }
    }

    #[test]
    fn refuses_what_is_ambiguous() {
        let long = format!("code=c&state={}", "s".repeat(MAX_QUERY));
        for query in [
            "",
            "code=c",
            "state=s",
            "code=&state=s",
            "code=c&state=",
            "code=c&code=d&state=s",
            "code=c&state=s&state=s",
            "code=c&state=s&iss=a&iss=a",
            "error=e&error=e&state=s",
            "code=c&error=access_denied&state=s",
            "co%64e=c&code=c&state=s",
            "code=a%0D%0Ab&state=s",
            "code=c&state=%FF",
            &long,
        ] {
            assert_eq!(parse(query).unwrap_err(), MalformedCallback, "{query}");
        }
    }

    #[test]
    fn debug_shows_nothing_that_was_brought() {
        let query = "code=MARK&state=MARK&iss=MARK&error_description=MARK";
        let shown = format!("{:?}", parse(query).unwrap());
        assert!(!shown.contains("MARK"), "{shown}");
        let shown = format!("{:?}", parse("error=MARK&state=MARK").unwrap());
        assert!(!shown.contains("MARK"), "{shown}");
    }

    #[test]
    fn the_issuer_table_of_oc_18() {
        const US: Option<&str> = Some("https://as.example.com");
        for (given, expected, advertised, right) in [
            (US, US, true, true),
            (US, US, false, true),
            (None, US, true, false),
            (None, US, false, true),
            (Some("https://evil.example.com"), US, true, false),
            (Some("https://evil.example.com"), US, false, false),
            (Some("https://as.example.com/"), US, false, false),
            (Some("https://AS.example.com"), US, false, false),
            (Some(""), US, false, false),
            (US, None, false, true),
            (US, None, true, false),
            (None, None, false, true),
            (None, None, true, false),
        ] {
            let checked = check_issuer(given, expected, advertised);
            assert_eq!(checked.is_ok(), right, "{given:?} {expected:?} {advertised}");
        }
    }
}
