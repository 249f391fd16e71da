//! How tests speak HTTP.

use reqwest::blocking::{Client, Response};
use serde_json::Value;

/// Goes to loopback whatever proxies the surroundings name, and follows no redirect.
pub(crate) fn http() -> Client {
    let client = Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
    client.timeout(None).build().expect("a client")
}

pub(crate) fn json(response: Response) -> Value {
    let text = response.text().expect("a whole answer");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}
