//! wrk, and what it says.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use attache_core::Secret;

const CONNECTIONS: &str = "32";
const SECONDS: &str = "4s";
/// A tool call as an MCP client sends it, and what was seen in a form that is easy to read.
const SCRIPT: &str = r#"
wrk.method = "POST"
wrk.body = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami","arguments":{}}}'
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Accept"] = "application/json, text/event-stream"
wrk.headers["Authorization"] = "Bearer " .. os.getenv("BEARER")
done = function(summary, latency, requests)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format("SEEN %d %d %d %f %f\n", summary.requests, failed, summary.duration,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
"#;

pub(crate) struct Load {
    pub url: String,
    pub bearer: Secret,
}

pub(crate) struct Seen {
    pub calls: f64,
    pub failed: u64,
    pub rate: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
}

impl Load {
    pub(crate) fn run(&self) -> Result<Seen> {
        let script = std::env::temp_dir().join(format!("attache-bench-{}.lua", std::process::id()));
        std::fs::write(&script, SCRIPT)?;
        let output = Command::new("wrk")
            .args(["-t1", "-c", CONNECTIONS, "-d", SECONDS, "-s"])
            .arg(&script)
            .arg(&self.url)
            .env("BEARER", self.bearer.expose())
            .output()
            .context("wrk is missing: install it (Debian: apt-get install wrk)")?;
        std::fs::remove_file(&script)?;
        let text = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "wrk failed: {text}");
        let line = text.lines().find_map(|line| line.strip_prefix("SEEN "));
        let numbers: Vec<f64> = line
            .context("wrk reported nothing")?
            .split(' ')
            .map(|number| number.parse().context("wrk reported something else"))
            .collect::<Result<_>>()?;
        let [calls, failed, micros, p50_ms, p99_ms] = numbers.as_slice() else {
            anyhow::bail!("wrk reported something else");
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a small count"
        )]
        let failed = *failed as u64;
        let rate = calls / (micros / 1e6);
        Ok(Seen { calls: *calls, failed, rate, p50_ms: *p50_ms, p99_ms: *p99_ms })
    }
}
