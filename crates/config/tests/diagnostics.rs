//! Every rule of the file, and that all its problems are told at once and at the right line.

#![cfg(test)]

use std::path::Path;

use attache_config::{Diagnostics, Loaded, Severity, Source, load};

const KEY: &str = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";

fn environment(name: &str) -> Option<String> {
    match name {
        "ATTACHE_KEY" => Some(KEY.to_owned()),
        // Its last digit says more than 32 bytes.
        "ALMOST" => Some(KEY.replace('=', "").replace("MDE", "MDF") + "="),
        "SECRET" => Some("s3cret-from-env".to_owned()),
        _ => None,
    }
}

fn loaded(file: &str, text: &str) -> Loaded {
    load(&Source::new(Path::new(file), text).unwrap(), &environment)
}

fn found(diagnostics: &Diagnostics) -> Vec<(String, String)> {
    diagnostics.iter().map(|one| (one.key.clone(), one.message.clone())).collect()
}

const HEAD: &str = r#"
public_url = "https://gw.example.com"
[identity.oidc]
issuer = "https://idp.example.com"
client_id = "attache"
store_subject_token = true
[[identity.jwt]]
issuer = "https://idp.example.com"
audience = "https://gw.example.com"
"#;

fn broker(lines: &str) -> String {
    format!(
        "{HEAD}\n[[upstream]]\nname = \"gh\"\nurl = \"https://api.example.com/mcp\"\n\
         [upstream.auth_broker]\n{lines}"
    )
}

#[track_caller]
fn refuses(text: &str, key: &str, message: &str) {
    let loaded = loaded("attache.toml", text);
    let all = found(&loaded.diagnostics);
    assert_eq!(all, [(key.to_owned(), message.to_owned())], "in {text}");
    assert!(loaded.accept().is_err(), "accepted: {text}");
}

#[test]
fn a_preset_says_who_signs_people_in_and_leaves_no_door_open() {
    let head = |oidc: &str| {
        format!(
            "public_url = \"https://gw.example.com\"\n[identity.oidc]\nclient_id = \"c\"\n{oidc}"
        )
    };
    let oidc = |text: &str| {
        let (config, _) = loaded("attache.toml", &head(text)).accept().ok().unwrap();
        let oidc = config.identity.oidc.unwrap();
        (oidc.issuer.to_string(), oidc.subject_claim, oidc.hosted_domains)
    };
    let tenant = "72f988bf-86f1-41af-91ab-2d7cd011db47";
    let google = oidc("preset = \"google\"\nhosted_domains = [\"example.com\"]");
    let domains = vec!["example.com".to_owned()];
    assert_eq!(google, ("https://accounts.google.com".to_owned(), "sub".to_owned(), domains));
    let issuer = format!("https://login.microsoftonline.com/{tenant}/v2.0");
    let entra = oidc(&format!("preset = \"entra\"\ntenant = \"{tenant}\""));
    assert_eq!(entra, (issuer, "oid".to_owned(), vec![]));

    let at = |key: &str| format!("identity.oidc{key}");
    for (text, key, message) in [
        (
            "preset = \"google\"",
            at(""),
            "identity.oidc.hosted_domains is required with preset \"google\"",
        ),
        ("preset = \"entra\"", at(""), "identity.oidc.tenant is required with preset \"entra\""),
        (
            "preset = \"entra\"\ntenant = \"common\"",
            at(".tenant"),
            "this is not the id of an Entra directory",
        ),
        (
            "issuer = \"https://login.microsoftonline.com/organizations/v2.0\"",
            at(".issuer"),
            "this is every directory there is, and no issuer of any token",
        ),
        (
            "issuer = \"https://accounts.google.com\"",
            at(".hosted_domains"),
            "everybody who has a Google account may sign in",
        ),
        (
            "issuer = \"https://idp.example.com\"\ntenant = \"t\"",
            at(".tenant"),
            "only preset \"entra\" has a tenant",
        ),
        (
            "preset = \"google\"\nhosted_domains = [\"a.example\"]\nissuer = \"https://idp.example.com\"",
            at(".issuer"),
            "with this preset the issuer is https://accounts.google.com",
        ),
    ] {
        let found = found(&loaded("attache.toml", &head(text)).diagnostics);
        assert!(found.contains(&(key, message.to_owned())), "{text}: {found:?}");
    }
    let by_name = format!("preset = \"entra\"\ntenant = \"{tenant}\"\nsubject_claim = \"email\"");
    let found = found(&loaded("attache.toml", &head(&by_name)).diagnostics);
    assert!(
        found.iter().any(|(_, message)| message == "people of Entra are known by oid"),
        "{found:?}"
    );
}

#[track_caller]
fn accepts(text: &str) {
    let loaded = loaded("attache.toml", text);
    assert_eq!(found(&loaded.diagnostics), [], "in {text}");
    assert!(loaded.accept().is_ok());
}

#[test]
fn rules_about_tools_are_of_mcp_servers_and_in_one_grammar() {
    let upstream = |protocol: &str, rule: &str| {
        format!(
            "{HEAD}\n[[upstream]]\nname = \"gh\"\nurl = \"https://api.example.com/mcp\"\n\
             protocol = \"{protocol}\"\n[[upstream.tools]]\n{rule}"
        )
    };
    accepts(&upstream("streamable-http", "groups = ['a']\nallow = ['read_*']\ndeny = ['*']"));
    let grammar = "only * has a meaning of its own, not ? [ ] { } ! or \\";
    for (protocol, rule, key, message) in [
        ("http", "", "tools", "a plain HTTP API has no tools"),
        ("streamable-http", "allow = ['a', 'read_?']", "tools[0].allow[1]", grammar),
        ("streamable-http", "deny = ['[ab]']", "tools[0].deny[0]", grammar),
    ] {
        refuses(&upstream(protocol, rule), &format!("upstream[0].{key}"), message);
    }
}

