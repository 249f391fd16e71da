//! A provider template, in a folder of an operator who has it from somebody.
//!
//! What is accepted asks and sends nowhere but by https, sets no header and no parameter that a
//! request speaks for itself, and puts people's requests on named hosts alone. What is refused is
//! told of without a character that does something to a terminal.

use std::{cell::LazyCell, fs, path::PathBuf, thread};

use attache_config::{Source, load};
use attache_core::Dialect;
use url::Url;

use super::check::assert_endpoint;
use crate::Outcome;

const CONFIGURATION: &str = r#"
public_url = "https://gw.example.com"
provider_dir = "."
[keys]
active = "env:KEY"
[identity.oidc]
issuer = "https://idp.example.com"
client_id = "attache"
[[identity.jwt]]
issuer = "https://idp.example.com"
audience = "https://gw.example.com"
[[upstream]]
name = "up"
url = "https://api.example.com/mcp"
[upstream.auth_broker]
mode = "oauth_connect"
client_id = "c"
client_secret = "s"
provider = "template"
"#;

thread_local! {
    static FOLDER: LazyCell<PathBuf> = LazyCell::new(|| {
        let name = format!("../target/fuzz/templates-{:?}", thread::current().id());
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name);
        fs::create_dir_all(&folder).expect("a folder for templates");
        folder
    });
}

pub(crate) fn run(input: &[u8]) -> Outcome {
    let folder = FOLDER.with(|folder| PathBuf::clone(folder));
    fs::write(folder.join("template.toml"), input).expect("a template can be written");
    let source = Source::new(&folder.join("attache.toml"), CONFIGURATION).expect("TOML");
    let key = || "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=".to_owned();
    let config = match load(&source, &|_| Some(key())).accept() {
        Ok((config, _)) => config,
        Err(problems) => {
            let told = problems.render(false);
            let harmless = |c: char| c == '\n' || !(c.is_control() || turns(c));
            assert!(told.chars().all(harmless), "{told:?}");
            return Outcome::read([problems.iter().count().min(8)]);
        }
    };
    let broker = config.upstreams.iter().find_map(|upstream| upstream.broker.as_ref());
    let dialect = &broker.expect("the upstream has a broker").dialect;
    assert_dialect(dialect);
    Outcome::read([
        dialect.authorize_params.len().min(3),
        dialect.token_headers.len().min(3),
        dialect.error_map.len().min(3),
        usize::from(dialect.base_url.is_some()),
        usize::from(dialect.account.is_some()),
        usize::from(dialect.refresh_endpoint.is_some()),
    ])
}

fn assert_dialect(dialect: &Dialect) {
    let account = dialect.account.as_ref().map(|account| &account.url);
    for url in [dialect.refresh_endpoint.as_ref(), account].into_iter().flatten() {
        assert_endpoint(url, false);
    }
    for (name, _) in &dialect.token_headers {
        let ours = ["accept", "authorization", "content-type", "host", "content-length", "cookie"];
        assert!(!ours.contains(&name.as_str()), "{name}");
    }
    let params = [&dialect.authorize_params, &dialect.token_params, &dialect.refresh_params];
    for (name, _) in params.into_iter().flatten() {
        let ours = ["state", "redirect_uri", "code_challenge", "grant_type", "client_secret"];
        assert!(!ours.contains(&name.as_str()), "{name}");
    }
    if let Some(base) = &dialect.base_url {
        assert!(!base.allowed_hosts.is_empty());
        for elsewhere in ["https://127.0.0.1/", "https://evil.invalid/", "https://com/"] {
            assert!(!base.allows(&Url::parse(elsewhere).expect("a URL")), "{elsewhere}");
        }
    }
}

fn turns(c: char) -> bool {
    matches!(c, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
