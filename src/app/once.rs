//! What runs once and ends: an index of the chain, and a plan of the next changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::open::open_bound;
use super::{control_path, discord_settings, discord_token, gates as gate_checks, modules_of};
use crate::config::{Config, Secrets};
use crate::discord::{self, Application};
use crate::domain::{ChainStatus, DiscordStatus, GateOrigin, ModuleAddress};
use crate::store::{Store, StoreError};
use crate::views::Views;
use crate::{chain, roles, web};

/// Follows the chain up to `to` (by default the confirmed tip) with a progress bar (lines in the log where no
/// terminal shows one), without Discord and web.
///
/// # Errors
/// As [`chain::index`]; and when a module could not be read, although all others were.
pub async fn index(
    config: &Config,
    store: Store,
    to: Option<u64>,
    stop: CancellationToken,
) -> anyhow::Result<chain::IndexReport> {
    let modules = modules_of(&store)?;
    let report = follow_to(config, store.clone(), modules.clone(), to, stop).await?;
    let mut unread = report.unread.clone();
    unread.extend(foreign(config, store, modules).await?);
    let unread: Vec<_> = unread.into_values().collect();
    anyhow::ensure!(unread.is_empty(), "{}", unread.join(" "));
    Ok(report)
}

/// Contracts that are no subscription modules: none of their events could be read, and they name no merchant.
async fn foreign(
    config: &Config,
    store: Store,
    modules: BTreeSet<ModuleAddress>,
) -> anyhow::Result<BTreeMap<ModuleAddress, String>> {
    let silent = tokio::task::spawn_blocking(move || {
        let has_none = |module: &ModuleAddress| match store.has_events(*module) {
            Ok(has_events) => (!has_events).then_some(Ok(*module)),
            Err(error) => Some(Err(error)),
        };
        modules
            .iter()
            .filter_map(has_none)
            .collect::<Result<Vec<_>, _>>()
    });
    let silent = silent.await.context("reading the store failed")??;
    if silent.is_empty() {
        return Ok(BTreeMap::new());
    }
    let views = Views::new(&config.chain, watch::channel(ChainStatus::default()).1);
    let merchants = views.merchants_at_newest(&silent).await?;
    let foreign = silent.into_iter().zip(merchants);
    let foreign = foreign.filter(|(_, merchant)| merchant.is_none());
    let told = foreign.map(|(module, _)| (module, gate_checks::no_module(module)));
    Ok(told.collect())
}

pub(super) async fn follow_to(
    config: &Config,
    store: Store,
    modules: BTreeSet<ModuleAddress>,
    to: Option<u64>,
    stop: CancellationToken,
) -> anyhow::Result<chain::IndexReport> {
    let style = indicatif::ProgressStyle::with_template(
        "{spinner} block {pos} of {len}  {wide_bar}  {msg} events  {eta} left",
    )
    .context("the progress bar's template is wrong")?;
    let bar = indicatif::ProgressBar::new(0).with_style(style);
    let shown = bar.clone();
    let log = Mutex::new(chain::ProgressLog::begin());
    let progress = move |progress: chain::Progress| {
        if shown.is_hidden() {
            log.lock()
                .expect("never poisoned: no panic while held")
                .note(progress);
        }
        shown.set_length(progress.to);
        shown.set_position(progress.at);
        shown.set_message(progress.events.to_string());
    };
    let progress = Arc::new(progress);
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
    let store = match open_bound(config).await {
        Err(error) if matches!(error.downcast_ref(), Some(StoreError::InUse(_))) => {
            return web::control::ask_for_plan(&control_path(&config.store_path)).await;
        }
        opened => opened?,
    };
    let token = discord_token(secrets)?;
    // A plan does not change the stored gates and settings.
    let mut settings = config.servers.clone();
    for guild in store.all_settings()?.into_keys() {
        let (_, own) = store.settings(guild)?;
        let fixed = settings.entry(guild).or_default();
        *fixed = fixed.over(own);
    }
    let mut gates = store.gates()?;
    gates.retain(|gate| gate.origin != GateOrigin::Config);
    gates.extend(config.gates.iter().cloned());
    let modules = gates.iter().map(|gate| gate.module).collect();
    let report = follow_to(config, store.clone(), modules, None, stop).await?;
    let (_followed, chain) = watch::channel(ChainStatus {
        confirmed: store.cursor()?,
        ..ChainStatus::default()
    });
    let views = Views::new(&config.chain, chain);
    let troubles = gate_checks::troubles_of(&store, &views, &gates, &report.unread).await?;
    let (status, _) = watch::channel(DiscordStatus::default());
    let discord = discord::Discord::new(&discord_settings(config), &token, status)?;
    let mut planned = roles::plan_once(&store, &discord, config.policy, gates, &settings).await?;
    planned.add_troubles(&troubles);
    // Where Discord does not answer at all, each server says so.
    if let Ok(Application { id, .. }) = discord.application().await
        && id.0 != config.discord.application_id.get()
    {
        planned.general_trouble.insert(format!(
            "The bot's token belongs to the application {id}, and discord.application_id names {}: no command can be registered; correct one of the two.",
            config.discord.application_id
        ));
    }
    Ok(planned)
}