#[test]
fn a_key_is_tried_somewhere_or_nowhere() {
    accepts(&broker("mode = 'api_key'\nkey_kind = 'basic'\nkey_test = false"));
    accepts(&broker("mode = 'api_key'\nkey_test_url = 'https://a.example.com/me'"));
    for (keys, key, message) in [
        ("key_test_url = 'http://a.example.com/me'", "key_test_url", "this URL must be https"),
        (
            "key_test_url = 'https://a.example.com/me'\nkey_test = false",
            "key_test",
            "there is a key_test_url, and it is never asked",
        ),
    ] {
        let key = format!("upstream[0].auth_broker.{key}");
        refuses(&broker(&format!("mode = 'api_key'\n{keys}")), &key, message);
    }
}

#[test]
fn auth_broker_rules_are_those_of_mcpproxy_and_ours() {
    let authorization = "authorization_endpoint = 'https://as.example.com/authorize'\n";
    let token = "token_endpoint = 'https://as.example.com/token'\nclient_id = 'c'\n";
    let connect = format!("mode = 'oauth_connect'\n{authorization}{token}");

    accepts(&broker("mode = 'oauth_connect'"));
    accepts(&broker(&connect));
    accepts(&broker(&format!("mode = 'token_exchange'\n{token}")));
    accepts(&broker("mode = 'api_key'\nheader = 'X-Api-Key'\nheader_format = '{token}'"));

    let cases: &[(&str, &str, &str)] = &[
        (
            "",
            "mode",
            "auth_broker.mode is required (one of token_exchange, entra_obo, oauth_connect, id_jag, api_key)",
        ),
        (
            "mode = 'oauth'",
            "mode",
            "invalid auth_broker.mode: \"oauth\" (must be token_exchange, entra_obo, oauth_connect, id_jag, or api_key)",
        ),
        (
            &format!("mode = 'oauth_connect'\n{token}"),
            "authorization_endpoint",
            "auth_broker.authorization_endpoint is required for mode \"oauth_connect\"",
        ),
        (
            &format!("mode = 'oauth_connect'\n{authorization}"),
            "token_endpoint",
            "auth_broker.token_endpoint is required",
        ),
        ("mode = 'token_exchange'", "token_endpoint", "auth_broker.token_endpoint is required"),
        (
            "mode = 'token_exchange'\ntoken_endpoint = 'https://as.example.com/token'",
            "client_id",
            "auth_broker.client_id is required with a static token_endpoint",
        ),
        (
            "mode = 'token_exchange'\ntoken_endpoint = 'http://as.example.com/token'\nclient_id = 'c'",
            "token_endpoint",
            "this URL must be https",
        ),
        (
            "mode = 'oauth_connect'\nrevocation_endpoint = '/revoke'",
            "revocation_endpoint",
            "this is not an absolute URL",
        ),
        (
            &format!("{connect}client_auth = 'basic'"),
            "client_secret",
            "this client_auth needs a client_secret",
        ),
        (
            &format!("{connect}client_secret = {{ env = 'UNSET' }}"),
            "client_secret",
            "the environment variable UNSET is not set",
        ),
        (
            &format!("mode = 'token_exchange'\n{token}token_params = {{ subject_token = 'x' }}"),
            "token_params.subject_token",
            "subject_token cannot be set here",
        ),
        ("mode = 'oauth_connect'\nscopes = ['a b']", "scopes[0]", "this is not a scope"),
        (
            "mode = 'oauth_connect'\nresource = 'https://a/#b'",
            "resource",
            "resource must be an absolute URI without a fragment",
        ),
        (
            "mode = 'oauth_connect'\nheader = 'host'",
            "header",
            "a credential cannot be injected into host",
        ),
        (
            "mode = 'oauth_connect'\nheader = 'Mcp-Session-Id'",
            "header",
            "a credential cannot be injected into Mcp-Session-Id",
        ),
        ("mode = 'oauth_connect'\nheader = 'a b'", "header", "this is not a header's name"),
        (
            "mode = 'oauth_connect'\nheader_format = 'Bearer'",
            "header_format",
            "header_format must contain {token} exactly once",
        ),
        (
            "mode = 'oauth_connect'\nheader_format = '{token}{token}'",
            "header_format",
            "header_format must contain {token} exactly once",
        ),
        (
            "mode = 'oauth_connect'\nheader_format = \"{token}\\r\\nX: y\"",
            "header_format",
            "header_format must be printable ASCII without line breaks",
        ),
    ];
    for (lines, key, message) in cases {
        refuses(&broker(lines), &format!("upstream[0].auth_broker.{key}"), message);
    }
}

