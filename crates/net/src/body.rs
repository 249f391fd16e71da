//! The bounded reader: how a body becomes bytes.

use std::pin::pin;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt as _;

use crate::BoxError;

#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    #[error("the body broke off")]
    Broken(#[source] BoxError),
}

/// Reads to the end, and no further than `limit` bytes; a larger `Content-Length` is not begun
/// with. How long it may take is the caller's to say.
pub async fn read_at_most<B>(body: B, limit: usize) -> Result<Bytes, ReadError>
where
    B: Body<Error: Into<BoxError>>,
{
    if usize::try_from(body.size_hint().lower()).map_or(true, |announced| announced > limit) {
        return Err(ReadError::TooLarge(limit));
    }
    let mut body = pin!(body);
    // Copied together: a frame may be a small slice that keeps a large buffer alive.
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| ReadError::Broken(error.into()))?;
        if let Ok(data) = frame.into_data() {
            if data.remaining() > limit - whole.len() {
                return Err(ReadError::TooLarge(limit));
            }
            whole.put(data);
        }
    }
    Ok(whole.freeze())
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;

    use super::*;

    #[tokio::test]
    async fn a_body_of_the_limit_fits_and_one_byte_more_does_not() {
        let fits = read_at_most(Full::new(Bytes::from_static(b"12345")), 5).await;
        assert_eq!(fits.unwrap(), "12345");
        let over = read_at_most(Full::new(Bytes::from_static(b"123456")), 5).await;
        assert!(matches!(over, Err(ReadError::TooLarge(5))), "{over:?}");
    }
}
