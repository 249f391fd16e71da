//! An upstream that says whose token arrived. It asks the provider (RFC 7662), and believes the
//! answer for a moment.

use std::{
    collections::HashMap,
    io::{self, BufReader, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{http::http, wire::Message};

/// How long an answer of the provider is believed.
const BELIEF: Duration = Duration::from_millis(300);
/// `mcp-server:mcp-server-secret`, who may introspect.
const INTROSPECTOR: &str = "Basic bWNwLXNlcnZlcjptY3Atc2VydmVyLXNlY3JldA==";

struct Mirror {
    introspection: String,
    client: reqwest::blocking::Client,
    known: Mutex<HashMap<String, (Option<String>, Instant)>>,
}

/// Starts it and answers its URL; its threads end with the process.
pub(crate) fn start(issuer: &str) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a port");
    let address = listener.local_addr().expect("it is bound");
    let mirror = Arc::new(Mirror {
        introspection: format!("{issuer}/token/introspection"),
        client: http(),
        known: Mutex::default(),
    });
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mirror = Arc::clone(&mirror);
            thread::spawn(move || drop(mirror.serve(stream)));
        }
    });
    format!("http://{address}")
}

impl Mirror {
    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        let mut writer = stream.try_clone()?;
        let mut reader = BufReader::new(stream);
        while let Some(request) = Message::read(&mut reader)? {
            let bearer =
                request.header("authorization").and_then(|text| text.strip_prefix("Bearer "));
            let (status, body) = match bearer.and_then(|token| self.whose(token)) {
                Some(name) => ("200 OK", name),
                None => ("401 Unauthorized", String::new()),
            };
            let length = body.len();
            write!(writer, "HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}")?;
        }
        Ok(())
    }

    fn whose(&self, token: &str) -> Option<String> {
        let known = self.known.lock().expect("nobody panicked").get(token).cloned();
        if let Some((name, asked)) = known
            && asked.elapsed() < BELIEF
        {
            return name;
        }
        let asked = self.client.post(&self.introspection).header("authorization", INTROSPECTOR);
        // The provider closes what it did not need for a while, whoever is about to use it.
        let asked = asked
            .header("connection", "close")
            .header("content-type", "application/x-www-form-urlencoded");
        let answer = asked.body(format!("token={token}")).send().expect("the provider answers");
        let said: Value = serde_json::from_str(&answer.text().expect("whole")).expect("JSON");
        let name = (said["active"] == true).then(|| said["sub"].as_str().expect("of a person"));
        let name = name.map(ToOwned::to_owned);
        let mut known = self.known.lock().expect("nobody panicked");
        known.retain(|_, (_, asked)| asked.elapsed() < BELIEF);
        known.insert(token.to_owned(), (name.clone(), Instant::now()));
        name
    }
}
