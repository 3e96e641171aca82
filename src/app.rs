//! Wiring only: open, bind, spawn, supervise.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::config::{Config, Secrets};
use crate::domain::{ChainStatus, Counts, DiscordStatus, ModuleAddress};
use crate::store::Store;
use crate::{chain, discord, reconcile};

/// How long the parts may take to stop.
const GRACE: Duration = Duration::from_secs(10);
/// Gateway events and reports that may wait for the reconcile loop.
const QUEUE: usize = 4_096;

/// Opens everything that `config` names and runs until `stop`.
///
/// # Errors
/// When a part cannot start or ends early; one sentence that says what to do.
pub async fn run(config: Config, secrets: Secrets, stop: CancellationToken) -> anyhow::Result<()> {
    let store = open_store(&config).await?;
    let listener = TcpListener::bind(config.web.listen)
        .await
        .with_context(|| format!("cannot listen on {} (web.listen)", config.web.listen))?;
    serve(config, secrets, store, listener, stop).await
}

/// Opens the store and ties it to the chain and gates of the configuration.
///
/// # Errors
/// See [`crate::store::StoreError`].
pub async fn open_store(config: &Config) -> anyhow::Result<Store> {
    let config = config.clone();
    tokio::task::spawn_blocking(move || {
        let store = Store::open(&config.store_path)?;
        store.bind_chain(config.chain.chain_id)?;
        store.set_config_gates(&config.gates)?;
        Ok(store)
    })
    .await?
}

/// The modules that the store's gates ask about.
///
/// # Errors
/// When the store cannot be read.
pub fn modules_of(store: &Store) -> anyhow::Result<BTreeSet<ModuleAddress>> {
    Ok(store.gates()?.into_iter().map(|gate| gate.module).collect())
}

/// Runs the service on an open store and a bound listener until `stop`. The first part to end stops the others.
///
/// # Errors
/// When a part ends before `stop`.
pub async fn serve(
    config: Config,
    secrets: Secrets,
    store: Store,
    listener: TcpListener,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let token = discord_token(&secrets)?;
    // The parts stop with their own token, so that an early end can be told from a wanted one.
    let parts_stop = stop.child_token();
    let (chain_status, chain) = watch::channel(ChainStatus::default());
    let (discord_status_sender, discord_status) = watch::channel(DiscordStatus::default());
    let (counts_sender, counts) = watch::channel(Counts::default());
    let (modules_sender, modules) = watch::channel(modules_of(&store)?);
    let (observations_sender, observations) = mpsc::channel(QUEUE);
    let (reports_sender, reports) = mpsc::channel(QUEUE);
    let (questions_sender, questions) = mpsc::channel(QUEUE);
    let (discord, connection) = discord::connect(
        discord::Settings {
            application_id: config.discord.application_id,
            api_url: config.discord.api_url.clone(),
        },
        token,
        discord::NoCommands,
        discord::Channels {
            observations: observations_sender,
            reports: reports_sender,
            status: discord_status_sender,
        },
        parts_stop.clone(),
    )?;
    let inputs = reconcile::Inputs {
        chain: chain.clone(),
        discord_status: discord_status.clone(),
        observations,
        reports,
        questions,
        counts: counts_sender,
        modules: modules_sender,
    };
    let mut parts = JoinSet::new();
    let named = |name: &'static str, end: anyhow::Result<()>| (name, end);
    let follow = chain::follow(
        config.chain.clone(),
        store.clone(),
        modules,
        chain_status,
        parts_stop.clone(),
    );
    parts.spawn(async move { named("the chain follower", follow.await) });
    parts.spawn(async move { named("the Discord connection", connection.await) });
    let reconcile = reconcile::run(
        store.clone(),
        discord.clone(),
        config.policy,
        inputs,
        parts_stop.clone(),
    );
    parts.spawn(async move { named("the reconcile loop", reconcile.await) });
    drop((listener, questions_sender, counts, discord_status, chain));
    supervise(parts, &stop, &parts_stop).await
}

fn discord_token(secrets: &Secrets) -> anyhow::Result<SecretString> {
    secrets.discord_token.clone().context(
        "no bot token: set AMSER_ROLES_DISCORD_TOKEN (developer portal, Bot) or AMSER_ROLES_DISCORD_TOKEN_FILE",
    )
}

/// Waits for the stop or the first end, then for the rest.
async fn supervise(
    mut parts: JoinSet<(&'static str, anyhow::Result<()>)>,
    stop: &CancellationToken,
    parts_stop: &CancellationToken,
) -> anyhow::Result<()> {
    let mut failure = None;
    let mut all_ended = async || {
        while let Some(ended) = parts.join_next().await {
            let wanted = stop.is_cancelled();
            match ended.context("a part of the service panicked") {
                Ok((_, Ok(()))) if wanted => {}
                Ok((name, Ok(()))) => {
                    failure.get_or_insert_with(|| anyhow::anyhow!("{name} ended early"));
                }
                Ok((name, Err(cause))) => {
                    error!(
                        part = name,
                        error = format!("{cause:#}"),
                        "a part of the service failed"
                    );
                    failure.get_or_insert(cause);
                }
                Err(cause) => {
                    failure.get_or_insert(cause);
                }
            }
            parts_stop.cancel();
        }
    };
    let bounded = async {
        parts_stop.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        () = all_ended() => info!("stopped"),
        () = bounded => error!("some parts did not stop in time"),
    }
    failure.map_or(Ok(()), Err)
}

/// Follows the chain up to `to` (by default the confirmed tip) with a progress bar, without Discord and web.
///
/// # Errors
/// As [`chain::index`].
pub async fn index(
    config: &Config,
    store: Store,
    to: Option<u64>,
    stop: CancellationToken,
) -> anyhow::Result<chain::IndexReport> {
    let style = indicatif::ProgressStyle::with_template(
        "{spinner} block {pos} of {len}  {wide_bar}  {msg} events  {eta} left",
    )
    .context("the progress bar's template is wrong")?;
    let bar = indicatif::ProgressBar::new(0).with_style(style);
    let shown = bar.clone();
    let modules = modules_of(&store)?;
    let progress = move |progress: chain::Progress| {
        shown.set_length(progress.to);
        shown.set_position(progress.at);
        shown.set_message(progress.events.to_string());
    };
    let report = chain::index(config.chain.clone(), store, modules, to, progress, stop).await;
    bar.finish_and_clear();
    report
}

/// What the next pass would change: asked of the running service, or worked out from the store when none runs.
///
/// # Errors
/// When neither is possible.
pub async fn plan(
    config: &Config,
    secrets: &Secrets,
    stop: CancellationToken,
) -> anyhow::Result<crate::domain::PlannedChanges> {
    let store = open_store(config).await?;
    let token = discord_token(secrets)?;
    index(config, store.clone(), None, stop).await?;
    let settings = discord::Settings {
        application_id: config.discord.application_id,
        api_url: config.discord.api_url.clone(),
    };
    let (status, _) = watch::channel(DiscordStatus::default());
    let discord = discord::Discord::new(&settings, &token, status)?;
    reconcile::plan_once(&store, &discord, config.policy).await
}

/// Where the running service leaves the token with which `plan` may ask it.
pub fn control_path(store_path: &Path) -> std::path::PathBuf {
    store_path.with_extension("control")
}
