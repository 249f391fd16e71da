//! An answer to a registration (RFC 7591 section 3.2.1).
//!
//! Whoever we are from now on fits a form and a header, by a method that was asked for or that needs
//! nothing we lack; a secret is there when and only when the method needs one.

use attache_core::{IssuerId, Timestamp};
use attache_oauth::{
    auth_method::AuthMethod,
    client_metadata::{ClientMetadata, Ourselves},
    register::Registration,
};
use url::Url;

use super::check::{Elsewhere, is_visible};
use crate::Outcome;

pub(crate) fn run(input: &[u8]) -> Outcome {
    let issuer = IssuerId::new("https://as.example.com");
    let mut outcome = Outcome::default();
    for asked in [AuthMethod::None, AuthMethod::ClientSecretBasic, AuthMethod::PrivateKeyJwt] {
        let registration = match Registration::parse(&issuer, &metadata(asked), input) {
            Ok(registration) => registration,
            Err(error) => {
                outcome = outcome.and(Outcome::refused(&error));
                continue;
            }
        };
        assert!(is_visible(&registration.client_id) && registration.client_id.len() <= 4096);
        Elsewhere::read(input).assert_text("client_id", &registration.client_id);
        let wants = matches!(
            registration.method,
            AuthMethod::ClientSecretBasic | AuthMethod::ClientSecretPost
        );
        assert_eq!(registration.client_secret.is_some(), wants);
        if let Some(secret) = &registration.client_secret {
            assert!(is_visible(secret.expose()) && secret.expose().len() <= 4096);
        }
        let by_key = registration.method == AuthMethod::PrivateKeyJwt;
        assert!(!by_key || asked == AuthMethod::PrivateKeyJwt, "a key that we do not have");
        assert_eq!(registration.client(None).is_none(), by_key);
        assert!(!registration.is_over(Timestamp::from_seconds(0)), "0 is never");
        outcome = outcome.and(Outcome::read([
            usize::from(wants),
            usize::from(by_key),
            usize::from(registration.secret_expires_at.is_some()),
        ]));
    }
    outcome
}

fn metadata(method: AuthMethod) -> ClientMetadata {
    let url = |text| Url::parse(text).expect("a URL");
    let (redirect_uri, jwks_uri) =
        (url("https://gw.example.com/cb"), url("https://gw.example.com/jwks.json"));
    let ourselves = Ourselves {
        client_name: "attache",
        redirect_uri: &redirect_uri,
        jwks_uri: Some(&jwks_uri),
    };
    ClientMetadata::new(&ourselves, method).expect("there are keys")
}
