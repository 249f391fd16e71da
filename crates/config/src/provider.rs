//! Provider templates: what is known about one provider's OAuth, as data.
//!
//! A template is a TOML file of the shape in [`schema`], shipped in the program or put into
//! `provider_dir`, where a file of the same name wins. It is read as strictly as the configuration:
//! `template` turns it into a [`Provider`], and `fill` writes what it
//! knows where the operator wrote nothing.

mod fill;
pub mod schema;
mod shipped;
mod template;
mod words;

use std::{
    cell::RefCell,
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use attache_core::Dialect;

pub(crate) use self::fill::fill;
pub use self::shipped::SHIPPED;
use crate::{
    diagnose::{Diagnostics, Problems},
    load::{LoadError, Source, parse},
    schema::ClientAuth,
};

/// A template that was read, for one set of parameters.
#[derive(Debug)]
pub(crate) struct Provider {
    authorization_endpoint: String,
    token_endpoint: String,
    revocation_endpoint: Option<String>,
    issuer: Option<String>,
    client_auth: Option<ClientAuth>,
    scopes: Vec<String>,
    header: Option<String>,
    header_format: Option<String>,
    dialect: Dialect,
}

/// Where templates come from, and what was found wrong in them.
#[derive(Debug)]
pub(crate) struct Templates {
    /// Looked into before what is shipped.
    folder: Option<PathBuf>,
    /// By file; each is reported once, however many upstreams use it.
    problems: RefCell<BTreeMap<PathBuf, Diagnostics>>,
}

/// A template's text and shape.
pub(crate) struct Template {
    source: Source,
    shape: schema::Template,
}

/// Why there is no template of a name.
pub(crate) enum NoTemplate {
    Unknown,
    Unreadable(LoadError),
    /// Its problems are known to [`Templates::into_problems`].
    Wrong,
}

impl Templates {
    pub(crate) fn new(folder: Option<PathBuf>) -> Self {
        Self { folder, problems: RefCell::default() }
    }

    pub(crate) fn find(&self, name: &str) -> Result<Template, NoTemplate> {
        let source = self.source(name)?;
        let tree = parse(&source).map_err(|problems| self.wrong(&source, problems))?;
        let problems = Problems::default();
        let shape = crate::decode::decode(tree.clone(), &problems);
        let found = Diagnostics::locate(problems, &source, &tree);
        if found.has_errors() {
            Err(self.wrong(&source, found))
        } else {
            Ok(Template { source, shape })
        }
    }

    /// What the template says with these parameters.
    pub(crate) fn read(
        &self,
        template: &Template,
        parameters: &BTreeMap<String, String>,
    ) -> Result<Provider, NoTemplate> {
        let Template { source, shape } = template;
        let problems = Problems::default();
        let provider = template::read(shape, parameters, &problems.root());
        let tree = parse(source).map_err(|problems| self.wrong(source, problems))?;
        let found = Diagnostics::locate(problems, source, &tree);
        match provider {
            Some(provider) if !found.has_errors() => Ok(provider),
            _ => Err(self.wrong(source, found)),
        }
    }

    /// Every name there is, to suggest one.
    pub(crate) fn names() -> Vec<&'static str> {
        SHIPPED.iter().map(|(name, _)| *name).collect()
    }

    pub(crate) fn into_problems(self) -> impl Iterator<Item = Diagnostics> {
        self.problems.into_inner().into_values()
    }

    fn source(&self, name: &str) -> Result<Source, NoTemplate> {
        if !is_name(name) {
            return Err(NoTemplate::Unknown);
        }
        let file = PathBuf::from(format!("{name}.toml"));
        let own = self.folder.as_ref().map(|folder| folder.join(&file));
        if let Some(own) = own.filter(|own| own.exists()) {
            return Source::read(&own).map_err(NoTemplate::Unreadable);
        }
        let (_, text) =
            SHIPPED.iter().find(|(shipped, _)| *shipped == name).ok_or(NoTemplate::Unknown)?;
        Source::new(&Path::new("providers").join(file), *text).map_err(NoTemplate::Unreadable)
    }

    fn wrong(&self, source: &Source, problems: Diagnostics) -> NoTemplate {
        self.problems.borrow_mut().insert(source.file.clone(), problems);
        NoTemplate::Wrong
    }
}

/// A name is a file's stem, and no way out of its folder.
fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
}
