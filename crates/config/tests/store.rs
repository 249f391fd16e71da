//! A `PostgreSQL` URL: what it becomes, what is refused, and what is only warned about.

#![cfg(test)]

use std::{fs, path::Path};

use attache_config::{Severity, Source, load, model::StoreUrl};

type Variables<'a> = &'a [(&'a str, &'a str)];

/// What becomes of the URL, or the messages of its diagnostics.
fn read(url: &str, variables: Variables) -> (Option<String>, Vec<(Severity, String)>) {
    let key = ("ATTACHE_KEY", "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=");
    let store = ("URL", url);
    let lookup = |name: &str| {
        let mut all = variables.iter().chain([&key, &store]);
        all.find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    };
    let text = "public_url = 'https://gw.example.com'\nstore.url = { env = 'URL' }";
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let source = Source::new(&folder.join("attache.toml"), text).unwrap();
    let loaded = load(&source, &lookup);
    let shown = loaded.diagnostics.render(false);
    assert!(!shown.contains("hunter2"), "{shown}");
    let said = loaded.diagnostics.iter().map(|one| (one.severity, one.message.clone())).collect();
    let url = loaded.accept().ok().and_then(|(config, _)| match config.store {
        StoreUrl::Postgres { url, .. } => Some(url.expose().to_owned()),
        StoreUrl::Sqlite(_) => None,
    });
    (url, said)
}

#[test]
fn a_server_elsewhere_is_verified_unless_the_url_says_otherwise() {
    let full = "postgres://ada:hunter2@db.example.com/attache?sslmode=verify-full";
    let local = "postgres://ada:hunter2@127.0.0.1:5433/attache?sslmode=prefer";
    let elsewhere: Variables = &[("PGHOST", "db.example.com")];
    let cases: [(&str, Variables, &str); 6] = [
        ("postgres://ada:hunter2@db.example.com/attache", &[], full),
        (full, &[("PGSSLMODE", "disable")], full),
        ("postgres://ada:hunter2@127.0.0.1:5433/attache", &[], local),
        ("postgres:///attache", &[], "postgres:///attache?sslmode=prefer"),
        ("postgres:///attache", elsewhere, "postgres:///attache?sslmode=verify-full"),
        (
            "postgres://ada@localhost/attache?host=db.example.com",
            &[],
            "postgres://ada@localhost/attache?host=db.example.com&sslmode=verify-full",
        ),
    ];
    for (url, variables, expected) in cases {
        assert_eq!(read(url, variables), (Some(expected.to_owned()), vec![]), "{url}");
    }
}

#[test]
fn what_protects_less_is_warned_about() {
    for (mode, words) in [
        ("disable", "can read along"),
        ("prefer", "can read along"),
        ("require", "whoever can get between can pose"),
        ("verify-ca", "any certificate of an authority"),
    ] {
        let beyond = format!("postgres://ada:hunter2@db.example.com/attache?sslmode={mode}");
        let (url, said) = read(&beyond, &[]);
        assert!(url.is_some());
        let [(Severity::Warning, message)] = said.as_slice() else { panic!("{said:?}") };
        assert!(message.contains(words), "{message}");
        let here = beyond.replace("db.example.com", "[::1]");
        assert_eq!(read(&here, &[]).1, [], "{here}");
    }
    let (url, said) = read("postgres://db/x", &[("PGSSLMODE", "disable")]);
    assert!(url.is_some() && said.len() == 1, "{said:?}");
}

#[test]
fn what_would_have_no_effect_is_refused() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    fs::write(folder.join("root.pem"), "").unwrap();
    let cases = [
        ("postgres://ada:hunter2@db:port/x", "this is not a PostgreSQL URL"),
        ("postgres://a,b/x", "a PostgreSQL URL can name one host only here"),
        ("postgres://db/x?sslmode=allow", "this sslmode is not one"),
        ("postgres://db/x?sslmode=hunter2", "this sslmode is not one"),
        (
            "postgres://db/x?channel_binding=require",
            "channel_binding of this PostgreSQL URL would have no effect",
        ),
        ("postgres://db/x?hunter2", "a parameter of this PostgreSQL URL would have no effect"),
        (
            "postgres://db/x?sslmode=require&sslrootcert=root.pem",
            "sslrootcert has no effect with sslmode=require",
        ),
        (
            "postgres://db/x?sslrootcert=gone.pem",
            "the file in sslrootcert cannot be read: entity not found",
        ),
        ("postgres://db/x?sslkey=root.pem", "sslcert and sslkey must be given together"),
    ];
    for (bad, message) in cases {
        let (url, said) = read(bad, &[]);
        assert_eq!(url, None, "{bad}");
        assert!(said.contains(&(Severity::Error, message.to_owned())), "{bad}: {said:?}");
    }
    let (url, _) = read("postgres://db/x?sslrootcert=root.pem", &[]);
    let path = folder.join("root.pem").display().to_string().replace('/', "%2F");
    assert_eq!(url, Some(format!("postgres://db/x?sslrootcert={path}&sslmode=verify-full")));
}
