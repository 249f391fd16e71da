//! What ships beside the program says what is true of it.

#![cfg(test)]

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use attache::cli::{self, Cli};
use clap::Parser as _;

const KEY: &str = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
/// How long a program may take to start.
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
        let answer = get(gateway.admin, path).unwrap();
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

#[test]
fn the_page_of_metrics_lists_what_there_is_and_nothing_else_is_drawn_or_alerted_on() {
    let page = file("docs/metrics.md");
    let documented: Vec<Metric> = page.lines().filter_map(Metric::documented).collect();
    let names: BTreeSet<&str> = documented.iter().map(|metric| metric.name.as_str()).collect();
    let registered = registered();
    assert_eq!(names, registered.iter().map(String::as_str).collect());

    let answer = get(Gateway::start("metrics").admin, "/metrics").unwrap();
    let exported: Vec<Metric> = Metric::exported(&answer);
    // The others have nothing to say before something happened.
    let heard: BTreeSet<&str> = exported.iter().map(|metric| metric.name.as_str()).collect();
    assert!(heard.len() >= 9, "{heard:?}");
    for metric in exported {
        assert!(documented.contains(&metric), "{metric:?} is documented as something else");
    }

    let series: BTreeSet<String> = documented.iter().flat_map(Metric::series).collect();
    for name in ["alerts.yaml", "alerts.test.yaml", "dashboard.json"] {
        let text = file(&format!("packaging/observability/{name}"));
        let used: Vec<&str> = words(&text).filter(|word| word.starts_with("attache_")).collect();
        let unknown: Vec<_> = used.iter().filter(|word| !series.contains(**word)).collect();
        assert!(!used.is_empty() && unknown.is_empty(), "{name} knows {unknown:?}");
    }
}

#[test]
fn prometheus_reads_a_running_gateway_and_knows_every_rule() {
    let gateway = Gateway::start("scraped");
    let folder = empty("prometheus");
    let configuration = file("packaging/observability/prometheus.yaml")
        .replace("127.0.0.1:9090", &gateway.admin.to_string());
    let fast = "global: { scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }";
    fs::write(folder.join("prometheus.yaml"), format!("{fast}\n{configuration}")).unwrap();
    let rules = file("packaging/observability/alerts.yaml");
    fs::write(folder.join("alerts.yaml"), &rules).unwrap();
    let address = free();
    let mut prometheus = Command::new("prometheus");
    prometheus.args(["--config.file=prometheus.yaml", "--storage.tsdb.path=data"]);
    prometheus.arg(format!("--web.listen-address={address}")).current_dir(&folder);
    let _running = Running::start(&mut prometheus, "prometheus: apt-get install prometheus");

    let rules = rules.matches("- alert: ").count();
    eventually("Prometheus does not read the gateway and evaluate the rules", || {
        let said = get(address, "/api/v1/rules").unwrap_or_default();
        let evaluated = said.matches(r#""health":"ok""#).count() == rules;
        let scraped = get(address, "/api/v1/query?query=up").unwrap_or_default();
        evaluated && scraped.contains(r#""job":"attache"}"#) && scraped.contains(r#","1"]"#)
    });
    let known = get(address, "/api/v1/label/__name__/values").unwrap();
    assert!(known.contains("attache_request_seconds_bucket"), "{known}");
}

#[test]
fn every_alert_says_whose_move_it_is_and_where_to_read() {
    let page = file("docs/how-to/monitor.md");
    let text = file("packaging/observability/alerts.yaml");
    let alerts: Vec<&str> = text.split("- alert: ").skip(1).collect();
    assert_eq!(alerts.len(), page.matches("| `Attache").count());
    for alert in alerts {
        let name = alert.lines().next().unwrap();
        let label =
            |key: &str| words(alert.split(&format!("{key}: ")).nth(1).unwrap()).next().unwrap();
        let row = format!("| `{name}` | {} | {} | ", label("severity"), label("move"));
        assert!(page.contains(&row), "docs/how-to/monitor.md has no row {row}");

        let runbook = alert.split("runbook: ").nth(1).unwrap().lines().next().unwrap();
        let (place, heading) = runbook.split_once('#').unwrap();
        let headings = file(place);
        let anchors = headings.lines().filter(|line| line.starts_with('#')).map(anchor);
        assert!(anchors.into_iter().any(|anchor| anchor == heading), "{name}: {runbook}");
    }
}

#[derive(Debug, PartialEq)]
struct Metric {
    /// As it is registered: without the prefix and the kind's suffix.
    name: String,
    kind: String,
    labels: BTreeSet<String>,
}

impl Metric {
    /// A row of the page: ``| `attache_requests_total{upstream,status}` | counter | …``.
    fn documented(row: &str) -> Option<Self> {
        let mut cells = row.strip_prefix("| `attache_")?.split(" | ");
        let (series, kind) = (cells.next()?.trim_end_matches('`'), cells.next()?.to_owned());
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let name =
            name.trim_end_matches(if kind == "info" { "_info" } else { "_total" }).to_owned();
        let labels = words(labels).filter(|label| !label.is_empty()).map(str::to_owned).collect();
        Some(Self { name, kind, labels })
    }

    /// Each kind of line that `/metrics` answers with.
    fn exported(answer: &str) -> Vec<Self> {
        let types = answer.lines().filter_map(|line| line.strip_prefix("# TYPE attache_"));
        let known = types.map(|line| line.split_once(' ').unwrap());
        let samples = known.flat_map(|(name, kind)| {
            let metric = Self { name: name.into(), kind: kind.into(), labels: BTreeSet::new() };
            let series = metric.series();
            let lines = answer.lines().filter(move |line| {
                series.iter().any(|one| words(line).next() == Some(one.as_str()))
            });
            lines.map(move |line| {
                let labels = line.split("=\"").map(|part| words(part).last().unwrap_or_default());
                let count = line.matches("=\"").count();
                let labels = labels.take(count).filter(|label| *label != "le").map(str::to_owned);
                Self { name: name.into(), kind: kind.into(), labels: labels.collect() }
            })
        });
        samples.collect()
    }

    /// What a query can name.
    fn series(&self) -> Vec<String> {
        let suffixes: &[&str] = match self.kind.as_str() {
            "counter" => &["_total"],
            "gauge" => &[""],
            "histogram" => &["_bucket", "_sum", "_count"],
            "info" => &["_info"],
            other => panic!("say here how the series of a {other} are named"),
        };
        suffixes.iter().map(|suffix| format!("attache_{}{suffix}", self.name)).collect()
    }
}

/// The names under which the code registers metrics. `/metrics` is silent about those of which
/// nothing happened yet.
fn registered() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut folders = vec![root().join("crates")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() && entry.file_name().is_none_or(|name| name != "tests") {
                folders.push(entry);
            } else if entry.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&entry).unwrap();
                let calls = text.split("registry.register(").skip(1);
                names.extend(calls.filter_map(|call| Some(call.split('"').nth(1)?.to_owned())));
            }
        }
    }
    names
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
}

