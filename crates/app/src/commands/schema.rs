//! `attache schema`: documents made from the code.

use crate::{cli::Document, terminal::Terminal};

pub(crate) fn run(document: Document, terminal: Terminal) {
    let Document::Config = document;
    terminal.line(format_args!("{:#}", attache_config::schema::json_schema()));
}