#[test]
fn upstream_rules() {
    let upstream = |lines: &str| format!("{HEAD}\n[[upstream]]\n{lines}");
    let gh = "name = 'gh'\nurl = 'https://api.example.com/mcp'\n";
    let brokered = format!("{gh}auth_broker.mode = 'oauth_connect'\n");

    accepts(&upstream(gh));
    // Two upstreams of one origin are two upstreams.
    accepts(&upstream(&format!(
        "{gh}[[upstream]]\nname = 'gh2'\nurl = 'https://api.example.com/'"
    )));
    // Without a broker, static headers go out exactly as configured.
    accepts(&upstream(&format!("{gh}headers = {{ Authorization = {{ env = 'SECRET' }} }}")));
    accepts(&upstream(&format!("{brokered}headers = {{ X-Team = 'core' }}")));

    let cases: &[(&str, &str, &str)] = &[
        ("url = 'https://a.example.com'", "name", "server name is required"),
        (
            "name = 'Git Hub'\nurl = 'https://a.example.com'",
            "name",
            "an upstream's name is 1 to 64 of a-z, 0-9, - and _, beginning with a letter or a digit",
        ),
        ("name = 'gh'", "url", "url is required for streamable-http protocol"),
        (
            "name = 'gh'\nurl = 'ftp://a.example.com'",
            "url",
            "only https and http URLs can be used here",
        ),
        (
            "name = 'gh'\nurl = 'https://u:p@a.example.com'",
            "url",
            "a URL here must not have a user or a password",
        ),
        (
            &format!("{gh}protocol = 'grpc'"),
            "protocol",
            "invalid protocol: grpc (must be streamable-http, sse, or http)",
        ),
        (&format!("{gh}protocol = 'stdio'"), "protocol", "stdio upstreams are not proxied"),
        (
            &format!("{brokered}protocol = 'stdio'"),
            "auth_broker",
            "auth_broker is only supported on HTTP-family upstreams (http, sse, streamable-http); \
             brokering for stdio/non-HTTP upstreams is unsupported in this phase",
        ),
        (
            &format!("{brokered}headers = {{ authorization = 'Bearer x' }}"),
            "headers.authorization",
            "a static authorization header is configured beside auth_broker",
        ),
        (
            &format!("{brokered}headers = {{ X-API-Key = 'x' }}"),
            "headers.X-API-Key",
            "a static X-API-Key header is configured beside auth_broker",
        ),
        (
            &format!("{brokered}auth_broker.header = 'X-Mine'\nheaders = {{ x-mine = 'x' }}"),
            "headers.x-mine",
            "a static x-mine header is configured beside auth_broker",
        ),
        (
            &format!("{gh}headers = {{ Host = 'x' }}"),
            "headers.Host",
            "Host cannot be set: HTTP itself uses it",
        ),
        (&format!("{gh}timeouts.idle = '0s'"), "timeouts.idle", "idle must be longer than nothing"),
        (&format!("{gh}limits.person = 0"), "limits.person", "person must be at least 1"),
        (&format!("{gh}methods = ['GET']"), "methods", "methods is for protocol \"http\" only"),
        (&format!("{gh}protocol = 'http'\nmethods = []"), "methods", "an empty list opens nothing"),
        (
            &format!("{gh}protocol = 'http'\nmethods = ['TRACE']"),
            "methods[0]",
            "this is no method that can be opened",
        ),
        (
            &format!("{gh}protocol = 'http'\npaths = ['/ok', '/a/../b']"),
            "paths[1]",
            "this is not a path",
        ),
    ];
    for (lines, key, message) in cases {
        refuses(&upstream(lines), &format!("upstream[0].{key}"), message);
    }
    refuses(
        &upstream(&format!("{gh}[[upstream]]\n{gh}")),
        "upstream[1].name",
        "duplicate server name: gh",
    );
}

