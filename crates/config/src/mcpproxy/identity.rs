//! mcpproxy's `server_edition` (once `teams`) as `[identity]`.

use toml::{Table, Value as Toml};

use super::{
    Fields,
    draft::{Draft, env_reference},
};
use crate::schema::Span;

/// Where the client secret is expected when the old file holds it.
const CLIENT_SECRET: &str = "IDP_CLIENT_SECRET";

/// `exchanges`: some server's broker needs the person's own token.
pub(super) fn identity(edition: Option<Fields<'_>>, exchanges: bool, draft: &mut Draft) {
    let mut edition = edition.unwrap_or_default();
    let mut oauth = edition.take_fields("oauth").unwrap_or_default();
    let stored = edition.take_flag("store_idp_tokens");

    draft.gap();
    draft.section("[identity]");
    if let Some(ttl) = edition.take_text("session_ttl") {
        match span(ttl) {
            Some(span) => draft.entry("session_ttl", span.to_string()),
            None => draft.comment(&format!("session_ttl was {ttl:?}.")),
        }
    }
    let emails = edition.take_texts("admin_emails");
    if !emails.is_empty() {
        draft.entry("admins", Table::from_iter([("emails".to_owned(), Toml::from(emails))]));
    }
    let domains = oauth.take_texts("allowed_domains");
    if !domains.is_empty() {
        draft.entry("allowed_email_domains", domains);
    }
    if edition.take("credential_encryption_key").is_some() {
        draft.comment(
            "credential_encryption_key was not copied: set ATTACHE_KEY to a key. People connect \
             again, since mcpproxy's store is not read.",
        );
    }
    edition.report_rest("settings of the server edition", draft);

    draft.gap();
    let issuer = provider(&mut oauth, draft);
    let client_id = oauth.take_text("client_id").unwrap_or_else(|| {
        draft.comment("CHANGE: register the gateway there and write the id it gives.");
        "attache"
    });
    draft.entry("client_id", client_id);
    if let Some(secret) = oauth.take_text("client_secret") {
        let name = env_reference(secret).unwrap_or_else(|| {
            draft.comment(&format!(
                "The secret was not copied: set {CLIENT_SECRET} to server_edition.oauth.client_secret."
            ));
            CLIENT_SECRET
        });
        draft.entry("client_secret", Draft::reference(name));
    }
    if stored.unwrap_or(exchanges) {
        draft.entry("store_subject_token", true);
    }
    oauth.report_rest("settings of the identity provider", draft);
    programs(&issuer, draft);
}

/// mcpproxy gave programs a token of its own; here they bring one of the identity provider's.
fn programs(issuer: &str, draft: &mut Draft) {
    draft.gap();
    draft.comment(
        "CHANGE: whose access tokens programs call with, and the audience that names this gateway \
         in them. Without it no program can call.",
    );
    draft.section("[[identity.jwt]]");
    draft.entry("issuer", issuer);
    draft.entry("audience", "https://gateway.example.com");
}

/// Answers the issuer.
fn provider(oauth: &mut Fields<'_>, draft: &mut Draft) -> String {
    let tenant = oauth.take_text("tenant_id").unwrap_or("common");
    let provider = oauth.take_text("provider");
    let issuer = match provider {
        Some("google") => "https://accounts.google.com".to_owned(),
        Some("microsoft") => {
            if tenant == "common" {
                draft.comment("CHANGE: a tenant's id in place of common; only one is trusted.");
            }
            format!("https://login.microsoftonline.com/{tenant}/v2.0")
        }
        other => {
            if other == Some("github") {
                draft.comment("GitHub is no OpenID provider: it cannot sign people in here.");
            }
            draft.comment("CHANGE: the OpenID provider people sign in at.");
            "https://idp.example.com".to_owned()
        }
    };
    draft.section("[identity.oidc]");
    draft.entry("issuer", issuer.as_str());
    if provider == Some("microsoft") {
        draft.entry("subject_claim", "oid");
    }
    issuer
}

/// Go writes 24 hours as `24h0m0s`.
fn span(text: &str) -> Option<Span> {
    let minutes = text.strip_suffix("0s").unwrap_or(text);
    let hours = minutes.strip_suffix("0m").unwrap_or(minutes);
    [text, minutes, hours].into_iter().find_map(Span::parse)
}
