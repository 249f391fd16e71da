//! Replicas are killed at every moment of a refresh, hundreds of times, under people who call all
//! the time. Nobody ever gets another's credential, and nobody is asked to connect again who need
//! not: only a new refresh token that was in no place but a process which died is lost (OC-27).
//!
//! `ATTACHE_CHAOS_SEED` repeats a run, as far as the scheduler lets it; `ATTACHE_CHAOS_ROUNDS` makes
//! it longer or shorter.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::Write as _,
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    thread::{self, ScopedJoinHandle},
    time::{Duration, Instant},
};

use crate::{
    chance::{self, Chance},
    crowd::{Crowd, Over, Seen},
    site::{REPLICAS, Setting, Site},
    toll::{Caught, Moment},
};

/// Everybody's token is renewed every second or two.
const SETTING: Setting =
    Setting { access_token: Duration::from_secs(3), token_delay: Duration::from_millis(40) };
/// Until some refresh comes to the moment that is waited for.
const PATIENCE: Duration = Duration::from_secs(3);
/// For the database to finish what a dead process had sent it.
const SETTLE: Duration = Duration::from_millis(30);
/// On average; where rounds are longer there are fewer.
const LONGEST_ROUND: Duration = Duration::from_millis(500);
/// Of how many rounds one must have come about, on the busiest machine.
const FEWEST: u32 = 20;
/// The database restarts once in as many rounds.
const DATABASE: u32 = 20;

/// Where a refresh was when its process died.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Window {
    /// Nobody looked for one.
    AnyMoment,
    Leased,
    WithTheProvider,
    AnswerOnTheWay,
    /// Answered, and what the process writes does not arrive.
    NotWritten,
    /// Answered, and whether it was written is a matter of microseconds.
    Racing,
    Written,
}

impl Window {
    /// The quiet ones more often: a lost token costs a person a minute of work, here a second.
    const DICE: [Self; 20] = [
        Self::AnyMoment,
        Self::AnyMoment,
        Self::AnyMoment,
        Self::AnyMoment,
        Self::Leased,
        Self::Leased,
        Self::Leased,
        Self::Leased,
        Self::WithTheProvider,
        Self::WithTheProvider,
        Self::AnswerOnTheWay,
        Self::AnswerOnTheWay,
        Self::NotWritten,
        Self::NotWritten,
        Self::Racing,
        Self::Racing,
        Self::Racing,
        Self::Written,
        Self::Written,
        Self::Written,
    ];
}

#[test]
fn a_rotating_token_survives_hundreds_of_deaths() {
    chaos("three replicas", 300, |_| {}, |_, _| {});
}

/// Fewer deaths are enough to see it: a lease that another clock ends early is spent twice at once.
#[test]
fn and_clocks_that_are_minutes_apart() {
    let apart = |site: &Site| {
        for (replica, seconds) in [-120, 0, 120].into_iter().enumerate() {
            site.move_clock(replica, seconds);
        }
    };
    chaos("clocks at -2, 0 and +2 minutes", 60, apart, |_, _| {});
}

/// Fewer, too: cables are cut several times in each round.
#[test]
fn and_a_database_that_comes_and_goes() {
    chaos(
        "a database behind bad cables",
        60,
        |_| {},
        |site, chance| {
            let cable = &site.replicas[chance.below(REPLICAS)].cable;
            match chance.below(4) {
                0 => cable.cut(),
                1 => cable.swallow(),
                _ => cable.delay(chance.millis_below(60)),
            }
            thread::sleep(chance.millis_below(300));
            cable.mend();
            thread::sleep(chance.millis_below(200));
        },
    );
}

fn chaos(
    what: &str,
    rounds: u32,
    prepare: impl FnOnce(&Site),
    disturb: impl Fn(&Site, &mut Chance) + Sync,
) {
    let (seed, told) = (chance::seed(), chance::rounds());
    let rounds = told.unwrap_or(rounds);
    // A busy machine dies less often, but is ready as soon.
    let limit = if told.is_some() { Duration::MAX } else { LONGEST_ROUND * rounds };
    let site = Site::new(SETTING);
    let crowd = Crowd::new(&site);
    prepare(&site);
    let start = Instant::now();
    let (mut deaths, over) = (Deaths::default(), AtomicBool::new(false));
    crowd.during(|| {
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut chance = Chance::new(seed ^ 1);
                while !over.load(SeqCst) {
                    disturb(&site, &mut chance);
                    thread::sleep(SETTLE);
                }
            });
            let _over = Over(&over);
            let mut chance = Chance::new(seed);
            let mut starting: Option<ScopedJoinHandle<'_, ()>> = None;
            for round in 1..=rounds {
                if start.elapsed() > limit {
                    break;
                }
                if round % DATABASE == 0 {
                    site.cluster.crash();
                    site.cluster.run_server();
                }
                let up = || {
                    if let Some(starting) = starting.take() {
                        starting.join().expect("it starts");
                    }
                };
                let dead = deaths.one(&site, &mut chance, up);
                let site = &site;
                starting = Some(scope.spawn(move || site.start_again(dead)));
            }
        });
    });
    let took = start.elapsed();
    let heard = crowd.calm_down();
    let replays = site.ledger.replays();
    let table = deaths.table(what, seed, &site, &heard, took);
    // Not `print`: it is shown also when the test passes.
    std::io::stderr().write_all(table.as_bytes()).expect("somebody reads");

    assert!(deaths.count() >= rounds / FEWEST, "too little happened to tell");
    let faults: Vec<_> = replays.iter().filter(|replay| !replay.after_a_crash).collect();
    assert!(faults.is_empty(), "a token was spent twice: {faults:#?}");
    assert_eq!(heard.untrue, [""; 0], "told to connect again without need");
    // It revokes at the first; who asks again before that is written down hears the same.
    let (reused, denied) = (site.count("/reused"), site.count("/refresh_token/refused"));
    let replays = u64::try_from(replays.len()).expect("few");
    assert!(reused <= replays && denied == replays, "{reused} {denied} {replays}");
    site.assert_audit_is_whole();
    drop(crowd);
    site.end();
}

