use std::{sync::Arc, time::Duration};

use attache_core::{
    Credential, CredentialKey, Slot, Timestamp,
    store::{Health, News, NoticeStore, Planned, StoreError, Version},
};

use crate::{
    condition::{notice_at, validity},
    tasks::Tasks,
    upstream::Brokered,
};

/// Of what lives shorter than this nobody is told before: who connects every day knows that it ends.
const SHORTEST_TOLD: Duration = Duration::from_hours(24);

/// What there is to tell of each connection, and when. By default nobody wants to know.
#[derive(Clone, Debug, Default)]
pub struct Agenda(Option<Arc<dyn NoticeStore>>);

/// A credential as it was just written.
pub(crate) struct Written<'a> {
    pub(crate) key: &'a CredentialKey,
    pub(crate) version: Version,
    pub(crate) credential: &'a Credential,
    pub(crate) health: Health,
    pub(crate) upstream: &'a Brokered,
    pub(crate) at: Timestamp,
}

impl Agenda {
    pub fn new(store: Arc<dyn NoticeStore>) -> Self {
        Self(Some(store))
    }

    /// On a task of its own: nobody waits for it, and a notice that is not written down is missed,
    /// not the credential.
    pub(crate) fn plan(&self, tasks: &Tasks, written: &Written<'_>) {
        let Some(store) = &self.0 else { return };
        if matches!(written.key.slot, Slot::SubjectToken(_)) {
            return; // no connection that anybody made
        }
        let (store, key) = (Arc::clone(store), written.key.clone());
        let (version, planned) = (written.version, written.planned());
        tasks.spawn(async move {
            match store.plan(&key, version, planned).await {
                // It was disconnected meanwhile.
                Ok(()) | Err(StoreError::Conflict) => {}
                Err(error) => tracing::warn!(%error, "a notice was not written down"),
            }
        });
    }
}

impl Written<'_> {
    fn planned(&self) -> Option<Planned> {
        if let Health::NeedsReconnect(reason) = self.health {
            let news = News::Ended { at: self.at, reason };
            return Some(Planned { news, due_at: self.at });
        }
        let validity = validity(self.credential, &self.upstream.connect()?.dialect)?;
        let told = validity.until.since(validity.from) >= SHORTEST_TOLD;
        told.then(|| Planned {
            news: News::Ending { at: validity.until },
            due_at: notice_at(validity),
        })
    }
}
