//! A cable between the gateway and anything it speaks TCP with: it can be cut, be mended, swallow
//! what is sent, and be slow. Other crates' tests use it by `#[path]`.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

/// Its threads end with the process.
#[derive(Debug)]
pub(crate) struct Cable {
    address: SocketAddr,
    line: Arc<Line>,
}

#[derive(Debug)]
struct Line {
    target: SocketAddr,
    state: Mutex<State>,
    open: Mutex<Vec<Arc<Connection>>>,
    /// Connections that were asked for, also in vain.
    tried: AtomicUsize,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Every piece arrives this much later.
    Passes(Duration),
    Swallows,
    Cut,
}

#[derive(Debug)]
struct Connection {
    here: TcpStream,
    /// `None` when it was made while the cable swallowed: nobody is at the other end.
    there: Option<TcpStream>,
    /// Something that was sent did not arrive: nothing that comes later would make sense.
    has_lost: AtomicBool,
}

impl Cable {
    pub(crate) fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a port");
        let address = listener.local_addr().expect("it is bound");
        let line = Arc::new(Line {
            target,
            state: Mutex::new(State::Passes(Duration::ZERO)),
            open: Mutex::default(),
            tried: AtomicUsize::new(0),
        });
        let shared = Arc::clone(&line);
        thread::spawn(move || {
            for caller in listener.incoming().map_while(Result::ok) {
                shared.tried.fetch_add(1, Relaxed);
                // In vain: the caller's connection is closed, as where nobody listens any more.
                drop(shared.connect(caller));
            }
        });
        Self { address, line }
    }

    /// Where to connect instead of the target.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every connection ends, and new ones end before a byte passes.
    pub(crate) fn cut(&self) {
        self.line.turn(State::Cut, |_| true);
    }

    /// As in the beginning. Connections of which something was swallowed end.
    pub(crate) fn mend(&self) {
        self.delay(Duration::ZERO);
    }

    /// Connections stay open, and new ones are accepted, but nothing sent on them arrives: a
    /// firewall that forgot them, a machine that lost power.
    pub(crate) fn swallow(&self) {
        self.line.turn(State::Swallows, |_| false);
    }

    /// Mended, and every piece arrives `by` later, in each direction.
    pub(crate) fn delay(&self, by: Duration) {
        self.line.turn(State::Passes(by), |connection| connection.has_lost.load(Relaxed));
    }

    /// How often somebody connected so far, also in vain.
    pub(crate) fn tried(&self) -> usize {
        self.line.tried.load(Relaxed)
    }

    /// How many connections are open.
    pub(crate) fn open(&self) -> usize {
        self.line.open().len()
    }
}

impl Line {
    fn turn(&self, state: State, ends: impl Fn(&Connection) -> bool) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
        self.open().iter().filter(|connection| ends(connection)).for_each(|one| one.end());
    }

    fn connect(self: &Arc<Self>, here: TcpStream) -> io::Result<()> {
        let there = match self.state() {
            State::Cut => return Ok(()),
            State::Swallows => None,
            State::Passes(_) => Some(TcpStream::connect(self.target)?),
        };
        let has_lost = AtomicBool::new(there.is_none());
        let connection = Arc::new(Connection { here, there, has_lost });
        self.open().push(Arc::clone(&connection));
        if matches!(self.state(), State::Cut) {
            connection.end(); // meanwhile
        }
        let line = Arc::clone(self);
        thread::spawn(move || {
            thread::scope(|scope| {
                scope.spawn(|| line.pass(&connection, &connection.here, connection.there.as_ref()));
                if let Some(there) = &connection.there {
                    scope.spawn(|| line.pass(&connection, there, Some(&connection.here)));
                }
            });
            line.open().retain(|one| !Arc::ptr_eq(one, &connection));
        });
        Ok(())
    }

    /// One direction. Either end may go away at any time; then the other goes, too.
    fn pass(&self, connection: &Connection, mut from: &TcpStream, to: Option<&TcpStream>) {
        let mut buffer = [0; 16 * 1024];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            if let State::Passes(delay) = self.state() {
                thread::sleep(delay);
            }
            let bytes = buffer.get(..length).expect("as much as was read");
            match (self.state(), to) {
                (State::Passes(_), Some(mut to)) if !connection.has_lost.load(Relaxed) => {
                    if to.write_all(bytes).is_err() {
                        break;
                    }
                }
                _ => connection.has_lost.store(true, Relaxed),
            }
        }
        connection.end();
    }

    fn state(&self) -> State {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) -> MutexGuard<'_, Vec<Arc<Connection>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    fn end(&self) {
        for end in [Some(&self.here), self.there.as_ref()].into_iter().flatten() {
            // It may have ended already.
            drop(end.shutdown(Shutdown::Both));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long silence must last to count.
    const SILENCE: Duration = Duration::from_millis(100);

    #[test]
    fn a_cable_can_be_cut_swallow_be_slow_and_be_mended() {
        let cable = Cable::to(echo());
        let mut stream = connect(&cable);
        assert_eq!(say(&mut stream), Some(1));

        cable.swallow();
        assert_eq!(say(&mut stream), None);
        assert_eq!(say(&mut connect(&cable)), None, "accepted, never answered");
        cable.mend();
        assert_eq!(say(&mut stream), Some(0), "what lost a byte ends");

        let mut stream = connect(&cable);
        assert_eq!(say(&mut stream), Some(1));
        cable.delay(SILENCE);
        assert_eq!(say(&mut stream), None, "not yet");

        cable.cut();
        assert_eq!(say(&mut stream), Some(0));
        assert_eq!(say(&mut connect(&cable)), Some(0));
        cable.mend();
        assert_eq!(say(&mut connect(&cable)), Some(1));
        assert_eq!(cable.tried(), 5);
        while cable.open() > 0 {
            thread::sleep(Duration::from_millis(1)); // what ended is not kept
        }
    }

    /// Sends a byte: `Some(1)` when it came back, `Some(0)` at the end, `None` when nothing happens.
    fn say(stream: &mut TcpStream) -> Option<usize> {
        drop(stream.write_all(b"x"));
        match stream.read(&mut [0]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            other => Some(other.unwrap_or(0)),
        }
    }

    fn connect(cable: &Cable) -> TcpStream {
        let stream = TcpStream::connect(cable.address()).expect("it listens");
        stream.set_read_timeout(Some(SILENCE)).expect("not zero");
        stream
    }

    fn echo() -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a port");
        let address = listener.local_addr().expect("it is bound");
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                thread::spawn(move || io::copy(&mut &stream, &mut &stream));
            }
        });
        address
    }
}
