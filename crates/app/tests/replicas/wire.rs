//! As much of HTTP/1.1 as it takes to stand between two that speak it.

use std::{
    io::{self, BufRead, BufReader, Read},
    net::TcpStream,
};

/// A message as it came.
pub(crate) struct Message {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Message {
    /// `None` when the other side has nothing more to say. Bodies have a `Content-Length` or none.
    pub(crate) fn read(reader: &mut BufReader<TcpStream>) -> io::Result<Option<Self>> {
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let from = head.len();
            if reader.read_line(&mut head)? == 0 {
                return Ok(None);
            }
            let line = head[from..].trim().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().map_err(io::Error::other)?;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        Ok(Some(Self { head, body }))
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        [self.head.as_bytes(), &self.body].concat()
    }

    /// The value of a header, whatever the case of its name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// A parameter of a form.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        let form = String::from_utf8_lossy(&self.body).into_owned();
        let pairs = form.split('&').filter_map(|pair| pair.split_once('='));
        let mut values = pairs.filter(|(key, _)| *key == name).map(|(_, value)| value.to_owned());
        values.next()
    }
}
