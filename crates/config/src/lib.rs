//! The configuration file: its shape, its rules and its diagnostics
