//! How far a long command is: a bar on a terminal, now and then a line elsewhere.

use std::{
    fmt::Display,
    time::{Duration, Instant},
};

use crate::terminal::Terminal;

/// How often a line is written where it stays.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// How often a bar moves.
const BAR_EVERY: Duration = Duration::from_millis(50);

/// Characters of a bar.
const WIDTH: u64 = 30;

#[derive(Debug)]
pub(super) struct Bar {
    terminal: Terminal,
    shown: Option<Instant>,
}

impl Bar {
    pub(super) fn new(terminal: Terminal) -> Self {
        Self { terminal, shown: None }
    }

    pub(super) fn show(&mut self, done: u64, all: u64, words: impl Display) {
        let every = if self.terminal.is_interactive() { BAR_EVERY } else { LINE_EVERY };
        let last = *self.shown.get_or_insert_with(Instant::now);
        // A short run says nothing where lines stay.
        if last.elapsed() < every && !(done >= all && self.terminal.is_interactive()) {
            return;
        }
        self.shown = Some(Instant::now());
        if self.terminal.is_interactive() {
            let filled = (done.min(all) * WIDTH).checked_div(all).unwrap_or(WIDTH);
            let bar: String =
                (0..WIDTH).map(|place| if place < filled { '█' } else { '░' }).collect();
            self.terminal.overwrite(format_args!("{bar} {words}"));
        } else {
            self.terminal.message(words);
        }
    }

    /// Leaves the line to what comes next.
    pub(super) fn clear(self) {
        if self.shown.is_some() && self.terminal.is_interactive() {
            self.terminal.overwrite("");
        }
    }
}
