//! A file with every key: it loads, means what it says, and prints without its secrets.

#![cfg(test)]

use std::{path::Path, time::Duration};

use attache_config::{
    Config, Loaded, Source, load,
    model::{ClientAuth, HeaderFormat, KeySource, StoreUrl, VaultSignIn},
};

const EVERY_KEY: &str = r#"
public_url   = "https://gw.example.com"
listen       = "127.0.0.1:8080"
admin_listen = "127.0.0.1:9090"
access_log   = true
trusted_proxies = ["10.0.0.0/8", "::1"]

[store]
url = "postgres://gw:hunter2-db@db.example.com/attache?password=hunter2-too"

[keys]
active  = "env:K1"
retired = ["env:K2", "transit:attache@https://vault.example.com", "plugin:/run/kms.sock"]

[keys.vault]
role_id = "attache-role"
secret_id = "hunter2-secret-id"

[identity]
session_ttl   = "24h"
reauthenticate_after = "14d"
admins        = { groups = ["platform"], emails = ["ops@example.com"] }
allowed_email_domains = ["example.com"]

[identity.oidc]
issuer = "https://idp.example.com/tenant-1/v2.0"
client_id = "attache"
client_secret = { env = "IDP_SECRET" }
scopes = ["openid", "profile", "email"]
subject_claim = "oid"
groups_claim = "realm_access.roles"
store_subject_token = false

[identity.scim]
token = { env = "EDGE_SECRET" }
match = "userName"
offboard = true

[[identity.jwt]]
issuer = "https://idp.example.com/tenant-1/v2.0"
audience = "https://gw.example.com"

[[identity.jwt]]
issuer = "https://other.example.com"
audience = "https://gw.example.com"
groups_claim = "https://other.example.com/groups"

[[identity.introspection]]
issuer = "https://idp.example.com"
endpoint = "https://idp.example.com/introspect"
client_id = "attache"
client_secret = { env = "IDP_SECRET" }
audience = "https://gw.example.com"

[[identity.assertion]]
header = "Cf-Access-Jwt-Assertion"
issuer = "team.example.com"
audience = "tag"
jwks_uri = "https://team.example.com/certs"
trust_email = true

[authorization_server]
enabled = true
dynamic_registration = true
client_id_metadata_documents = true
access_token_ttl = "15m"
refresh_grace = "60s"

[audit]
retention = "90d"

[notices]
webhook = { env = "WEBHOOK" }
secret = { env = "WEBHOOK_SECRET" }

[egress]
allow_private = ["10.1.0.0/16"]

[[upstream]]
name     = "github"
url      = "https://api.example.com/mcp"
protocol = "streamable-http"
allow    = { groups = ["engineering"] }
headers  = { "X-Team" = "core" }
tools    = [{ groups = ["engineering"], allow = ["read_*"], deny = ["*_secret"] }]

[upstream.auth_broker]
mode = "oauth_connect"
provider = "github"
authorization_endpoint = "https://as.example.com/authorize"
token_endpoint = "https://as.example.com/token"
revocation_endpoint = "https://as.example.com/revoke"
issuer = "https://as.example.com"
client_id = "c"
client_secret = ["hunter2-client", { env = "OLD_SECRET" }]
client_auth = "basic"
scopes = ["repo", "read:user"]
resource = "https://api.example.com/mcp"
header = "Authorization"
header_format = "Bearer {token}"

[upstream.timeouts]
head = "2m"
body = "30m"
idle = "5m"
lifetime = "8h"

[upstream.limits]
person = 16
total = 500

[[upstream]]
name = "files"
url = "https://files.example.com/v3"
protocol = "http"
methods = ["GET", "POST"]
paths = ["/users", "/notes/"]

[[upstream]]
name = "api"
url = "https://api.example.com/v1"
protocol = "http"
[upstream.auth_broker]
mode = "api_key"