/// As a page's heading is linked to.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
    text.chars().filter(|letter| letter.is_alphanumeric() || *letter == '-').collect()
}

fn health(admin: SocketAddr) -> Output {
    attache(&["health", &admin.to_string()]).output().unwrap()
}

fn attache(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_attache"));
    command.args(arguments).env("ATTACHE_KEY", KEY);
    command
}

/// The program as it ships, serving an upstream.
struct Gateway {
    _running: Running,
    admin: SocketAddr,
}

impl Gateway {
    fn start(name: &str) -> Self {
        let (listen, admin) = (free(), free());
        let configuration = format!(
            "public_url = 'http://{listen}'
            listen = '{listen}'
            admin_listen = '{admin}'
            identity.jwt = [{{ issuer = 'https://idp.example.com', audience = 'http://{listen}' }}]
            identity.oidc = {{ issuer = 'https://idp.example.com', client_id = 'attache' }}

            [[upstream]]
            name = 'notes'
            url = 'https://notes.example.com/mcp'
            auth_broker = {{ mode = 'oauth_connect' }}"
        );
        let place = empty(name).join("attache.toml");
        fs::write(&place, configuration).unwrap();
        let mut serve = attache(&["serve", "--config", place.to_str().unwrap()]);
        let gateway = Self { _running: Running::start(&mut serve, "the program"), admin };
        eventually("the gateway does not start", || health(admin).status.success());
        gateway
    }
}

/// A program that ends with the test.
struct Running(Child);

impl Running {
    fn start(command: &mut Command, what: &str) -> Self {
        Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect(what))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn eventually(otherwise: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "{otherwise}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn get(address: SocketAddr, path: &str) -> io::Result<String> {
    let mut connection = TcpStream::connect(address)?;
    write!(connection, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    Ok(answer)
}

/// A folder of one test's own.
fn empty(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("packages-{name}"));
    drop(fs::remove_dir_all(&folder));
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn free() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

/// A file of the repository.
fn file(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}
