//! An upstream that knows everybody's token, and answers nobody with another's.

use std::{io, net::Ipv4Addr};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    runtime::Handle,
};

/// The session of whoever asks for `/mcp`.
const SESSION: &str = "a-session";
/// What an answer carries beside the name of whose it is.
const FILLING: usize = 300;

/// Starts it and answers its URL.
pub(crate) async fn start() -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let address = listener.local_addr().expect("a bound socket has an address");
    Handle::current().spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            Handle::current().spawn(serve(stream));
        }
    });
    format!("http://{address}")
}

/// What it says to `person`.
pub(crate) fn answer(person: &str) -> String {
    format!("{person} {}", "x".repeat(FILLING))
}

async fn serve(stream: TcpStream) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.get_ref().set_nodelay(true)?;
    loop {
        let (mut path, mut token, mut session, mut length) = Default::default();
        let mut line = String::new();
        while stream.read_line(&mut line).await? > 2 {
            match line.trim_end().split_once(": ") {
                None => path = line.split(' ').nth(1).unwrap_or_default().to_owned(),
                Some((name, value)) if name.eq_ignore_ascii_case("authorization") => {
                    token = value.to_owned();
                }
                Some((name, value)) if name.eq_ignore_ascii_case("mcp-session-id") => {
                    session = value.to_owned();
                }
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.parse().unwrap_or_default();
                }
                Some(_) => {}
            }
            line.clear();
        }
        if line.is_empty() {
            return Ok(());
        }
        tokio::io::AsyncReadExt::read_exact(&mut stream, &mut vec![0; length]).await?;
        let response = respond(&path, &token, &session);
        stream.get_mut().write_all(response.as_bytes()).await?;
    }
}

fn respond(path: &str, token: &str, session: &str) -> String {
    let person = path.trim_start_matches('/');
    let (status, header, body): (_, _, String) = if person == "mcp" {
        let known = if session == SESSION { "known" } else { "new" };
        ("200 OK", format!("mcp-session-id: {SESSION}\r\n"), known.to_owned())
    } else if token == format!("Bearer token of {person}") {
        ("200 OK", String::new(), answer(person))
    } else {
        ("401 Unauthorized", String::new(), "not your token".to_owned())
    };
    format!("HTTP/1.1 {status}\r\n{header}content-length: {}\r\n\r\n{body}", body.len())
}
