//! The file of an embedded store while it is used: is it still ours, and does it do its work?

use std::{
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use attache_core::store::{Result, StoreError};

use super::is_conflict;
use crate::fault::Fault;

/// A database that is nowhere has no fault but [`Fault::Other`].
#[derive(Debug, Default)]
pub(crate) struct Watched {
    place: Option<Place>,
    /// Why the last write failed.
    writing: Mutex<Option<Fault>>,
    /// Whether a damaged page was ever met.
    damaged: AtomicBool,
    /// Held by the one gateway that serves from the file.
    lock: Option<File>,
}

#[derive(Debug)]
struct Place {
    path: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
}

impl Watched {
    pub(crate) fn new(path: PathBuf, lock: Option<File>) -> io::Result<Self> {
        let identity = identity(&path)?;
        Ok(Self { place: Some(Place { path, identity }), lock, ..Self::default() })
    }

    /// Looks for the file. One that was removed takes writes for as long as it is open, and then
    /// they are gone; a connection made after it was replaced would read another's rows.
    pub(crate) fn find(&self) -> Result<()> {
        let Some(place) = &self.place else { return Ok(()) };
        if identity(&place.path).is_ok_and(|found| found == place.identity) {
            return Ok(());
        }
        self.not_written(Fault::Gone, None);
        Err(unavailable(Fault::Gone))
    }

    pub(crate) fn read<T>(&self, outcome: sqlx::Result<T>) -> Result<T> {
        outcome.map_err(|error| {
            let fault = Fault::of(&error);
            self.met(fault);
            unavailable(fault)
        })
    }

    pub(crate) fn written<T>(&self, outcome: sqlx::Result<T>) -> Result<T> {
        outcome.map_err(|error| {
            if is_conflict(&error) {
                return StoreError::Conflict;
            }
            let fault = Fault::of(&error);
            self.met(fault);
            self.not_written(fault, Some(&error));
            unavailable(fault)
        })
    }

    /// Something was surely written.
    pub(crate) fn takes_writes(&self) {
        if self.writing().take().is_some() {
            tracing::info!(file = self.name(), "the store takes writes again");
        }
    }

    /// Whether the last write failed.
    pub(crate) fn refuses_writes(&self) -> bool {
        self.writing().is_some()
    }

    pub(crate) fn is_damaged(&self) -> bool {
        self.damaged.load(Relaxed)
    }

    /// Lets another gateway have the file.
    pub(crate) fn release(&self) {
        if let Some(Err(error)) = self.lock.as_ref().map(File::unlock) {
            tracing::warn!(%error, "the store's lock ends with the process only");
        }
    }

    /// Said once, and again when it becomes another fault: requests say the rest.
    fn not_written(&self, fault: Fault, error: Option<&sqlx::Error>) {
        if self.writing().replace(fault) != Some(fault) {
            tracing::error!(
                file = self.name(), cause = %fault, detail = error.map(tracing::field::display),
                "the store takes no writes; what is in memory is served on"
            );
        }
    }

    fn met(&self, fault: Fault) {
        let damage = matches!(fault, Fault::Damaged | Fault::NotADatabase);
        if damage && !self.damaged.swap(true, Relaxed) {
            tracing::error!(
                file = self.name(), cause = %fault,
                "the store cannot be read in places; what can be read is served on"
            );
        }
    }

    fn writing(&self) -> std::sync::MutexGuard<'_, Option<Fault>> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn name(&self) -> &str {
        self.place.as_ref().and_then(|place| place.path.to_str()).unwrap_or("the store's file")
    }
}

fn unavailable(fault: Fault) -> StoreError {
    StoreError::Unavailable(Box::new(fault))
}

fn identity(path: &std::path::Path) -> io::Result<(u64, u64)> {
    fs::metadata(path).map(|found| (found.dev(), found.ino()))
}
