//! The bounded reader: how a body becomes bytes.

use bytes::Bytes;
use http_body::Body;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

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
    #[expect(clippy::disallowed_methods, reason = "`Limited` is the bound")]
    let collected = Limited::new(body, limit).collect().await;
    match collected {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ReadError::TooLarge(limit)),
        Err(error) => Err(ReadError::Broken(error)),
    }
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
