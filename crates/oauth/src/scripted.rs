//! A network that says what a test tells it to.

use std::{fmt, sync::Mutex};

use attache_core::outbound::{FetchError, Limits, Outbound};
use bytes::Bytes;
use http::{Request, Response};

type Answer = dyn Fn(&Request<Bytes>) -> Result<Response<Bytes>, FetchError> + Send + Sync;

/// Answers every request by one function, and remembers what was asked.
pub(crate) struct Scripted {
    answer: Box<Answer>,
    pub(crate) asked: Mutex<Vec<Request<Bytes>>>,
}

impl Scripted {
    pub(crate) fn new(
        answer: impl Fn(&Request<Bytes>) -> Result<Response<Bytes>, FetchError> + Send + Sync + 'static,
    ) -> Self {
        Self { answer: Box::new(answer), asked: Mutex::default() }
    }

    /// The same answer to everything.
    pub(crate) fn always(status: u16, headers: &[(&'static str, &str)], body: &str) -> Self {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        let response = response.body(Bytes::from(body.to_owned())).unwrap();
        Self::new(move |_| Ok(response.clone()))
    }

    /// Where requests went, in order.
    pub(crate) fn uris(&self) -> Vec<String> {
        self.asked.lock().unwrap().iter().map(|asked| asked.uri().to_string()).collect()
    }
}

impl fmt::Debug for Scripted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scripted")
    }
}

#[async_trait::async_trait]
impl Outbound for Scripted {
    async fn fetch(
        &self,
        request: Request<Bytes>,
        limits: Limits,
    ) -> Result<Response<Bytes>, FetchError> {
        let answer = (self.answer)(&request);
        self.asked.lock().unwrap().push(request);
        match answer {
            Ok(response) if response.body().len() > limits.max_body => {
                Err(FetchError::TooLarge(limits.max_body))
            }
            other => other,
        }
    }
}
