//! `attache user offboard`

use attache_broker::{connections::Revocation, offboarding::Receipt};
use attache_core::{Slot, audit::Reason, explain::explain};
use serde_json::{Value, json};

use super::{Desk, find, label, list};
use crate::{Failure, terminal::Terminal};

pub(super) async fn run(desk: &Desk, named: &str, terminal: Terminal) -> Result<(), Failure> {
    let person = find(&desk.stores, named).await?;
    let receipts = desk.offboarding.offboard(&person).await.map_err(|error| {
        let why = Failure::failed(error);
        Failure::Failed(format!(
            "{why}. What is ended is ended, and in the audit: run it again to go on"
        ))
    })?;
    let shown: Vec<Value> = receipts.iter().map(object).collect();
    terminal
        .data(&json!({ "user": list::object(&person), "receipts": shown }), || table(&receipts));
    terminal.message(format_args!("{} is erased, and is refused from now on", label(&person)));
    let untold = receipts.iter().filter(|receipt| is_untold(receipt)).count();
    if untold > 0 {
        return Err(Failure::Failed(format!(
            "{untold} credentials may go on working at their providers, which could not be told: \
             end them there"
        )));
    }
    Ok(())
}

/// The words of the API's answer to a disconnect.
fn object(receipt: &Receipt) -> Value {
    json!({
        "server": server(&receipt.slot),
        "revoked": receipt.revocation == Some(Revocation::Revoked),
        "reason": reason(receipt).map(Reason::as_str),
    })
}

fn table(receipts: &[Receipt]) -> Vec<Vec<String>> {
    let header = ["SERVER", "REVOKED", "REASON", ""].map(str::to_owned).to_vec();
    let row = |receipt: &Receipt| {
        let reason = reason(receipt);
        vec![
            server(&receipt.slot),
            if reason.is_none() { "yes" } else { "no" }.to_owned(),
            reason.map_or("-", Reason::as_str).to_owned(),
            reason.map_or("", |reason| explain(reason).happened).to_owned(),
        ]
    };
    std::iter::once(header).chain(receipts.iter().map(row)).collect()
}

fn server(slot: &Slot) -> String {
    match slot {
        Slot::Upstream(name) | Slot::Undecided(name, _) => name.to_string(),
        Slot::SubjectToken(issuer) => issuer.to_string(),
    }
}

/// Why it was not revoked.
fn reason(receipt: &Receipt) -> Option<Reason> {
    match receipt.revocation {
        Some(Revocation::Revoked) => None,
        Some(Revocation::Failed(reason)) => Some(reason),
        None => Some(Reason::RevocationUnsupported),
    }
}

/// Whether somebody has to look: a provider that has no way to be told is none's failure.
fn is_untold(receipt: &Receipt) -> bool {
    reason(receipt).is_some_and(|reason| reason != Reason::RevocationUnsupported)
}
