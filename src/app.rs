//! Wiring only: open, bind, spawn, supervise.

mod announce;
mod checks;
mod command_services;
pub mod doctor;
mod gates;
mod health;
pub mod notices;
pub mod once;
mod open;
mod pages;
mod reload;
mod retention;
mod supervise;
mod systemd;
mod timing;
pub mod upkeep;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use axum_extra::extract::cookie::Key;
use futures_util::future::BoxFuture;
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::amser_api::AmserApi;
use crate::config::{Config, Secrets};
use crate::domain::{ChainStatus, Counts, DiscordStatus, GateTroubles};
use crate::merchants::{self, Merchants};
use crate::store::Store;
use crate::views::Views;
use crate::{chain, commands, discord, poller, roles, watching, web};

pub use open::{modules_of, open_store};
pub use timing::Timing;

pub use self::health::healthcheck;

/// Gateway events and reports that may wait for the roles' loop.
const QUEUE: usize = 4_096;

/// Opens everything that `config` names and runs until `stop`.
///
/// # Errors
/// When a part cannot start or ends early; one sentence that says what to do.
pub async fn run(config: Config, secrets: Secrets, stop: CancellationToken) -> anyhow::Result<()> {
    announce::starting(&config);
    let bound = TcpListener::bind(config.web.listen)
        .await
        .with_context(|| format!("cannot listen on {} (web.listen)", config.web.listen));
    // That another process uses the store says more than that it uses the address too.
    let (store, listener) = match bound {
        Ok(listener) => open::open_while_alive(&config, listener).await?,
        Err(error) => open_store(&config).await.and(Err(error))?,
    };
    serve(config, secrets, store, listener, stop).await
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
    start(config, secrets, store, listener, stop, Timing::default())
        .await?
        .until_stopped()
        .await
}

