//! Proxies of somebody else: the real programs, with the configuration that the how-tos print, but for
//! its addresses.

use std::{
    fs::{self, File},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use super::{
    peers::{self, free_port},
    stage::Stage,
};

/// What each proxy of the configuration proves itself with. `SLOW_SECRET`'s is answered once a second.
pub(crate) const SECRETS: [(&str, &str); 2] = [
    ("EDGE_SECRET", "the-edge-proxys-own-secret-0123456789"),
    ("SLOW_SECRET", "the-slow-proxys-own-secret-0123456789"),
];
const CERTIFICATES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/certificates");
const START_LIMIT: Duration = Duration::from_secs(30);
const INSTALL: &str =
    "missing a proxy: run `apt-get install nginx-light caddy` and `cargo xtask peers`";

/// A proxy in the configuration that has a certificate, and where it shows it.
pub(crate) fn known_by_certificate(port: u16) -> String {
    format!(
        r#"
[[forward_auth]]
name = "certified"
certificate_name = "edge.internal"
upstreams = ["api"]

[proxy_listener]
listen = "127.0.0.1:{port}"
certificate = {{ file = "{CERTIFICATES}/gateway.pem" }}
key = {{ file = "{CERTIFICATES}/gateway.key" }}
client_ca = {{ file = "{CERTIFICATES}/issuer.pem" }}
"#
    )
}

#[derive(Debug)]
pub(crate) struct Edge {
    pub(crate) url: String,
    folder: PathBuf,
    child: Child,
}

impl Edge {
    pub(crate) fn nginx(stage: &Stage, secret: &str) -> Self {
        let folder = folder();
        let line = format!("proxy_set_header Attache-Proxy-Secret \"{secret}\";");
        let file = folder.join("attache-secret.conf");
        fs::write(&file, line).expect("a disk");
        let server = put(
            documented("nginx.md", "nginx"),
            &[
                (
                    "127.0.0.1:8080/forward-auth/notes",
                    &format!("{}/forward-auth/api", authority(&stage.url)),
                ),
                ("/etc/nginx/attache-secret.conf", &file.display().to_string()),
            ],
        );
        Self::start_nginx(stage, &server, folder)
    }

    /// With a certificate of `tests/certificates` in place of a secret.
    pub(crate) fn certified_nginx(stage: &Stage, certificate: &str) -> Self {
        let [server, certified] = documented_in_parts("nginx.md", "nginx")
            .try_into()
            .expect("the server, and what shows its certificate");
        let certified = put(
            certified,
            &[
                (
                    "10.0.0.5:8443/forward-auth/notes",
                    &format!("127.0.0.1:{}/forward-auth/api", stage.proxy_port),
                ),
                ("/etc/nginx/edge.pem", &format!("{CERTIFICATES}/{certificate}.pem")),
                ("/etc/nginx/edge.key", &format!("{CERTIFICATES}/{certificate}.key")),
                ("/etc/nginx/gateway-ca.pem", &format!("{CERTIFICATES}/issuer.pem")),
            ],
        );
        let server = put(
            server,
            &[
                ("proxy_pass http://127.0.0.1:8080/forward-auth/notes;", &certified),
                ("include /etc/nginx/attache-secret.conf;", ""),
            ],
        );
        Self::start_nginx(stage, &server, folder())
    }

    fn start_nginx(stage: &Stage, server: &str, folder: PathBuf) -> Self {
        let port = free_port();
        let (gateway, upstream) = (authority(&stage.url), authority(stage.server.says("url")));
        let server = put(
            server.to_owned(),
            &[
                ("listen 443 ssl", &format!("listen 127.0.0.1:{port}")),
                ("    ssl_certificate     /etc/nginx/notes.crt;\n", ""),
                ("    ssl_certificate_key /etc/nginx/notes.key;\n", ""),
                ("https://api.notes.example", &format!("http://{upstream}")),
                ("Host api.notes.example", &format!("Host {upstream}")),
                ("Host gw.example.com", &format!("Host {gateway}")),
            ],
        );
        let base = folder.display();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {base}/{kind};"))
            .concat();
        let whole = format!(
            "daemon off; master_process off; pid {base}/pid; error_log {base}/log info; events {{}}\n\
             http {{ access_log {base}/access; {temporary}\n{server}\n}}\n"
        );
        let file = folder.join("nginx.conf");
        fs::write(&file, whole).expect("a disk");
        let mut nginx = Command::new("/usr/sbin/nginx");
        nginx.arg("-c").arg(&file).arg("-p").arg(&folder);
        Self::start(nginx, folder, port)
    }

    pub(crate) fn caddy(stage: &Stage, secret: &str) -> Self {
        let (folder, port) = (folder(), free_port());
        let (gateway, upstream) = (authority(&stage.url), authority(stage.server.says("url")));
        let site = put(
            documented("caddy.md", "caddy"),
            &[
                ("notes.example.com {", &format!("http://127.0.0.1:{port} {{")),
                ("https://api.notes.example", &format!("http://{upstream}")),
                ("forward_auth 127.0.0.1:8080", &format!("forward_auth {gateway}")),
                ("uri /forward-auth/notes", "uri /forward-auth/api"),
                ("Host gw.example.com", &format!("Host {gateway}")),
            ],
        );
        let file = folder.join("Caddyfile");
        let alone = "{\n\tadmin off\n\tauto_https off\n}\n";
        fs::write(&file, format!("{alone}{site}")).expect("a disk");
        let mut caddy = Command::new("/usr/bin/caddy");
        caddy.args(["run", "--adapter", "caddyfile", "--config"]).arg(&file);
        caddy.env("ATTACHE_PROXY_SECRET", secret).env("HOME", &folder);
        Self::start(caddy, folder, port)
    }

    pub(crate) fn envoy(stage: &Stage, secret: &str) -> Self {
        let (folder, port) = (folder(), free_port());
        let (gateway, upstream) = (authority(&stage.url), authority(stage.server.says("url")));
        let [filter, routes, cluster] = documented_in_parts("envoy.md", "yaml")
            .try_into()
            .expect("the filter, the routes and the gateway");
        let filter = put(filter, &[("\"…\"", secret), ("gw.example.com", gateway)]);
        let routes =
            put(routes, &[("api.notes.example", upstream), ("upstream: notes", "upstream: api")]);
        let (_, gateway_port) = gateway.split_once(':').expect("a port");
        let cluster = put(cluster, &[("port_value: 8080", &format!("port_value: {gateway_port}"))]);
        let (filter, routes, cluster) =
            (indented(&filter, 10), indented(&routes, 14), indented(&cluster, 2));
        let (_, upstream_port) = upstream.split_once(':').expect("a port");
        let whole = format!(
            r#"
static_resources:
  listeners:
  - address: {{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: edge
          http_filters:
{filter}
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
          route_config:
            virtual_hosts:
            - name: notes
              domains: ["*"]
{routes}
  clusters:
{cluster}
  - name: notes
    load_assignment:
      cluster_name: notes
      endpoints:
      - lb_endpoints:
        - endpoint: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {upstream_port} }} }} }}
