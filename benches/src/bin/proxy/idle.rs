//! What an event stream costs on which nothing happens: ten thousand of them, or as many as the machine
//! lets a process have files for, ten of each person's, each on a connection of its own, through a gateway
//! to an upstream that holds them.

use std::{fs, net::SocketAddr, os::unix::process::CommandExt as _, process::Command};

use anyhow::{Context as _, Result, bail, ensure};
use attache_benches::{folder::Folder, people::Someone, processor::resident, report::say};
use attache_crypto::{random::SystemRandom, wrap::local::LocalKey};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::{
    cast::{PEOPLE, configuration, seed},
    issuer::Issuer,
    server::{Server, beside, free},
};

const OPEN: [usize; 4] = [0, 1_000, 5_000, 10_000];
/// Of each of the two processes: a stream has two ends in either.
const FILES: usize = 2 * 10_000 + OTHER_FILES;
/// Of those, for everything else.
const OTHER_FILES: usize = 400;

pub(crate) async fn run() -> Result<()> {
    let most = (files()? - OTHER_FILES) / 2;
    let folder = Folder::make("idle")?;
    let issuer = Issuer::start().await?;
    let upstream = hold().await?;
    let (attache, admin) = (free()?, free()?);
    let (public_url, origin) = (format!("http://{attache}"), format!("http://{upstream}"));
    let key = LocalKey::generate(&SystemRandom);
    seed(&folder, &key, &issuer.url, &origin).await?;
    let file = folder.file("attache.toml");
    let upstream = format!("{origin}/mcp");
    fs::write(&file, configuration(&public_url, attache, admin, &issuer.url, &upstream))?;
    let mut gateway = with_files(&beside("attache")?);
    gateway.arg("serve").arg("--config").arg(&file).env("ATTACHE_KEY", key.expose());
    let gateway = Server::start("attache", gateway, attache, "/mcp/notes")?;
    let bearers: Vec<String> =
        (0..PEOPLE).map(|number| issuer.access_token(Someone(number), &public_url)).collect();

    say("streams   resident MiB   bytes for each");
    let (mut streams, mut none) = (Vec::new(), 0.0);
    for open in OPEN.map(|open| open.min(most)) {
        for bearer in bearers.iter().cycle().skip(streams.len()).take(open - streams.len()) {
            streams.push(listen(attache, bearer).await?);
        }
        let now = resident(gateway.id())?;
        if open == 0 {
            none = now;
        }
        say(&format!("{open:>7} {:>14.1} {:>16.0}", now / 1024.0 / 1024.0, each(now - none, open)));
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a count of streams")]
fn each(bytes: f64, streams: usize) -> f64 {
    bytes / streams.max(1) as f64
}

/// An upstream that begins an event stream for everybody, and says no more.
async fn hold() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::runtime::Handle::current().spawn(async move {
        let mut held = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            if read_head(&mut stream).await.is_ok() {
                let begun = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
                drop(stream.write_all(begun.as_bytes()).await);
                held.push(stream);
            }
        }
    });
    Ok(address)
}

async fn listen(gateway: SocketAddr, bearer: &str) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(gateway).await?;
    let request = format!(
        "GET /mcp/notes HTTP/1.1\r\nHost: {gateway}\r\nAuthorization: Bearer {bearer}\r\n\
         Accept: text/event-stream\r\nMCP-Protocol-Version: 2025-11-25\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let head = read_head(&mut stream).await?;
    ensure!(head.starts_with("HTTP/1.1 200"), "no stream: {head}");
    Ok(stream)
}

async fn read_head(stream: &mut TcpStream) -> Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8(head)?)
}

/// How many there are. Begins again with more, if there are not enough and more can be had.
fn files() -> Result<usize> {
    let limits = fs::read_to_string("/proc/self/limits")?;
    let line = limits.lines().find(|line| line.starts_with("Max open files"));
    let limit = |place| {
        let word = line.and_then(|line| line.split_whitespace().nth(place));
        word.map(|word| word.parse().unwrap_or(usize::MAX)).context("no limit of files")
    };
    let (soft, hard) = (limit(3)?, limit(4)?);
    if soft >= FILES.min(hard) {
        return Ok(soft.min(FILES));
    }
    let mut again = with_files(&Command::new(std::env::current_exe()?));
    bail!("no more files can be had: {}", again.args(std::env::args_os().skip(1)).exec())
}

/// As many as may be.
fn with_files(program: &Command) -> Command {
    let mut shell = Command::new("sh");
    let raise = format!("ulimit -n {FILES} 2>/dev/null || ulimit -n $(ulimit -H -n)");
    shell.args(["-c", &format!("{raise}; exec \"$0\" \"$@\"")]);
    shell.arg(program.get_program());
    shell
}