#[test]
fn an_item_that_does_not_fit_does_not_move_the_others() {
    let text = format!(
        "upstream = [1, {{ name = 'a', url = 'b', allow = {{}} }}]\n\
         trusted_proxies = [1, '::1', 2]\n{HEAD}"
    );
    let all = found(&loaded("attache.toml", &text).diagnostics);
    let keys: Vec<&str> = all.iter().map(|(key, _)| key.as_str()).collect();
    let expected = [
        "upstream[0]",
        "upstream[1].url",
        "upstream[1].allow",
        "trusted_proxies[0]",
        "trusted_proxies[2]",
    ];
    assert_eq!(keys, expected);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table, one case a rule")]
fn top_level_rules() {
    let url = "public_url = 'https://gw.example.com'\n";
    accepts(url);
    accepts("public_url = 'http://localhost:8080'");
    let cases: &[(&str, &str, &str)] = &[
        ("", "public_url", "public_url is required"),
        ("public_url = 'http://gw.example.com'", "public_url", "this URL must be https"),
        (
            "public_url = 'https://gw.example.com/gateway'",
            "public_url",
            "public_url must not have a path or a query",
        ),
        (
            "public_url = 'http://127.0.0.1:8080'\nlisten = '0.0.0.0:8080'",
            "listen",
            "listen is not a loopback address, but public_url is http",
        ),
        (&format!("{url}listen = '8080'"), "listen", "this is not an address and a port"),
        (
            &format!("{url}admin_listen = '127.0.0.1:8080'"),
            "admin_listen",
            "admin_listen is the address of listen",
        ),
        (
            &format!("{url}trusted_proxies = ['10.0.0.0/8', 'lan']"),
            "trusted_proxies[1]",
            "this is not a network",
        ),
        (&format!("{url}store.url = 'mysql://x'"), "store.url", "this is not a store"),
        (&format!("{url}store.url = 'sqlite::memory:'"), "store.url", "this is not a store"),
        (
            &format!("{url}keys.retired = ['hunter2']"),
            "keys.retired[0]",
            "this does not say where a key is",
        ),
        (
            &format!("{url}audit.retention = '6d'"),
            "audit.retention",
            "an audit log that forgets within a week proves little",
        ),
        (
            &format!("{url}keys.retired = ['env:SECRET']"),
            "keys.retired[0]",
            "what is in SECRET is not the base64 of 32 bytes",
        ),
        (
            &format!("{url}keys.retired = ['env:ALMOST']"),
            "keys.retired[0]",
            "what is in ALMOST is not the base64 of 32 bytes",
        ),
        (
            &format!("{url}keys.retired = ['transit:k@https://vault.example.com']"),
            "keys.vault",
            "there is no sign-in for the Vault of a transit: key",
        ),
        (
            &format!("{url}keys.vault = {{ token = 't', role_id = 'r' }}"),
            "keys.vault",
            "this is neither a token nor an AppRole",
        ),
        (
            &format!(
                "{url}keys = {{ retired = ['transit:a/b@https://vault.example.com'], \
                 vault = {{ token = 't' }} }}"
            ),
            "keys.retired[0]",
            "this does not say where a key is",
        ),
        (
            &format!("{url}identity.session_ttl = 'soon'"),
            "identity.session_ttl",
            "a duration is a whole number and one of ms, s, m, h, d, such as \"90s\"",
        ),
        (
            &format!("{url}identity = {{ session_ttl = '2d', reauthenticate_after = '1d' }}"),
            "identity.reauthenticate_after",
            "reauthenticate_after is shorter than session_ttl",
        ),
        (
            &format!("{url}identity.oidc.client_id = 'x'"),
            "identity.oidc.issuer",
            "identity.oidc.issuer is required",
        ),
        (
            &format!("{url}[[upstream]]\nname = 'a'\nurl = 'https://a.example.com'"),
            "identity",
            "there are upstreams, but nobody could ever call them",
        ),
        (
            &format!("{url}authorization_server.access_token_ttl = '16m'"),
            "authorization_server.access_token_ttl",
            "this is longer than is safe",
        ),
        (
            &format!("{url}authorization_server.private_use_schemes = ['javascript']"),
            "authorization_server.private_use_schemes",
            "javascript is not a scheme of a program",
        ),
        (
            &format!("{url}[[authorization_server.client]]\nid = 'a'"),
            "authorization_server.client[0].redirect_uris",
            "a client needs a redirect URI",
        ),
        (&format!("{url}listen = 8080"), "listen", "expected a text, found a number"),
        (&format!("{url}egress = 'open'"), "egress", "expected a table, found a text"),
        (&format!("{url}polic = 1"), "polic", "unknown key `polic`"),
    ];
    for (text, key, message) in cases {
        refuses(text, key, message);
    }
}

/// Key and message.
type Told = (&'static str, &'static str);

#[test]
fn a_gateway_that_nobody_can_use_is_not_fine() {
    let upstream = "[[upstream]]\nname = 'a'\nurl = 'https://a.example.com'\n";
    let connect = format!("{upstream}auth_broker.mode = 'oauth_connect'\n");
    let oidc = "[identity.oidc]\nissuer = 'https://idp.example.com'\nclient_id = 'c'\n";
    let jwt = "[[identity.jwt]]\nissuer = 'https://idp.example.com'\naudience = 'a'\n";
    let closed = "authorization_server.enabled = false\n";
    let nowhere = "people connect in a browser, and there is nowhere to sign in";
    let no_program = "no program can call: there is no issuer whose access tokens are accepted";
    let cases: &[(&[&str], &[Told])] = &[
        (&[oidc], &[]),
        (&[jwt, upstream], &[]),
        (&[oidc, jwt, &connect], &[]),
        (&[jwt, &connect], &[("identity", nowhere)]),
        (&[&connect], &[("identity", nowhere), ("identity.jwt", no_program)]),
        (&[oidc, upstream], &[]),
        (&[closed, oidc, upstream], &[("identity.jwt", no_program)]),
        (&[closed, oidc, &connect], &[("identity.jwt", no_program)]),
    ];
    for (sections, expected) in cases {
        let text = format!("public_url = 'https://gw.example.com'\n{}", sections.concat());
        let loaded = loaded("attache.toml", &text);
        let all = found(&loaded.diagnostics);
        let all: Vec<_> = all.iter().map(|(key, text)| (key.as_str(), text.as_str())).collect();
        assert_eq!(all, *expected, "{text}");
        let refused = expected.iter().any(|(_, message)| *message == nowhere);
        assert_eq!(loaded.accept().is_err(), refused, "{text}");
    }
}

#[test]
fn on_behalf_of_is_asked_for_as_entra_takes_it() {
    const TENANT: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";
    const SECRET: &str = "client_secret = 's'\n";
    let entra = |tenant: &str, more: &str| {
        broker(&format!(
            "mode = 'entra_obo'\nclient_id = 'c'\nscopes = ['api://hr/.default']\n\
             token_endpoint = 'https://login.example.com/{tenant}/oauth2/v2.0/token'\n{more}"
        ))
    };
    accepts(&entra(TENANT, SECRET));
    accepts(&entra(TENANT, "client_certificate = 'pem'"));
    let elsewhere = "this is not the token endpoint of one Entra directory";
    for (text, key, message) in [
        (entra("common", SECRET), "token_endpoint", elsewhere),
        (
            entra(TENANT, &format!("{SECRET}client_certificate = 'pem'")),
            "client_certificate",
            "there is a client_secret, too, and only one of them can be sent",
        ),
        (
            broker("mode = 'oauth_connect'\nclient_certificate = 'pem'"),
            "client_certificate",
            "client_certificate is for mode \"entra_obo\"",
        ),
        (entra("organizations", SECRET), "token_endpoint", elsewhere),
        (entra(&format!("x/{TENANT}"), SECRET), "token_endpoint", elsewhere),
        (
            entra(TENANT, ""),
            "client_secret",
            "auth_broker.client_secret is required for mode \"entra_obo\"",
        ),
        (
            entra(TENANT, &format!("{SECRET}client_auth = 'basic'")),
            "client_auth",
            "mode \"entra_obo\" sends the client_secret in the form",
        ),
        (
            entra(TENANT, &format!("{SECRET}resource = 'https://hr.example.com/'")),
            "resource",
            "auth_broker.resource has no place in mode \"entra_obo\"",
        ),
        (
            entra(TENANT, SECRET).replace("scopes = ['api://hr/.default']\n", ""),
            "scopes",
            "auth_broker.scopes is required for mode \"entra_obo\"",
        ),
        (
            broker(&format!("mode = 'entra_obo'\n{SECRET}scopes = ['a']")),
            "token_endpoint",
            "auth_broker.token_endpoint is required",
        ),
    ] {
        refuses(&text, &format!("upstream[0].auth_broker.{key}"), message);
    }
}

/// Whom assertions are for and who we are there is said; whose they are about has signed in here.
#[test]
fn an_assertion_is_for_somebody_who_is_named() {
    let (issuer, client) = ("issuer = 'https://as.example.com'\n", "client_id = 'c'\n");
    let whole = broker(&format!("mode = 'id_jag'\n{issuer}{client}"));
    accepts(&whole);
    for (missing, key) in [(issuer, "issuer"), (client, "client_id")] {
        let message = format!("auth_broker.{key} is required for mode \"id_jag\"");
        refuses(&whole.replace(missing, ""), &format!("upstream[0].auth_broker.{key}"), &message);
    }
    refuses(
        &whole.replace("store_subject_token = true", ""),
        "identity.oidc.store_subject_token",
        "mode \"id_jag\" takes what browser sign-in leaves, and it leaves nothing",
    );
}

#[test]
fn what_sign_ins_leave_is_renewed_under_a_name_of_its_own() {
    let text = broker("mode = 'oauth_connect'").replace("\"gh\"", "\"identity-provider\"");
    let message = "identity-provider is the company's own, where store_subject_token is on";
    refuses(&text, "upstream[0].name", message);
    accepts(&text.replace("store_subject_token = true", ""));
}

#[test]
fn every_way_to_get_a_credential_is_known() {
    for whole in [
        "mode = 'oauth_connect'",
        "mode = 'api_key'",
        "mode = 'id_jag'\nissuer = 'https://as.example.com'\nclient_id = 'c'",
        "mode = 'token_exchange'\nclient_id = 'c'\ntoken_endpoint = 'https://as.example.com/token'",
        "mode = 'oauth_connect'\nclient_id = 'c'\n\
         authorization_endpoint = 'https://as.example.com/authorize'\n\
         token_endpoint = 'https://as.example.com/token'",
    ] {
        let source = Source::new(Path::new("attache.toml"), broker(whole)).unwrap();
        assert!(load(&source, &environment).accept().is_ok(), "{whole}");
    }
}

#[test]
fn an_address_that_is_neither_public_nor_allowed_is_warned_about() {
    let lines = "mode = 'oauth_connect'\nclient_id = 'c'\n\
                 authorization_endpoint = 'https://10.0.0.1/authorize'\n";
    let broker = |url: &str| broker(&format!("{lines}token_endpoint = '{url}'"));
    let warned = |allowed: &str, url: &str| {
        let text = format!("egress.allow_private = [{allowed}]\n{}", broker(url));
        let loaded = loaded("attache.toml", &text);
        let all = loaded.diagnostics.iter().map(|one| (one.key.clone(), one.help.clone()));
        let all: Vec<_> = all.collect();
        assert!(loaded.accept().is_ok(), "{text}");
        let [(key, Some(help))] = &all[..] else { return all.len() };
        assert_eq!(key, "upstream[0].auth_broker.token_endpoint");
        assert!(help.contains("egress.allow_private"), "{help}");
        1
    };
    for (allowed, url, warnings) in [
        ("", "https://8.8.8.8/", 0),
        ("", "https://as.example.com/", 0),
        ("", "https://10.1.2.3/", 1),
        ("'10.2.0.0/16'", "https://10.1.2.3/", 1),
        ("'10.1.0.0/16'", "https://10.1.2.3/", 0),
        ("", "http://localhost:9/", 1),
        ("'::1/128'", "http://localhost:9/", 0),
        ("'127.0.0.0/8'", "http://localhost:9/", 0),
        ("", "https://169.254.169.254/", 1),
        ("", "https://[fd00::1]/", 1),
        ("", "https://[::ffff:192.168.0.1]/", 1),
    ] {
        assert_eq!(warned(allowed, url), warnings, "{allowed} {url}");
    }
    let text = "public_url = 'https://gw.example.com'\n\
                identity.oidc = { issuer = 'http://127.0.0.1:1', client_id = 'c' }\n\
                identity.jwt = [{ issuer = 'http://127.0.0.1:1', audience = 'a' }]\n\
                upstream = [{ name = 'a', url = 'http://127.0.0.1:2/mcp' }]";
    let all = found(&loaded("attache.toml", text).diagnostics);
    let keys: Vec<&str> = all.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["identity.oidc.issuer", "identity.jwt[0].issuer", "upstream[0].url"]);
}

