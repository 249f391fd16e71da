//! wrk, and what it says.

use std::{path::Path, process::Command};

use anyhow::{Context as _, Result, bail, ensure};

/// Everybody in turn calls a tool as an MCP client does; and what was seen in a form that is easy
/// to read.
const SCRIPT: &str = r#"
local requests, next = {}, 0
function init(arguments)
  local body = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"text":"'
    .. string.rep("lorem ipsum ", 10) .. '"}}}'
  for line in io.lines(arguments[1]) do
    local name, bearer, token = line:match("([^\t]*)\t([^\t]*)\t([^\t]*)")
    if arguments[2] == "direct" then bearer = token end
    requests[#requests + 1] = wrk.format("POST", nil, {
      ["Content-Type"] = "application/json",
      ["Accept"] = "application/json, text/event-stream",
      ["MCP-Protocol-Version"] = "2025-11-25",
      ["X-Person"] = name,
      ["Authorization"] = "Bearer " .. bearer,
    }, body)
  end
end
function request()
  next = next % #requests + 1
  return requests[next]
end
function done(summary, latency)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format("SEEN %d %d %d %f %f\n", summary.requests, failed, summary.duration,
    latency:percentile(50), latency:percentile(99)))
end
"#;

/// Whose tokens are sent.
#[derive(Clone, Copy)]
pub(crate) enum Tokens {
    /// What proves the callers.
    Callers,
    /// The upstream's own.
    Direct,
}

pub(crate) struct Seen {
    pub(crate) calls: f64,
    pub(crate) failed: f64,
    pub(crate) rate: f64,
    /// Microseconds.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

pub(crate) fn run(
    people: &Path,
    url: &str,
    tokens: Tokens,
    connections: u32,
    seconds: u32,
) -> Result<Seen> {
    let script = people.with_file_name("load.lua");
    std::fs::write(&script, SCRIPT)?;
    let tokens = match tokens {
        Tokens::Callers => "callers",
        Tokens::Direct => "direct",
    };
    let output = Command::new("wrk")
        .args(["-t1", &format!("-c{connections}"), &format!("-d{seconds}s"), "-s"])
        .arg(&script)
        .args([url, "--"])
        .arg(people)
        .arg(tokens)
        .output()
        .context("wrk is missing: install it (Debian: apt-get install wrk)")?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "wrk failed: {text}");
    let line = text.lines().find_map(|line| line.strip_prefix("SEEN "));
    let numbers: Vec<f64> = line
        .context("wrk reported nothing")?
        .split(' ')
        .map(|number| number.parse().context("wrk reported something else"))
        .collect::<Result<_>>()?;
    let [calls, failed, micros, p50, p99] = numbers[..] else {
        bail!("wrk reported something else")
    };
    Ok(Seen { calls, failed, rate: calls / (micros / 1e6), p50, p99 })
}
