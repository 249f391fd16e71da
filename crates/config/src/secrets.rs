//! Resolves references to secrets. The only place that reads the environment.

use std::{
    fs, io,
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use attache_core::Secret;

use crate::schema::SecretSource;

/// Bytes. The longest secrets are PEM chains.
const LONGEST_SECRET: u64 = 64 * 1024;

/// How long a program may take to print a secret.
const EXEC_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a program that closed its output is asked whether it ended.
const EXEC_POLL: Duration = Duration::from_millis(5);

/// Looks a variable up in the environment, or in what a test says it is.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The process's environment; a variable that is not UTF-8 is not set.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretError {
    #[error("the environment variable {0} is not set")]
    NotSet(String),
    #[error("the secret is empty")]
    Empty,
    #[error("{} cannot be read: {kind}", file.display())]
    Unreadable { file: PathBuf, kind: io::ErrorKind },
    #[error("the secret is longer than {LONGEST_SECRET} bytes")]
    TooLong,
    #[error("the secret is not UTF-8 text")]
    NotText,
    #[error("exec names no program")]
    NoProgram,
    #[error("{program} cannot be run: {kind}")]
    NotRun { program: String, kind: io::ErrorKind },
    #[error("{program} failed")]
    Failed { program: String },
    #[error("{program} did not end within {timeout:?}")]
    TimedOut { program: String, timeout: Duration },
}

pub(crate) struct Resolved {
    pub(crate) secret: Secret,
    /// It is in a file that every user of the machine may read.
    pub(crate) world_readable: bool,
}

pub(crate) struct Secrets<'a> {
    pub(crate) variable: Lookup<'a>,
    /// Where relative paths begin: the folder of the configuration file.
    pub(crate) base: &'a Path,
}

impl Secrets<'_> {
    pub(crate) fn resolve(&self, source: &SecretSource) -> Result<Resolved, SecretError> {
        let private = |secret| Resolved { secret, world_readable: false };
        match source {
            SecretSource::Text(secret) if secret.is_empty() => Err(SecretError::Empty),
            SecretSource::Text(secret) => Ok(private(secret.clone())),
            SecretSource::Env { env } => self.env(env).map(private),
            SecretSource::File { file } => self.file(Path::new(file)),
            SecretSource::Exec { exec } => run(exec, EXEC_TIMEOUT).map(private),
        }
    }

    /// An empty variable is not set: that is how a shell un-sets one for a child.
    pub(crate) fn env(&self, name: &str) -> Result<Secret, SecretError> {
        let value = (self.variable)(name).filter(|value| !value.is_empty());
        value.map(Secret::new).ok_or_else(|| SecretError::NotSet(name.to_owned()))
    }

    pub(crate) fn file(&self, name: &Path) -> Result<Resolved, SecretError> {
        let file = self.base.join(name);
        let unreadable =
            |error: io::Error| SecretError::Unreadable { file: file.clone(), kind: error.kind() };
        let opened = fs::File::open(&file).map_err(unreadable)?;
        let world_readable = opened.metadata().is_ok_and(|meta| readable_by_all(&meta));
        Ok(Resolved { secret: text(read(opened).map_err(unreadable)?)?, world_readable })
    }
}

#[cfg(unix)]
pub(crate) fn readable_by_all(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o004 != 0
}

#[cfg(not(unix))]
pub(crate) fn readable_by_all(_: &fs::Metadata) -> bool {
    false
}

