//! `attache store copy`

use std::{fmt::Write as _, path::Path};

use attache_core::Secret;
use attache_crypto::digest::sha256;
use attache_store::{Copied, Progress};
use serde_json::{Value, json};

use crate::{Failure, commands::progress::Bar, terminal::Terminal};

pub(super) async fn run(from: &Path, to: &str, terminal: Terminal) -> Result<(), Failure> {
    let to = Secret::new(to);
    let mut bar = Bar::new(terminal);
    let copied = attache_store::copy(from, &to, sha256, &mut |progress| {
        let Progress { all, copied, verified } = progress;
        let words = format_args!("{copied} of {all} rows copied, {verified} verified");
        bar.show(copied + verified, all * 2, words);
    })
    .await;
    bar.clear();
    let copied = copied.map_err(Failure::failed)?;
    terminal.data(&json!({ "tables": copied.iter().map(object).collect::<Vec<_>>() }), || {
        let header = ["TABLE", "ROWS", "SHA-256 ON BOTH SIDES"].map(str::to_owned).to_vec();
        let row = |one: &Copied| vec![one.table.clone(), one.rows.to_string(), hex(&one.digest)];
        std::iter::once(header).chain(copied.iter().map(row)).collect()
    });
    terminal.message(format_args!(
        "Everything of {} is in the database. Set store.url to it, and keep the keys as they are. \
         Do not start a gateway on the file again: what it changes would be in one of them only.",
        from.display()
    ));
    Ok(())
}

fn object(copied: &Copied) -> Value {
    let Copied { table, rows, digest } = copied;
    json!({ "table": table, "rows": rows, "sha256": hex(digest) })
}

fn hex(digest: &[u8; 32]) -> String {
    digest.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").ok();
        text
    })
}
