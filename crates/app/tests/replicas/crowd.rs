//! People who call all the time, and who connect again when they are told to and it is true.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    call::{Caller, Heard},
    people::Person,
    site::Site,
};

pub(crate) const NAMES: [&str; 12] = [
    "ada", "grace", "alan", "annie", "dennis", "edsger", "frances", "hedy", "jean", "john",
    "karen", "mary",
];
/// Calls that each person has under way.
const AT_ONCE: usize = 2;
const PACE: Duration = Duration::from_millis(200);
/// Until everybody knows that a process is dead.
const NEWS: Duration = Duration::from_secs(1);
/// Until a person who was told to connect again is connected, with replicas that die meanwhile; and
/// longer than a lease.
const PATIENCE: Duration = Duration::from_secs(90);

pub(crate) struct Crowd<'a> {
    site: &'a Site,
    members: Vec<Member>,
    over: AtomicBool,
    seen: Mutex<Seen>,
}

struct Member {
    name: &'static str,
    caller: Caller,
    person: Mutex<Person>,
    /// How often they connected again.
    again: AtomicUsize,
}

/// What people heard.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) calls: u64,
    /// The replica died under the call.
    pub(crate) broken: u64,
    /// 503, by what was said.
    pub(crate) later: BTreeMap<String, u64>,
    /// Who had to connect again.
    pub(crate) again: Vec<&'static str>,
    /// Told to connect again without need.
    pub(crate) untrue: Vec<String>,
    pub(crate) longest_call: Duration,
}

impl<'a> Crowd<'a> {
    /// Everybody signs in and connects.
    pub(crate) fn new(site: &'a Site) -> Self {
        let members = site.people(&NAMES).into_iter().map(|mut person| {
            site.connect(&mut person, "api");
            let caller = Caller::new(&site.url, &person.bearer);
            let (name, again) = (person.name, AtomicUsize::default());
            Member { name, caller, person: Mutex::new(person), again }
        });
        let members = members.collect();
        Self { site, members, over: AtomicBool::new(false), seen: Mutex::default() }
    }

    /// People call while `happens` does.
    pub(crate) fn during(&self, happens: impl FnOnce()) {
        thread::scope(|scope| {
            for member in &self.members {
                for _ in 0..AT_ONCE {
                    scope.spawn(|| self.go_on(member));
                }
            }
            let over = Over(&self.over);
            happens();
            drop(over);
        });
    }

    /// In the end everybody hears their own name from every replica; all that was heard until then.
    pub(crate) fn calm_down(&self) -> Seen {
        let start = Instant::now();
        for member in &self.members {
            for replica in &self.site.replicas {
                while !self.call(member, &replica.url) {
                    assert!(start.elapsed() < PATIENCE, "{} is not served", member.name);
                    thread::sleep(PACE);
                }
            }
        }
        self.seen.lock().expect("nobody panicked").clone()
    }

    fn go_on(&self, member: &Member) {
        while !self.over.load(SeqCst) {
            self.call(member, &self.site.url);
            thread::sleep(PACE);
        }
    }

    /// Whether the name was heard.
    fn call(&self, member: &Member, url: &str) -> bool {
        let (again, start) = (member.again.load(SeqCst), Instant::now());
        let heard = member.caller.whoami(url);
        let took = start.elapsed();
        self.note(|seen| {
            seen.calls += 1;
            seen.longest_call = seen.longest_call.max(took);
        });
        match heard {
            Heard::Name(name) => {
                assert_eq!(name, member.name, "somebody else's credential");
                return true;
            }
            Heard::Later(why) => self.note(|seen| *seen.later.entry(why).or_default() += 1),
            Heard::Broken => {
                thread::sleep(NEWS);
                let died = self.site.somebody_died_since(start);
                assert!(died, "{} was not answered, and nobody died", member.name);
                self.note(|seen| seen.broken += 1);
            }
            Heard::Connect => self.connect_again(member, again),
        }
        false
    }

    /// Only for a reason that is true: the refresh token was lost in a crash, and that was noticed
    /// when it was spent again.
    fn connect_again(&self, member: &Member, before: usize) {
        let mut person = member.person.lock().expect("nobody panicked");
        if member.again.load(SeqCst) != before {
            return; // done meanwhile
        }
        let start = Instant::now();
        let (status, reason) = loop {
            match self.site.status(&person.bearer, "api") {
                Some(said) => break said,
                None => assert!(start.elapsed() < PATIENCE, "no status"),
            }
        };
        let last = self.site.ledger.replays_of(member.name).pop();
        // Where the database was away when the provider said so, nothing is written down yet.
        let said = ["connected, ", "needs_reconnect, refresh_interrupted"];
        let is_true = said.contains(&&*format!("{status}, {reason}"))
            && last.is_some_and(|replay| replay.after_a_crash);
        if !is_true {
            let name = member.name;
            self.note(|seen| seen.untrue.push(format!("{name}: {status}, {reason}")));
        }
        while let Err(end) = self.site.try_connect(&mut person, "api") {
            assert!(start.elapsed() < PATIENCE, "{} cannot connect: {end}", member.name);
            thread::sleep(PACE);
        }
        self.note(|seen| seen.again.push(member.name));
        member.again.fetch_add(1, SeqCst);
    }

    fn note(&self, what: impl FnOnce(&mut Seen)) {
        what(&mut self.seen.lock().expect("nobody panicked"));
    }
}

/// Also when what happened was a panic: nothing goes on for ever.
pub(crate) struct Over<'a>(pub(crate) &'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}
