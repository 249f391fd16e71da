//! The reference plugin of `examples/`, and sockets that misbehave.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::UnixListener,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};

use attache_core::{
    Secret, UserId,
    line_service::{LineError, LineService as _},
    outbound::Limits,
    store::{KeyOwner, WrappedKey},
};
use attache_crypto::{
    keyring::{KeyError, KeyRing, KeyWrapper as _},
    random::SystemRandom,
    seal::DataKey,
    wrap::plugin::Plugin,
};
use attache_net::line_service::UnixSocket;

use crate::props::{Directory, repository, ring_of};

/// The program, ended with the value.
pub(crate) struct Running {
    child: Child,
    pub(crate) id: String,
}

impl Running {
    pub(crate) fn start(directory: &Directory, socket: &str, key: &str) -> Self {
        let mut child = Command::new("python3")
            .arg(repository().join("examples/key-plugin/key_plugin.py"))
            .args([directory.path(socket), directory.path(key)])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the plugin needs Python 3: install python3");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        let (name, _) = line.split_once(" on ").expect("which key, and where");
        Self { child, id: format!("plugin:{name}") }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().expect("it runs until now");
        self.child.wait().expect("it ends");
    }
}

pub(crate) async fn meet(socket: &Path) -> Result<Arc<Plugin>, KeyError> {
    Plugin::meet(Arc::new(UnixSocket::new(socket.to_owned()))).await.map(Arc::new)
}

#[tokio::test]
async fn the_reference_plugin_keeps_the_promises_of_a_key() {
    let directory = Directory::new("plugin");
    let running = Running::start(&directory, "key.sock", "plugin.key");
    let plugin = meet(&directory.path("key.sock")).await.unwrap();
    assert_eq!(plugin.id().0.as_ref(), running.id);

    let [ada, grace] = ["ada", "grace"].map(|name| KeyOwner::Person(UserId::new(name)));
    let key = DataKey::generate(&SystemRandom);
    let wrapped = plugin.wrap(&key, &ada).await.unwrap();
    let ring = ring_of(plugin.clone());
    assert!(ring.unwrap(&wrapped, &ada).await.is_ok());
    let stolen = ring.unwrap(&wrapped, &grace).await;
    assert!(matches!(stolen, Err(KeyError::Tampered)), "{stolen:?}");
    let mut bytes = wrapped.bytes.clone();
    bytes[40] ^= 1;
    let changed = plugin.unwrap(&WrappedKey { bytes, ..wrapped.clone() }, &ada).await;
    assert!(matches!(changed, Err(KeyError::Tampered)), "{changed:?}");

    drop(running);
    let away = plugin.unwrap(&wrapped, &ada).await;
    assert!(matches!(away, Err(KeyError::Unavailable(_))), "{away:?}");
    let back = Running::start(&directory, "elsewhere.sock", "plugin.key");
    let moved = meet(&directory.path("elsewhere.sock")).await.unwrap();
    assert!(moved.unwrap(&wrapped, &ada).await.is_ok(), "the key is known by its name");
    drop(back);

    let other = Running::start(&directory, "other.sock", "other.key");
    let stranger =
        KeyRing { active: meet(&directory.path("other.sock")).await.unwrap(), retired: Vec::new() };
    let unknown = stranger.unwrap(&wrapped, &ada).await;
    assert!(matches!(unknown, Err(KeyError::Unknown(_))), "{unknown:?}");
    drop(other);
}

/// Reads the question, says `answer` and holds the connection.
fn says(socket: &Path, answer: Vec<u8>) {
    let listener = UnixListener::bind(socket).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            drop(stream.read(&mut [0; 1024]).and_then(|_| stream.write_all(&answer)));
            thread::spawn(move || {
                thread::sleep(Duration::from_secs(30));
                drop(stream);
            });
        }
    });
}

type Expected = fn(&Result<Secret, LineError>) -> bool;

#[tokio::test]
async fn a_socket_is_bounded_in_time_and_size() {
    let directory = Directory::new("sockets");
    let limits = Limits { timeout: Duration::from_millis(500), max_body: 1024 };
    let cases: [(&str, Vec<u8>, Expected); 5] = [
        ("line", b"hello\n".to_vec(), |r| matches!(r, Ok(line) if line.expose() == "hello")),
        ("silent", Vec::new(), |r| matches!(r, Err(LineError::Timeout(_)))),
        ("endless", b"no newline".to_vec(), |r| matches!(r, Err(LineError::Timeout(_)))),
        ("large", vec![b'x'; 4096], |r| matches!(r, Err(LineError::NotALine(1024)))),
        ("binary", vec![0xff, b'\n'], |r| matches!(r, Err(LineError::NotALine(1024)))),
    ];
    for (name, answer, expected) in cases {
        let socket = directory.path(name);
        says(&socket, answer);
        let result = UnixSocket::new(socket).ask(&Secret::new("{}"), limits).await;
        assert!(expected(&result), "{name}: {result:?}");
    }
}

/// Only root can give a file away, so only root can try this one whole.
#[tokio::test]
async fn what_is_not_our_socket_is_not_asked() {
    let directory = Directory::new("owners");
    let limits = Limits { timeout: Duration::from_secs(5), max_body: 1024 };
    let (ours, file) = (directory.path("ours"), directory.path("file"));
    says(&ours, b"{}\n".to_vec());
    std::fs::write(&file, "").unwrap();
    let link = directory.path("link");
    std::os::unix::fs::symlink(&ours, &link).unwrap();
    let mut refused = vec![file, link];
    let given = directory.path("given");
    says(&given, b"{}\n".to_vec());
    if std::os::unix::fs::chown(&given, Some(65_534), None).is_ok() {
        refused.push(given);
    }
    for path in refused {
        let result = UnixSocket::new(path.clone()).ask(&Secret::new("{}"), limits).await;
        assert!(matches!(result, Err(LineError::NotOurs)), "{}: {result:?}", path.display());
    }
    UnixSocket::new(ours).ask(&Secret::new("{}"), limits).await.unwrap();
}
