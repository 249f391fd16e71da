//! What really happened to each refresh token: who spent it, in which life, and what became of the
//! answer. Kept by the tolls, which see every token request and answer.

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, MutexGuard},
};

use serde_json::Value;

use crate::{site::REPLICAS, wire::Message};

/// One life of one replica: it ends when the process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Life {
    pub(crate) replica: usize,
    pub(crate) number: u64,
}

/// A refresh on its way.
#[derive(Clone, Debug)]
pub(crate) struct Refresh {
    pub(crate) person: String,
    pub(crate) by: Life,
    token: String,
}

#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<Book>);

#[derive(Debug, Default)]
struct Book {
    lives: [u64; REPLICAS],
    /// What still comes from there was sent by the dead.
    is_down: [bool; REPLICAS],
    /// Who is approving just now: what a code is redeemed for is theirs.
    connecting: Option<String>,
    tokens: HashMap<String, Token>,
    /// The last refresh of each person that reached a toll.
    last: HashMap<String, Refresh>,
    refreshes: u64,
    replays: Vec<Replay>,
}

#[derive(Debug)]
struct Token {
    person: String,
    spent_by: Option<Life>,
    /// In the crash window: the provider spent it, the process that asked is dead, and the store has
    /// nothing newer.
    is_lost: bool,
}

/// A refresh token was presented a second time: this provider revokes the grant for it.
#[derive(Clone, Debug)]
pub(crate) struct Replay {
    pub(crate) person: String,
    pub(crate) first: Life,
    pub(crate) again: Life,
    /// The first time was in the crash window; otherwise it is a fault of ours.
    pub(crate) after_a_crash: bool,
}

/// Whose, which replica died with its successor, and which one tried again.
impl fmt::Display for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} then {})", self.person, self.first.replica, self.again.replica)
    }
}

impl Ledger {
    /// Who a code belongs to that is redeemed from here on; `None` when nobody is approving.
    pub(crate) fn connecting(&self, person: Option<&str>) {
        self.book().connecting = person.map(ToOwned::to_owned);
    }

    /// This life is over: nothing of it is forwarded any more.
    pub(crate) fn died(&self, replica: usize) -> Life {
        let mut book = self.book();
        book.is_down[replica] = true;
        Life { replica, number: book.lives[replica] }
    }

    /// The next life begins.
    pub(crate) fn begins(&self, replica: usize) {
        let mut book = self.book();
        book.lives[replica] += 1;
        book.is_down[replica] = false;
    }

    /// The store still waits for a refresh that a dead process sent: is its token spent?
    pub(crate) fn left_open(&self, person: &str, by: Life) -> bool {
        let mut book = self.book();
        let last = book.last.get(person).filter(|last| last.by == by).cloned();
        let token = last.and_then(|last| book.tokens.get_mut(&last.token));
        let Some(token) = token.filter(|token| token.spent_by == Some(by)) else { return false };
        token.is_lost = true;
        true
    }

    /// Whose life sent the last refresh of this person.
    pub(crate) fn last(&self, person: &str) -> Option<Life> {
        self.book().last.get(person).map(|last| last.by)
    }

    /// Before it is forwarded: `None` for a request that is no refresh.
    pub(crate) fn asked(&self, replica: usize, request: &Message) -> Option<Refresh> {
        let token = request.parameter("refresh_token")?;
        let mut book = self.book();
        let by = Life { replica, number: book.lives[replica] };
        let person = book.tokens.get(&token).expect("it was given out here").person.clone();
        let refresh = Refresh { person: person.clone(), by, token };
        book.last.insert(person, refresh.clone());
        Some(refresh)
    }

    /// Whether it goes to the provider now: what a dead process sent does not.
    pub(crate) fn spent(&self, refresh: &Refresh) -> bool {
        let mut book = self.book();
        let again = refresh.by;
        if book.is_down[again.replica] || book.lives[again.replica] != again.number {
            return false;
        }
        let token = book.tokens.get_mut(&refresh.token).expect("it was asked before");
        let Some(first) = token.spent_by else {
            token.spent_by = Some(again);
            book.refreshes += 1;
            return true;
        };
        let (person, after_a_crash) = (refresh.person.clone(), token.is_lost);
        book.replays.push(Replay { person, first, again, after_a_crash });
        true
    }

    /// Who is approving, when a code is sent to be redeemed.
    pub(crate) fn approving(&self) -> Option<String> {
        self.book().connecting.clone()
    }

    /// What the provider said to `person`.
    pub(crate) fn answered(&self, person: String, answer: &Message) {
        let said: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let Some(token) = said["refresh_token"].as_str() else { return };
        let fresh = Token { person, spent_by: None, is_lost: false };
        self.book().tokens.insert(token.to_owned(), fresh);
    }

    /// The replays of a person's tokens so far.
    pub(crate) fn replays_of(&self, person: &str) -> Vec<Replay> {
        let book = self.book();
        book.replays.iter().filter(|replay| replay.person == person).cloned().collect()
    }

    pub(crate) fn replays(&self) -> Vec<Replay> {
        self.book().replays.clone()
    }

    /// Refresh tokens that were spent.
    pub(crate) fn refreshes(&self) -> u64 {
        self.book().refreshes
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().expect("nobody panicked")
    }
}