[[policy]]
name = "night"
effect = "deny"
upstreams = ["github", "files"]
groups = ["staff"]
except_groups = ["oncall"]
callers = ["personal_token", "client", "identity_provider"]
outside = ["Mon-Fri 08:00-18:00"]
timezone = "Europe/Berlin"

[[policy]]
name = "deletes"
effect = "deny"
tools = ["delete_*"]
during = ["22:00-06:00", "Sat,Sun"]
timezone = "+05:30"

[[forward_auth]]
name = "edge"
secret = { env = "EDGE_SECRET" }
upstreams = ["api"]
rate = 50

[[forward_auth]]
name = "inner"
certificate_name = "edge.internal"
upstreams = ["api"]

[proxy_listener]
listen = "127.0.0.1:8443"
certificate = "-----BEGIN CERTIFICATE-----"
key = "-----BEGIN PRIVATE KEY-----"
client_ca = "-----BEGIN CERTIFICATE-----"
"#;

fn environment(name: &str) -> Option<String> {
    match name {
        "K1" | "K2" => Some("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=".to_owned()),
        "IDP_SECRET" => Some("hunter2-idp".to_owned()),
        "WEBHOOK" => Some("https://hooks.example.com/hunter2-hook".to_owned()),
        "WEBHOOK_SECRET" => Some("whsec_aHVudGVyMi1odW50ZXIyLWh1bnRlcjIt".to_owned()),
        "OLD_SECRET" => Some("hunter2-old".to_owned()),
        "EDGE_SECRET" => Some("hunter2-edge-0123456789-0123456789".to_owned()),
        _ => None,
    }
}

fn loaded() -> Loaded {
    load(&Source::new(Path::new("/srv/attache.toml"), EVERY_KEY).unwrap(), &environment)
}

fn config() -> Config {
    loaded().accept().map_err(|problems| problems.render(false)).unwrap().0
}

#[test]
fn every_key_means_what_it_says() {
    let config = config();
    assert_eq!(config.public_url.as_str(), "https://gw.example.com/");
    assert_eq!(config.trusted_proxies.len(), 2);
    assert!(matches!(config.store, StoreUrl::Postgres { .. }));
    let retired = config.keys.unwrap().retired;
    assert_eq!(retired.len(), 3);
    let KeySource::Transit { name, sign_in: VaultSignIn::AppRole { secret_id, .. }, .. } =
        &retired[1]
    else {
        unreachable!("{retired:?}")
    };
    assert_eq!((name.as_str(), secret_id.expose()), ("attache", "hunter2-secret-id"));
    assert_eq!(config.identity.oidc.unwrap().client_secret.unwrap().expose(), "hunter2-idp");
    let asked = config.identity.introspection.unwrap();
    assert_eq!(asked.issuer.subject_claim, "sub");
    assert_eq!(asked.client_secret.expose(), "hunter2-idp");
    let [proxy] = config.identity.assertions.try_into().unwrap();
    assert_eq!((proxy.header.as_str(), proxy.trust_email), ("cf-access-jwt-assertion", true));
    // RS-15: the same issuer means the same person, by the same claim.
    let claims: Vec<&str> =
        config.identity.jwt.iter().map(|jwt| jwt.subject_claim.as_str()).collect();
    assert_eq!(claims, ["oid", "sub"]);
    let claims: Vec<&str> =
        config.identity.jwt.iter().map(|jwt| jwt.groups_claim.as_str()).collect();
    assert_eq!(claims, ["realm_access.roles", "https://other.example.com/groups"]);
    let notices = config.notices.unwrap();
    assert_eq!(notices.webhook.expose(), "https://hooks.example.com/hunter2-hook");
    assert!(notices.secret.expose().starts_with("whsec_"));
    let broker = config.upstreams[0].broker.as_ref().unwrap();
    assert_eq!(broker.client_auth, Some(ClientAuth::Basic));
    let secret = broker.client_secret.as_ref().unwrap();
    assert_eq!(secret.first.expose(), "hunter2-client");
    assert_eq!(secret.second.as_ref().unwrap().expose(), "hunter2-old");
    assert_eq!(config.audit.retention, Duration::from_hours(90 * 24));
    assert!(config.access_log);
    let traffic = &config.upstreams[0].traffic;
    assert_eq!(traffic.timeouts.lifetime, Duration::from_hours(8));
    assert_eq!((traffic.limits.person.get(), traffic.limits.total.get()), (16, 500));
    let api = &config.upstreams[1].traffic;
    assert_eq!(api.methods.as_ref().unwrap().len(), 2);
    assert!(api.paths.as_ref().unwrap()[1].opens("/notes/7"));
    let rules =
        config.upstreams.iter().map(|one| one.policy.0.iter().map(|rule| rule.name.as_str()));
    let rules: Vec<Vec<&str>> = rules.map(Iterator::collect).collect();
    // A rule about tools is about MCP servers.
    assert_eq!(rules, [vec!["night", "deletes"], vec!["night"], vec![]]);
    let bearer = HeaderFormat { prefix: "Bearer ".to_owned(), suffix: String::new() };
    assert_eq!(broker.header_format, bearer);
}

