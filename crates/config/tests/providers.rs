//! Provider templates: all that ship can be used, an operator's own words win, and one that is wrong
//! is told of like the configuration itself.

#![cfg(test)]

use std::{fs, path::Path};

use attache_config::{Loaded, Source, load, model::AuthBroker, provider::SHIPPED};

fn environment(name: &str) -> Option<String> {
    (name == "ATTACHE_KEY").then(|| "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=".to_owned())
}

fn text(top: &str, lines: &str) -> String {
    format!(
        "public_url = 'https://gw.example.com'\n{top}\n[identity.oidc]\n\
         issuer = 'https://idp.example.com'\nclient_id = 'attache'\n[[identity.jwt]]\n\
         issuer = 'https://idp.example.com'\naudience = 'https://gw.example.com'\n\
         [[upstream]]\nname = 'up'\nurl = 'https://api.example.com/mcp'\n\
         [upstream.auth_broker]\nmode = 'oauth_connect'\nclient_id = 'Iv1.a'\n\
         client_secret = 'hunter2-secret'\n{lines}"
    )
}

fn loaded(lines: &str) -> Loaded {
    let source = Source::new(Path::new("/srv/attache.toml"), text("", lines)).unwrap();
    load(&source, &environment)
}

#[track_caller]
fn broker(lines: &str) -> AuthBroker {
    let accepted = loaded(lines).accept().map_err(|problems| problems.render(false));
    let (mut config, warnings) = accepted.unwrap();
    assert!(warnings.is_empty(), "{}", warnings.render(false));
    config.upstreams.remove(0).broker.unwrap()
}

#[test]
fn every_shipped_template_is_all_an_operator_needs() {
    for (name, _) in SHIPPED {
        let tenant =
            if *name == "microsoft" { "provider_params.tenant = 'contoso.com'" } else { "" };
        let broker = broker(&format!("provider = '{name}'\n{tenant}"));
        assert!(
            broker.authorization_endpoint.is_some() && broker.token_endpoint.is_some(),
            "{name}"
        );
    }
}

#[test]
fn explicit_keys_win_and_what_is_in_effect_is_printed() {
    let lines = "provider = 'github'\ntoken_endpoint = 'https://ghe.example.com/token'\n\
                 client_auth = 'basic'\nheader = 'X-Token'\nscopes = ['repo']";
    let own = broker(lines);
    assert_eq!(own.token_endpoint.unwrap().as_str(), "https://ghe.example.com/token");
    assert_eq!(own.header, "x-token");
    let printed = loaded(lines).effective.unwrap().to_toml().unwrap();
    for line in [
        "provider = \"github\"",
        "authorization_endpoint = \"https://github.com/login/oauth/authorize\"",
        "token_endpoint = \"https://ghe.example.com/token\"",
        "client_auth = \"basic\"",
        "header = \"X-Token\"",
        "header_format = \"Bearer {token}\"",
    ] {
        assert!(printed.lines().any(|printed| printed == line), "{line} in {printed}");
    }
    // Another token endpoint is another server: github.com must see none of its tokens.
    assert_eq!((own.revocation_endpoint, own.dialect.account), (None, None));
    let right = broker("provider = 'github'");
    let revocation = right.revocation_endpoint.unwrap();
    assert_eq!(revocation.as_str(), "https://api.github.com/applications/Iv1.a/token");
    assert!(right.dialect.account.is_some());

    let asked = broker("provider = 'atlassian'\nscopes = ['read:jira-work']").scopes;
    assert_eq!(asked, ["read:jira-work", "offline_access"]);
    let tenant = broker("provider = 'microsoft'\nprovider_params = { tenant = 'contoso.com' }");
    assert_eq!(
        tenant.token_endpoint.unwrap().as_str(),
        "https://login.microsoftonline.com/contoso.com/oauth2/v2.0/token"
    );
}

