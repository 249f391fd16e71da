//! Form-encoded parameters of a request (RFC 6749 section 3.1): each at most once, and one without
//! a value is one that is not there.

use std::collections::{BTreeMap, btree_map::Entry};

use url::form_urlencoded;

#[derive(Debug, Default)]
pub(super) struct Params {
    values: BTreeMap<String, String>,
    repeated: Vec<String>,
}

/// Parameters of one request: the specifications name about twenty.
const MAX_PARAMS: usize = 64;

impl Params {
    /// What comes after the first [`MAX_PARAMS`] is nobody's.
    pub(super) fn parse(form: &[u8]) -> Self {
        let mut params = Self::default();
        for (name, value) in form_urlencoded::parse(form).take(MAX_PARAMS) {
            match params.values.entry(name.into_owned()) {
                Entry::Vacant(free) => drop(free.insert(value.into_owned())),
                Entry::Occupied(taken) => params.repeated.push(taken.key().clone()),
            }
        }
        params
    }

    /// `None` also for an empty one; of two, the first.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    pub(super) fn is_repeated(&self, name: &str) -> bool {
        self.repeated.iter().any(|one| one == name)
    }

    /// Any at all, known or not.
    pub(super) fn has_repeated(&self) -> bool {
        !self.repeated.is_empty()
    }
}
