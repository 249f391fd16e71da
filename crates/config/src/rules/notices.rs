//! `[notices]`: where, and with what secret.

use attache_core::Secret;

use crate::{
    diagnose::Place,
    model::Notices,
    rules::{net, secret},
    schema,
    secrets::Secrets,
};

/// Bytes of a signing secret (Standard Webhooks).
const LENGTH: std::ops::RangeInclusive<usize> = 24..=64;

/// Absent is fine; wrong was reported.
pub(super) fn notices(
    section: &schema::Notices,
    secrets: &Secrets<'_>,
    place: &Place<'_>,
) -> Result<Option<Notices>, ()> {
    let (url, key) = (place.key("webhook"), place.key("secret"));
    match (&section.webhook, &section.secret) {
        (None, None) => Ok(None),
        (Some(_), None) => {
            key.missing("notices.secret is required with a webhook", HELP);
            Err(())
        }
        (None, Some(_)) => {
            url.missing("notices.webhook is required with a secret", "write where notices go");
            Err(())
        }
        (Some(webhook), Some(source)) => {
            let webhook = secret(webhook, secrets, &url);
            let webhook =
                webhook.filter(|webhook| net::secure_url(webhook.expose(), &url).is_some());
            let secret = secret(source, secrets, &key).filter(|secret| is_signing(secret, &key));
            webhook.zip(secret).map(|(webhook, secret)| Some(Notices { webhook, secret })).ok_or(())
        }
    }
}

fn is_signing(secret: &Secret, place: &Place<'_>) -> bool {
    let base64 = secret.expose().strip_prefix("whsec_").unwrap_or_default();
    let digits = base64.trim_end_matches('=');
    let good = base64.len().is_multiple_of(4)
        && base64.len() - digits.len() <= 2
        && digits.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/".contains(&byte))
        && LENGTH.contains(&(digits.len() * 3 / 4));
    if !good {
        place.error("this is no secret to sign with", HELP);
    }
    good
}

const HELP: &str = "write whsec_ and the base64 of 24 to 64 random bytes: echo \"whsec_$(openssl rand -base64 32)\"";
