//! Who may listen in, and who may pose as the server: `sslmode` and its files, as libpq means them.
//!
//! The certificates are P-256 and end in 2126. `ca.pem` signed `server.pem`, for `localhost`, and
//! `client.pem`; `stranger.pem` is another authority.

use std::{io::Write as _, path::Path, process::Stdio};

use attache_core::Secret;
use attache_store::{Location, OpenError, Store};
use sqlx::{Connection as _, PgConnection};

use crate::{run, support::Cluster};

/// `carded` has to show a certificate, `worded` to say a password, anybody else is not let in.
const ADMISSION: &str = "\
    local all all trust\n\
    host all attache all trust\n\
    hostssl all carded all trust clientcert=verify-ca\n\
    host all worded all scram-sha-256\n";

#[tokio::test]
async fn each_refusal_says_whose_move_it_is() {
    let cluster = Cluster::start();
    let open = async |user: &str, host: &str, rest: &str| {
        let url = cluster.url().expose().replace("attache@127.0.0.1", &format!("{user}@{host}"));
        let url = match rest.strip_prefix('/') {
            Some(_) => url.replace("/postgres", rest),
            None => format!("{url}?{rest}"),
        };
        let store = Store::open(&Location::postgres(Secret::new(url))).await?;
        store.ping().await.expect("the connections of the pool are made in the same way");
        Ok::<_, OpenError>(store)
    };
    let plain = open("attache", "localhost", "sslmode=require").await;
    assert!(matches!(plain, Err(OpenError::NoTls { .. })), "{plain:?}");
    speak_tls(&cluster).await;

    let of = |file: &str| format!("{}/tests/certificates/{file}", env!("CARGO_MANIFEST_DIR"));
    let (ca, stranger) = (of("ca.pem"), of("stranger.pem"));
    let full = format!("sslmode=verify-full&sslrootcert={ca}");
    let card = |name: &str| {
        let (cert, key) = (of(&format!("{name}.pem")), of(&format!("{name}.key")));
        format!("{full}&sslcert={cert}&sslkey={key}")
    };
    let strange = format!("sslmode=verify-full&sslrootcert={stranger}");
    let missing = "sslmode=verify-full&sslrootcert=/nowhere.pem";
    let root = "name the file of its root certificate in sslrootcert";
    let name = "write the name that it is for as the host";
    let client = "name it in sslcert and its key in sslkey";
    let refusals = [
        ("attache", "localhost", &*strange, "UnknownAuthority", root),
        ("attache", "localhost", "sslmode=verify-ca", "UnknownAuthority", root),
        ("attache", "127.0.0.1", &full, "WrongName", name),
        ("attache", "localhost", missing, "TlsFiles", "each must be there"),
        ("carded", "localhost", &full, "NotAdmitted", client),
        ("carded", "localhost", &card("server"), "ClientCertificate", "check sslcert and sslkey"),
        ("worded:hunter2", "localhost", &full, "WrongPassword", "check user and password"),
        ("stranger", "localhost", &full, "NotAdmitted", "pg_hba.conf must have a line"),
        ("attache", "localhost", "/nowhere", "NoDatabase", "create it, or correct the name"),
    ];
    for (user, host, rest, kind, words) in refusals {
        let error = open(user, host, rest).await.expect_err(rest);
        let debug = format!("{error:?}");
        assert!(debug.starts_with(kind), "{user} {rest}: {debug}");
        assert!(error.to_string().contains(words), "{error}");
        assert!(!error.is_passing(), "waiting does not help: {error}");
        assert!(!format!("{error} {debug}").contains("hunter2"), "{debug}");
    }

    let admitted = [
        ("attache", "localhost", full.clone()),
        ("attache", "127.0.0.1", format!("sslmode=verify-ca&sslrootcert={ca}")),
        ("attache", "127.0.0.1", "sslmode=require".to_owned()),
        ("carded", "localhost", card("client")),
        ("worded:correct", "localhost", full.clone()),
    ];
    for (user, host, rest) in &admitted {
        let store = open(user, host, rest).await.expect(rest);
        let mut watch = PgConnection::connect(cluster.socket_url().expose()).await.unwrap();
        let ours = "SELECT 1 FROM pg_stat_activity JOIN pg_stat_ssl USING (pid)
            WHERE application_name = 'attache' AND ssl";
        assert_eq!(run(&mut watch, ours).await, 1, "{user} {rest} is not encrypted");
        store.close().await;
    }
}

async fn speak_tls(cluster: &Cluster) {
    let mut admin = PgConnection::connect(cluster.socket_url().expose()).await.expect("a server");
    let certificates = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/certificates");
    for (from, to) in [("server.pem", "server.crt"), ("server.key", "server.key"), ("ca.pem", "ca")]
    {
        write(cluster, to, &std::fs::read(certificates.join(from)).expect(from));
    }
    write(cluster, "pg_hba.conf", ADMISSION.as_bytes());
    for sql in [
        "CREATE ROLE carded LOGIN SUPERUSER",
        "CREATE ROLE worded LOGIN SUPERUSER PASSWORD 'correct'",
        "ALTER SYSTEM SET ssl_ca_file = 'ca'",
        "ALTER SYSTEM SET ssl = on",
        "SELECT pg_reload_conf()",
    ] {
        run(&mut admin, sql).await;
    }
    while run(&mut admin, "SELECT 1 WHERE current_setting('ssl') = 'on'").await == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

/// As the account that the server runs as: it takes a key only from a file of its own.
fn write(cluster: &Cluster, name: &str, bytes: &[u8]) {
    let file = format!("{}/{name}", cluster.data());
    let script = "umask 077 && cat > \"$0\"";
    let mut shell = cluster.programs.command("sh", &["-c", script, &file]);
    let mut shell = shell.stdin(Stdio::piped()).spawn().expect("a shell");
    shell.stdin.take().expect("it is piped").write_all(bytes).expect("it reads");
    assert!(shell.wait().expect("it ends").success());
}
