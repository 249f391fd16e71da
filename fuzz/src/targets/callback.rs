//! The query of an authorization response (RFC 6749 section 4.1.2).
//!
//! A reader of our own agrees on every parameter that counts, each comes at most once, and code and
//! state are what a form can hold; written again, it is read the same.

use std::{collections::BTreeMap, sync::LazyLock};

use attache_core::Dialect;
use attache_oauth::callback::{Callback, CallbackOutcome};
use url::form_urlencoded;

use super::check::is_visible;
use crate::Outcome;

/// As the RFC has it, and a provider whose code has another name and that says more.
static DIALECTS: LazyLock<[Dialect; 2]> = LazyLock::new(|| {
    let capture = [("shop", "shop"), ("company", "realmId"), ("again", "state")];
    let callback_capture =
        capture.into_iter().map(|(name, of)| (name.to_owned(), of.to_owned())).collect();
    let odd =
        Dialect { code_param: "oauth_code".to_owned(), callback_capture, ..Dialect::default() };
    [Dialect::default(), odd]
});

pub(crate) fn run(input: &[u8]) -> Outcome {
    let query = String::from_utf8_lossy(input);
    let mut outcome = Outcome::default();
    for dialect in &*DIALECTS {
        let callback = match Callback::parse(&query, dialect) {
            Ok(callback) => callback,
            Err(error) => {
                outcome = outcome.and(Outcome::refused(&error));
                continue;
            }
        };
        assert!(query.len() <= 16 * 1024);
        let given = read(&query);
        let once = |name: &str| match given.get(name).map(Vec::as_slice) {
            None => None,
            Some([value]) => Some(value.clone()),
            Some(_) => unreachable!("{name} counts, and came twice"),
        };
        let (code, error) = (once(&dialect.code_param), once("error"));
        assert_eq!(once("state").as_ref(), Some(&callback.state), "two readers agree");
        assert_eq!(once("iss"), callback.iss, "two readers agree");
        assert!(is_visible(&callback.state));
        for (name, value) in &callback.captured {
            assert_eq!(once(&dialect.callback_capture[name]).as_ref(), Some(value));
        }
        let kind = match &callback.outcome {
            CallbackOutcome::Code(secret) => {
                assert_eq!((code.as_deref(), error.as_deref()), (Some(secret.expose()), None));
                assert!(is_visible(secret.expose()));
                0
            }
            CallbackOutcome::Error(_) => {
                assert!(error.is_some() && code.is_none());
                1
            }
        };
        assert_read_again(&callback, error.as_deref(), dialect);
        let captured = callback.captured.len();
        let read = Outcome::read([kind, usize::from(callback.iss.is_some()), captured]);
        outcome = outcome.and(read.showing(&callback));
    }
    outcome
}

fn assert_read_again(callback: &Callback, error: Option<&str>, dialect: &Dialect) {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("state", &callback.state);
    if let Some(iss) = &callback.iss {
        query.append_pair("iss", iss);
    }
    match &callback.outcome {
        CallbackOutcome::Code(code) => query.append_pair(&dialect.code_param, code.expose()),
        CallbackOutcome::Error(_) => query.append_pair("error", error.unwrap_or_default()),
    };
    let query = query.finish();
    if query.len() <= 16 * 1024 {
        let again = Callback::parse(&query, dialect).expect("what was read is well-formed");
        assert_eq!((&again.state, &again.iss), (&callback.state, &callback.iss));
        assert_eq!(format!("{again:?}"), format!("{callback:?}"));
    }
}

/// As the URL standard reads a form: by `&`, then by the first `=`, then `+` and percent.
fn read(query: &str) -> BTreeMap<String, Vec<String>> {
    let mut parameters: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        parameters.entry(decoded(name)).or_default().push(decoded(value));
    }
    parameters
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let digit = |at: usize| tail.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        let (byte, read) = match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => (u8::try_from(high * 16 + low).unwrap_or_default(), 2),
            (b'+', _, _) => (b' ', 0),
            _ => (*first, 0),
        };
        bytes.push(byte);
        rest = tail.get(read..).unwrap_or_default();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