#[test]
fn what_cannot_be_meant_is_told() {
    let tenant = "this provider needs provider_params.tenant";
    let name = "letters, digits, hyphens and dots only, as in a host's name";
    for (lines, message, help) in [
        (
            "provider = 'gihub'",
            "there is no provider template \"gihub\"",
            "did you mean \"github\"?",
        ),
        (
            "provider = '../github'",
            "there is no provider template \"../github\"",
            "did you mean \"github\"?",
        ),
        ("provider = 'microsoft'", tenant, "the id or a domain of the directory"),
        (
            "provider = 'gitlab'\nprovider_params.hosts = 'a.example.com'",
            "unknown parameter `hosts`",
            "did you mean `host`?",
        ),
        (
            "provider = 'gitlab'\nprovider_params.host = 'a.example.com/x'",
            name,
            "the host of the GitLab instance",
        ),
        ("provider = 'gitlab'\nprovider_params.host = 'a@evil.test'", name, ""),
        (
            "provider = 'github'\nprovider_params.host = 'a'",
            "unknown parameter `host`",
            "this provider has no parameters",
        ),
        ("provider_params.host = 'a'", "provider_params has no use without provider", "remove it"),
    ] {
        let diagnostics = loaded(lines).diagnostics;
        let found = diagnostics.iter().find(|one| one.message == message);
        let found = found.unwrap_or_else(|| panic!("{lines}: {}", diagnostics.render(false)));
        assert!(found.help.as_deref().unwrap_or_default().contains(help), "{lines}: {found:?}");
    }
}

/// The same strictness as the configuration's: every problem at once, each in its file and line,
/// with what to write instead, and nothing shown that may be a secret.
#[test]
fn a_template_of_ones_own_wins_and_is_read_as_strictly() {
    let folder = std::env::temp_dir().join(format!("attache-providers-{}", std::process::id()));
    fs::create_dir_all(folder.join("own")).unwrap();
    let with = |template: &str| {
        fs::write(folder.join("own/github.toml"), template).unwrap();
        let text = text("provider_dir = 'own'", "provider = 'github'");
        let source = Source::new(&folder.join("attache.toml"), text).unwrap();
        load(&source, &environment)
    };

    let right = "authorization_endpoint = 'https://ghe.example.com/a'\n\
                 token_endpoint = 'https://ghe.example.com/t'";
    let (config, _) = with(right).accept().unwrap();
    let endpoint = config.upstreams[0].broker.as_ref().unwrap().token_endpoint.clone();
    assert_eq!(endpoint.unwrap().as_str(), "https://ghe.example.com/t");

    let misfits = "authorization_endpoint = 'https://ghe.example.com/a'\n\
                   tokn_endpoint = 'https://ghe.example.com/t'\npkce = 's256'\nclient_secret = 'hunter2'";
    let wrong = "authorization_endpoint = 'http://ghe.example.com/a'\n\
                 token_endpoint = 'https://{region}.example.com/t'\n\
                 base_url = '{at}'\nallowed_hosts = ['*.com']\nscope_separator = ', '\n\
                 authorize_params = { state = 'x' }\ntoken_headers = { Authorization = 'x' }\n\
                 response_paths = { access_token = 'a..b' }\nerror_path = '$.x'\n\
                 [revoke]\nstyle = 'bearer'";
    let in_template = |loaded: Loaded| -> Vec<(Option<usize>, String, String)> {
        let shown = loaded.diagnostics.render(false);
        assert!(!shown.contains("hunter2"), "{shown}");
        let mut all = loaded.diagnostics.iter();
        let own = all.next().unwrap();
        assert_eq!(own.message, "the provider template \"github\" has problems");
        all.map(|one| {
            assert!(one.file.ends_with("own/github.toml"), "{one:?}");
            (one.line, one.key.clone(), one.help.clone().unwrap_or_default())
        })
        .collect()
    };
    let told = in_template(with(misfits));
    let expected = [
        (2, "tokn_endpoint", "did you mean `token_endpoint`?"),
        (3, "pkce", "did you mean \"S256\"?"),
        (4, "client_secret", "the keys here are"),
    ];
    assert_eq!(told.len(), expected.len(), "{told:?}");
    for ((line, key, help), expected) in told.iter().zip(expected) {
        assert_eq!((line.unwrap(), key.as_str()), (expected.0, expected.1));
        assert!(help.starts_with(expected.2), "{help}");
    }
    let told: Vec<(usize, String)> =
        in_template(with(wrong)).into_iter().map(|(line, key, _)| (line.unwrap(), key)).collect();
    let expected = [
        (1, "authorization_endpoint"),
        (2, "token_endpoint"),
        (3, "base_url"),
        (4, "allowed_hosts[0]"),
        (5, "scope_separator"),
        (6, "authorize_params.state"),
        (7, "token_headers.Authorization"),
        (8, "response_paths.access_token"),
        (9, "error_path"),
        (10, "revoke.url"),
    ];
    assert_eq!(told, expected.map(|(line, key)| (line, key.to_owned())));
    fs::remove_dir_all(folder).unwrap();
}