"#
        );
        let file = folder.join("envoy.yaml");
        fs::write(&file, whole).expect("a disk");
        let mut envoy = Command::new(peers::program("envoy"));
        envoy.args(["--disable-hot-restart", "--concurrency", "1", "-c"]).arg(&file);
        Self::start(envoy, folder, port)
    }

    fn start(mut program: Command, folder: PathBuf, port: u16) -> Self {
        let log = File::create(folder.join("said")).expect("a disk");
        program.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = program.spawn().expect(INSTALL);
        let mut edge = Self { url: format!("http://127.0.0.1:{port}"), folder, child };
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let gone = edge.child.try_wait().expect("it is ours");
            let alive = gone.is_none() && start.elapsed() < START_LIMIT;
            let said = fs::read_to_string(edge.folder.join("said")).unwrap_or_default();
            assert!(alive, "the proxy does not start ({gone:?}): {said}");
            thread::sleep(Duration::from_millis(20));
        }
        edge
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        // Each may fail only because it is gone already.
        drop(self.child.kill());
        drop(self.child.wait());
        drop(fs::remove_dir_all(&self.folder));
    }
}

/// The one block of this language in a how-to.
fn documented(page: &str, language: &str) -> String {
    documented_in_parts(page, language).swap_remove(0)
}

fn documented_in_parts(page: &str, language: &str) -> Vec<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/how-to").join(page);
    let text = fs::read_to_string(file).expect("the how-to");
    let begin = format!("```{language}\n");
    let blocks = text.split(&begin).skip(1);
    blocks.map(|block| block.split_once("\n```").expect("an end").0.to_owned()).collect()
}

fn indented(text: &str, by: usize) -> String {
    let lines: Vec<_> = text.lines().map(|line| format!("{:by$}{line}", "")).collect();
    lines.join("\n")
}

fn put(text: String, changes: &[(&str, &str)]) -> String {
    changes.iter().fold(text, |text, (from, to)| {
        assert!(text.contains(from), "the how-to does not say {from:?} any more");
        text.replace(from, to)
    })
}

fn authority(url: &str) -> &str {
    url.trim_start_matches("http://")
}

fn folder() -> PathBuf {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("edge-{}-{number}", std::process::id());
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir(&folder).expect("a folder of its own");
    folder
}
