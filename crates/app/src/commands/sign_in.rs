//! What `attache login` got, in files that only their owner can read: one for each gateway.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use attache_config::environment;
use attache_core::{Secret, Timestamp};
use attache_crypto::random::{SystemRandom, token};
use serde_json::{Value, json};

use crate::Failure;

/// Bytes of a file: two tokens and a name are less.
const MAX_FILE: u64 = 64 * 1024;
/// How long before its end an access token is renewed: a call takes no longer.
const MARGIN: Duration = Duration::from_secs(30);

/// Of one person at one gateway.
#[derive(Clone, Debug)]
pub(crate) struct SignIn {
    /// The gateway's origin.
    pub(crate) gateway: String,
    pub(crate) access_token: Secret,
    pub(crate) expires_at: Timestamp,
    pub(crate) refresh_token: Secret,
}

impl SignIn {
    pub(crate) fn ends_soon(&self, now: Timestamp) -> bool {
        self.expires_at <= now.plus(MARGIN)
    }

    fn parse(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        let text = |name| value.get(name).and_then(Value::as_str);
        Some(Self {
            gateway: text("gateway")?.to_owned(),
            access_token: Secret::new(text("access_token")?),
            expires_at: Timestamp(value.get("expires_at_ms")?.as_i64()?),
            refresh_token: Secret::new(text("refresh_token")?),
        })
    }

    fn write(&self) -> String {
        let value = json!({
            "gateway": self.gateway,
            "access_token": self.access_token.expose(),
            "expires_at_ms": self.expires_at.0,
            "refresh_token": self.refresh_token.expose(),
        });
        format!("{value:#}\n")
    }
}

/// All of this person on this machine.
#[derive(Clone, Debug)]
pub(crate) struct SignIns {
    directory: PathBuf,
}

impl SignIns {
    /// Below `XDG_STATE_HOME`, else `~/.local/state`.
    pub(crate) fn here() -> Result<Self, Failure> {
        let absolute =
            |name| environment(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let state = absolute("XDG_STATE_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
            .ok_or_else(|| {
                Failure::Usage(
                    "where is your home? Neither HOME nor XDG_STATE_HOME says".to_owned(),
                )
            })?;
        Ok(Self { directory: state.join("attache/sign-ins") })
    }

    pub(crate) fn find(&self, gateway: &str) -> Result<Option<SignIn>, Failure> {
        let file = self.file(gateway);
        let found = match read(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(|error| of(&file, &error))?,
        };
        // One of another gateway, or cut short: as good as none.
        Ok(SignIn::parse(&found).filter(|found| found.gateway == gateway))
    }

    /// The origins of all gateways that there is one for.
    pub(crate) fn gateways(&self) -> Result<Vec<String>, Failure> {
        let files = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            files => files.map_err(|error| of(&self.directory, &error))?,
        };
        let files = files.filter_map(Result::ok).map(|file| file.path());
        let kept = files.filter(|file| file.extension().is_some_and(|one| one == EXTENSION));
        let mut gateways: Vec<String> =
            kept.filter_map(|file| Some(SignIn::parse(&read(&file).ok()?)?.gateway)).collect();
        gateways.sort();
        Ok(gateways)
    }

    /// All of it or nothing, and readable by nobody else at any time: written beside its place and
    /// then put there.
    pub(crate) fn keep(&self, sign_in: &SignIn) -> Result<(), Failure> {
        let file = self.file(&sign_in.gateway);
        let beside = self.directory.join(format!("{}.new", token(&SystemRandom)));
        let written = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.directory)
            .and_then(|()| write(&beside, &sign_in.write()))
            .and_then(|()| fs::rename(&beside, &file));
        written.map_err(|error| {
            drop(fs::remove_file(&beside));
            of(&file, &error)
        })
    }

    pub(crate) fn forget(&self, gateway: &str) -> Result<(), Failure> {
        let file = self.file(gateway);
        match fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(of(&file, &error)),
            _ => Ok(()),
        }
    }

    fn file(&self, gateway: &str) -> PathBuf {
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '_' };
        let name: String = gateway.chars().map(plain).collect();
        self.directory.join(format!("{name}.{EXTENSION}"))
    }
}

const EXTENSION: &str = "json";

fn read(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(file)?.take(MAX_FILE).read_to_string(&mut text)?;
    Ok(text)
}

fn write(file: &Path, text: &str) -> io::Result<()> {
    let mut opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    opened.write_all(text.as_bytes())?;
    opened.sync_all()
}

fn of(file: &Path, error: &io::Error) -> Failure {
    Failure::Failed(format!("{}: {error}", file.display()))
}

#[cfg(test)]
mod tests {
    use std::{env, os::unix::fs::PermissionsExt as _, process};

    use super::*;

    #[test]
    fn a_sign_in_is_kept_for_its_owner_alone_and_by_gateway() {
        let directory = env::temp_dir().join(format!("attache-sign-ins-{}", process::id()));
        let all = SignIns { directory: directory.join("of/ada") };
        let sign_in = |gateway: &str, refresh_token: &str| SignIn {
            gateway: gateway.to_owned(),
            access_token: Secret::new("a"),
            expires_at: Timestamp(60_000),
            refresh_token: Secret::new(refresh_token),
        };
        let refresh = |gateway: &str| {
            all.find(gateway).unwrap().map(|found| found.refresh_token.expose().to_owned())
        };
        let (one, other) = ("https://gw.example.com", "http://[::1]:8080");
        assert!(all.find(one).unwrap().is_none() && all.gateways().unwrap().is_empty());
        for (gateway, token) in [(one, "first"), (other, "second"), (one, "third")] {
            all.keep(&sign_in(gateway, token)).unwrap();
        }
        assert_eq!((refresh(one), refresh(other)), (Some("third".into()), Some("second".into())));
        assert_eq!(all.gateways().unwrap(), [other, one]);
        assert_eq!(fs::read_dir(&all.directory).unwrap().count(), 2, "nothing is left beside");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&all.file(one)), mode(&all.directory)), (0o600, 0o700));

        // What is there for another gateway is not taken for this one's.
        fs::copy(all.file(one), all.file("https://gw.example.org")).unwrap();
        assert_eq!(refresh("https://gw.example.org"), None);
        fs::write(all.file(other), "{").unwrap();
        assert_eq!(refresh(other), None);
        all.forget(one).unwrap();
        all.forget(one).unwrap();
        assert_eq!(refresh(one), None);
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn a_token_is_renewed_before_it_ends() {
        let sign_in = SignIn {
            gateway: String::new(),
            access_token: Secret::new("a"),
            expires_at: Timestamp(60_000),
            refresh_token: Secret::new("r"),
        };
        for (now, soon) in [(0, false), (29_999, false), (30_000, true), (90_000, true)] {
            assert_eq!(sign_in.ends_soon(Timestamp(now)), soon, "{now}");
        }
    }
}
