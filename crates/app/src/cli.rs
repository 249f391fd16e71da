//! What may be typed.

#![expect(clippy::doc_markdown, reason = "doc comments here are help texts for a terminal")]

use std::{net::SocketAddr, path::PathBuf};

use attache_config::schema::Span;
use attache_core::{ConnectionName, UpstreamName, audit::Action};
use clap::{Args, Parser, Subcommand, ValueEnum};
use url::Url;

/// A gateway that attaches each caller's own upstream credential to each request.
#[derive(Debug, Parser)]
#[command(name = "attache", version, propagate_version = true, max_term_width = 100)]
#[command(after_help = "New here? Run `attache demo`: everything on this machine, in one minute.")]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Clone, Debug, Args)]
pub struct Global {
    /// How data is printed.
    #[arg(short, long, global = true, env = "ATTACHE_OUTPUT", value_enum, default_value_t = Output::Table)]
    pub output: Output,
    /// The gateway to talk to, such as https://gw.example.com; else the one you are signed in to.
    #[arg(long, global = true, env = "ATTACHE_URL", value_name = "URL")]
    pub url: Option<Url>,
    /// An access token of yours, in the place of `attache login`. Prefer the variable: others can
    /// see arguments.
    #[arg(
        long,
        global = true,
        env = "ATTACHE_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN"
    )]
    pub token: Option<String>,
    /// Say more; twice for everything.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    #[arg(long, global = true, value_enum, default_value_t = Colour::Auto)]
    pub color: Colour,
    /// How the gateway's log is written.
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    Table,
    Json,
    Yaml,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    Auto,
    Always,
    Never,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// See it work: a small world on this machine, and the gateway in the middle of it.
    Demo(Demo),
    /// Run the gateway.
    Serve(Serve),
    /// Ask a running gateway whether it is ready: the exit code is 0 when it is, else 1.
    Health(Health),
    /// Find every problem of a configuration at once.
    Check(Check),
    /// Say what will not work, and what to change, before anybody is annoyed.
    #[command(
        after_help = "Asks what a gateway would ask, and changes nothing. The report holds no \
        secret: paste it into a ticket. The exit code is 1 when something is wrong."
    )]
    Doctor(Doctor),
    /// Sign in to a gateway with your browser, for the commands below.
    #[command(after_help = "What is kept of it is in a file that only you can read, below \
        $XDG_STATE_HOME/attache or ~/.local/state/attache, and renewed for up to 90 days.")]
    Login(Login),
    /// Sign out of a gateway, there and on this machine.
    Logout,
    /// Your own connections at a gateway.
    Credential {
        #[command(subcommand)]
        command: Credential,
    },
    /// Your personal access tokens, for programs that cannot sign in by themselves.
    Token {
        #[command(subcommand)]
        command: Token,
    },
    /// Key-encryption keys.
    Keys {
        #[command(subcommand)]
        command: Keys,
    },
    /// The people of a gateway.
    User {
        #[command(subcommand)]
        command: User,
    },
    /// Who did what with whose credential, and the proof that nothing was changed.
    Audit {
        #[command(subcommand)]
        command: Audit,
    },
    /// Print the attache.toml that does what a mcpproxy mcp_config.json does.
    Import(Import),
    /// Copy the embedded store while the gateway runs.
    Backup(Backup),
    /// Look after the store itself.
    Store {
        #[command(subcommand)]
        command: Store,
    },
    /// Print a generated document.
    Schema {
        #[arg(value_enum)]
        document: Document,
    },
}

#[derive(Debug, Args)]
pub struct Login {
    /// There is no browser here: show a code to type in one elsewhere.
    #[arg(long)]
    pub device: bool,
}

#[derive(Debug, Args)]
pub struct Demo {
    /// Where the gateway listens: 127.0.0.1:8080 or, if that is taken, a free port.
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// Play the whole story without a browser, and check it.
    #[arg(long)]
    pub check: bool,
}

