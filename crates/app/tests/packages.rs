//! What ships beside the program says what is true of it.

#![cfg(test)]

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use attache::cli::{self, Cli};
use clap::Parser as _;

const KEY: &str = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
/// How long a gateway may take to start.
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn a_container_and_a_cluster_ask_where_the_gateway_answers() {
    let nobody = free();
    let told = health(nobody);
    assert_eq!(told.status.code(), Some(1));
    assert!(text(&told.stderr).contains(&format!("no gateway answers at {nobody}")));

    let gateway = Gateway::start("probes");
    let told = health(gateway.admin);
    assert_eq!(text(&told.stdout), "ready\n");

    let deployment = file("packaging/helm/attache/templates/deployment.yaml");
    let probes = deployment.split("httpGet: { path: ").skip(1);
    let paths: Vec<&str> = probes.filter_map(|probe| probe.split(',').next()).collect();
    assert_eq!(paths, ["/healthz", "/healthz", "/readyz"]);
    for path in paths {
        let answer = gateway.get(path);
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    }
}

#[test]
fn every_package_is_of_this_version_and_opens_the_ports_that_are_asked() {
    let version = env!("CARGO_PKG_VERSION");
    let cli::Command::Health(health) = Cli::parse_from(["attache", "health"]).command else {
        panic!("another command");
    };
    let admin = health.admin.port();
    for (name, line) in [
        (
            "docker/Dockerfile",
            format!("FROM rust:{}-bookworm AS build", env!("CARGO_PKG_RUST_VERSION")),
        ),
        ("docker/Dockerfile", format!("EXPOSE 8080 {admin}")),
        ("compose/compose.yaml", format!("image: attache:{version}")),
        ("compose/compose.yaml", "127.0.0.1:8080:8080".to_owned()),
        ("helm/attache/Chart.yaml", format!("\nversion: {version}\nappVersion: {version}\n")),
        ("helm/attache/templates/deployment.yaml", "name: http, containerPort: 8080".to_owned()),
        ("helm/attache/templates/deployment.yaml", format!("name: admin, containerPort: {admin}")),
        ("debian/changelog", format!("attache ({version}) ")),
    ] {
        assert!(file(&format!("packaging/{name}")).contains(&line), "{name}: {line}");
    }
}

fn health(admin: SocketAddr) -> Output {
    attache(&["health", &admin.to_string()]).output().unwrap()
}

fn attache(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_attache"));
    command.args(arguments).env("ATTACHE_KEY", KEY);
    command
}

/// The program as it ships, serving two upstreams.
struct Gateway {
    program: Child,
    admin: SocketAddr,
}

impl Gateway {
    fn start(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("packages-{name}"));
        drop(fs::remove_dir_all(&folder));
        fs::create_dir_all(&folder).unwrap();
        let (listen, admin) = (free(), free());
        let configuration = format!(
            "public_url = 'http://{listen}'
            listen = '{listen}'
            admin_listen = '{admin}'
            identity.jwt = [{{ issuer = 'https://idp.example.com', audience = 'http://{listen}' }}]
            upstream = [{{ name = 'notes', url = 'https://notes.example.com/mcp' }}]"
        );
        let place = folder.join("attache.toml");
        fs::write(&place, configuration).unwrap();
        let mut serve = attache(&["serve", "--config", place.to_str().unwrap()]);
        let program = serve.stderr(Stdio::null()).spawn().unwrap();
        let gateway = Self { program, admin };
        let begun = Instant::now();
        while !health(admin).status.success() {
            assert!(begun.elapsed() < PATIENCE, "it does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        gateway
    }

    /// What the admin listener answers.
    fn get(&self, path: &str) -> String {
        let mut connection = TcpStream::connect(self.admin).unwrap();
        let admin = self.admin;
        write!(connection, "GET {path} HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\n\r\n")
            .unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        drop(self.program.kill());
        drop(self.program.wait());
    }
}

fn free() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

/// A file of the repository.
fn file(name: &str) -> String {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name);
    fs::read_to_string(place).unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}
