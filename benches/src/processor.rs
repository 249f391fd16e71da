//! Processor time of processes, as the kernel counts it.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

/// Linux counts in hundredths of a second for user space, on every architecture.
const TICKS_PER_SECOND: f64 = 100.0;

#[derive(Debug)]
pub struct Meter {
    pub processes: Vec<u32>,
}

/// What it took to do something so many times.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    pub times: u32,
    pub wall: Duration,
    pub processor: Duration,
}

impl Cost {
    /// Of one time.
    pub fn wall_micros(&self) -> f64 {
        self.wall.as_secs_f64() * 1e6 / f64::from(self.times)
    }

    /// Of one time.
    pub fn processor_micros(&self) -> f64 {
        self.processor.as_secs_f64() * 1e6 / f64::from(self.times)
    }
}

impl Meter {
    /// Of this process alone.
    pub fn own() -> Self {
        Self { processes: vec![std::process::id()] }
    }

    /// User and system time of all of them since they began.
    pub fn spent(&self) -> Result<Duration> {
        self.processes.iter().map(|process| spent_by(*process)).sum()
    }

    /// Measures `work`, which does something `times` times.
    pub async fn measure(
        &self,
        times: u32,
        work: impl Future<Output = Result<()>>,
    ) -> Result<Cost> {
        let (before, begun) = (self.spent()?, Instant::now());
        work.await?;
        let (wall, processor) = (begun.elapsed(), self.spent()?.saturating_sub(before));
        Ok(Cost { times, wall, processor })
    }
}

/// Bytes of a process that are in memory.
pub fn resident(process: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))
        .with_context(|| format!("process {process} is gone"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")).context("no VmRSS")?;
    Ok(kibibytes.trim().parse::<f64>()? * 1024.0)
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
