//! A folder that is gone with the value.

use std::{fs, io, path::PathBuf};

#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// # Errors
    /// When the temporary directory does not take it.
    pub fn make(name: &str) -> io::Result<Self> {
        let folder = std::env::temp_dir().join(format!("attache-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}
