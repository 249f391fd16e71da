//! Bodies that are read whole because what is in them decides, in bounded memory.

use std::{pin::pin, sync::Arc};

use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::body::{BodyError, REPLAY_LIMIT};

/// Of a body that is looked into. Tool calls carry files, and lists the schemas of hundreds of
/// tools.
pub(crate) const GATHER_LIMIT: usize = 4 * 1024 * 1024;
/// Bodies over [`REPLAY_LIMIT`] that are held at once: 256 MiB together.
pub(crate) const LARGE_AT_ONCE: usize = 64;

/// A whole body, and its place among the large ones.
#[derive(Debug)]
pub(crate) struct Gathered {
    pub(crate) bytes: Bytes,
    pub(crate) place: Option<OwnedSemaphorePermit>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum GatherError {
    #[error("the body is larger than {GATHER_LIMIT} bytes")]
    TooLarge,
    #[error("the body broke off")]
    Broken,
}

/// Reads to the end. A large body waits for a place before it goes on; how long is the caller's to
/// say.
pub(crate) async fn gather<B>(body: B, large: &Arc<Semaphore>) -> Result<Gathered, GatherError>
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
        if size > REPLAY_LIMIT && place.is_none() {
            let given = Arc::clone(large).acquire_owned().await;
            place = Some(given.map_err(|_| GatherError::Broken)?);
        }
        whole.extend_from_slice(&data);
    }
    Ok(Gathered { bytes: whole.freeze(), place })
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;

    use super::*;

    #[tokio::test]
    async fn a_large_body_needs_a_place_and_a_larger_one_gets_none() {
        let large = Arc::new(Semaphore::new(1));
        let of = |size: usize| Full::new(Bytes::from(vec![b' '; size]));
        let small = gather(of(REPLAY_LIMIT), &large).await.unwrap();
        let first = gather(of(GATHER_LIMIT), &large).await.unwrap();
        assert!(small.place.is_none() && first.place.is_some());
        assert_eq!(large.available_permits(), 0);
        drop(first);
        assert_eq!(large.available_permits(), 1);
        let over = gather(of(GATHER_LIMIT + 1), &large).await;
        assert_eq!(over.unwrap_err(), GatherError::TooLarge);
    }
}
