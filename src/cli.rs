//! The command line: what people and their scripts type, what it prints, and how each command ends.

use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::info;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, filter::filter_fn};

use crate::config::{Config, ConfigError, Secrets};
use crate::domain::{PlannedChanges, RoleAction};
use crate::store::StoreError;
use crate::terminal::{Unprinted, print_line};
use crate::{app, discord, doctor, sandbox, text};

/// Keeps Discord roles in step with on-chain amser subscriptions.
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Log lines as JSON.
    #[arg(long, global = true)]
    log_json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service.
    Run(ConfigFile),
    /// Everything on this machine, no account needed: local chain, local Discord, the service.
    Sandbox {
        /// Where the local Discord and its page listen.
        #[arg(long, default_value = "127.0.0.1:8788")]
        listen: SocketAddr,
        /// Play one subscriber's life, print each step with its time, and exit.
        #[arg(long)]
        once: bool,
    },
    /// Follow the chain without Discord and web, then print one JSON line.
    Index {
        #[command(flatten)]
        config: ConfigFile,
        /// Last block to read; default: the confirmed tip.
        #[arg(long, value_name = "BLOCK")]
        to: Option<u64>,
    },
    /// Show what the next pass would change on Discord, without changing it.
    Plan {
        #[command(flatten)]
        config: ConfigFile,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Check everything that the service depends on, one line each; exit 1 when something cannot work.
    Doctor {
        #[command(flatten)]
        config: ConfigFile,
        /// As one line of JSON.
        #[arg(long)]
        json: bool,
    },
    /// Validate the configuration without network; exit 2 when it is bad.
    CheckConfig(ConfigFile),
}

#[derive(Args, Debug)]
struct ConfigFile {
    /// The configuration.
    #[arg(long = "config", value_name = "FILE", default_value = "config.toml")]
    path: PathBuf,
}

/// Runs the command until it is done or `stop`.
///
/// # Errors
/// One sentence (with its causes) for the person at the terminal.
pub async fn execute(cli: Cli, stop: CancellationToken) -> anyhow::Result<()> {
    match cli.command {
        Command::Run(ConfigFile { path }) => {
            let (config, secrets) = (load(&path)?, Secrets::load()?);
            allow_many_files();
            app::run(config, secrets, stop).await
        }
        Command::Sandbox { listen, once } => {
            allow_many_files();
            sandbox::run(listen, once, stop).await
        }
        Command::Index {
            config: ConfigFile { path },
            to,
        } => index(&path, to, stop).await,
        Command::Plan {
            config: ConfigFile { path },
            json,
        } => {
            let planned = app::once::plan(&load(&path)?, &Secrets::load()?, stop).await?;
            print_plan(&planned, json)
        }
        Command::Doctor {
            config: ConfigFile { path },
            json,
        } => {
            let found = app::doctor(&load(&path)?, &Secrets::load()?).await?;
            doctor::print(&found, json)?;
            let failures = doctor::failures(&found);
            anyhow::ensure!(failures == 0, "{failures} checks failed");
            Ok(())
        }
        Command::CheckConfig(ConfigFile { path }) => {
            let config = load(&path)?;
            let (name, gates) = (path.display(), config.gates.len());
            Ok(print_line(format!("{name} is valid: {gates} gates"))?)
        }
    }
}

/// Raises the limit of open files to the highest that this process may set: each connection is one, and many systems begin at
/// 1,024.
fn allow_many_files() {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) => tracing::debug!(limit, "open files"),
        Err(error) => tracing::warn!(%error, "the limit of open files is not raised"),
    }
}

/// Reads the configuration, and says what is worth knowing about its ABI files.
fn load(path: &Path) -> anyhow::Result<Config> {
    let config = Config::load(path)?;
    for note in config.chain.layouts.notes() {
        info!("chain.abi: {note}");
    }
    Ok(config)
}