/// OC-10
#[test]
fn a_client_has_one_secret_or_two() {
    const TWO: &str = "a list of client secrets has two: the new and the old one";
    let key = "upstream[0].auth_broker.client_secret";
    let second = format!("{key}[1]");
    for (secrets, expected) in [
        ("['new', 'old']", None),
        (
            "['new', { env = 'UNSET' }]",
            Some((&*second, "the environment variable UNSET is not set")),
        ),
        ("['new', 'new']", Some((&second, "this is the first secret once more"))),
        ("['new']", Some((key, TWO))),
        ("['a', 'b', 'c']", Some((key, TWO))),
    ] {
        let lines = format!(
            "mode = 'oauth_connect'\nissuer = 'https://as.example.com'\n\
                             client_id = 'c'\nclient_secret = {secrets}"
        );
        let all = found(&loaded("attache.toml", &broker(&lines)).diagnostics);
        let all: Vec<_> = all.iter().map(|(key, message)| (&**key, &**message)).collect();
        assert_eq!(all, Vec::from_iter(expected), "{secrets}");
    }
}

#[test]
fn notices_go_somewhere_and_are_signed() {
    const GOOD: &str = "whsec_aHVudGVyMi1odW50ZXIyLWh1bnRlcjIt";
    let lines = |webhook: &str, secret: &str| {
        format!("{HEAD}\n[notices]\nwebhook = '{webhook}'\nsecret = '{secret}'")
    };
    accepts(&lines("https://hooks.example.com/a", GOOD));
    accepts(HEAD);
    let signed = format!("{HEAD}\n[notices]\nsecret = '{GOOD}'");
    refuses(&signed, "notices.webhook", "notices.webhook is required with a secret");
    let unsigned = format!("{HEAD}\n[notices]\nwebhook = 'https://hooks.example.com'");
    refuses(&unsigned, "notices.secret", "notices.secret is required with a webhook");
    let plain = lines("http://hooks.example.com/a", GOOD);
    refuses(&plain, "notices.webhook", "this URL must be https");
    for secret in ["hunter2", &GOOD.replace("whsec_", ""), "whsec_c2hvcnQ=", "whsec_%%%%"] {
        let weak = lines("https://hooks.example.com/a", secret);
        refuses(&weak, "notices.secret", "this is no secret to sign with");
    }
}

