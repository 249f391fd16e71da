//! Processor time of processes, as the kernel counts it.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result};

/// Linux counts in hundredths of a second for user space, on every architecture.
const TICKS_PER_SECOND: f64 = 100.0;

pub(crate) struct Meter {
    pub processes: Vec<u32>,
}

impl Meter {
    /// User and system time of all of them since they began.
    pub(crate) fn spent(&self) -> Result<Duration> {
        self.processes.iter().map(|process| spent_by(*process)).sum()
    }
}

fn spent_by(process: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))
        .with_context(|| format!("process {process} is gone"))?;
    // The name may hold spaces; fields are counted from its closing parenthesis.
    let fields: Vec<&str> =
        stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok());
    let (user, system) = (ticks(11).context("no utime")?, ticks(12).context("no stime")?);
    Ok(Duration::from_secs_f64((user + system) / TICKS_PER_SECOND))
}