#[derive(Debug, Args)]
pub struct Serve {
    /// The configuration; else ATTACHE_CONFIG, ./attache.toml, /etc/attache/attache.toml.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Health {
    /// Where it says so: what the configuration calls admin_listen.
    #[arg(value_name = "ADDR", default_value = "127.0.0.1:9090")]
    pub admin: SocketAddr,
}

#[derive(Debug, Args)]
pub struct Check {
    /// The configuration; else ATTACHE_CONFIG, ./attache.toml, /etc/attache/attache.toml.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print the effective configuration, secrets masked.
    #[arg(long)]
    pub print: bool,
}

#[derive(Debug, Args)]
pub struct Doctor {
    /// Look at this upstream alone.
    pub upstream: Option<String>,
    /// The configuration; else ATTACHE_CONFIG, ./attache.toml, /etc/attache/attache.toml.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Do not ask token endpoints whether they take the client, with a code that nobody issued.
    #[arg(long)]
    pub no_probe: bool,
}

#[derive(Debug, Subcommand)]
pub enum Credential {
    /// Every server you may connect, and how it stands.
    List,
    /// How one connection stands.
    Status {
        /// NAME, or NAME@ACCOUNT for another account of yours there.
        server: ConnectionName,
    },
    /// Open the connect page in your browser and wait until it is done.
    Connect {
        /// NAME, or NAME@ACCOUNT to add an account and call it so.
        server: ConnectionName,
    },
    /// Disconnect: the credential is deleted, and revoked at the provider where it can be.
    #[command(visible_aliases = ["remove", "disconnect"])]
    Rm {
        /// NAME, or NAME@ACCOUNT.
        server: ConnectionName,
    },
}

#[derive(Debug, Subcommand)]
pub enum Token {
    /// Open the page that makes one, filled in as you say here.
    #[command(
        after_help = "Example:\n  attache token create nightly-report --upstream notes --read-only"
    )]
    Create(NewToken),
    /// Every token you made.
    List,
    /// End a token: the program that has it is refused from now on.
    #[command(visible_aliases = ["rm", "remove"])]
    Revoke {
        /// As `attache token list` shows it.
        id: String,
    },
}

#[derive(Debug, Args)]
pub struct NewToken {
    /// What it is for.
    pub name: String,
    /// For this upstream; may be repeated. Without one the token opens all that you can use.
    #[arg(long, value_name = "NAME", value_parser = |name: &str| UpstreamName::parse(name))]
    pub upstream: Vec<UpstreamName>,
    /// To list and read, and to call no tool.
    #[arg(long)]
    pub read_only: bool,
    /// How long it lives.
    #[arg(long, value_name = "N", default_value_t = 30,
        value_parser = clap::value_parser!(u32).range(1..=365))]
    pub days: u32,
}

