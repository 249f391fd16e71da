//! How a connection is, by who has to do something about it.

use std::time::Duration;

use attache_core::{Credential, Dialect, Timestamp, Validity};

use crate::broker::ObtainError;

/// A connection that ends is said to be ending a tenth of its life before, but no earlier than this.
const NOTICE: Duration = Duration::from_hours(7 * 24);

/// The failure classes of OC-26 as whoever is connected meets them. The words are part of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Nobody has to do anything.
    Connected,
    /// It will end at an hour that is known, unless the person connects again before.
    Expiring,
    /// The person connects again.
    NeedsReconnect,
    /// Nobody's move: what would renew it, or open it, does not answer just now. A token that is
    /// still good serves on.
    ProviderUnavailable,
    /// The operator's move.
    Misconfigured,
}

impl Condition {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Expiring => "expiring",
            Self::NeedsReconnect => "needs_reconnect",
            Self::ProviderUnavailable => "provider_unavailable",
            Self::Misconfigured => "misconfigured",
        }
    }
}

/// How long a connection lasts that nobody uses and whose person does not connect again: as long as
/// its refresh token, or its access token where there is none, and no longer than its person wanted.
/// `None` where nobody knows.
pub(crate) fn validity(credential: &Credential, dialect: &Dialect) -> Option<Validity> {
    let given = credential.obtained_at;
    let unused = if credential.refresh_token.is_none() {
        credential.expires_at.map(|until| Validity { from: given, until })
    } else {
        dialect.refresh_inactivity.map(|life| Validity::of(given, life))
    };
    let renewed = credential.refresh_validity.filter(|_| credential.refresh_token.is_some());
    [renewed, unused, credential.term].into_iter().flatten().min_by_key(|life| life.until)
}

pub(crate) fn is_ending(validity: Validity, now: Timestamp) -> bool {
    now >= notice_at(validity)
}

pub(crate) fn notice_at(validity: Validity) -> Timestamp {
    let life = validity.until.since(validity.from);
    validity.until.minus(NOTICE.min(life / 10))
}

impl From<ObtainError> for Condition {
    fn from(error: ObtainError) -> Self {
        match error {
            ObtainError::NotConnected { .. } | ObtainError::Refused { .. } => Self::NeedsReconnect,
            ObtainError::Unavailable { .. } => Self::ProviderUnavailable,
            ObtainError::Operator { .. } => Self::Misconfigured,
        }
    }
}

#[cfg(test)]
mod tests {
    use attache_core::Secret;

    use super::*;

    const GIVEN: Timestamp = Timestamp(1_795_435_200_000);
    const DAY: Duration = Duration::from_hours(24);

    fn credential(renewable: bool, refresh_days: Option<u32>) -> Credential {
        Credential {
            access_token: Some(Secret::new("a")),
            refresh_token: renewable.then(|| Secret::new("r")),
            token_type: "Bearer".to_owned(),
            scopes: Vec::new(),
            audience: None,
            issuer: None,
            obtained_at: GIVEN,
            expires_at: Some(GIVEN.plus(DAY)),
            refresh_validity: refresh_days.map(|days| Validity::of(GIVEN, DAY * days)),
            account: None,
            base_url: None,
            origin: None,
            id_token: None,
            term: None,
        }
    }

    #[test]
    fn a_connection_lasts_as_long_as_what_renews_it() {
        for (renewable, refresh_days, unused_days, expected) in [
            (true, None, None, None),
            (true, Some(30), None, Some(30)),
            (true, None, Some(90), Some(90)),
            (true, Some(30), Some(90), Some(30)),
            (true, Some(365), Some(90), Some(90)),
            (false, None, Some(90), Some(1)),
        ] {
            let refresh_inactivity = unused_days.map(|days| DAY * days);
            let dialect = Dialect { refresh_inactivity, ..Dialect::default() };
            let validity = validity(&credential(renewable, refresh_days), &dialect);
            assert_eq!(validity.map(|v| v.until), expected.map(|days| GIVEN.plus(DAY * days)));
        }
    }

    #[test]
    fn the_end_is_told_a_tenth_before_and_at_most_a_week() {
        const HOUR: Duration = Duration::from_hours(1);
        for (life, told) in [(DAY * 180, DAY * 173), (DAY * 30, DAY * 27), (HOUR * 10, HOUR * 9)] {
            let validity = Validity::of(GIVEN, life);
            assert!(!is_ending(validity, Timestamp(GIVEN.plus(told).0 - 1)), "{life:?}");
            assert!(is_ending(validity, GIVEN.plus(told)), "{life:?}");
            assert!(is_ending(validity, GIVEN.plus(life * 2)), "{life:?}");
        }
    }
}