async fn index(path: &Path, to: Option<u64>, stop: CancellationToken) -> anyhow::Result<()> {
    let config = load(path)?;
    let store = app::open_store(&config).await?;
    let report = app::once::index(&config, store, to, stop).await?;
    let line = json!({
        "events": report.events,
        "cursor": report.cursor.number,
        "seconds": report.seconds,
    });
    Ok(print_line(line)?)
}

fn print_plan(planned: &PlannedChanges, json: bool) -> anyhow::Result<()> {
    if json {
        return Ok(print_line(plan_as_json(planned)?)?);
    }
    for change in &planned.changes {
        let action = match change.action {
            RoleAction::Grant => "grant ",
            RoleAction::Revoke => "revoke",
        };
        let (guild, user, role) = (change.guild, change.user, change.role);
        let reason = text::audit_reason(&change.cause);
        print_line(format!(
            "{action}  server {guild}  member {user}  role {role}  {reason}"
        ))?;
    }
    for (guild, sentence) in planned
        .trouble
        .iter()
        .flat_map(|(guild, sentences)| sentences.iter().map(move |sentence| (guild, sentence)))
    {
        print_line(format!("trouble server {guild}  {sentence}"))?;
    }
    let (changes, block) = (planned.changes.len(), planned.at_block);
    Ok(print_line(format!("{changes} changes at block {block}"))?)
}

/// The plan for other programs: every cause is an object that names its `kind`, whether more is known of it or not.
fn plan_as_json(planned: &PlannedChanges) -> anyhow::Result<Value> {
    let mut plan = serde_json::to_value(planned)?;
    let changes = plan.get_mut("changes").and_then(Value::as_array_mut);
    for change in changes.into_iter().flatten() {
        let cause = change["cause"].take();
        change["cause"] = match cause {
            Value::Object(cause) => {
                let (kind, facts) = cause.into_iter().next().context("a cause has a kind")?;
                let mut facts = facts;
                facts["kind"] = kind.into();
                facts
            }
            kind => json!({ "kind": kind }),
        };
    }
    Ok(plan)
}

/// Whether nobody reads what is printed any more: there is nobody left to tell.
pub fn reader_left(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<Unprinted>()
        .is_some_and(Unprinted::reader_left)
}

/// 2 for a bad configuration, 3 for a store that another process holds, else 1.
pub fn exit_code(error: &anyhow::Error) -> ExitCode {
    if error.downcast_ref::<ConfigError>().is_some() {
        ExitCode::from(2)
    } else if matches!(
        error.downcast_ref::<StoreError>(),
        Some(StoreError::InUse(_))
    ) {
        ExitCode::from(3)
    } else {
        ExitCode::FAILURE
    }
}

/// Logs to standard error: `RUST_LOG` chooses what (default: info of this program), `--log-json` how.
pub fn start_logs(cli: &Cli) {
    let quiet = matches!(cli.command, Command::Sandbox { once: true, .. });
    let default = if quiet {
        "warn"
    } else {
        "warn,amser_roles=info"
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    // On a terminal it looks at NO_COLOR by itself.
    let mut lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    if !std::io::stderr().is_terminal() {
        lines = lines.with_ansi(false);
    }
    let lines = if cli.log_json {
        lines.json().boxed()
    } else {
        lines.boxed()
    };
    // Some libraries log whole payloads, tokens among them, at levels that RUST_LOG could ask for.
    tracing_subscriber::registry()
        .with(lines.with_filter(filter_fn(discord::may_log)))
        .with(filter)
        .init();
}

/// Cancels `stop` at SIGINT or SIGTERM; a second signal ends the process at once.
pub async fn stop_on_signal(stop: CancellationToken) {
    let mut interrupt = signal(SignalKind::interrupt()).expect("SIGINT can be listened for");
    let mut terminate = signal(SignalKind::terminate()).expect("SIGTERM can be listened for");
    for first in [true, false] {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        if !first {
            std::process::exit(130);
        }
        info!("stopping");
        stop.cancel();
    }
}