/// The running service.
pub struct Started {
    /// What merchants and managers may do.
    pub merchants: Merchants,
    parts: JoinSet<(&'static str, anyhow::Result<()>)>,
    store: Store,
    stop: CancellationToken,
    parts_stop: CancellationToken,
}

impl Started {
    /// Waits for the stop, or for the first part that ends, and then for the others.
    ///
    /// # Errors
    /// When a part ended before the stop.
    pub async fn until_stopped(self) -> anyhow::Result<()> {
        supervise::until_all_ended(self.parts, &self.store, &self.stop, &self.parts_stop).await
    }
}

/// Starts the service on an open store and a bound listener.
///
/// # Errors
/// When a part cannot be set up; one sentence that says what to do.
pub fn start(
    config: Config,
    secrets: Secrets,
    store: Store,
    listener: TcpListener,
    stop: CancellationToken,
    timing: Timing,
) -> BoxFuture<'static, anyhow::Result<Started>> {
    // What is async is compiled where its type is named last: in a box that is here, and not again in each test program.
    Box::pin(async move {
        let token = discord_token(&secrets)?;
        // The parts stop with their own token, so that an early end can be told from a wanted one.
        let parts_stop = stop.child_token();
        let (chain_status, chain) = watch::channel(ChainStatus::default());
        let (discord_status_sender, discord_status) = watch::channel(DiscordStatus::default());
        let (counts_sender, counts) = watch::channel(Counts::default());
        let (modules_sender, modules) = watch::channel(modules_of(&store)?);
        let (gate_troubles_sender, gate_troubles) = watch::channel(GateTroubles::default());
        let gates_changed = Arc::new(Notify::new());
        let (policy_sender, policy) = watch::channel(config.policy);
        let (observations_sender, observations) = mpsc::unbounded_channel();
        let (reports_sender, reports) = mpsc::channel(QUEUE);
        let (questions_sender, questions) = mpsc::channel(QUEUE);
        let application = config.discord.application_id;
        let (discord, connection) = discord::connect(
            discord_settings(&config),
            token,
            discord::Channels {
                observations: observations_sender,
                reports: reports_sender,
                status: discord_status_sender.clone(),
            },
            parts_stop.clone(),
        )?;
        let views = Views::new(&config.chain, chain.clone());
        let api = AmserApi::new(
            &config.amser.api_url,
            config.chain.chain_id,
            secrets.api_key.clone(),
        )?;
        let checks = checks::new(&config, &store, &api, &views, &questions_sender)?;
        let (answers, drift) = (checks.answers.clone(), checks.status.subscribe());
        let fallback = roles::fallback::Fallback {
            answers: answers.clone(),
            status: checks.status.clone(),
            after: timing.fallback_after,
            chain_id: config.chain.chain_id,
        };
        let polling = poller::run(checks, parts_stop.clone());
        let merchants = Merchants::new(merchants::Inputs {
            store: store.clone(),
            discord: discord.clone(),
            chain: chain.clone(),
            discord_status: discord_status.clone(),
            questions: questions_sender.clone(),
            views: views.clone(),
            factory: config.amser.factory,
            api,
            policy: policy.clone(),
            clock: web::machine_clock(),
            outlook_kept: timing.outlook_kept,
        });
        let services = command_services::of(&command_services::Parts {
            config: &config,
            store: &store,
            chain: &chain,
            gate_troubles: &gate_troubles,
            discord_status: &discord_status,
            drift: &drift,
            questions: &questions_sender,
            merchants: &merchants,
            views: &views,
            answers: &answers,
        });
        let connection = connection.run(commands::framework(&discord, application, services));
        let wallets = pages::signature_check(&config, chain.clone());
        let routes = pages::control_routes(
            &config,
            &store,
            &wallets,
            &views,
            web::control::plan_routes(questions_sender.clone(), gate_troubles.clone()),
        );
        let examine = doctor::of_service(
            &config,
            &secrets,
            &store,
            &chain,
            &discord_status,
            &drift,
            &discord,
        );
        let routes = routes.merge(web::control::doctor_routes(examine));
        let checking = gates::keep_checking(
            gates::Inputs {
                store: store.clone(),
                views: views.clone(),
                chain: chain.clone(),
                changed: Arc::clone(&gates_changed),
            },
            gate_troubles_sender,
            parts_stop.clone(),
        );
        let retaining = retention::keep(
            store.clone(),
            config.journal_months,
            questions_sender.clone(),
            parts_stop.clone(),
        );
        let announcing = announce::ready(chain.clone(), discord_status.clone(), parts_stop.clone());
        let informing = systemd::keep_told(questions_sender.clone(), parts_stop.clone());
        let doubts = views.doubts().clone();
        let told = notices::inputs(
            &config,
            &discord,
            &notices::Parts {
                store: &store,
                chain: &chain,
                discord_status: &discord_status_sender,
                drift: &drift,
                policy: &policy,
                views: &views,
            },
        );
        let telling = crate::notices::run(told, parts_stop.clone());
        let payments = pages::payments(&config, &store, &chain, &views);
        let inputs = roles::Inputs {
            chain: chain.clone(),
            discord_status: discord_status.clone(),
            observations,
            reports,
            questions,
            counts: counts_sender,
            modules: modules_sender,
            gates_changed,
            views,
            fallback,
            policy: config.policy,
        };
        let follow = chain::follow(
            config.chain.clone(),
            store.clone(),
            modules,
            doubts,
            chain_status,
            parts_stop.clone(),
        );
        let keeping = roles::run(store.clone(), discord.clone(), inputs, parts_stop.clone());
        let control = pages::control(&config, routes, parts_stop.clone());
        let (reloaded, watched) = (store.clone(), store.clone());
        let forgetting = web::keep_forgetting(
            store.clone(),
            web::machine_clock(),
            web::FORGET_EVERY,
            parts_stop.clone(),
        );
        let metrics = watching::record();
        let upkeep =
            web::keep_metrics_small(metrics.clone(), web::UPKEEP_EVERY, parts_stop.clone());
        let state = web::WebState {
            settings: pages::web_settings(&config, &secrets)?,
            cookie_key: Key::from(&secrets.cookie_key(&config.store_path)?),
            store,
            chain,
            discord: discord_status,
            drift,
            gate_troubles,
            counts,
            pending: pages::pending_of(&discord),
            questions: questions_sender,
            wallets,
            profiles: pages::profiles_of(&discord),
            redeem: pages::redeem_code(&config, &secrets, &discord),
            merchants: merchants.clone(),
            payments,
            metrics,
            clock: web::machine_clock(),
        };
        let monitoring = pages::monitoring(&config, state.clone(), parts_stop.clone()).await?;
        let serving = web::serve(
            listener,
            web::router(state)?,
            config.web.trusted_proxies,
            parts_stop.clone(),
        );
        let registering = commands::keep_registered(
            discord.clone(),
            application,
            discord_status_sender,
            parts_stop.clone(),
        );
        let reloading = reload::at_each_hangup(
            config.file.clone(),
            reloaded,
            policy_sender,
            parts_stop.clone(),
        );
        let mut parts = JoinSet::new();
        parts.spawn(async move { ("the chain follower", follow.await) });
        parts.spawn(async move { ("the Discord connection", connection.await) });
        parts.spawn(async move { ("the loop that keeps the roles", keeping.await) });
        parts.spawn(async move { ("the checks against second sources", polling.await) });
        parts.spawn(async move {
            (
                "the web server",
                serving.await.context("the web server failed"),
            )
        });
        parts.spawn(async move { ("the control socket", control.await) });
        parts.spawn(async move {
            tokio::join!(checking, announcing, retaining, informing);
            ("the checks of gates and the journal's age", Ok(()))
        });
        parts.spawn(async move { ("the listener for monitors", monitoring.await) });
        parts.spawn(async move { ("the forgetting of old links", forgetting.await) });
        parts.spawn(async move {
            upkeep.await;
            ("the upkeep of the metrics", Ok(()))
        });
        parts.spawn(async move { ("the reading of the configuration", reloading.await) });
        parts.spawn(async move { ("the notices", telling.await) });
        parts.spawn(async move {
            registering.await;
            ("the slash commands", Ok(()))
        });
        Ok(Started {
            merchants,
            parts,
            store: watched,
            stop,
            parts_stop,
        })
    })
}

fn discord_settings(config: &Config) -> discord::Settings {
    discord::Settings {
        application_id: config.discord.application_id,
        api_url: config.discord.api_url.clone(),
        members_intent: config.discord.members_intent,
    }
}

fn discord_token(secrets: &Secrets) -> anyhow::Result<SecretString> {
    secrets.discord_token.clone().context(
        "no bot token: set AMSER_ROLES_DISCORD_TOKEN (developer portal, Bot), or put it into the file secrets/discord_token beside the configuration",
    )
}

/// The socket at which the running service answers `plan`.
fn control_path(store_path: &Path) -> PathBuf {
    store_path.with_extension("control")
}
