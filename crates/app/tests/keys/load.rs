//! Calls at a steady pace, passed on to two replicas as a load balancer does: in turn, and to the
//! other one when the first takes no connection, or closes it before the first byte of an answer.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{
            AtomicBool, AtomicU64,
            Ordering::{Relaxed, SeqCst},
        },
    },
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, timeout},
};

/// Calls a second, in all.
pub(crate) const RATE: u32 = 2_000;
/// Callers at once. Each keeps a connection to each replica.
const LANES: u32 = 64;
/// No call may take longer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Failures that are told; all are counted.
const TOLD: usize = 10;

/// Somebody's request, and the only answer that is right.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) request: String,
    pub(crate) answer: String,
}

#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) answered: AtomicU64,
    pub(crate) failed: AtomicU64,
    /// Calls that the second replica got, because the first was not there.
    pub(crate) passed_on: AtomicU64,
    /// The longest call, in milliseconds.
    pub(crate) slowest: AtomicU64,
    told: Mutex<Vec<String>>,
}

pub(crate) struct Load {
    pub(crate) tally: Arc<Tally>,
    over: Arc<AtomicBool>,
    lanes: JoinSet<()>,
}

impl Load {
    pub(crate) fn start(replicas: [SocketAddr; 2], calls: &Arc<Vec<Call>>) -> Self {
        let (tally, over) = (Arc::<Tally>::default(), Arc::<AtomicBool>::default());
        let mut lanes = JoinSet::new();
        for lane in 0..LANES {
            let lane = Lane {
                replicas: replicas.map(|address| Replica { address, idle: None }),
                calls: Arc::clone(calls),
                tally: Arc::clone(&tally),
                over: Arc::clone(&over),
            }
            .run(lane);
            lanes.spawn(lane);
        }
        Self { tally, over, lanes }
    }

    pub(crate) async fn stop(self) -> Arc<Tally> {
        self.over.store(true, SeqCst);
        self.lanes.join_all().await;
        self.tally
    }
}

impl Tally {
    /// Fails as soon as one call did.
    pub(crate) fn check(&self) {
        let told = self.told.lock().expect("nobody panicked");
        assert!(
            self.failed.load(SeqCst) == 0,
            "{} calls failed: {told:?}",
            self.failed.load(SeqCst)
        );
    }
}

struct Lane {
    replicas: [Replica; 2],
    calls: Arc<Vec<Call>>,
    tally: Arc<Tally>,
    over: Arc<AtomicBool>,
}

struct Replica {
    address: SocketAddr,
    idle: Option<BufReader<TcpStream>>,
}

enum Asked {
    Answered(String),
    /// It is not there.
    Away,
}

impl Lane {
    async fn run(mut self, lane: u32) {
        let mut pace = interval(Duration::from_secs(1) * LANES / RATE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let calls = Arc::clone(&self.calls);
        let mine = calls.iter().cycle().skip(lane as usize).step_by(LANES as usize + 1);
        for (turn, call) in mine.enumerate() {
            pace.tick().await;
            if self.over.load(Relaxed) {
                break;
            }
            let began = Instant::now();
            let answered = timeout(PATIENCE, self.call(call, turn % 2)).await;
            let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.tally.slowest.fetch_max(took, Relaxed);
            match answered {
                Ok(Ok(answer)) if answer == call.answer => {
                    self.tally.answered.fetch_add(1, Relaxed);
                }
                wrong => {
                    self.tally.failed.fetch_add(1, Relaxed);
                    let mut told = self.tally.told.lock().expect("nobody panicked");
                    if told.len() < TOLD {
                        told.push(format!("{wrong:?} instead of {}", &call.answer[..20]));
                    }
                }
            }
        }
    }

    async fn call(&mut self, call: &Call, first: usize) -> io::Result<String> {
        if let Asked::Answered(answer) = self.replicas[first].ask(&call.request).await? {
            return Ok(answer);
        }
        self.tally.passed_on.fetch_add(1, Relaxed);
        match self.replicas[1 - first].ask(&call.request).await? {
            Asked::Answered(answer) => Ok(answer),
            Asked::Away => Err(io::Error::other("no replica is there")),
        }
    }
}

impl Replica {
    /// An error is one of an answer that began.
    async fn ask(&mut self, request: &str) -> io::Result<Asked> {
        // One that was kept may have been closed meanwhile (RFC 9112 section 9.3.1).
        if let Some(kept) = self.idle.take()
            && let Asked::Answered(answer) = self.exchange(kept, request).await?
        {
            return Ok(Asked::Answered(answer));
        }
        let Ok(stream) = TcpStream::connect(self.address).await else { return Ok(Asked::Away) };
        stream.set_nodelay(true)?;
        self.exchange(BufReader::new(stream), request).await
    }

    async fn exchange(
        &mut self,
        mut stream: BufReader<TcpStream>,
        request: &str,
    ) -> io::Result<Asked> {
        if stream.get_mut().write_all(request.as_bytes()).await.is_err() {
            return Ok(Asked::Away);
        }
        let mut status = String::new();
        match stream.read_line(&mut status).await {
            Ok(0) => return Ok(Asked::Away),
            Err(_) if status.is_empty() => return Ok(Asked::Away),
            Err(error) => return Err(error),
            Ok(_) => {}
        }
        let (mut length, mut closes, mut line) = (0, false, String::new());
        while stream.read_line(&mut line).await? > 2 {
            let lower = line.trim_end().to_ascii_lowercase();
            if let Some(value) = lower.strip_prefix("content-length: ") {
                length = value.parse().map_err(io::Error::other)?;
            }
            closes |= lower == "connection: close";
            line.clear();
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        if !closes {
            self.idle = Some(stream);
        }
        let body = String::from_utf8_lossy(&body).into_owned();
        if !status.starts_with("HTTP/1.1 200") {
            return Err(io::Error::other(format!("{status}{body}")));
        }
        Ok(Asked::Answered(body))
    }
}