#[test]
fn neither_printing_nor_debugging_shows_a_secret() {
    let printed = loaded().effective.unwrap().to_toml().unwrap();
    for shown in [
        "postgres://gw:***@db.example.com/attache",
        "env = \"IDP_SECRET\"",
        "active = \"env:K1\"",
        "session_ttl = \"1d\"",
        "mode = \"oauth_connect\"",
    ] {
        assert!(printed.contains(shown), "{shown} in {printed}");
    }
    assert!(!printed.contains("hunter2"), "{printed}");
    let debugged = format!("{:?} {:?}", loaded(), config());
    assert!(!debugged.contains("hunter2") && !debugged.contains("MDEyMz"), "{debugged}");
}

#[test]
fn printing_hides_secrets_where_none_should_be() {
    let text = EVERY_KEY
        .replace("example.com/mcp\"", "example.com/mcp?team=hunter2-team&hunter2-bare\"")
        .replace("example.com/token\"", "example.com/token?code=hunter2-code\"")
        .replace("\"core\"", "{ exec = [\"/bin/echo\", \"hunter2-argument\"] }");
    let source = Source::new(Path::new("/srv/attache.toml"), text).unwrap();
    let printed = load(&source, &environment).effective.unwrap().to_toml().unwrap();
    for shown in [
        "url = \"https://api.example.com/mcp?team=***&***=***\"",
        "resource = \"https://api.example.com/mcp?team=***&***=***\"",
        "\"https://as.example.com/token?code=***\"",
        "exec = [\"/bin/echo\", \"••••••••\"]",
    ] {
        assert!(printed.contains(shown), "{shown} in {printed}");
    }
    assert!(!printed.contains("hunter2"), "{printed}");
}

#[test]
fn what_is_printed_has_the_shape_of_the_file() {
    let effective = loaded().effective.unwrap();
    for (file, printed) in [
        ("/srv/attache.toml", effective.to_toml().unwrap()),
        ("/srv/attache.json", serde_json::to_string(&effective).unwrap()),
        ("/srv/attache.yaml", yaml_serde::to_string(&effective).unwrap()),
    ] {
        assert!(!printed.contains("hunter2") && !printed.contains("null"), "{printed}");
        let source = Source::new(Path::new(file), &printed).unwrap();
        assert!(load(&source, &environment).accept().is_ok(), "{printed}");
    }
}

#[test]
fn paths_begin_where_the_file_is() {
    let text = "public_url = 'https://gw.example.com'\nkeys.active = 'env:K1'";
    let source = Source::new(Path::new("/srv/attache.toml"), text).unwrap();
    let (config, _) = load(&source, &environment).accept().unwrap();
    let StoreUrl::Sqlite(path) = config.store else { panic!("SQLite is the default") };
    assert_eq!(path, Path::new("/srv/attache.db"));
}