#[derive(Debug, Default)]
struct Deaths {
    by_window: BTreeMap<Window, Toll>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Toll {
    deaths: u32,
    /// A lease was left behind.
    interrupted: u32,
    /// And the token was spent.
    lost: u32,
}

impl Deaths {
    /// A replica dies at a moment of chance, which is not before the one that died last is `up`.
    fn one(&mut self, site: &Site, chance: &mut Chance, up: impl FnOnce()) -> usize {
        let wanted = Window::DICE[chance.below(Window::DICE.len())];
        up();
        let (window, caught) = match catch(site, wanted) {
            Some(caught) => (wanted, Some(caught)),
            None => (Window::AnyMoment, None),
        };
        let replica = if let Some(caught) = &caught {
            caught.refresh.by.replica
        } else {
            thread::sleep(chance.millis_below(200));
            chance.below(REPLICAS)
        };
        let life = site.kill(replica);
        drop(caught);
        for replica in &site.replicas {
            replica.cable.mend();
        }
        thread::sleep(SETTLE);

        let toll = self.by_window.entry(window).or_default();
        toll.deaths += 1;
        for lease in site.database.leases() {
            if site.ledger.last(&lease.person) == Some(life) {
                toll.interrupted += 1;
                toll.lost += u32::from(site.ledger.left_open(&lease.person, life));
                site.database.let_run_out(&lease);
            }
        }
        replica
    }

    fn count(&self) -> u32 {
        self.by_window.values().map(|toll| toll.deaths).sum()
    }

    fn table(&self, what: &str, seed: u64, site: &Site, heard: &Seen, took: Duration) -> String {
        let mut table = format!(
            "\n{what}: {} deaths in {:.0} s, seed {seed}\n  \
             {:<18}{:>8}{:>13}{:>8}\n",
            self.count(),
            took.as_secs_f64(),
            "died",
            "times",
            "interrupted",
            "lost",
        );
        for (window, Toll { deaths, interrupted, lost }) in &self.by_window {
            let window = format!("{window:?}");
            writeln!(table, "  {window:<18}{deaths:>8}{interrupted:>13}{lost:>8}").expect("text");
        }
        let replays = site.ledger.replays();
        let crash = replays.iter().filter(|replay| replay.after_a_crash).count();
        writeln!(
            table,
            "  {} calls, {} of them broken by a death, {} refreshes, the longest call {:.1} s\n  \
             {} times a spent token was sent again, {crash} of them because its successor died with \
             a process: {}\n  \
             {} times somebody connected again: {:?}, without need: {:?}",
            heard.calls,
            heard.broken,
            site.ledger.refreshes(),
            heard.longest_call.as_secs_f64(),
            replays.len(),
            replays.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
            heard.again.len(),
            heard.again,
            heard.untrue,
        )
        .expect("text");
        for (why, times) in &heard.later {
            writeln!(table, "  {times} times later: {why}").expect("text");
        }
        table
    }
}

/// A refresh at the moment that `window` begins, held there; `None` when none came.
fn catch(site: &Site, window: Window) -> Option<Caught> {
    let at = |moment| site.trap.set(moment).recv_timeout(PATIENCE).ok();
    match window {
        Window::AnyMoment => None,
        Window::Leased => at(Moment::Asked),
        Window::WithTheProvider => at(Moment::Sent),
        Window::AnswerOnTheWay => at(Moment::Answered),
        Window::Racing => at(Moment::Delivered),
        Window::NotWritten => {
            let answered = at(Moment::Answered)?;
            let life = answered.refresh.by;
            site.replicas[life.replica].cable.swallow();
            let delivered = site.trap.set(Moment::Delivered);
            drop(answered);
            delivered.recv_timeout(PATIENCE).ok()
        }
        Window::Written => {
            let caught = at(Moment::Delivered)?;
            let start = Instant::now();
            while site.database.is_held(&caught.refresh.person) && start.elapsed() < PATIENCE {}
            Some(caught)
        }
    }
}
