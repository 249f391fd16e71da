//! Who watches over a request from its first byte to its last, and ends it before its time.
//!
//! What was checked when a stream began is checked again while it lasts: when something of its
//! person changed, at once; without news, from time to time. One timer does for everything, and
//! nothing of it is touched by the bytes that pass.

use std::{
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use attache_core::{AccountName, Principal, Timestamp};
use tokio::{
    select,
    sync::futures::OwnedNotified,
    time::{Instant, sleep_until},
};

use crate::{crowd::Seat, front::FrontParts, snapshot::Route};

/// How often it is asked whether a stream's person may still have it, when nobody tells: what a
/// change that nobody heard of costs, and less than the minute that is promised for it.
const CHECK_EVERY: Duration = Duration::from_secs(45);

/// After this much silence of the upstream a comment keeps proxies from ending an event stream.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// Why a stream was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Cut {
    #[error("nothing came from the upstream for too long")]
    Idle,
    #[error("it lasted for as long as the upstream's requests may")]
    Lifetime,
    #[error("the gateway is shutting down")]
    Shutdown,
    #[error("the token that began it has expired")]
    Expired,
    #[error("its person is not let in any more")]
    SwitchedOff,
    #[error("its person may not use the upstream any more")]
    NoAccess,
    #[error("a rule closes the upstream to its person now")]
    Denied,
    #[error("its person disconnected the upstream")]
    Disconnected,
}

impl Cut {
    /// As the metrics say it.
    fn word(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Lifetime => "lifetime",
            Self::Shutdown => "shutdown",
            Self::Expired => "expired",
            Self::SwitchedOff => "switched_off",
            Self::NoAccess => "no_access",
            Self::Denied => "denied",
            Self::Disconnected => "disconnected",
        }
    }
}

/// Ends when the request has to; to be asked until then, and after that never again.
pub(crate) struct Guard {
    pulse: Arc<Pulse>,
    watching: Pin<Box<dyn Future<Output = Cut> + Send>>,
}

impl Guard {
    /// Begins to watch: before the person's credential is looked up, so that what changes from then
    /// on counts.
    pub(crate) fn new(
        parts: &Arc<FrontParts>,
        who: &Arc<Principal>,
        route: &Arc<Route>,
        account: Option<&AccountName>,
        seat: Seat,
    ) -> Self {
        let pulse = Arc::new(Pulse {
            began: Instant::now(),
            moved: AtomicU64::new(0),
            silent: AtomicBool::new(false),
        });
        let watch = Watch {
            parts: Arc::clone(parts),
            who: Arc::clone(who),
            route: Arc::clone(route),
            account: account.cloned(),
            pulse: Arc::clone(&pulse),
            _seat: seat,
        };
        let news = parts.broker.news(&who.user);
        Self { pulse, watching: Box::pin(watch.run(news)) }
    }

    pub(crate) fn pulse(&self) -> &Arc<Pulse> {
        &self.pulse
    }
}

impl Future for Guard {
    type Output = Cut;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Cut> {
        self.watching.as_mut().poll(cx)
    }
}

/// How an answer comes on.
pub(crate) struct Pulse {
    began: Instant,
    /// Milliseconds after `began` when something came last; 0 before the answer.
    moved: AtomicU64,
    silent: AtomicBool,
}

impl Pulse {
    /// The answer came on.
    pub(crate) fn beat(&self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.began).as_millis();
        self.moved.store(u64::try_from(elapsed).unwrap_or(u64::MAX).max(1), Relaxed);
    }

    /// Whether a sign of life is due.
    pub(crate) fn take_silence(&self) -> bool {
        self.silent.load(Relaxed) && self.silent.swap(false, Relaxed)
    }

    fn last_beat(&self) -> Option<Instant> {
        match self.moved.load(Relaxed) {
            0 => None,
            moved => Some(self.began + Duration::from_millis(moved)),
        }
    }
}

struct Watch {
    parts: Arc<FrontParts>,
    who: Arc<Principal>,
    route: Arc<Route>,
    account: Option<AccountName>,
    pulse: Arc<Pulse>,
    /// Taken for as long as the request lasts.
    _seat: Seat,
}

impl Watch {
    async fn run(self, news: OwnedNotified) -> Cut {
        let cut = self.wait(news).await;
        tracing::debug!(upstream = %self.route.name, %cut, "a request was ended");
        self.route.live.metrics.cut(cut.word());
        cut
    }

    async fn wait(&self, news: OwnedNotified) -> Cut {
        let mut checked = self.pulse.began;
        let mut kept_alive = self.pulse.began;
        let mut news = pin!(news);
        loop {
            let now = Instant::now();
            let alarm = match self.alarm(now, checked, kept_alive) {
                Ok(alarm) => alarm,
                Err(cut) => return cut,
            };
            let is_told = select! {
                biased;
                () = news.as_mut() => true,
                () = sleep_until(alarm) => false,
            };
            let now = Instant::now();
            if is_told {
                news.set(self.parts.broker.news(&self.who.user));
            }
            if is_told || now >= checked + CHECK_EVERY {
                checked = now;
                if let Some(cut) = self.verdict().await {
                    return cut;
                }
            }
            let moved = self.pulse.last_beat();
            if moved.is_some_and(|moved| now >= moved.max(kept_alive) + KEEP_ALIVE) {
                kept_alive = now;
                self.pulse.silent.store(true, Relaxed);
            }
        }
    }

    /// When there is something to do next.
    fn alarm(&self, now: Instant, checked: Instant, kept_alive: Instant) -> Result<Instant, Cut> {
        let timeouts = &self.route.traffic.timeouts;
        let end = self.pulse.began + timeouts.lifetime;
        if now >= end {
            return Err(Cut::Lifetime);
        }
        let left = self.time_left(self.parts.clock.now()).ok_or(Cut::Expired)?;
        let alarm = end.min(checked + CHECK_EVERY).min(now + left.min(CHECK_EVERY));
        // Before the answer, both begin to count at any moment.
        let moved = self.pulse.last_beat();
        let idle = moved.unwrap_or(now) + timeouts.idle;
        if now >= idle {
            return Err(Cut::Idle);
        }
        let silent = moved.map_or(now, |moved| moved.max(kept_alive)) + KEEP_ALIVE;
        Ok(alarm.min(idle).min(silent))
    }

    /// `None` when the caller's proof has ended.
    fn time_left(&self, now: Timestamp) -> Option<Duration> {
        (now < self.who.expires_at).then(|| self.who.expires_at.since(now))
    }

    /// Whether the stream would be begun today. The store is asked on the control runtime; when it
    /// does not answer, the stream goes on.
    async fn verdict(&self) -> Option<Cut> {
        let (parts, who, route) =
            (Arc::clone(&self.parts), Arc::clone(&self.who), Arc::clone(&self.route));
        let account = self.account.clone();
        let snapshot = parts.snapshot.load();
        let today = snapshot.route(&route.name, route.protocol);
        let Some(today) = today.filter(|today| today.access.permits(&who)) else {
            return Some(Cut::NoAccess);
        };
        if today.policy.judge(&who, None, parts.clock.now()).is_err() {
            return Some(Cut::Denied);
        }
        drop(snapshot);
        let control = parts.control.clone();
        let asked = control.spawn(async move {
            if let Ok(false) = parts.authenticator.still_admits(&who).await {
                return Some(Cut::SwitchedOff);
            }
            let upstream = route.broker.as_ref()?;
            let connected = parts.broker.is_connected(&who, upstream, account.as_ref()).await;
            matches!(connected, Ok(false)).then_some(Cut::Disconnected)
        });
        asked.await.ok().flatten()
    }
}
