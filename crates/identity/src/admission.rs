//! Who may come in at all, asked at every door (RS-18).

/// Domains of verified e-mail addresses; none means everyone.
#[derive(Clone, Debug)]
pub(crate) struct Admission {
    domains: Vec<String>,
}

impl Admission {
    pub(crate) fn new(domains: Vec<String>) -> Self {
        Self { domains }
    }

    /// `email` is verified or absent.
    pub(crate) fn permits(&self, email: Option<&str>) -> bool {
        let domain = email.and_then(|email| email.rsplit_once('@')).map(|(_, domain)| domain);
        self.domains.is_empty()
            || domain.is_some_and(|domain| {
                self.domains.iter().any(|allowed| allowed.eq_ignore_ascii_case(domain))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_domain_counts() {
        let everyone = Admission::new(vec![]);
        assert!(everyone.permits(None) && everyone.permits(Some("eve@evil.example")));

        let some = Admission::new(vec!["example.com".to_owned()]);
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
