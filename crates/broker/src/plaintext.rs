//! The inside of a sealed record: JSON, so that a later version can add a field.

use std::borrow::Cow;

use attache_core::{Account, Credential, IssuerId, Secret, Timestamp, Validity};
use serde::{Deserialize, Serialize};
use url::Url;
use zeroize::Zeroizing;

/// Room for three tokens and their surroundings, so that growing the buffer does not leave copies.
const USUAL_SIZE: usize = 8 * 1024;

#[derive(Serialize, Deserialize)]
struct Plaintext<'a> {
    access_token: Option<Cow<'a, str>>,
    refresh_token: Option<Cow<'a, str>>,
    token_type: Cow<'a, str>,
    scopes: Cow<'a, [String]>,
    audience: Option<Cow<'a, str>>,
    issuer: Option<Cow<'a, str>>,
    obtained_at: i64,
    expires_at: Option<i64>,
    refresh_validity: Option<(i64, i64)>,
    account: Option<Cow<'a, str>>,
    account_id: Option<Cow<'a, str>>,
    base_url: Option<Cow<'a, str>>,
    origin: Option<Cow<'a, str>>,
    id_token: Option<Cow<'a, str>>,
    term: Option<(i64, i64)>,
}

pub(crate) fn write(credential: &Credential) -> Zeroizing<Vec<u8>> {
    let account = credential.account.as_ref();
    let plaintext = Plaintext {
        access_token: text(credential.access_token.as_ref()),
        refresh_token: text(credential.refresh_token.as_ref()),
        token_type: Cow::Borrowed(&credential.token_type),
        scopes: Cow::Borrowed(&credential.scopes),
        audience: credential.audience.as_deref().map(Cow::Borrowed),
        issuer: credential.issuer.as_ref().map(|issuer| Cow::Borrowed(issuer.as_str())),
        obtained_at: credential.obtained_at.0,
        expires_at: credential.expires_at.map(|at| at.0),
        refresh_validity: credential.refresh_validity.map(span),
        account: account.map(|account| Cow::Borrowed(account.label())),
        account_id: account.and_then(Account::id).map(Cow::Borrowed),
        base_url: credential.base_url.as_ref().map(|url| Cow::Borrowed(url.as_str())),
        origin: credential.origin.as_deref().map(Cow::Borrowed),
        id_token: text(credential.id_token.as_ref()),
        term: credential.term.map(span),
    };
    let mut bytes = Zeroizing::new(Vec::with_capacity(USUAL_SIZE));
    #[expect(clippy::expect_used, reason = "plain strings and numbers into memory")]
    serde_json::to_writer(&mut *bytes, &plaintext).expect("a credential is valid JSON");
    bytes
}

fn text(secret: Option<&Secret>) -> Option<Cow<'_, str>> {
    secret.map(|secret| Cow::Borrowed(secret.expose()))
}

fn span(validity: Validity) -> (i64, i64) {
    (validity.from.0, validity.until.0)
}

fn validity((from, until): (i64, i64)) -> Validity {
    Validity { from: Timestamp(from), until: Timestamp(until) }
}

pub(crate) fn read(bytes: &[u8]) -> Option<Credential> {
    let plaintext: Plaintext<'_> = serde_json::from_slice(bytes).ok()?;
    Some(Credential {
        access_token: plaintext.access_token.map(|text| Secret::new(text.into_owned())),
        refresh_token: plaintext.refresh_token.map(|text| Secret::new(text.into_owned())),
        token_type: plaintext.token_type.into_owned(),
        scopes: plaintext.scopes.into_owned(),
        audience: plaintext.audience.map(Cow::into_owned),
        issuer: plaintext.issuer.map(|issuer| IssuerId::new(&*issuer)),
        obtained_at: Timestamp(plaintext.obtained_at),
        expires_at: plaintext.expires_at.map(Timestamp),
        refresh_validity: plaintext.refresh_validity.map(validity),
        account: Account::new(plaintext.account_id.as_deref(), plaintext.account.as_deref()),
        base_url: plaintext.base_url.map(|url| Url::parse(&url)).transpose().ok()?,
        origin: plaintext.origin.map(Cow::into_owned),
        id_token: plaintext.id_token.map(|text| Secret::new(text.into_owned())),
        term: plaintext.term.map(validity),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an earlier version sealed opens in this one.
    #[test]
    fn a_record_without_the_fields_of_today_still_opens() {
        let old = br#"{"access_token":"a","refresh_token":null,"token_type":"Bearer","scopes":[],
            "audience":null,"issuer":null,"obtained_at":1,"expires_at":null}"#;
        let credential = read(old).unwrap();
        assert_eq!((&credential.account, &credential.base_url), (&None, &None));
        assert_eq!((credential.refresh_validity, credential.term), (None, None));

        let base_url = Some(Url::parse("https://acme.my.salesforce.com").unwrap());
        let account = Account::new(Some("42"), Some("ada"));
        let origin = Some("https://api.example.com".to_owned());
        let refresh_validity = Some(Validity { from: Timestamp(1), until: Timestamp(2) });
        let id_token = Some(Secret::new("i"));
        let term = Some(Validity { from: Timestamp(3), until: Timestamp(4) });
        let new = Credential {
            account,
            base_url,
            origin,
            refresh_validity,
            id_token,
            term,
            ..credential
        };
        let again = read(&write(&new)).unwrap();
        assert_eq!((again.account, again.base_url), (new.account, new.base_url));
        assert_eq!((again.origin, again.refresh_validity), (new.origin, refresh_validity));
        assert_eq!(again.id_token.unwrap().expose(), "i");
        assert_eq!(again.term, term);
    }
}
