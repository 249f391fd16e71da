//! A program that calls with a person's access token, and one that writes its requests by hand.

use std::time::Duration;

use attache_sandbox::{Browser, Page};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, header, request};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use url::Url;

use crate::witness::Witness;

/// How long a raw conversation may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Bytes on their way to who reads nothing.
const SMALL: u32 = 4096;

/// Somebody's MCP client or script.
#[derive(Clone)]
pub(crate) struct Program {
    pub(crate) token: String,
    pub(crate) origin: Url,
    pub(crate) witness: Witness,
}

impl Program {
    pub(crate) fn request(&self, method: Method, path: &str) -> request::Builder {
        let url = self.origin.join(path).expect("a path of the gateway");
        let mut bearer =
            HeaderValue::try_from(format!("Bearer {}", self.token)).expect("a token is visible");
        bearer.set_sensitive(true);
        Request::builder().method(method).uri(url.as_str()).header(header::AUTHORIZATION, bearer)
    }

    pub(crate) async fn send(&self, request: Request<Bytes>) -> Page {
        let page = Browser::new().send(request).await.expect("the gateway answers");
        self.witness.hear(&page);
        page
    }

    pub(crate) async fn get(&self, path: &str) -> Page {
        self.send(self.request(Method::GET, path).body(Bytes::new()).expect("a request")).await
    }

    pub(crate) async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Page {
        let mut request = self.request(Method::GET, path).body(Bytes::new()).expect("a request");
        for (name, value) in headers {
            let name = HeaderName::try_from(*name).expect("a name");
            request.headers_mut().append(name, HeaderValue::try_from(*value).expect("a value"));
        }
        self.send(request).await
    }

    pub(crate) async fn mcp(&self, upstream: &str, method: &str, params: &Value) -> Page {
        let message = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let request = self
            .request(Method::POST, &format!("/mcp/{upstream}"))
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json, text/event-stream")
            .header("mcp-protocol-version", "2025-11-25")
            .body(message.to_string().into());
        self.send(request.expect("a request")).await
    }

    /// The text of `whoami`'s result: who the upstream takes the caller for, or what the gateway
    /// says in its place. Fails unless it is an MCP answer that keeps the client going.
    pub(crate) async fn whoami(&self, upstream: &str) -> String {
        let page = self.mcp(upstream, "tools/call", &json!({ "name": "whoami" })).await;
        assert_eq!(page.status, 200, "{}", page.body);
        let answer = page.json().expect("JSON");
        let text = answer.pointer("/result/content/0/text").and_then(Value::as_str);
        text.expect("a tool's result").to_owned()
    }

    /// Writes `request` as it stands (lines end in CR LF) and reads to the end of the connection.
    pub(crate) async fn raw(&self, request: &str) -> String {
        let address = self.origin.socket_addrs(|| None).expect("an address").remove(0);
        let conversation = async {
            let mut stream = TcpStream::connect(address).await?;
            stream.write_all(request.as_bytes()).await?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await?;
            std::io::Result::Ok(String::from_utf8_lossy(&answer).into_owned())
        };
        let answer = timeout(PATIENCE, conversation).await.expect("an answer or the end in time");
        let answer = answer.unwrap_or_default(); // reset while we wrote: no answer
        self.witness.hear_text(answer.clone());
        answer
    }

    /// Writes `request` as it stands, and reads nothing of the answer while what is returned is
    /// there.
    pub(crate) async fn raw_and_take_nothing(&self, request: &str) -> TcpStream {
        let address = self.origin.socket_addrs(|| None).expect("an address").remove(0);
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(SMALL).expect("one with room for little");
        let mut stream = socket.connect(address).await.expect("the gateway listens");
        stream.write_all(request.as_bytes()).await.expect("it reads");
        stream
    }

    /// A whole request by hand, `target` untouched by any URL parser.
    pub(crate) async fn raw_get(&self, target: &str, headers: &str) -> String {
        self.raw_request("GET", target, headers).await
    }

    pub(crate) async fn raw_request(&self, method: &str, target: &str, headers: &str) -> String {
        let host = self.origin.authority();
        let token = &self.token;
        self.raw(&format!(
            "{method} {target} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\
             {headers}Connection: close\r\n\r\n"
        ))
        .await
    }
}

/// An answer that goes on.
pub(crate) struct Stream {
    /// Of the last answer.
    pub(crate) head: String,
    pub(crate) socket: TcpStream,
}

impl Program {
    /// Asks `GET /path` by hand and reads the head of the answer.
    pub(crate) async fn open(&self, target: &str, headers: &str) -> Stream {
        let address = self.origin.socket_addrs(|| None).expect("an address").remove(0);
        let (host, token) = (self.origin.authority(), &self.token);
        let mut socket = TcpStream::connect(address).await.expect("the gateway listens");
        let request = format!(
            "{target} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n{headers}\r\n"
        );
        socket.write_all(request.as_bytes()).await.expect("it reads");
        let mut stream = Stream { head: String::new(), socket };
        stream.read_head().await;
        stream
    }
}

impl Stream {
    pub(crate) async fn read_head(&mut self) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let byte = timeout(PATIENCE, self.socket.read_u8()).await.expect("a head in time");
            head.push(byte.expect("a head"));
        }
        self.head = String::from_utf8_lossy(&head).into_owned();
    }

    /// Reads on until the gateway ends it, or for `limit`; whether it was ended.
    pub(crate) async fn ends_within(&mut self, limit: Duration) -> bool {
        let mut bytes = vec![0; 64 * 1024];
        let ended = async { while let Ok(1..) = self.socket.read(&mut bytes).await {} };
        timeout(limit, ended).await.is_ok()
    }
}

/// The status line's number.
pub(crate) fn status(answer: &str) -> Option<u16> {
    answer.strip_prefix("HTTP/1.1 ")?.split(' ').next()?.parse().ok()
}
