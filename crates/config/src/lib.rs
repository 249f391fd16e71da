//! The configuration file: its shape, its rules and its diagnostics.
//!
//! [`load`] turns a [`Source`] into a [`Config`] and [`Diagnostics`]. On the way the text becomes a
//! tree (whatever its format), the tree the typed shape of [`schema`], and that the [`model`],
//! each step reporting all it finds.

mod decode;
mod diagnose;
mod load;
mod locate;
pub mod mcpproxy;
pub mod model;
mod path;
mod print;
pub mod provider;
mod redact;
mod rules;
pub mod schema;
mod secrets;
mod suggest;
mod tree;

pub use diagnose::{Diagnostic, Diagnostics, Severity};
pub use load::{Format, LoadError, Loaded, Source, find, load};
pub use model::Config;
pub use print::Effective;
pub use secrets::{Lookup, environment};
