//! Every reader of foreign input, and what must be true of whatever it is given.
//!
//! A [`Target`] reads one input and asserts its property. [`hunt`] gives it inputs grown from the
//! [`corpus`] for a bounded time, on stable Rust; `guided/` gives it to libFuzzer, which sees
//! coverage, by hand.

pub mod corpus;
pub mod hunt;
mod mutate;
mod rng;
#[expect(clippy::indexing_slicing, reason = "what panics here is found")]
mod targets;

use std::fmt::{self, Debug, Display};

/// One reader of foreign input.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Also the folder of its corpus.
    pub name: &'static str,
    /// Reads an input, and panics when its property does not hold.
    pub run: fn(&[u8]) -> Outcome,
}

/// In the order of `docs/security.md`: what a server says in headers, in documents, at endpoints,
/// and what browsers and callers bring.
pub const TARGETS: &[Target] = &[
    Target { name: "www_authenticate", run: targets::www_authenticate::run },
    Target { name: "answer_head", run: targets::answer_head::run },
    Target { name: "scope", run: targets::scope::run },
    Target { name: "authorization_server", run: targets::authorization_server::run },
    Target { name: "openid_provider", run: targets::openid_provider::run },
    Target { name: "protected_resource", run: targets::protected_resource::run },
    Target { name: "registration", run: targets::registration::run },
    Target { name: "pushed_request", run: targets::pushed_request::run },
    Target { name: "token_response", run: targets::token_response::run },
    Target { name: "introspection", run: targets::introspection::run },
    Target { name: "key_set", run: targets::key_set::run },
    Target { name: "jwt", run: targets::jwt::run },
    Target { name: "callback", run: targets::callback::run },
    Target { name: "provider_template", run: targets::provider_template::run },
];

/// What came of one input.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// All that a log or an answer could say of it, without its numbers. A hunt counts the different
    /// ones: those of a closed list are few, whatever comes in.
    pub said: Vec<String>,
    /// What kind of thing was read; an input that is the first of its kind is worth growing.
    pub shape: Vec<usize>,
}

impl Outcome {
    fn refused<E: Debug + Display>(error: &E) -> Self {
        Self { said: vec![without_numbers(&format!("{error} {error:?}"))], shape: Vec::new() }
    }

    fn read(shape: impl Into<Vec<usize>>) -> Self {
        Self { said: Vec::new(), shape: shape.into() }
    }

    /// With a type whose `Debug` promises to show nothing of the input.
    #[must_use]
    fn showing(self, shown: &dyn Debug) -> Self {
        Self { said: vec![without_numbers(&format!("{shown:?}"))], ..self }
    }

    /// With what came of reading the same input in another way.
    #[must_use]
    fn and(mut self, other: Self) -> Self {
        self.said.extend(other.said);
        self.shape.extend(other.shape);
        self
    }
}

impl Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

fn without_numbers(text: &str) -> String {
    let mut kept: Vec<char> =
        text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    kept.dedup_by(|one, before| *one == '0' && *before == '0');
    kept.into_iter().collect()
}
