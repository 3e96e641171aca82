//! The command line: what people and their scripts type, what it prints, and how each command ends.

mod check;
mod logs;
mod package;
mod plan;
mod upkeep;

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, CommandFactory as _, Parser, Subcommand};
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::config::{self, Config, ConfigError, Secrets};
use crate::store::{DiskFull, StoreError};
use crate::terminal::{Unprinted, print_line};
use crate::text::counted;
use crate::{app, doctor, init, sandbox};

/// Keeps Discord roles in step with on-chain amser subscriptions.
#[derive(Debug, Parser)]
#[command(
    version,
    about,
    after_help = "Exit codes: 0 done; 1 failed, or something cannot work; 2 a bad configuration or command; 3 another process uses the store.\n\
                  Settings and secrets also come from variables: AMSER_ROLES__SECTION__KEY, AMSER_ROLES_DISCORD_TOKEN … (docs/configure.md). RUST_LOG chooses what is logged."
)]
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
    /// Make a configuration: asks for what it needs, or takes it from flags, and checks each answer.
    Init(Box<init::Flags>),
    /// Check everything that the service depends on, one line each; exit 1 when something cannot work.
    Doctor {
        #[command(flatten)]
        config: ConfigFile,
        /// As one line of JSON.
        #[arg(long)]
        json: bool,
    },
    /// Validate the configuration without network; exit 2 when it is bad.
    CheckConfig {
        #[command(flatten)]
        config: ConfigFile,
        /// Print the effective values and where each comes from, secrets masked.
        #[arg(long)]
        dump: bool,
    },
    /// Make a consistent copy of the store, also while the service runs.
    Backup {
        /// The copy; an older backup of this name is replaced.
        file: PathBuf,
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Put a backup in the store's place, while no service runs.
    Restore {
        /// The backup.
        file: PathBuf,
        /// Replace the store that is there, which is kept beside under a dated name.
        #[arg(long)]
        replace: bool,
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Take the members' links with their signed proofs elsewhere.
    #[command(subcommand)]
    Links(Links),
    /// Make everything again that is derived from the stored events, also while the service runs.
    Rebuild {
        #[command(flatten)]
        config: ConfigFile,
        /// Read the events from the chain again, too.
        #[arg(long)]
        from_chain: bool,
    },
    /// Exit 0 if the running service answers /healthz.
    Healthcheck(ConfigFile),
    /// Write the man pages and the shells' completions, for the package.
    #[command(hide = true)]
    PackageFiles {
        /// The folder; made where it is not there.
        folder: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
enum Links {
    /// Write every link as one line of JSON.
    Export {
        /// The file to write.
        file: PathBuf,
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Take in the links whose signatures hold; says of each other line why not.
    Import {
        /// A file that `links export` wrote.
        file: PathBuf,
        #[command(flatten)]
        config: ConfigFile,
    },
}

#[derive(Args, Debug)]
struct ConfigFile {
    /// The configuration; default: config.toml here, else the package's /etc/amser-roles/config.toml.
    #[arg(long = "config", value_name = "FILE", default_value_os_t = config::default_file(), hide_default_value = true)]
    path: PathBuf,
}

/// The whole program: reads the arguments and runs the command until it is done or a signal comes.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    start_logs(&cli);
    let runtime =
        tokio::runtime::Runtime::new().expect("the system gives a thread and an epoll handle");
    let code = runtime.block_on(async {
        let stop = CancellationToken::new();
        tokio::spawn(stop_on_signal(stop.clone()));
        match execute(cli, stop).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) if reader_left(&error) => ExitCode::SUCCESS,
            Err(error) => {
                say(&error);
                exit_code(&error)
            }
        }
    });
    // Blocking work that outlives its part (a hanging disk, say) must not keep the process.
    runtime.shutdown_timeout(Duration::from_secs(5));
    code
}

/// Runs the command until it is done or `stop`.
async fn execute(cli: Cli, stop: CancellationToken) -> anyhow::Result<()> {
    match cli.command {
        Command::Run(ConfigFile { path }) => {
            let (config, secrets) = load_with_secrets(&path)?;
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
            let (config, secrets) = load_with_secrets(&path)?;
            let planned = app::once::plan(&config, &secrets, stop).await?;
            plan::print(&planned, json)
        }
        Command::Init(flags) => until(stop, Box::pin(init::run(*flags))).await,
        Command::Doctor {
            config: ConfigFile { path },
            json,
        } => {
            let (config, secrets) = load_with_secrets(&path)?;
            until(stop, examine(&config, &secrets, json)).await
        }
        Command::CheckConfig {
            config: ConfigFile { path },
            dump,
        } => check::check(&path, &load(&path)?, dump),
        Command::Backup {
            file,
            config: ConfigFile { path },
        } => until(stop, upkeep::backup(&load(&path)?, file)).await,
        Command::Restore {
            file,
            replace,
            config: ConfigFile { path },
        } => upkeep::restore(&load(&path)?, file, replace).await,
        Command::Links(Links::Export {
            file,
            config: ConfigFile { path },
        }) => until(stop, upkeep::export(&load(&path)?, file)).await,
        Command::Links(Links::Import {
            file,
            config: ConfigFile { path },
        }) => until(stop, upkeep::import(&load(&path)?, &file)).await,
        Command::Rebuild {
            config: ConfigFile { path },
            from_chain,
        } => {
            let config = load(&path)?;
            until(stop.clone(), upkeep::rebuild(&config, from_chain, stop)).await
        }
        Command::Healthcheck(ConfigFile { path }) => app::healthcheck(&load(&path)?).await,
        Command::PackageFiles { folder } => package::write_files(&Cli::command(), &folder),
    }
}

/// Logs to standard error: `RUST_LOG` chooses what (default: info of this program), `--log-json` how.
fn start_logs(cli: &Cli) {
    let is_quiet = matches!(cli.command, Command::Sandbox { once: true, .. });
    logs::start(cli.log_json, is_quiet);
}

/// What `doctor` does.
async fn examine(config: &Config, secrets: &Secrets, json: bool) -> anyhow::Result<()> {
    let found = app::doctor::doctor(config, secrets).await?;
    doctor::print(&found, json)?;
    let failures = doctor::failures(&found);
    anyhow::ensure!(
        failures == 0,
        "{} failed",
        counted(failures as u64, "check")
    );
    Ok(())
}

/// Runs what may take long until it is done or `stop`. Each of these can be run again.
async fn until(
    stop: CancellationToken,
    work: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    tokio::select! {
        done = work => done,
        () = stop.cancelled() => anyhow::bail!("stopped before it was done; run it again"),
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

fn load_with_secrets(path: &Path) -> anyhow::Result<(Config, Secrets)> {
    let config = load(path)?;
    let secrets = Secrets::load(config.file.as_deref())?;
    Ok((config, secrets))
}

async fn index(path: &Path, to: Option<u64>, stop: CancellationToken) -> anyhow::Result<()> {
    let config = load(path)?;
    let store = app::open_store(&config).await?;
    let report = app::once::index(&config, store, to, stop).await?;
    let line = IndexLine {
        events: report.events,
        cursor: report.cursor.number,
        seconds: report.seconds,
    };
    Ok(print_line(serde_json::to_string(&line)?)?)
}

/// What `index` prints, in this order.
#[derive(Serialize)]
struct IndexLine {
    events: u64,
    /// The block up to which everything was read.
    cursor: u64,
    seconds: f64,
}

/// Says on standard error, which may be on a full disk itself, why the command failed.
fn say(error: &anyhow::Error) {
    let mut errors = std::io::stderr();
    let _unsaid = match DiskFull::in_error(error) {
        Some(full) => writeln!(errors, "amser-roles: {full}"),
        None => writeln!(errors, "amser-roles: {error:#}"),
    };
}

/// Whether nobody reads what is printed any more: there is nobody left to tell.
fn reader_left(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<Unprinted>()
        .is_some_and(Unprinted::reader_left)
}

/// 2 for a bad configuration, 3 for a store that another process holds, else 1.
fn exit_code(error: &anyhow::Error) -> ExitCode {
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

/// Cancels `stop` at SIGINT or SIGTERM; a second signal ends the process at once.
async fn stop_on_signal(stop: CancellationToken) {
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
