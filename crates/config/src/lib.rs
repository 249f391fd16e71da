//! The configuration file: its shape, its rules and its diagnostics

pub mod model;

pub use model::Config;
