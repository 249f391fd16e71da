//! Who may come in at all, asked at every door (RS-18).

use std::time::Duration;

use attache_core::{Timestamp, store::Person};

#[derive(Clone, Debug)]
pub(crate) struct Admission {
    /// Of verified e-mail addresses; none means everyone.
    domains: Vec<String>,
    reauthenticate_after: Duration,
}

impl Admission {
    pub(crate) fn new(domains: Vec<String>, reauthenticate_after: Duration) -> Self {
        Self { domains, reauthenticate_after }
    }

    /// `email` is verified or absent.
    pub(crate) fn permits(&self, email: Option<&str>) -> bool {
        let domain = email.and_then(|email| email.rsplit_once('@')).map(|(_, domain)| domain);
        self.domains.is_empty()
            || domain.is_some_and(|domain| {
                self.domains.iter().any(|allowed| allowed.eq_ignore_ascii_case(domain))
            })
    }

    /// Whether their issuer vouched for the person lately enough that what this gateway gave in
    /// their name lets somebody in: whom it switched off, it vouches for no more.
    pub(crate) fn is_vouched_for(&self, person: &Person, now: Timestamp) -> bool {
        now < person.vouched_for_at().plus(self.reauthenticate_after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_domain_counts() {
        let everyone = Admission::new(vec![], Duration::MAX);
        assert!(everyone.permits(None) && everyone.permits(Some("eve@evil.example")));

        let some = Admission::new(vec!["example.com".to_owned()], Duration::MAX);
        for (email, permitted) in [
            (Some("ada@example.com"), true),
            (Some("ada@EXAMPLE.com"), true),
            (Some("ada@sub.example.com"), false),
            (Some("ada@notexample.com"), false),
            (Some("ada@example.com@evil.example"), false),
            (Some("example.com"), false),
            (None, false),
        ] {
            assert_eq!(some.permits(email), permitted, "{email:?}");
        }
    }
}
