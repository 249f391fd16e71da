//! `attache schema`: documents made from the code.

use crate::{cli::Document, terminal::Terminal};

pub(crate) fn run(document: Document, terminal: Terminal) {
    let schema = match document {
        Document::Config => attache_config::schema::json_schema(),
        Document::Provider => attache_config::provider::schema::json_schema(),
    };
    terminal.line(format_args!("{schema:#}"));
}
