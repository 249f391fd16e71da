//! When a credential is due to be renewed.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    time::Duration,
};

use attache_core::{Credential, CredentialKey, Timestamp, store::Version};
use attache_crypto::random::Random;

/// What one process adds to the hour, so that neither replicas nor people who connected together
/// renew in step. The same for one version as long as the process lives.
#[derive(Debug)]
pub(crate) struct Jitter(u64);

impl Jitter {
    pub(crate) fn new(random: &dyn Random) -> Self {
        let mut seed = [0; 8];
        random.fill(&mut seed);
        Self(u64::from_le_bytes(seed))
    }

    /// A tenth of its life before the end, at least a minute, and up to half as much again; but never
    /// in the first half (OC-24). `None` for a token whose end nobody knows.
    pub(crate) fn refresh_time(
        &self,
        key: &CredentialKey,
        version: Version,
        credential: &Credential,
    ) -> Option<Timestamp> {
        let end = credential.expires_at?;
        let life = end.since(credential.obtained_at);
        let margin = (life / 10).max(Duration::from_mins(1));
        let spread = (margin / 2).mul_f64(self.fraction(key, version));
        Some(end.minus((margin + spread).min(life / 2)))
    }

    /// Of 1, evenly.
    fn fraction(&self, key: &CredentialKey, version: Version) -> f64 {
        let mut hasher = DefaultHasher::new();
        (self.0, key, version).hash(&mut hasher);
        // 32 bits of it, which a float holds exactly.
        f64::from(u32::try_from(hasher.finish() >> 32).unwrap_or_default()) / f64::from(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use attache_core::{UpstreamName, UserId};

    use super::*;

    fn times(life: Duration) -> Vec<Duration> {
        let obtained_at = Timestamp(1_795_435_200_000);
        let credential = Credential {
            access_token: None,
            refresh_token: None,
            token_type: "Bearer".to_owned(),
            scopes: Vec::new(),
            audience: None,
            issuer: None,
            obtained_at,
            expires_at: Some(obtained_at.plus(life)),
            refresh_validity: None,
            account: None,
            base_url: None,
            origin: None,
            id_token: None,
            term: None,
        };
        let upstream = UpstreamName::parse("notes").unwrap();
        let key =
            |user| CredentialKey::upstream(UserId::new(format!("user-{user}")), upstream.clone());
        let (one, replica) = (Jitter(1), Jitter(2));
        let mut times: Vec<_> = [one, replica]
            .iter()
            .flat_map(|jitter| (0..100).map(move |user| (jitter, key(user))))
            .map(|(jitter, key)| {
                let time = jitter.refresh_time(&key, Version(7), &credential);
                assert_eq!(
                    time,
                    jitter.refresh_time(&key, Version(7), &credential),
                    "it is stable"
                );
                time.unwrap().since(obtained_at)
            })
            .collect();
        times.sort();
        times
    }

    /// OC-24: the window, and that it is used.
    #[test]
    fn people_and_replicas_renew_out_of_step_and_never_in_the_first_half() {
        for (life, from, to) in [(3600, 3060, 3240), (600, 510, 540), (110, 55, 55), (2, 1, 1)] {
            let seconds = Duration::from_secs;
            let mut times = times(seconds(life));
            assert!(
                times.iter().all(|time| (seconds(from)..=seconds(to)).contains(time)),
                "{life}"
            );
            times.dedup();
            assert!(from == to || times.len() > 150, "{life}: {} hours", times.len());
        }
    }
}
