//! Finds the file, reads it and makes a [`Config`] of it.

use std::{
    fs, io,
    io::Read as _,
    path::{Path, PathBuf},
};

use crate::{
    decode::decode,
    diagnose::{Diagnostics, Problems},
    locate::offset,
    model::Config,
    print::Effective,
    provider::Templates,
    rules,
    schema::File,
    secrets::{Lookup, Secrets},
    tree::Tree,
};

/// Bytes. A configuration is written by people.
const LARGEST_FILE: u64 = 1024 * 1024;

/// Where a file is looked for that nobody named.
const DEFAULT_PLACES: [&str; 2] = ["./attache.toml", "/etc/attache/attache.toml"];

#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error(
        "no configuration: there is no ./attache.toml and no /etc/attache/attache.toml; name one with --config FILE or ATTACHE_CONFIG"
    )]
    NotFound,
    #[error("{file}: the name must end in .toml, .yaml, .yml or .json")]
    UnknownFormat { file: PathBuf },
    #[error("{file}: the file is larger than {LARGEST_FILE} bytes")]
    TooLarge { file: PathBuf },
    #[error("{file} cannot be read")]
    Unreadable { file: PathBuf, source: io::Error },
}

/// Which file to read: the one named on the command line, else in `ATTACHE_CONFIG`, else
/// `./attache.toml`, else `/etc/attache/attache.toml`.
///
/// # Errors
/// [`LoadError::NotFound`] when none was named and none of the two exists.
pub fn find(
    named: Option<&Path>,
    variable: Lookup<'_>,
    exists: &dyn Fn(&Path) -> bool,
) -> Result<PathBuf, LoadError> {
    named
        .map(Path::to_owned)
        .or_else(|| variable("ATTACHE_CONFIG").filter(|name| !name.is_empty()).map(PathBuf::from))
        .or_else(|| DEFAULT_PLACES.into_iter().map(PathBuf::from).find(|place| exists(place)))
        .ok_or(LoadError::NotFound)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Toml,
    Yaml,
    Json,
}

/// A configuration file as read. Its text may hold secrets: `Debug` leaves it out.
#[derive(Clone)]
pub struct Source {
    pub(crate) file: PathBuf,
    pub(crate) text: String,
    pub(crate) format: Format,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Source({})", self.file.display())
    }
}

impl Source {
    /// # Errors
    /// [`LoadError`] when the file cannot be read or its name does not say what it is.
    pub fn read(file: &Path) -> Result<Self, LoadError> {
        let unreadable = |source| LoadError::Unreadable { file: file.to_owned(), source };
        let mut text = String::new();
        fs::File::open(file)
            .and_then(|opened| opened.take(LARGEST_FILE + 1).read_to_string(&mut text))
            .map_err(unreadable)?;
        if u64::try_from(text.len()).is_ok_and(|bytes| bytes > LARGEST_FILE) {
            return Err(LoadError::TooLarge { file: file.to_owned() });
        }
        Self::new(file, text)
    }

    /// A text that is, or will be, in `file`: relative paths in it begin where the file is.
    ///
    /// # Errors
    /// [`LoadError::UnknownFormat`] when the name ends otherwise than expected.
    pub fn new(file: &Path, text: impl Into<String>) -> Result<Self, LoadError> {
        let format = match file.extension().and_then(|ending| ending.to_str()) {
            Some("toml") => Format::Toml,
            Some("yaml" | "yml") => Format::Yaml,
            Some("json") => Format::Json,
            _ => return Err(LoadError::UnknownFormat { file: file.to_owned() }),
        };
        Ok(Self { file: file.to_owned(), text: text.into(), format })
    }
}

/// What became of a file.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// There when every value could be read; [`Loaded::accept`] also asks for no errors.
    pub config: Option<Config>,
    /// What `attache check --print` shows; absent beside errors, when a secret may be where none is
    /// expected.
    pub effective: Option<Effective>,
    pub diagnostics: Diagnostics,
}

impl Loaded {
    /// The configuration and its warnings.
    ///
    /// # Errors
    /// The diagnostics, when one of them is an error.
    pub fn accept(self) -> Result<(Config, Diagnostics), Diagnostics> {
        match self.config {
            Some(config) if !self.diagnostics.has_errors() => Ok((config, self.diagnostics)),
            _ => Err(self.diagnostics),
        }
    }
}

/// Reads a whole configuration and reports every problem in it at once. Resolves the secrets, so
/// it reads files and may run programs.
pub fn load(source: &Source, variable: Lookup<'_>) -> Loaded {
    let tree = match parse(source) {
        Ok(tree) => tree,
        Err(diagnostics) => return Loaded { config: None, effective: None, diagnostics },
    };
    let problems = Problems::default();
    let mut file: File = decode(tree.clone(), &problems);
    let base = source.file.parent().unwrap_or(Path::new(""));
    let templates = Templates::new(file.provider_dir.as_ref().map(|folder| base.join(folder)));
    let secrets = Secrets { variable, base };
    let config = rules::config(&mut file, &secrets, &templates, &problems.root());
    let mut diagnostics = Diagnostics::locate(problems, source, &tree);
    templates.into_problems().for_each(|found| diagnostics.extend(found));
    let effective = (!diagnostics.has_errors()).then(|| Effective::new(file));
    Loaded { config, effective, diagnostics }
}

pub(crate) fn parse(source: &Source) -> Result<Tree, Diagnostics> {
    let text = &source.text;
    let broken = |at, message: &str| Diagnostics::syntax(&source.file, text, at, message);
    let tree = match source.format {
        Format::Toml => toml::from_str(text)
            .map_err(|error| broken(error.span().map(|span| span.start), error.message()))?,
        Format::Yaml => yaml_serde::from_str(text).map_err(|error| {
            let at = error.location().map(|at| offset(text, at.line(), at.column()));
            broken(at, &error.to_string())
        })?,
        Format::Json => serde_json::from_str(text).map_err(|error| {
            let at = offset(text, error.line(), error.column());
            broken(Some(at), &error.to_string())
        })?,
    };
    Ok(match tree {
        Tree::Null => Tree::EMPTY,
        tree => tree,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_that_was_named_wins() {
        let there = |_: &Path| true;
        let nowhere = |_: &Path| false;
        let unset = |_: &str| None;
        let set = |name: &str| (name == "ATTACHE_CONFIG").then(|| "env.yaml".to_owned());
        let found = |named: Option<&str>, variable: Lookup<'_>, exists: &dyn Fn(&Path) -> bool| {
            find(named.map(Path::new), variable, exists).ok()
        };
        assert_eq!(found(Some("a.json"), &set, &there), Some("a.json".into()));
        assert_eq!(found(None, &set, &there), Some("env.yaml".into()));
        assert_eq!(found(None, &unset, &there), Some("./attache.toml".into()));
        let etc = |place: &Path| place.starts_with("/etc");
        assert_eq!(found(None, &unset, &etc), Some("/etc/attache/attache.toml".into()));
        assert_eq!(found(None, &unset, &nowhere), None);
        assert!(Source::new(Path::new("attache.conf"), "").is_err());
    }
}
