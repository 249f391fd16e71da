//! The only way of one replica to the token endpoint. Everything that passes is in the ledger; and
//! at the moment that somebody waits for, a refresh is held until they have done what they want.

use std::{
    io::{self, BufReader, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
};

use crate::{
    ledger::{Ledger, Refresh},
    wire::Message,
};

/// Where a refresh can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Asked for, and the provider has not heard of it.
    Asked,
    /// With the provider, which thinks.
    Sent,
    /// The provider has answered; the answer is on the way.
    Answered,
    /// The answer has left for the replica.
    Delivered,
}

/// A refresh that is held until this is dropped.
pub(crate) struct Caught {
    pub(crate) refresh: Refresh,
    #[expect(dead_code, reason = "its end is what counts")]
    hold: Sender<()>,
}

/// Catches one refresh, of any replica, at a moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trap(Arc<Mutex<Option<Set>>>);

type Set = (Moment, Sender<Caught>);

impl Trap {
    /// From here on the next one is caught, until the receiver is dropped.
    pub(crate) fn set(&self, moment: Moment) -> Receiver<Caught> {
        let (caught, receiver) = channel();
        *self.0.lock().expect("nobody panicked") = Some((moment, caught));
        receiver
    }

    fn pass(&self, moment: Moment, refresh: &Refresh) {
        let released = {
            let mut set = self.0.lock().expect("nobody panicked");
            let Some((_, caught)) = set.take_if(|(wanted, _)| *wanted == moment) else { return };
            let (hold, released) = channel::<()>();
            if caught.send(Caught { refresh: refresh.clone(), hold }).is_err() {
                return; // nobody waits any more
            }
            released
        };
        assert!(released.recv().is_err(), "nothing is sent");
    }
}

struct Toll {
    replica: usize,
    provider: String,
    ledger: Arc<Ledger>,
    trap: Trap,
}

/// Starts it and answers its URL; its threads end with the process.
pub(crate) fn start(replica: usize, provider: &str, ledger: &Arc<Ledger>, trap: &Trap) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a port");
    let address: SocketAddr = listener.local_addr().expect("it is bound");
    let provider = provider.trim_start_matches("http://").to_owned();
    let toll = Arc::new(Toll { replica, provider, ledger: ledger.clone(), trap: trap.clone() });
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let toll = Arc::clone(&toll);
            // The replica may be dead by then.
            thread::spawn(move || drop(toll.carry(stream)));
        }
    });
    format!("http://{address}")
}

impl Toll {
    /// One exchange: the gateway makes a connection for each.
    fn carry(&self, mut replica: TcpStream) -> io::Result<()> {
        let Some(request) = Message::read(&mut BufReader::new(replica.try_clone()?))? else {
            return Ok(());
        };
        let refresh = self.ledger.asked(self.replica, &request);
        let person = refresh.as_ref().map(|refresh| refresh.person.clone());
        let person = person.or_else(|| self.ledger.approving());
        let pass = |moment| {
            if let Some(refresh) = &refresh {
                self.trap.pass(moment, refresh);
            }
        };
        pass(Moment::Asked);
        if is_gone(&replica)? {
            return Ok(());
        }
        if refresh.as_ref().is_some_and(|refresh| !self.ledger.spent(refresh)) {
            return Ok(());
        }
        let mut provider = TcpStream::connect(&self.provider)?;
        provider.write_all(&request.bytes())?;
        pass(Moment::Sent);
        let answer = Message::read(&mut BufReader::new(provider))?;
        let answer = answer.expect("the provider answers");
        if let Some(person) = person {
            self.ledger.answered(person, &answer);
        }
        pass(Moment::Answered);
        replica.write_all(&answer.bytes())?;
        pass(Moment::Delivered);
        Ok(())
    }
}

/// Whether the process at the other end is dead: its sockets closed with it.
fn is_gone(stream: &TcpStream) -> io::Result<bool> {
    stream.set_nonblocking(true)?;
    let peeked = stream.peek(&mut [0]);
    stream.set_nonblocking(false)?;
    Ok(peeked.map_or_else(|error| error.kind() != io::ErrorKind::WouldBlock, |length| length == 0))
}
