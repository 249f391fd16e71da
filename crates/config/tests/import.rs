//! What `attache import` writes can be read, loses nothing in silence and holds no secret.

#![cfg(test)]

use std::path::Path;

use attache_config::{
    Config, Source, load,
    mcpproxy::{ImportError, import},
    model::{ClientAuth, Mode, Protocol},
};

/// Every variable is set.
fn variable(name: &str) -> String {
    match name {
        "ATTACHE_KEY" => "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=".to_owned(),
        other => format!("value-of-{other}"),
    }
}

fn imported(json: &str) -> (String, Config) {
    let text = import(json).unwrap();
    let loaded =
        load(&Source::new(Path::new("attache.toml"), &text).unwrap(), &|name| Some(variable(name)));
    match loaded.accept() {
        Ok((config, _)) => (text, config),
        Err(diagnostics) => panic!("{text}\n{}", diagnostics.render(false)),
    }
}

const SERVER_EDITION: &str = r#"{
  "listen": ":8080",
  "data_dir": "~/.mcpproxy",
  "api_key": "hunter2-api-key",
  "server_edition": {
    "enabled": true,
    "admin_emails": ["ops@example.com"],
    "session_ttl": "12h0m0s",
    "store_idp_tokens": true,
    "credential_encryption_key": "hunter2-key",
    "oauth": {
      "provider": "microsoft", "tenant_id": "t1", "client_id": "app",
      "client_secret": "hunter2-idp", "allowed_domains": ["example.com"]
    }
  },
  "mcpServers": [
    { "name": "GitHub Enterprise", "url": "https://ghe.example.com/mcp", "protocol": "http",
      "enabled": true, "trust_mode": "scan",
      "headers": { "X-Team": "core", "Authorization": "Bearer hunter2-pat" },
      "auth_broker": {
        "mode": "oauth_connect",
        "authorization_endpoint": "https://ghe.example.com/login/oauth/authorize",
        "token_endpoint": "https://ghe.example.com/login/oauth/access_token",
        "client_id": "Iv1", "client_secret": "hunter2-ghe",
        "scopes": ["repo", "read:user"], "resource": "https://ghe.example.com/mcp" } },
    { "name": "github-enterprise", "url": "https://x.example.com/mcp", "protocol": "sse",
      "headers": { "X-Api-Key": "${env:X_KEY}", "X-Session": "pre-${keyring:abc}" } },
    { "name": "files", "command": "npx", "args": ["--token", "hunter2-arg"], "protocol": "stdio" },
    { "name": "off", "url": "https://off.example.com/mcp", "enabled": false,
      "headers": { "Cookie": "hunter2-cookie" } },
    { "name": "shared", "url": "https://s.example.com/mcp",
      "oauth": { "client_id": "c", "client_secret": "hunter2-shared", "scopes": ["a"],
                 "extra_params": { "resource": "https://s.example.com", "foo": "hunter2-foo" } } }
  ]
}"#;

#[test]
fn a_server_edition_becomes_a_gateway() {
    let (_, config) = imported(SERVER_EDITION);
    assert_eq!(config.listen.to_string(), "0.0.0.0:8080");
    assert_eq!(config.public_url.as_str(), "https://gateway.example.com/");
    assert_eq!(config.identity.session_ttl.as_secs(), 12 * 3600);
    assert_eq!(config.identity.admins.emails, ["ops@example.com"]);
    assert_eq!(config.identity.allowed_email_domains, ["example.com"]);
    let oidc = config.identity.oidc.unwrap();
    assert_eq!(oidc.issuer.as_str(), "https://login.microsoftonline.com/t1/v2.0");
    assert_eq!((oidc.subject_claim.as_str(), oidc.store_subject_token), ("oid", true));
    assert_eq!(oidc.client_secret.as_ref().unwrap().expose(), "value-of-IDP_CLIENT_SECRET");

    let [jwt] = &config.identity.jwt[..] else { panic!("programs can call") };
    assert_eq!((&jwt.issuer, jwt.subject_claim.as_str()), (&oidc.issuer, "oid"));

    let names: Vec<&str> = config.upstreams.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["github-enterprise", "github-enterprise-2", "shared"]);
    let [ghe, sse, shared] = &config.upstreams[..] else { panic!("three upstreams") };

    assert_eq!(ghe.protocol, Protocol::StreamableHttp);
    assert_eq!(ghe.headers.len(), 1, "only X-Team stays beside the broker");
    let broker = ghe.broker.as_ref().unwrap();
    assert_eq!((broker.mode, broker.client_auth), (Mode::OauthConnect, Some(ClientAuth::Post)));
    assert_eq!(broker.scopes, ["repo", "read:user"]);
    assert_eq!(broker.resource.as_deref(), Some("https://ghe.example.com/mcp"));
    let secret = broker.client_secret.as_ref().unwrap();
    assert_eq!(secret.first.expose(), "value-of-GITHUB_ENTERPRISE_CLIENT_SECRET");
    assert_eq!(broker.header, "authorization");
    assert_eq!(broker.header_format.prefix, "Bearer ");

    assert_eq!(sse.protocol, Protocol::Sse);
    assert!(sse.broker.is_none());
    assert!(sse.headers.iter().any(|(_, value)| value == "value-of-X_KEY"));
    assert_eq!(shared.broker.as_ref().unwrap().mode, Mode::OauthConnect);
}

#[test]
fn nothing_is_lost_in_silence_and_no_secret_is_copied() {
    let (text, _) = imported(SERVER_EDITION);
    assert!(!text.contains("hunter2"), "{text}");
    for said in [
        "\"api_key\"",
        "\"data_dir\"",
        "\"enabled\"",
        "\"trust_mode\"",
        "\"files\" runs a local process",
        "Was disabled",
        "# name = \"off\"",
        "Was \"GitHub Enterprise\"",
        "the static header \"Authorization\"",
        "\"foo\"",
        "shared by all",
        "credential_encryption_key was not copied",
    ] {
        assert!(text.replace("\n# ", " ").contains(said) || text.contains(said), "{said}\n{text}");
    }
}

#[test]
fn a_table_of_servers_is_read_too() {
    let json = r#"{ "listen": "127.0.0.1:8080", "mcpServers": {
        "docs": { "type": "http", "url": "https://docs.example.com/mcp" },
        "q": { "url": "https://u:hunter2@q.example.com/mcp?api_key=hunter2", "headers": 5 },
        "a\n[evil]": { "url": "https://e.example.com/mcp" } } }"#;
    let (text, config) = imported(json);
    assert_eq!(config.public_url.as_str(), "http://127.0.0.1:8080/");
    let names: Vec<&str> = config.upstreams.iter().map(|one| one.name.as_str()).collect();
    assert!(names.contains(&"docs"), "{text}");
    assert!(text.contains("CHANGE: the OpenID provider"), "{text}");
    assert!(text.contains("CHANGE: whose access tokens programs call with"), "{text}");
    assert!(text.contains("https://q.example.com/mcp\"") && !text.contains("hunter2"), "{text}");
    assert!(text.contains("these settings of this server: \"headers\""), "{text}");
}

#[test]
fn what_is_no_mcp_config_is_refused() {
    assert_eq!(import("{"), Err(ImportError::NotJson { line: 1, column: 1 }));
    assert_eq!(import("[]"), Err(ImportError::NoServers));
    assert_eq!(import("{\"mcpServers\": 5}"), Err(ImportError::NoServers));
}