/// OC-6, OC-10
#[test]
fn what_is_for_one_server_needs_its_name() {
    let found_with = |issuer: &str, lines: &str| {
        let text = broker(&format!("mode = 'oauth_connect'\nclient_id = 'c'\n{issuer}{lines}"));
        let all = found(&loaded("attache.toml", &text).diagnostics);
        all.into_iter().filter(|(key, _)| key.ends_with("issuer")).count()
    };
    let fixed = "authorization_endpoint = 'https://as.example.com/authorize'\n\
                 token_endpoint = 'https://as.example.com/token'\n";
    let signs = format!("{fixed}client_auth = 'private_key_jwt'");
    for (lines, missing) in [
        ("client_secret = 'hunter2'", 1),
        (&*signs, 1),
        ("client_auth = 'private_key_jwt'", 0),
        ("", 0),
        (fixed, 0),
    ] {
        assert_eq!(found_with("", lines), missing, "{lines}");
        assert_eq!(found_with("issuer = 'https://as.example.com'\n", lines), 0, "{lines}");
    }
}

/// RS-15
#[test]
fn one_issuer_tells_its_people_apart_in_one_way() {
    let told = |oidc: &str, jwts: &[&str]| {
        let jwt = |one| format!("{{ issuer = 'https://{one}, audience = 'a' }}");
        let text = format!(
            "public_url = 'https://gw.example.com'\nidentity.oidc = {{ issuer = \
             'https://idp.example.com', client_id = 'c'{oidc} }}\nidentity.jwt = [{}]",
            jwts.iter().map(jwt).collect::<Vec<_>>().join(", ")
        );
        let all = found(&loaded("attache.toml", &text).diagnostics);
        all.into_iter().map(|(key, _)| key).collect::<Vec<_>>()
    };
    let (same, other) = ("idp.example.com'", "login.example.com'");
    let oid = |issuer: &str| format!("{issuer}, subject_claim = 'oid'");
    assert!(told(", subject_claim = 'oid'", &[same, other, &oid(same)]).is_empty());
    assert_eq!(told("", &[same, &oid(same)]), ["identity.jwt[1].subject_claim"]);
    assert_eq!(told("", &[&oid(other), other]), ["identity.jwt[1].subject_claim"]);
}

#[test]
fn a_token_is_asked_about_at_one_place_and_a_header_is_one_proxys() {
    let told = |identity: &str| {
        let text = format!("public_url = 'https://gw.example.com'\nidentity = {{ {identity} }}");
        let all = found(&loaded("attache.toml", &text).diagnostics);
        all.into_iter().map(|(key, _)| key).collect::<Vec<_>>()
    };
    let asked = "{ issuer = 'https://idp.example.com', audience = 'a', client_id = 'c', \
                 client_secret = 's' }";
    let proxy = |header: &str| {
        format!(
            "{{ header = '{header}', issuer = 'p', audience = 'a', jwks_uri = 'https://p.example.com/k' }}"
        )
    };
    let (cf, lower) = (proxy("Cf-Access-Jwt-Assertion"), proxy("cf-access-jwt-assertion"));
    assert!(told(&format!("introspection = [{asked}], assertion = [{cf}]")).is_empty());
    assert_eq!(told(&format!("introspection = [{asked}, {asked}]")), ["identity.introspection[1]"]);
    assert_eq!(told(&format!("assertion = [{cf}, {lower}]")), ["identity.assertion[1].header"]);
    for header in ["Authorization", "Cookie", "Host", "not a name"] {
        let told = told(&format!("assertion = [{}]", proxy(header)));
        assert_eq!(told, ["identity.assertion[0].header"], "{header}");
    }
}

#[test]
fn an_endpoint_that_is_missing_is_asked_for_and_nothing_else() {
    let text = broker(
        "mode = 'oauth_connect'\nclient_id = 'c'\ntoken_endpoint = 'https://as.example.com/token'",
    );
    let help = loaded("attache.toml", &text).diagnostics.iter().find_map(|one| one.help.clone());
    let help = help.unwrap();
    assert!(help.starts_with("add authorization_endpoint"), "{help}");
    assert!(!help.contains("discover") && !help.contains("remove"), "{help}");
}

#[test]
fn the_key_is_found_in_the_order_that_is_documented() {
    let active = |lines: &str, set: &'static [&'static str]| {
        let text = format!("public_url = 'https://gw.example.com'\n{lines}");
        let source = Source::new(Path::new("attache.toml"), text).unwrap();
        let loaded = load(&source, &|name| set.contains(&name).then(|| KEY.to_owned()));
        let printed = loaded.effective.as_ref().map(|effective| effective.to_toml().unwrap());
        (loaded.diagnostics.has_errors(), loaded.config.unwrap().keys.is_some(), printed)
    };
    let (_, _, printed) = active("keys.active = 'env:K'", &["ATTACHE_KEY", "K"]);
    assert!(printed.unwrap().contains("active = \"env:ATTACHE_KEY\""));
    let (_, _, printed) = active("keys.active = 'env:K'", &["MCPPROXY_CRED_KEY", "K"]);
    assert!(printed.unwrap().contains("active = \"env:K\""));
    let (_, _, printed) = active("", &["MCPPROXY_CRED_KEY"]);
    assert!(printed.unwrap().contains("active = \"env:MCPPROXY_CRED_KEY\""));
    assert_eq!(active("", &[]), (true, false, None));
}

