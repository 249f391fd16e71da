//! nginx twice: as the upstream, answering from memory, and as the proxy to compare with.

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

use attache_benches::processor::Meter;

pub(crate) struct Nginx {
    folder: PathBuf,
    upstream: Child,
    proxy: Child,
    upstream_at: SocketAddr,
    proxy_url: String,
}

impl Nginx {
    pub(crate) fn start() -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("attache-bench-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let (upstream_at, proxy_at) = (free()?, free()?);
        let upstream = start(&folder, "upstream", &upstream_server(upstream_at))?;
        let proxy = start(&folder, "proxy", &proxy_server(proxy_at, upstream_at))?;
        wait_for(upstream_at)?;
        wait_for(proxy_at)?;
        let proxy_url = format!("http://{proxy_at}/mcp");
        Ok(Self { folder, upstream, proxy, upstream_at, proxy_url })
    }

    pub(crate) fn upstream(&self) -> SocketAddr {
        self.upstream_at
    }

    pub(crate) fn proxy(&self) -> &str {
        &self.proxy_url
    }

    /// Of the proxy's processes: it runs without a master.
    pub(crate) fn meter(&self) -> Meter {
        Meter { processes: vec![self.proxy.id()] }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        for child in [&mut self.proxy, &mut self.upstream] {
            drop(child.kill());
            drop(child.wait());
        }
        drop(fs::remove_dir_all(&self.folder));
    }
}

fn upstream_server(at: SocketAddr) -> String {
    let answer =
        r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"You are ada"}]}}"#;
    format!(
        "server {{ listen {at}; default_type application/json; keepalive_requests 10000000;
           location / {{ return 200 '{answer}'; }} }}"
    )
}

fn proxy_server(at: SocketAddr, upstream: SocketAddr) -> String {
    format!(
        "upstream notes {{ server {upstream}; keepalive 64; keepalive_requests 10000000; }}
         server {{ listen {at}; keepalive_requests 10000000;
           location / {{ proxy_pass http://notes; proxy_http_version 1.1;
             proxy_set_header Connection ''; proxy_set_header Authorization 'Bearer static'; }} }}"
    )
}

fn start(folder: &std::path::Path, name: &str, server: &str) -> Result<Child> {
    let path = folder.join(format!("{name}.conf"));
    let base = folder.display();
    let text = format!(
        "daemon off; master_process off; pid {base}/{name}.pid; error_log {base}/{name}.log;
         events {{ worker_connections 1024; }}
         http {{ access_log off; client_body_temp_path {base}/{name}-body;
           proxy_temp_path {base}/{name}-proxy; fastcgi_temp_path {base}/{name}-f;
           uwsgi_temp_path {base}/{name}-u; scgi_temp_path {base}/{name}-s; {server} }}"
    );
    fs::write(&path, text)?;
    Command::new("nginx")
        .args(["-c"])
        .arg(&path)
        .arg("-p")
        .arg(folder)
        .spawn()
        .context("nginx is missing: install it (Debian: apt-get install nginx-light)")
}

fn free() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

pub(crate) fn wait_for(address: SocketAddr) -> Result<()> {
    for _ in 0..200 {
        if TcpStream::connect(address).is_ok() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(25));
    }
    bail!("nothing listens on {address}")
}
