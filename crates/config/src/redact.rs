//! Blacks out what may be a secret before a line of the file is shown.

use crate::tree::Tree;

/// Keys whose values may be shown. Anything else may be a secret, a misspelled `client_secret`
/// above all.
const SHOWN: &[&str] = &[
    "access_token_ttl",
    "admin_listen",
    "allow_private",
    "allowed_email_domains",
    "audience",
    "base_url",
    "basic",
    "body",
    "authorization_endpoint",
    "client_auth",
    "client_id",
    "client_id_param",
    "emails",
    "error_path",
    "expires_in",
    "expires_unit",
    "env",
    "file",
    "groups",
    "head",
    "header",
    "hosted_domains",
    "idle",
    "issuer",
    "lifetime",
    "listen",
    "match",
    "methods",
    "mode",
    "name",
    "path",
    "paths",
    "pkce",
    "preset",
    "protocol",
    "provider",
    "provider_dir",
    "public_url",
    "reauthenticate_after",
    "refresh_grace",
    "refresh_scope",
    "refresh_url",
    "resource",
    "retention",
    "revocation_endpoint",
    "role_id",
    "rotation",
    "scope",
    "scope_param",
    "scope_separator",
    "scopes",
    "session_ttl",
    "style",
    "subject_claim",
    "tenant",
    "token_endpoint",
    "token_type",
    "trusted_proxies",
    "upstreams",
    "url",
];

/// A text this short is no secret, and blacking out every `on` would leave nothing to read.
const SHORTEST_SECRET: usize = 4;

/// The text with `*` over everything that may be a secret, byte for byte, so that places stay
/// places. `None` when one of them is not in the text as it reads (escapes, folded lines).
pub(crate) fn redact(text: &str, tree: &Tree) -> Option<String> {
    let mut secrets: Vec<String> = tree
        .scalars()
        .into_iter()
        .filter(|(key, value)| {
            !SHOWN.contains(key) || (value.contains("://") && value.contains(['@', '?']))
        })
        .map(|(_, value)| value)
        .filter(|value| value.len() >= SHORTEST_SECRET)
        .collect();
    // The longest first: a secret may begin with another.
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    secrets.iter().all(|secret| text.contains(secret.as_str())).then(|| {
        secrets.iter().fold(text.to_owned(), |redacted, secret| {
            redacted.replace(secret.as_str(), &"*".repeat(secret.len()))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redacted(text: &str) -> Option<String> {
        redact(text, &toml::from_str(text).unwrap())
    }

    #[test]
    fn only_what_cannot_be_a_secret_is_shown() {
        let text = "name = 'gh'\nclient_secrt = 'hunter2'\nurl = 'https://u:p@h/'\nurl2.url = 'https://h/?t=p'\nmode = 'hunter'";
        let shown = "name = 'gh'\nclient_secrt = '*******'\nurl = '**************'\nurl2.url = '**************'\nmode = 'hunter'";
        assert_eq!(redacted(text).as_deref(), Some(shown));
        assert_eq!(redacted(r#"key = "a\"quote""#), None);
    }
}