#[derive(Debug, Subcommand)]
pub enum Keys {
    /// Make a key-encryption key: 32 random bytes in base64.
    #[command(after_help = "Examples:\n  attache keys generate attache.key\n  \
        attache keys generate | vault kv put secret/attache key=-\n\n\
        Keep it: what was stored under a key opens with that key only.")]
    Generate {
        /// The file to write, readable by you alone; without it the key goes to stdout.
        file: Option<PathBuf>,
    },
    /// Which keys there are, what each wraps, and what no key opens.
    Status {
        /// The configuration; else as for `serve`.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Wrap everything by the active key, while gateways serve.
    #[command(after_help = "Every gateway must have the active key in its configuration before: \
        first in `retired`, then as `active`. Stopping is safe; run it again to go on.")]
    Rotate {
        /// The configuration; else as for `serve`.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Give up what no key opens: its people can then connect again. For a key that is lost.
        #[arg(long)]
        discard_unreadable: bool,
    },
}

#[derive(Debug, Subcommand)]
#[command(
    after_help = "USER is an id, as `attache user list` shows it, or a verified e-mail address \
    that one person has."
)]
pub enum User {
    /// Everybody who ever signed in.
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Switch a person off: they are refused everywhere, and keep their connections.
    Disable {
        user: String,
        #[command(flatten)]
        place: Place,
    },
    /// Switch a person on again.
    Enable {
        user: String,
        #[command(flatten)]
        place: Place,
    },
    /// End everything of a person: revoked at every provider, erased here, and refused from now on.
    #[command(
        after_help = "There is no way back: whoever returns connects anew, after `attache user \
        enable`. Prints what became of each credential; exits with 1 if a provider could not be told."
    )]
    Offboard {
        user: String,
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Debug, Args)]
pub struct Place {
    /// The configuration that names the store, the keys and the upstreams; else as for `serve`.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum Audit {
    /// The newest entries.
    List {
        #[command(flatten)]
        filter: AuditFilter,
        /// How many, at most 10000.
        #[arg(long, value_name = "N", default_value_t = 50,
            value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
    },
    /// Every entry, the oldest first, as one JSON object a line.
    Export {
        #[command(flatten)]
        filter: AuditFilter,
    },
    /// Prove that no entry was removed, changed, moved or slipped in.
    #[command(after_help = "Needs every key that entries were written under: see keys.retired.")]
    Verify {
        /// The configuration that names the store and the keys; else as for `serve`.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub struct AuditFilter {
    /// Of one person, by their id.
    #[arg(long, value_name = "ID")]
    pub user: Option<String>,
    /// Of one upstream with all its accounts, or of one account: NAME@ACCOUNT.
    #[arg(long, value_name = "NAME")]
    pub server: Option<ConnectionName>,
    /// Of one kind: acquire, refresh, inject, connect, deny, disconnect, revoke, sign_in, …
    #[arg(long, value_parser = |word: &str| Action::parse(word).ok_or("no such action"))]
    pub action: Option<Action>,
    /// Not older than this: 90s, 15m, 24h, 7d.
    #[arg(long, value_name = "DURATION", value_parser = |text: &str| {
        Span::parse(text).ok_or("a duration is a whole number and one of ms, s, m, h, d")
    })]
    pub since: Option<Span>,
    /// The configuration that names the store; else as for `serve`.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Import {
    /// mcpproxy's mcp_config.json.
    pub file: PathBuf,
}

#[derive(Debug, Args)]
pub struct Backup {
    /// The copy to write; it must not exist.
    pub file: PathBuf,
    /// The configuration that names the store; else as for `serve`.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum Store {
    /// Look at every page of an embedded store, or of a backup; a gateway may use it meanwhile.
    Check {
        /// The file; without it, the store that the configuration names.
        file: Option<PathBuf>,
        /// The configuration; else as for `serve`.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Copy an embedded store into an empty PostgreSQL database, all of it or nothing.
    #[command(after_help = "Stop the gateway first; afterwards set store.url to the database and \
        start it with the same keys.\n\n\
        Example:\n  PGPASSWORD=… attache store copy --from sqlite:attache.db \
        --to postgres://attache@db.example.com/attache")]
    Copy {
        /// The embedded store.
        #[arg(long, value_name = "sqlite:PATH", value_parser = sqlite)]
        from: PathBuf,
        /// The database. Keep its password in PGPASSWORD or ~/.pgpass: others can see arguments.
        #[arg(
            long,
            env = "ATTACHE_COPY_TO",
            hide_env_values = true,
            value_name = "postgres://USER@HOST/DATABASE"
        )]
        to: String,
    },
}

fn sqlite(url: &str) -> Result<PathBuf, &'static str> {
    let path = url.strip_prefix("sqlite:").map(|rest| rest.strip_prefix("//").unwrap_or(rest));
    match path {
        Some(path) if !path.is_empty() => Ok(path.into()),
        _ => Err("write sqlite:PATH, as in store.url"),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Document {
    /// The JSON Schema of the configuration, for editors.
    Config,
    /// The JSON Schema of a provider template.
    Provider,
}
