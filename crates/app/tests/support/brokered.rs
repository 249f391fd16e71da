//! The parts of a configuration that every gateway among the peers has.

use super::peers::Peer;

/// Who signs people in: `attache` at this identity provider, with its secret in `IDP_SECRET`.
pub(crate) fn identity(idp: &Peer, public_url: &str) -> String {
    let idp = idp.says("url");
    format!(
        r#"
[keys]
active = "file:attache.key"

[identity.oidc]
issuer = "{idp}"
client_id = "attache"
client_secret = {{ env = "IDP_SECRET" }}

[[identity.jwt]]
issuer = "{idp}"
audience = "{public_url}"

[egress]
allow_private = ["127.0.0.0/8"]
"#
    )
}

/// How an upstream's tokens are had: by `attache-gateway`, with its secret in `NOTES_SECRET`, from
/// a token endpoint that may be somewhere on the way to the issuer.
pub(crate) fn broker(authorization_server: &Peer, token_endpoint: &str, resource: &str) -> String {
    let issuer = authorization_server.says("url");
    format!(
        r#"
[upstream.auth_broker]
mode = "oauth_connect"
issuer = "{issuer}"
authorization_endpoint = "{issuer}/auth"
token_endpoint = "{token_endpoint}/token"
revocation_endpoint = "{issuer}/token/revocation"
client_id = "attache-gateway"
client_secret = {{ env = "NOTES_SECRET" }}
client_auth = "basic"
scopes = ["openid", "mcp:use"]
resource = "{resource}"
"#
    )
}

pub(crate) fn secrets(idp: &Peer, authorization_server: &Peer) -> Vec<(&'static str, String)> {
    let secret = |peer: &Peer| peer.says("client_secret").to_owned();
    vec![("IDP_SECRET", secret(idp)), ("NOTES_SECRET", secret(authorization_server))]
}
