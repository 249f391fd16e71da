//! The seam through which a browser sign-in leaves what may be exchanged later.

use std::fmt;

use crate::{Credential, UserId, audit::Reason, store};

#[async_trait::async_trait]
pub trait SubjectTokenKeeper: fmt::Debug + Send + Sync {
    /// In the place of what an earlier sign-in left.
    ///
    /// # Errors
    /// Why it was not kept; the earlier one still is.
    async fn keep(&self, user: &UserId, tokens: Credential) -> Result<(), Reason>;

    /// They signed out: nothing is exchanged for them until they sign in again.
    async fn forget(&self, user: &UserId) -> store::Result<()>;
}
