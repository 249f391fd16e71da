//! Bodies that are read whole because what is in them decides, in bounded memory.

use std::{
    collections::HashMap,
    pin::pin,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use attache_core::UserId;
use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt as _;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, TryAcquireError};

use crate::body::{BodyError, REPLAY_LIMIT};

/// Of a body that is looked into. Tool calls carry files, and lists the schemas of hundreds of
/// tools.
pub(crate) const GATHER_LIMIT: usize = 4 * 1024 * 1024;
/// Bodies over [`REPLAY_LIMIT`] that are held at once: 256 MiB together.
const LARGE_AT_ONCE: usize = 64;
/// Of those, for one person: who sends slowly, or lets an upstream do so, keeps nobody else waiting.
const LARGE_OF_A_PERSON: usize = 8;

/// Room for large bodies: all people have some together, and each has a share.
#[derive(Debug)]
pub(crate) struct Places {
    all: Arc<Semaphore>,
    /// Of whoever has a large body here, or waits to have one.
    shares: Mutex<HashMap<UserId, Weak<Semaphore>>>,
}

/// Room for one; free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    _share: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl Default for Places {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(LARGE_AT_ONCE)), shares: Mutex::default() }
    }
}

impl Places {
    /// Waits for one: within the person's own share first.
    pub(crate) async fn take(&self, who: &UserId) -> Result<Place, AcquireError> {
        let share = self.share(who).acquire_owned().await?;
        let all = Arc::clone(&self.all).acquire_owned().await?;
        Ok(Place { _share: share, _all: all })
    }

    /// Without waiting.
    pub(crate) fn try_take(&self, who: &UserId) -> Result<Place, TryAcquireError> {
        let share = self.share(who).try_acquire_owned()?;
        let all = Arc::clone(&self.all).try_acquire_owned()?;
        Ok(Place { _share: share, _all: all })
    }

    fn share(&self, who: &UserId) -> Arc<Semaphore> {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = shares.get(who).and_then(Weak::upgrade) {
            return share;
        }
        shares.retain(|_, share| share.strong_count() > 0);
        let share = Arc::new(Semaphore::new(LARGE_OF_A_PERSON));
        shares.insert(who.clone(), Arc::downgrade(&share));
        share
    }
}

/// A whole body, and the place that it takes if it is large.
#[derive(Debug)]
pub(crate) struct Gathered {
    pub(crate) bytes: Bytes,
    pub(crate) place: Option<Place>,
}

impl Gathered {
    /// The place is free when the last of them is sent or dropped.
    pub(crate) fn into_bytes(self) -> Bytes {
        if self.place.is_some() { Bytes::from_owner(self) } else { self.bytes }
    }
}

impl AsRef<[u8]> for Gathered {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum GatherError {
    #[error("the body is larger than {GATHER_LIMIT} bytes")]
    TooLarge,
    #[error("the body broke off")]
    Broken,
}

/// Reads to the end. A large body of this person waits for a place before it goes on; how long is the
/// caller's to say.
pub(crate) async fn gather<B>(
    body: B,
    places: &Places,
    who: &UserId,
) -> Result<Gathered, GatherError>
where
    B: Body<Data = Bytes, Error: Into<BodyError>>,
{
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > GATHER_LIMIT {
        return Err(GatherError::TooLarge);
    }
    let mut body = pin!(body);
    let mut whole = BytesMut::new();
    let mut place = None;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| GatherError::Broken)?;
        let Ok(data) = frame.into_data() else { continue };
        let size = whole.len() + data.len();
        if size > GATHER_LIMIT {
            return Err(GatherError::TooLarge);
        }
        whole.extend_from_slice(&data);
        // It may have a place of its own: nobody keeps one who waits for another.
        drop(data);
        if size > REPLAY_LIMIT && place.is_none() {
            place = Some(places.take(who).await.map_err(|_| GatherError::Broken)?);
        }
    }
    Ok(Gathered { bytes: whole.freeze(), place })
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;

    use super::*;

    fn of(size: usize) -> Full<Bytes> {
        Full::new(Bytes::from(vec![b' '; size]))
    }

    #[tokio::test]
    async fn a_large_body_has_a_place_while_it_is_there_and_a_larger_one_gets_none() {
        let (places, ada) = (Places::default(), UserId::new("ada"));
        let free = || places.all.available_permits();
        let small = gather(of(REPLAY_LIMIT), &places, &ada).await.unwrap().into_bytes();
        assert_eq!(free(), LARGE_AT_ONCE);
        let mut large = gather(of(GATHER_LIMIT), &places, &ada).await.unwrap().into_bytes();
        assert_eq!((small.len(), large.len(), free()), (REPLAY_LIMIT, GATHER_LIMIT, 63));
        let end = large.split_off(GATHER_LIMIT - 1);
        drop(large);
        assert_eq!(free(), LARGE_AT_ONCE - 1, "there is still some of it");
        drop(end);
        assert_eq!(free(), LARGE_AT_ONCE);
        let over = gather(of(GATHER_LIMIT + 1), &places, &ada).await;
        assert_eq!(over.unwrap_err(), GatherError::TooLarge);
    }

    /// What was gathered is gathered again: a list by the one who asked for it.
    #[tokio::test]
    async fn nobody_keeps_a_place_who_waits_for_another() {
        let (places, ada) = (Places::default(), UserId::new("ada"));
        let gathered = gather(of(GATHER_LIMIT), &places, &ada).await.unwrap().into_bytes();
        let mut others = Vec::new();
        while let Ok(place) = places.try_take(&ada) {
            others.push(place);
        }
        assert_eq!(others.len(), LARGE_OF_A_PERSON - 1);
        let again = gather(Full::new(gathered), &places, &ada);
        let again = tokio::time::timeout(std::time::Duration::from_secs(1), again).await;
        assert_eq!(again.expect("it need not wait").unwrap().bytes.len(), GATHER_LIMIT);
    }

    #[tokio::test]
    async fn nobody_takes_more_than_their_share() {
        let places = Places::default();
        let [ada, grace] = ["ada", "grace"].map(UserId::new);
        let mut hers = Vec::new();
        while let Ok(place) = places.try_take(&ada) {
            hers.push(place);
        }
        assert_eq!(hers.len(), LARGE_OF_A_PERSON);
        assert!(places.try_take(&grace).is_ok());
        drop(hers);
        assert!(places.try_take(&grace).is_ok());
        assert!(places.shares.lock().unwrap().len() <= 2);
        assert!(places.try_take(&UserId::new("alan")).is_ok());
        assert_eq!(places.shares.lock().unwrap().len(), 1, "nobody else is remembered");
    }
}
