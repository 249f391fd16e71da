//! `attache keys rotate`

use attache_broker::rewrap::{Lost, Survey};
use attache_crypto::keyring::KeyRing;

use super::{Opened, progress::Bar, status::Report};
use crate::{Failure, terminal::Terminal};

pub(super) async fn run(
    opened: &Opened,
    discard_unreadable: bool,
    terminal: Terminal,
) -> Result<(), Failure> {
    let lost = if discard_unreadable { Lost::Discard } else { Lost::Keep };
    let mut bar = Bar::new(terminal);
    let survey = opened.rewrap.rotate(lost, &mut |progress| bar.show(progress)).await;
    bar.clear();
    let survey = survey.map_err(|error| {
        let why = Failure::failed(error);
        Failure::Failed(format!("{why}. What is done is done: run it again to go on"))
    })?;
    Report::new(&opened.ring, &survey).print(terminal);
    terminal.message(summary(&survey));
    if survey.is_all_under(opened.ring.active.id()) {
        terminal.message(removable(&opened.ring));
        Ok(())
    } else {
        Err(Failure::Failed(left(&opened.ring, &survey)))
    }
}

fn summary(survey: &Survey) -> String {
    let Survey { rewrapped, discarded, .. } = survey;
    match discarded {
        0 => format!("{rewrapped} data keys wrapped again"),
        _ => format!("{rewrapped} data keys wrapped again, {discarded} given up"),
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

/// Whose move it is depends on whether the rest opens at all.
fn left(ring: &KeyRing, survey: &Survey) -> String {
    let active = ring.active.id();
    let left: u64 =
        survey.wrapped.iter().filter(|(key, _)| key != active).map(|(_, count)| count).sum();
    if survey.unreadable > 0 {
        format!(
            "{left} data keys are not under the active key, and {} of all open with no configured \
             key: put the missing key into keys.retired, or give them up with \
             --discard-unreadable",
            survey.unreadable,
        )
    } else {
        format!(
            "{left} data keys were written under other keys meanwhile: give every gateway this \
             configuration, then run it again"
        )
    }
}