/// One byte more than allowed, so that [`text`] can tell.
fn read(from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(LONGEST_SECRET + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Without the newline that editors and `echo` put at the end.
fn text(bytes: Vec<u8>) -> Result<Secret, SecretError> {
    if too_long(&bytes) {
        return Err(SecretError::TooLong);
    }
    let mut text = String::from_utf8(bytes).map_err(|_| SecretError::NotText)?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    if text.is_empty() { Err(SecretError::Empty) } else { Ok(Secret::new(text)) }
}

fn too_long(bytes: &[u8]) -> bool {
    u64::try_from(bytes.len()).is_ok_and(|length| length > LONGEST_SECRET)
}

/// Runs a program without a shell, its input closed and what it complains about dropped.
fn run(command: &[String], timeout: Duration) -> Result<Secret, SecretError> {
    let (program, arguments) = command.split_first().ok_or(SecretError::NoProgram)?;
    let deadline = Instant::now() + timeout;
    let not_run =
        |error: io::Error| SecretError::NotRun { program: program.clone(), kind: error.kind() };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(not_run)?;
    let outcome = output(&mut child, deadline);
    // Ended already unless something went wrong; then neither call has anything to say.
    drop(child.kill());
    drop(child.wait());
    match outcome {
        Output::Printed(bytes) => text(bytes),
        Output::Failed => Err(SecretError::Failed { program: program.clone() }),
        Output::TimedOut => Err(SecretError::TimedOut { program: program.clone(), timeout }),
    }
}

enum Output {
    Printed(Vec<u8>),
    Failed,
    TimedOut,
}

/// Reads in a thread of its own: a pipe has no timeout.
fn output(child: &mut Child, deadline: Instant) -> Output {
    let Some(stdout) = child.stdout.take() else { return Output::Failed };
    let (sender, receiver) = mpsc::sync_channel(1);
    thread::spawn(move || sender.send(read(stdout)));
    let bytes = match receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(_)) => return Output::Failed,
        Err(_) => return Output::TimedOut,
    };
    if too_long(&bytes) {
        return Output::Printed(bytes);
    }
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Output::Printed(bytes),
            Ok(Some(_)) | Err(_) => return Output::Failed,
            Ok(None) if Instant::now() >= deadline => return Output::TimedOut,
            Ok(None) => thread::sleep(EXEC_POLL),
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn resolve(source: &SecretSource, base: &Path) -> Result<Resolved, String> {
        let variable = |name: &str| match name {
            "SET" => Some("from-env".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        Secrets { variable: &variable, base }.resolve(source).map_err(|error| error.to_string())
    }

    fn exec(words: &[&str]) -> Result<String, String> {
        let command: Vec<String> = words.iter().copied().map(str::to_owned).collect();
        run(&command, Duration::from_secs(2))
            .map(|secret| secret.expose().to_owned())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn an_unset_or_empty_variable_is_missing() {
        let env = |name: &str| {
            resolve(&SecretSource::Env { env: name.to_owned() }, Path::new(""))
                .map(|resolved| resolved.secret.expose().to_owned())
        };
        assert_eq!(env("SET").unwrap(), "from-env");
        assert_eq!(env("EMPTY").unwrap_err(), "the environment variable EMPTY is not set");
        assert!(env("UNSET").is_err());
    }

    #[test]
    fn a_file_loses_one_newline_and_tells_who_may_read_it() {
        let folder = std::env::temp_dir().join(format!("attache-secrets-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join("secret");
        fs::write(&file, "hunter2\n\n").unwrap();
        for (mode, world_readable) in [(0o600, false), (0o640, false), (0o644, true)] {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            let source = SecretSource::File { file: "secret".to_owned() };
            let resolved = resolve(&source, &folder).unwrap();
            assert_eq!(resolved.secret.expose(), "hunter2\n");
            assert_eq!(resolved.world_readable, world_readable, "{mode:o}");
        }
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_program_is_bounded_in_time_and_output() {
        assert_eq!(exec(&["printf", "a b\n"]).unwrap(), "a b");
        assert_eq!(exec(&["false"]).unwrap_err(), "false failed");
        assert_eq!(exec(&["true"]).unwrap_err(), "the secret is empty");
        assert!(exec(&["no-such-program-here"]).unwrap_err().contains("cannot be run"));
        assert!(exec(&["cat", "/dev/zero"]).unwrap_err().contains("longer than 65536 bytes"));
        assert!(exec(&[]).is_err());
        assert_eq!(exec(&["sleep", "60"]).unwrap_err(), "sleep did not end within 2s");
    }
}