/// Line, column and key.
type Spot = (usize, usize, &'static str);

/// A file, its text, and where its errors are.
const BROKEN: [(&str, &str, &[Spot]); 3] = [
    (
        "attache.toml",
        r#"public_url = "https://gw.example.com"
listn = "127.0.0.1:80"

[identity.oidc]
issuer = 5
client_id = "attache"

[[upstream]]
name = "a"
url = "https://a.example.com"

[[upstream]]
name = "b"
url = "https://b.example.com"
protocol = "streamable_http"

[upstream.auth_broker]
mode = "token_exchange"
client_secrt = "hunter2hunter2"
"#,
        &[
            (2, 1, "listn"),
            (5, 10, "identity.oidc.issuer"),
            (15, 12, "upstream[1].protocol"),
            (19, 1, "upstream[1].auth_broker.client_secrt"),
        ],
    ),
    (
        "attache.yaml",
        r"public_url: https://gw.example.com
listn: 127.0.0.1:80
identity:
  oidc:
    issuer: 5
    client_id: attache
upstream:
  - name: a
    url: https://a.example.com
  - name: b
    url: https://b.example.com
    auth_broker:
      mode: token_exchange
      client_secrt: hunter2hunter2
",
        &[
            (2, 1, "listn"),
            (5, 13, "identity.oidc.issuer"),
            (12, 5, "upstream[1].auth_broker.token_endpoint"),
            (14, 7, "upstream[1].auth_broker.client_secrt"),
        ],
    ),
    (
        "attache.json",
        r#"{
  "public_url": "https://gw.example.com",
  "listn": "127.0.0.1:80",
  "identity": { "oidc": { "issuer": 5, "client_id": "attache" } },
  "upstream": [
    { "name": "a", "url": "https://a.example.com" },
    { "name": "b", "url": "https://b.example.com",
      "auth_broker": {
	"mode": "token_exchange",
	"client_secrt": "hunter2hunter2"
      }
    }
  ]
}"#,
        &[
            (3, 3, "listn"),
            (4, 37, "identity.oidc.issuer"),
            (8, 7, "upstream[1].auth_broker.token_endpoint"),
            (10, 2, "upstream[1].auth_broker.client_secrt"),
        ],
    ),
];

#[test]
fn every_problem_is_told_at_once_in_every_format_and_at_its_place() {
    for (file, text, expected) in BROKEN {
        let diagnostics = loaded(file, text).diagnostics;
        let errors: Vec<(usize, usize, &str)> = diagnostics
            .iter()
            .filter(|one| one.severity == Severity::Error)
            .map(|one| (one.line.unwrap(), one.column.unwrap(), one.key.as_str()))
            .collect();
        assert_eq!(errors, expected, "{file}");
        assert!(diagnostics.iter().all(|one| one.file == file));
    }
}

