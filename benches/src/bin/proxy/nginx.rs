//! nginx twice: as the upstream, which knows everybody's token and answers nobody with another's,
//! and as a proxy that looks the token of each caller up in a table, without asking who they are.

use std::{fmt::Write as _, fs, net::SocketAddr, process::Command};

use anyhow::{Context as _, Result};
use attache_benches::folder::Folder;

use crate::server::{Server, free};

/// One of the load, as everybody here knows them.
pub(crate) struct Person {
    pub(crate) name: String,
    /// What proves them to the proxies.
    pub(crate) bearer: String,
    /// What proves them to the upstream.
    pub(crate) token: String,
}

pub(crate) fn upstream(folder: &Folder, people: &[Person]) -> Result<Server> {
    let at = free()?;
    let mut table = String::new();
    for Person { name, token, .. } in people {
        writeln!(table, "{name} 'Bearer {token}';")?;
    }
    let text = "lorem ipsum ".repeat(80);
    let answer = format!(
        r#"{{"jsonrpc":"2.0","id":1,"result":{{"content":[{{"type":"text","text":"{text}"}}]}}}}"#
    );
    let server = format!(
        "map $http_x_person $known {{ default ''; {table} }}
         server {{ listen {at}; default_type application/json; keepalive_requests 10000000;
           if ($http_authorization != $known) {{ return 401; }}
           location / {{ return 200 '{answer}'; }} }}"
    );
    start(folder, "upstream", at, &server)
}

pub(crate) fn proxy(folder: &Folder, upstream: SocketAddr, people: &[Person]) -> Result<Server> {
    let at = free()?;
    let mut table = String::new();
    for Person { bearer, token, .. } in people {
        writeln!(table, "'Bearer {bearer}' 'Bearer {token}';")?;
    }
    let server = format!(
        "map $http_authorization $credential {{ default ''; {table} }}
         upstream notes {{ server {upstream}; keepalive 64; keepalive_requests 10000000; }}
         server {{ listen {at}; keepalive_requests 10000000;
           location / {{ if ($credential = '') {{ return 401; }}
             proxy_pass http://notes; proxy_http_version 1.1;
             proxy_set_header Connection ''; proxy_set_header Authorization $credential; }} }}"
    );
    start(folder, "nginx", at, &server)
}

fn start(folder: &Folder, name: &'static str, at: SocketAddr, server: &str) -> Result<Server> {
    let own = |what: &str| folder.file(&format!("{name}.{what}")).display().to_string();
    let temporary: Vec<_> = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|what| format!("{what}_temp_path {};", own(what)))
        .into();
    let text = format!(
        "daemon off; master_process off; pid {}; error_log {};
         events {{ worker_connections 1024; }}
         http {{ access_log off; map_hash_bucket_size 2048; map_hash_max_size 65536;
           large_client_header_buffers 4 16k; {} {server} }}",
        own("pid"),
        own("log"),
        temporary.concat(),
    );
    let file = folder.file(&format!("{name}.conf"));
    fs::write(&file, text)?;
    let mut command = Command::new("nginx");
    command.arg("-c").arg(&file).arg("-p").arg(folder.file(""));
    Server::start(name, command, at, "/mcp")
        .context("nginx is needed (Debian: apt-get install nginx-light)")
}
