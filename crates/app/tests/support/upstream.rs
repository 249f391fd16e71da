//! A plain upstream of our own, for what the peers cannot do: large bodies, and slow ones.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

/// Between two events of a stream, or two bytes of a slow answer.
pub(crate) const PACE: Duration = Duration::from_millis(200);
/// The events that answer a POST; a GET is answered with events until one side ends it.
pub(crate) const EVENTS: usize = 5;
/// The length of the slow answer.
pub(crate) const SLOW_BYTES: usize = 10;

/// Starts it and answers its URL. Its threads end with the process.
pub(crate) fn start() -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a port");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            // A caller who leaves early is part of the tests.
            thread::spawn(move || drop(answer(&stream)));
        }
    });
    format!("http://{address}")
}

fn answer(stream: &TcpStream) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut asked = String::new();
    reader.read_line(&mut asked)?;
    let length = content_length(&mut reader)?;
    let mut words = asked.split([' ', '?']);
    match (words.next(), words.next()) {
        (Some("GET"), Some("/download")) => {
            let length = words.next().and_then(|query| query.parse().ok()).unwrap_or_default();
            head(stream, "application/octet-stream", &format!("content-length: {length}"))?;
            io::copy(&mut io::repeat(b'x').take(length), &mut &*stream)?;
        }
        (Some("POST"), Some("/upload")) => {
            let count = io::copy(&mut reader.take(length), &mut io::sink())?;
            let text = count.to_string();
            head(stream, "text/plain", &format!("content-length: {}", text.len()))?;
            (&*stream).write_all(text.as_bytes())?;
        }
        (Some("GET"), Some("/slow")) => {
            head(stream, "text/plain", &format!("content-length: {SLOW_BYTES}"))?;
            for _ in 0..SLOW_BYTES {
                (&*stream).write_all(b"x")?;
                thread::sleep(PACE);
            }
        }
        (Some("POST"), Some("/events")) => {
            io::copy(&mut reader.take(length), &mut io::sink())?;
            events(stream, EVENTS)?;
        }
        (Some("GET"), Some("/events")) => events(stream, usize::MAX)?,
        // Whoever wants to know more about it is told that there is no more.
        _ => (&*stream).write_all(
            b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        )?,
    }
    Ok(())
}

/// Server-sent events until the connection closes.
fn events(mut stream: &TcpStream, count: usize) -> io::Result<()> {
    head(stream, "text/event-stream", "cache-control: no-store")?;
    for number in 0..count {
        write!(stream, "data: {number}\n\n")?;
        thread::sleep(PACE);
    }
    Ok(())
}

fn head(mut stream: &TcpStream, content_type: &str, line: &str) -> io::Result<()> {
    write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\n{line}\r\nconnection: close\r\n\r\n"
    )
}

fn content_length(reader: &mut impl BufRead) -> io::Result<u64> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            return Ok(length);
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().expect("a number");
        }
    }
}
