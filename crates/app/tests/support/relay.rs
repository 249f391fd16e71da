//! A wire between the gateway and a token endpoint: it can be cut, and it remembers what passed.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

/// Its threads end with the process.
#[derive(Debug)]
pub(crate) struct Relay {
    address: SocketAddr,
    wire: Arc<Wire>,
}

#[derive(Debug)]
struct Wire {
    target: String,
    is_cut: AtomicBool,
    /// All that passed, in both directions.
    passed: Mutex<Vec<u8>>,
}

impl Relay {
    /// To `url`, an origin of plain http.
    pub(crate) fn to(url: &str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a port");
        let address = listener.local_addr().expect("it is bound");
        let wire = Arc::new(Wire {
            target: url.trim_start_matches("http://").to_owned(),
            is_cut: AtomicBool::new(false),
            passed: Mutex::default(),
        });
        let shared = Arc::clone(&wire);
        thread::spawn(move || {
            for caller in listener.incoming().map_while(Result::ok) {
                // Cut: the connection is closed before a byte passes.
                if !shared.is_cut.load(Ordering::Relaxed) {
                    shared.connect(caller);
                }
            }
        });
        Self { address, wire }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn cut(&self) {
        self.wire.is_cut.store(true, Ordering::Relaxed);
    }

    pub(crate) fn mend(&self) {
        self.wire.is_cut.store(false, Ordering::Relaxed);
    }

    pub(crate) fn passed(&self) -> String {
        let passed = self.wire.passed.lock().expect("nobody panicked");
        String::from_utf8_lossy(&passed).into_owned()
    }
}

impl Wire {
    fn connect(self: &Arc<Self>, here: TcpStream) {
        let there = TcpStream::connect(&self.target).expect("the target listens");
        let other = |stream: &TcpStream| stream.try_clone().expect("the same socket");
        let ways = [(other(&here), other(&there)), (there, here)];
        for (from, to) in ways {
            let wire = Arc::clone(self);
            thread::spawn(move || wire.pass(from, to));
        }
    }

    /// One direction. Either end may go away at any time.
    fn pass(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut buffer = [0; 16 * 1024];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            let bytes = buffer.get(..length).expect("as much as was read");
            self.passed.lock().expect("nobody panicked").extend_from_slice(bytes);
            if to.write_all(bytes).is_err() {
                break;
            }
        }
        drop(to.shutdown(Shutdown::Write));
    }
}
