//! What servers answered, as far as it may be told: a status, a kind of body, a date. It stands
//! between what asks and the network, so that a refusal can be explained by what came.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use attache_core::{
    Clock, Timestamp,
    outbound::{FetchError, Limits, Outbound},
};
use attache_net::upstream::SendError;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};
use url::Url;

use super::clock::Skew;

/// Of one section: an examination asks a dozen times.
const MAX_ENTRIES: usize = 100;

#[derive(Debug)]
pub(super) struct Journal {
    outbound: Arc<dyn Outbound>,
    clock: Arc<dyn Clock>,
    entries: Mutex<Vec<Entry>>,
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) asked: Url,
    pub(super) answer: Answer,
    skew: Option<Skew>,
}

#[derive(Clone, Debug)]
pub(super) enum Answer {
    Came { status: StatusCode, is_page: bool },
    Refused(Fault),
}

/// Why there was no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Egress,
    Insecure,
    TooLarge,
    /// In our words.
    Tls(String),
    /// In our words.
    Away(String),
}

impl Journal {
    pub(super) fn new(outbound: &Arc<dyn Outbound>, clock: &Arc<dyn Clock>) -> Self {
        let (outbound, clock) = (Arc::clone(outbound), Arc::clone(clock));
        Self { outbound, clock, entries: Mutex::default() }
    }

    /// To be handed to [`Journal::since`] later.
    pub(super) fn mark(&self) -> usize {
        self.entries().len()
    }

    pub(super) fn since(&self, mark: usize) -> Vec<Entry> {
        self.entries().get(mark..).unwrap_or_default().to_vec()
    }

    /// How far the clock of the server of `url` is from ours, when one of its answers said so.
    pub(super) fn skew(&self, url: &Url) -> Option<Skew> {
        let entries = self.entries();
        let its = entries.iter().filter(|entry| entry.asked.origin() == url.origin());
        its.filter_map(|entry| entry.skew).next_back()
    }

    fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, asked: &str, answer: Answer, skew: Option<Skew>) {
        let mut entries = self.entries();
        if let Ok(asked) = Url::parse(asked)
            && entries.len() < MAX_ENTRIES
        {
            entries.push(Entry { asked, answer, skew });
        }
    }
}

#[async_trait::async_trait]
impl Outbound for Journal {
    async fn fetch(
        &self,
        request: Request<Bytes>,
        limits: Limits,
    ) -> Result<Response<Bytes>, FetchError> {
        let asked = request.uri().to_string();
        let sent = self.clock.now();
        let result = self.outbound.fetch(request, limits).await;
        match &result {
            Ok(response) => {
                let skew = skew(response.headers(), sent, self.clock.now());
                let answer = Answer::Came {
                    status: response.status(),
                    is_page: is_page(response.headers()),
                };
                self.write(&asked, answer, skew);
            }
            Err(error) => self.write(&asked, Answer::Refused(error.into()), None),
        }
        result
    }
}

fn skew(headers: &HeaderMap, sent: Timestamp, received: Timestamp) -> Option<Skew> {
    let date = Timestamp::from_http_date(headers.get(header::DATE)?.to_str().ok()?)?;
    let age = headers.get(header::AGE).and_then(|age| age.to_str().ok()?.trim().parse().ok());
    Some(Skew::new(date, age.unwrap_or(0), sent, received))
}

pub(super) fn is_page(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("");
    kind.trim_start().to_ascii_lowercase().starts_with("text/html")
}

impl From<&FetchError> for Fault {
    fn from(error: &FetchError) -> Self {
        match error {
            FetchError::Blocked => Self::Egress,
            FetchError::Insecure => Self::Insecure,
            FetchError::TooLarge(_) => Self::TooLarge,
            FetchError::Unreachable(source) | FetchError::Transport(source) => {
                match source.downcast_ref::<SendError>() {
                    Some(SendError::Tls(words)) => Self::Tls((*words).to_owned()),
                    Some(error) => Self::Away(error.to_string()),
                    None => Self::Away("the connection broke off".to_owned()),
                }
            }
            FetchError::Timeout(_) => Self::Away(error.to_string()),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Egress => f.write_str("the egress rules allow none of its addresses"),
            Self::Insecure => f.write_str("only https can be asked, or http on this very machine"),
            Self::TooLarge => f.write_str("its answer is too large to be what was asked for"),
            Self::Tls(words) | Self::Away(words) => f.write_str(words),
        }
    }
}

/// `as.example.com answered 404`
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = origin(&self.asked);
        match &self.answer {
            Answer::Came { status, is_page: false } => {
                write!(f, "{host} answered {}", status.as_u16())
            }
            Answer::Came { status, is_page: true } => {
                write!(f, "{host} answered {} with a page", status.as_u16())
            }
            Answer::Refused(fault) => write!(f, "{host}: {fault}"),
        }
    }
}

/// All of a URL that is told: `https://as.example.com`.
pub(super) fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}