#[test]
fn what_is_shown_has_an_excerpt_and_a_suggestion_and_no_secret() {
    for (file, text, _) in BROKEN {
        let shown = loaded(file, text).diagnostics.render(false);
        assert!(shown.contains("did you mean `client_secret`?"), "{shown}");
        assert!(shown.contains("client_secrt"), "{shown}");
        assert!(shown.contains("**************"), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[test]
fn a_text_that_does_not_parse_is_one_problem_with_a_place_and_no_excerpt() {
    let cases = [
        ("a.toml", "public_url = \"x\"\nclient_secret = hunter2", (2, 17)),
        ("a.toml", "listen = 'a'\nlisten = 'b'", (2, 1)),
        ("a.yaml", "listen: a\nlisten: b", (2, 1)),
        ("a.yaml", "listen: [a", (1, 11)),
        ("a.json", "{\n  \"listen\": hunter2\n}", (2, 13)),
        ("a.json", "{\n  \"listen\": 1,\n  \"listen\": 2\n}", (3, 10)),
    ];
    for (file, text, place) in cases {
        let diagnostics = loaded(file, text).diagnostics;
        let all: Vec<_> = diagnostics.iter().collect();
        assert_eq!(all.len(), 1, "{text}");
        assert_eq!(
            (all[0].line.unwrap(), all[0].column.unwrap()),
            place,
            "{text}: {}",
            all[0].message
        );
        assert!(!diagnostics.render(false).contains("hunter2"), "{text}");
    }
}

#[test]
fn a_proxy_has_a_secret_and_upstreams_of_its_own() {
    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    let with = |lines: &str| {
        let plain = "[[upstream]]\nname = 'plain'\nurl = 'https://plain.example.com'\n";
        broker(&format!("mode = 'oauth_connect'\n{plain}[[forward_auth]]\n{lines}"))
    };
    let edge = format!("name = 'edge'\nsecret = '{SECRET}'\nupstreams = ['gh']\n");
    accepts(&with(&edge));
    let again = |name: &str, secret: &str| {
        format!("{edge}[[forward_auth]]\nname = '{name}'\nsecret = '{secret}'\nupstreams = ['gh']")
    };
    accepts(&with(&again("inner", &SECRET.replace('0', "x"))));

    let cases = [
        ("upstreams = ['gh']".to_owned(), "name", "forward_auth.name is required"),
        (
            edge.replace(&format!("secret = '{SECRET}'"), ""),
            "secret",
            "forward_auth.secret is required",
        ),
        (edge.replace(SECRET, "short"), "secret", "the secret is shorter than 32 characters"),
        (
            edge.replace("0123456789abcdef'", "0123456789 bcdef'"),
            "secret",
            "a header cannot hold this secret",
        ),
        (edge.replace("['gh']", "[]"), "upstreams", "forward_auth.upstreams is required"),
        (edge.replace("['gh']", "['gx']"), "upstreams[0]", "there is no upstream gx"),
        (
            edge.replace("['gh']", "['gh', 'plain']"),
            "upstreams[1]",
            "plain has no auth_broker: there is no credential to give",
        ),
        (format!("{edge}rate = 0"), "rate", "nobody would ever be answered"),
    ];
    for (lines, key, message) in cases {
        let lines = if key == "name" { format!("secret = '{SECRET}'\n{lines}") } else { lines };
        refuses(&with(&lines), &format!("forward_auth[0].{key}"), message);
    }
    let twice = [
        (again("edge", &SECRET.replace('0', "x")), "name", "duplicate forward_auth name: edge"),
        (again("inner", SECRET), "secret", "this is the secret of edge, too"),
    ];
    for (lines, key, message) in twice {
        refuses(&with(&lines), &format!("forward_auth[1].{key}"), message);
    }
    let open = broker(&format!("mode = 'oauth_connect'\n[[forward_auth]]\n{edge}"));
    for line in ["methods = ['GET']", "paths = ['/users']"] {
        let closed =
            open.replace("name = \"gh\"", &format!("name = \"gh\"\nprotocol = 'http'\n{line}"));
        refuses(
            &closed,
            "forward_auth[0].upstreams[0]",
            "the gateway cannot keep the rules of gh there",
        );
    }
    let tools = "mode = 'oauth_connect'\n[[upstream.tools]]\nallow = ['read_*']\n";
    refuses(
        &broker(&format!("{tools}[[forward_auth]]\n{edge}")),
        "forward_auth[0].upstreams[0]",
        "the gateway cannot keep the rules of gh there",
    );
    let hosts =
        "mode = 'oauth_connect'\nprovider = 'salesforce'\nclient_id = 'c'\nclient_secret = 's'\n";
    refuses(
        &broker(&format!("{hosts}[[forward_auth]]\n{edge}")),
        "forward_auth[0].upstreams[0]",
        "people of gh have hosts of their own, which a proxy does not know",
    );
}

#[test]
fn a_rule_that_would_close_nothing_or_something_else_is_none() {
    const HTTP: &str =
        "[[upstream]]\nname = 'web'\nurl = 'https://web.example.com'\nprotocol = 'http'\n";
    const NAMED: &str = "name = 'night'\neffect = 'deny'\n";
    let with = |lines: &str| broker(&format!("mode = 'oauth_connect'\n{HTTP}[[policy]]\n{lines}"));
    let named = |lines: &str| with(&format!("{NAMED}{lines}"));
    for lines in [
        "",
        "groups = ['a']\nexcept_groups = ['b']\ncallers = ['client']\nupstreams = ['gh', 'web']",
        "tools = ['delete_*']\nduring = ['Sat,Sun', '22:00-06:00']\ntimezone = 'America/New_York'",
        "outside = ['Fri-Mon 08:00-24:00']\ntimezone = '-03:30'",
    ] {
        accepts(&named(lines));
    }
    let empty = |key: &str| {
        format!("{key} is empty: the rule would close nothing, or something else than meant")
    };
    let hours = "hours are written \"Mon-Fri 08:00-18:00\", \"22:00-06:00\" or \"Sat,Sun\"";
    for (lines, key, message) in [
        ("effect = 'deny'", "name", "policy.name is required"),
        ("name = 'a'", "effect", "policy.effect is required"),
        (
            "name = 'A b'\neffect = 'deny'",
            "name",
            "a rule's name is 1 to 64 of a-z, 0-9, - and _, beginning with a letter or a digit",
        ),
    ] {
        refuses(&with(lines), &format!("policy[0].{key}"), message);
    }
    for (lines, key, message) in [
        ("upstreams = ['hg']", "upstreams[0]", "there is no upstream hg"),
        ("upstreams = []", "upstreams", &empty("upstreams")),
        ("groups = []", "groups", &empty("groups")),
        ("callers = []", "callers", &empty("callers")),
        ("tools = []", "tools", &empty("tools")),
        ("during = []", "during", &empty("during")),
        ("during = ['8:00-18:00']", "during[0]", hours),
        (
            "during = ['Sun']\noutside = ['Mon']",
            "outside",
            "a rule has hours during which it closes, or outside of which",
        ),
        ("timezone = 'UTC'", "timezone", "a time zone without hours"),
        (
            "during = ['Sun']\ntimezone = 'Europe/Atlantis'",
            "timezone",
            "this machine knows no such time zone",
        ),
        (
            "during = ['Sun']\ntimezone = '+2:00'",
            "timezone",
            "this machine knows no such time zone",
        ),
        (
            "upstreams = ['web']\ntools = ['a']",
            "tools",
            "web is a plain HTTP API, which has no tools",
        ),
        (
            "callers = ['session', 'client']",
            "callers[0]",
            "invalid callers: \"session\" (must be personal_token, client, or \
             identity_provider)",
        ),
    ] {
        refuses(&named(lines), &format!("policy[0].{key}"), message);
    }
    let twice = format!("{NAMED}[[policy]]\n{NAMED}");
    refuses(&with(&twice), "policy[1].name", "duplicate rule name: night");
    // What a proxy asks for is not looked into.
    let edge = "[[forward_auth]]\nname = 'edge'\nsecret = '0123456789abcdefghijklmnopqrstuvwxyz'\n\
                upstreams = ['gh']";
    refuses(
        &named(&format!("tools = ['delete_*']\n{edge}")),
        "forward_auth[0].upstreams[0]",
        "the gateway cannot keep the rules of gh there",
    );
    accepts(&named(&format!("during = ['Sun']\n{edge}")));
}

#[test]
fn a_proxys_certificate_is_shown_somewhere() {
    let listener = "[proxy_listener]\nlisten = '127.0.0.1:8443'\ncertificate = 'c'\nkey = 'k'\n\
                    client_ca = 'c'\n";
    let with = |lines: &str| broker(&format!("mode = 'oauth_connect'\n[[forward_auth]]\n{lines}"));
    let certified =
        |name: &str| format!("name = 'edge'\ncertificate_name = '{name}'\nupstreams = ['gh']\n");
    let inner = certified("edge.internal");
    accepts(&with(&format!("{inner}{listener}")));
    for (lines, key, message) in [
        (
            inner.clone(),
            "forward_auth[0].certificate_name",
            "there is nowhere to show a certificate",
        ),
        (
            format!("{inner}secret = '0123456789abcdef0123456789abcdef'\n{listener}"),
            "forward_auth[0].certificate_name",
            "this proxy has a secret, too",
        ),
        (
            format!("{}{listener}", certified("*.internal")),
            "forward_auth[0].certificate_name",
            "this is not a DNS name in lower case",
        ),
        (
            format!("{inner}[[forward_auth]]\n{}{listener}", inner.replace("'edge'", "'other'")),
            "forward_auth[1].certificate_name",
            "this is the name of edge, too",
        ),
        (
            format!("{inner}{}", listener.replace("8443", "8080")),
            "proxy_listener.listen",
            "the gateway listens there already",
        ),
        (
            format!("{inner}{}", listener.replace("key = 'k'\n", "")),
            "proxy_listener.key",
            "proxy_listener.key is required",
        ),
    ] {
        refuses(&with(&lines), key, message);
    }
}
