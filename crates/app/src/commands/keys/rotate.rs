//! `attache keys rotate`

use attache_broker::rewrap::{Lost, Survey};
use attache_crypto::keyring::KeyRing;

use super::{Opened, show, status::Report};
use crate::{Failure, commands::progress::Bar, terminal::Terminal};

pub(super) async fn run(
    opened: &Opened,
    discard_unreadable: bool,
    terminal: Terminal,
) -> Result<(), Failure> {
    let lost = if discard_unreadable { Lost::Discard } else { Lost::Keep };
    let mut bar = Bar::new(terminal);
    let survey = opened.rewrap.rotate(lost, &mut |progress| show(&mut bar, progress)).await;
    bar.clear();
    let survey = survey.map_err(|error| {
        let why = Failure::failed(error);
        Failure::Failed(format!("{why}. What is done is done: run it again to go on"))
    })?;
    Report::new(&opened.ring, &survey).print(terminal);
    terminal.message(summary(&survey));
    match survey.beside(opened.ring.active.id()) {
        0 => {
            terminal.message(removable(&opened.ring));
            Ok(())
        }
        left if lost == Lost::Discard && left <= survey.unreadable => {
            terminal.message(evidence(left));
            Ok(())
        }
        left => Err(Failure::Failed(whose_move(left, survey.unreadable))),
    }
}

fn summary(survey: &Survey) -> String {
    let Survey { rewrapped, discarded, .. } = survey;
    match discarded {
        0 => format!("{rewrapped} keys wrapped again"),
        _ => format!("{rewrapped} keys wrapped again, {discarded} given up"),
    }
}

fn removable(ring: &KeyRing) -> String {
    let old: Vec<&str> = ring.retired.iter().map(|key| &*key.id().0).collect();
    if old.is_empty() {
        return "everything is under the active key".to_owned();
    }
    format!(
        "everything is under the active key; these wrap nothing any more and can leave \
         keys.retired: {}",
        old.join(", "),
    )
}

fn evidence(left: u64) -> String {
    format!(
        "{left} keys of audit writers stay under a key that is gone: what they sealed is kept as it \
         is, and nothing proves it any more"
    )
}

/// It depends on whether the rest opens at all.
fn whose_move(left: u64, unreadable: u64) -> String {
    if unreadable > 0 {
        format!(
            "{left} keys are not under the active key, and {unreadable} of all open with no \
             configured key: put the missing key into keys.retired, or give them up with \
             --discard-unreadable"
        )
    } else {
        format!(
            "{left} keys were written under other keys meanwhile: give every gateway this \
             configuration, then run it again"
        )
    }
}
