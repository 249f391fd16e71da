//! The inputs that are kept: what providers answered, what attackers would, and every find.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::Target;

/// Every input of `target`, by the name of its file, in order.
///
/// # Errors
/// A folder that cannot be read, or that is empty.
pub fn load(target: Target) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut inputs = Vec::new();
    for entry in fs::read_dir(folder(target))? {
        let file = entry?.path();
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        inputs.push((name, fs::read(&file)?));
    }
    if inputs.is_empty() {
        return Err(io::Error::other(format!("the corpus of {target} is empty")));
    }
    inputs.sort();
    Ok(inputs)
}

fn folder(target: Target) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name)
}
