//! Sees every answer of the gateway and every line of its log, so that in the end it can be said
//! what was in none of them.

use std::{
    io, iter,
    sync::{Arc, Mutex, MutexGuard, Once, PoisonError},
    thread,
};

use attache_sandbox::Page;
use http::header;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{
    Layer as _, filter::Targets, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

use crate::visitor::SESSION;

/// What was said to the people and programs of one world.
#[derive(Clone, Debug, Default)]
pub(crate) struct Witness(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    answers: Vec<String>,
    proofs: Vec<String>,
    secrets: Vec<String>,
}

impl Witness {
    pub(crate) fn hear(&self, page: &Page) {
        let headers = page.headers.iter().filter(|(name, _)| *name != header::SET_COOKIE);
        let lines = headers
            .map(|(name, value)| format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes())))
            .chain(iter::once(page.body.clone()));
        self.hear_text(lines.collect());
        for cookie in page.headers.get_all(header::SET_COOKIE) {
            let pair = cookie.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
            if let Some((SESSION, value)) = pair.split_once('=') {
                self.keep_proof(value);
            }
        }
    }

    pub(crate) fn hear_text(&self, text: String) {
        lock(&self.0).answers.push(text);
    }

    /// A session cookie or a caller's token: nobody but the gateway may see it.
    pub(crate) fn keep_proof(&self, proof: &str) {
        if !proof.is_empty() {
            lock(&self.0).proofs.push(proof.to_owned());
        }
    }

    /// A secret that upstreams may see.
    pub(crate) fn keep_secret(&self, secret: &str) {
        lock(&self.0).secrets.push(secret.to_owned());
    }

    pub(crate) fn secrets(&self) -> Vec<String> {
        lock(&self.0).secrets.clone()
    }

    pub(crate) fn proofs(&self) -> Vec<String> {
        lock(&self.0).proofs.clone()
    }

    pub(crate) fn heard(&self, text: &str) -> bool {
        lock(&self.0).answers.iter().any(|answer| answer.contains(text))
    }
}

/// What every gateway of this process logged, at `attache -vv`.
static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

pub(crate) fn log() -> String {
    String::from_utf8_lossy(&lock(&LOG)).into_owned()
}

/// The errors that the control plane logged for the test that asks: it runs on that test's thread.
pub(crate) fn errors_logged_here() -> Vec<String> {
    let current = thread::current();
    let test = current.name().unwrap_or_default();
    let ours = |line: &&str| line.contains("ERROR") && line.contains(test);
    log().lines().filter(ours).map(str::to_owned).collect()
}

/// Once a process.
pub(crate) fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let filter = Targets::new()
            .with_default(LevelFilter::DEBUG)
            .with_target("attache", LevelFilter::TRACE);
        let layer = fmt::layer().with_ansi(false).with_thread_names(true).with_writer(|| Ear);
        tracing_subscriber::registry().with(layer.with_filter(filter)).init();
    });
}

struct Ear;

impl io::Write for Ear {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        lock(&LOG).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
