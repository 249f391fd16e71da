//! What stands in front of the replicas: it takes each request to the next one, and to the one
//! after that when nobody listens there. No stickiness, and no look at what it carries.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

/// While nobody at all listens.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(10);

/// Starts it on a port; its threads end with the process.
pub(crate) fn start(port: u16, replicas: Vec<u16>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("the port is free");
    thread::spawn(move || {
        let turn = AtomicUsize::new(0);
        thread::scope(|scope| {
            for caller in listener.incoming().map_while(Result::ok) {
                // Either side may go away at any time.
                scope.spawn(|| drop(carry(caller, &replicas, &turn)));
            }
        });
    });
}

/// One request: the replica is told that no other will follow on this connection, and tells the
/// caller.
fn carry(mut caller: TcpStream, replicas: &[u16], turn: &AtomicUsize) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    let mut read = 0;
    let line_end = loop {
        let length = caller.read(&mut buffer[read..])?;
        if length == 0 {
            return Ok(());
        }
        read += length;
        if let Some(end) = buffer[..read].windows(2).position(|two| two == b"\r\n") {
            break end + 2;
        }
    };
    let mut replica = next(replicas, turn)?;
    replica.write_all(&buffer[..line_end])?;
    replica.write_all(b"connection: close\r\n")?;
    replica.write_all(&buffer[line_end..read])?;
    let (mut from, mut to) = (caller.try_clone()?, replica.try_clone()?);
    thread::spawn(move || {
        drop(io::copy(&mut from, &mut to));
        drop(to.shutdown(Shutdown::Write));
    });
    let carried = io::copy(&mut replica, &mut caller);
    // Also the other direction ends: a replica that answered wants nothing more.
    drop(caller.shutdown(Shutdown::Both));
    carried.map(drop)
}

fn next(replicas: &[u16], turn: &AtomicUsize) -> io::Result<TcpStream> {
    let start = Instant::now();
    loop {
        for _ in replicas {
            let port = replicas[turn.fetch_add(1, Relaxed) % replicas.len()];
            match TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                connected => return connected,
            }
        }
        if start.elapsed() > PATIENCE {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        thread::sleep(PAUSE);
    }
}
