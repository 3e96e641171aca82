//! A store of millions of events: its size, a start, and a start after a crash, by the whole service.

use std::net::TcpListener;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use amser_roles::app;
use amser_roles::config::{Config, Secrets};
use amser_roles::domain::{Batch, ChainEvent, Checkpoint, Coverage, ModuleAddress, Timestamp};
use amser_roles::sandbox::discord::{LocalDiscord, Options};
use amser_roles::sandbox::log_node::{
    LogNode, LogNodeOptions, PLANS, PROCESSOR, RenderedChain, Story, StorySpec, block_hash,
    block_time, module,
};
use amser_roles::store::Store;
use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::node::FIRST;
use crate::process::{self, Task};
use crate::table::Table;

/// Set to anything: the real size, which takes minutes, rather than a tenth of it.
pub(crate) const LARGE: &str = "AMSER_ROLES_BENCH_LARGE";
const EVENTS: u64 = 10_000_000;
const MODULES: usize = 4;
/// Payments of each subscription.
const EACH: u64 = 9;
const PER_BLOCK: u64 = 10;
const PER_COMMIT: usize = 100_000;
/// Blocks with one event each that follow, as far as the crash lets them.
const SINGLE: usize = 100_000;
/// The local chain's id: the age of its newest block says nothing about readiness.
const CHAIN_ID: u64 = 31_337;
/// What is allowed at the real size: bytes of the file, seconds of a start, and of one after a crash.
const MOST: (f64, f64, f64) = (4e9, 10.0, 30.0);
const DEADLINE: Duration = Duration::from_secs(300);
/// How long single events are committed before the crash.
const COMMITS: Duration = Duration::from_secs(2);

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct GrowTask {
    store: PathBuf,
    events: u64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ServeTask {
    config: String,
    token: String,
}

fn story(events: u64) -> Story {
    let subscriptions = (events - PLANS * MODULES as u64) / (1 + EACH);
    let blocks = events / PER_BLOCK;
    let spec = StorySpec {
        first_block: FIRST,
        // Single events come after the last full block, until the process is killed.
        logs_per_block: (0..blocks)
            .map(|_| PER_BLOCK as usize)
            .chain((0..SINGLE).map(|_| 1))
            .collect(),
        modules: MODULES,
        foreign_percent: 0,
    };
    Story::of_payments(spec, subscriptions)
}

/// Grows a store to so many events as a first history does, says so, and goes on with one durable commit per event until it is killed.
pub(crate) async fn grow(arguments: &[String]) -> anyhow::Result<()> {
    let task: GrowTask = process::options(arguments)?;
    let store = Store::open(&task.store)?;
    store.bind_chain(CHAIN_ID)?;
    for number in 0..MODULES {
        store.add_module(ModuleAddress(module(number)), FIRST, PROCESSOR)?;
    }
    store.postpone_folds()?;
    let mut events = story(task.events).filter_map(|log| log.event);
    let mut left = task.events;
    let mut joined: Vec<_> = (0..MODULES).map(|n| ModuleAddress(module(n))).collect();
    while left > 0 {
        let taken = PER_COMMIT.min(usize::try_from(left)?);
        let batch: Vec<_> = events.by_ref().take(taken).collect();
        left -= batch.len() as u64;
        ingest(&store, batch, std::mem::take(&mut joined))?;
    }
    store.fold_postponed()?;
    process::say(&true)?;
    for event in events {
        ingest(&store, vec![event], Vec::new())?;
    }
    anyhow::bail!("nobody killed it")
}

fn ingest(
    store: &Store,
    events: Vec<ChainEvent>,
    joined: Vec<ModuleAddress>,
) -> anyhow::Result<()> {
    let last = events.last().context("there is an event in each commit")?;
    let number = last.position.block;
    let to = Checkpoint {
        number,
        hash: block_hash(number),
        timestamp: Timestamp(block_time(number)),
    };
    let coverage = Coverage::Cursor {
        joined,
        left: Vec::new(),
    };
    store.ingest(Batch {
        events,
        ..Batch::new(to, coverage)
    })
}

/// Runs the whole service until it is killed.
pub(crate) async fn serve(arguments: &[String]) -> anyhow::Result<()> {
    let task: ServeTask = process::options(arguments)?;
    let config = Config::parse(&task.config, "the benchmark's configuration", [])?;
    let secrets = Secrets {
        discord_token: Some(task.token.into()),
        discord_client_secret: Some("nobody signs in".to_owned().into()),
        ..Secrets::default()
    };
    app::run(config, secrets, CancellationToken::new()).await
}

pub(crate) async fn large(table: &mut Table) -> anyhow::Result<()> {
    let share = if std::env::var_os(LARGE).is_some() {
        1
    } else {
        10
    };
    let events = EVENTS / share;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("large.redb");
    let started = Instant::now();
    let growing = GrowTask {
        store: path.clone(),
        events,
    };
    let mut growing = Task::start("grow", &growing)?;
    let _: bool = growing.line().await?;
    table.note(
        &format!("storing {events} events in commits of {PER_COMMIT}"),
        format!("{:.0} s", started.elapsed().as_secs_f64()),
    );
    let file = std::fs::metadata(&path)?;
    let size = file.len() as f64;
    table.note(
        &format!(
            "disk that a store of {events} events takes (its file grows by leaps, and has holes)"
        ),
        format!("{:.0} MB", file.blocks() as f64 * 512.0 / 1e6),
    );
    let most = MOST.0 / share as f64;
    table.row(
        &format!("a store of {events} events"),
        format!("{:.0} MB", size / 1e6),
        &format!("<= {:.0} MB", most / 1e6),
        size <= most,
    );
    tokio::time::sleep(COMMITS).await;
    growing.kill().await?;
    let crashed = ready_after(&path, events).await?;
    // An ordinary end leaves nothing to repair.
    let (opened, at) = (path.clone(), Instant::now());
    tokio::task::spawn_blocking(move || Store::open(&opened).map(drop)).await??;
    let opened = at.elapsed().as_secs_f64();
    let clean = ready_after(&path, events).await?;
    for (what, seconds, most) in [
        ("ready after a start", clean, MOST.1),
        ("ready after kill -9 amid commits", crashed, MOST.2),
    ] {
        let most = match share {
            1 => most,
            _ => most / share as f64 + LEAST,
        };
        table.row(
            &format!("the whole service with {events} events: {what}"),
            format!("{seconds:.1} s"),
            &format!("<= {most} s"),
            seconds <= most,
        );
    }
    table.note(
        &format!("opening and closing the store of {events} events after another kill"),
        format!("{opened:.1} s"),
    );
    Ok(())
}

/// What a start takes with an empty store: connecting to Discord and to the node.
const LEAST: f64 = 2.0;

/// Starts the service on this store; seconds until it says that it is ready. Then it is killed.
async fn ready_after(path: &Path, events: u64) -> anyhow::Result<f64> {
    // Headers are all that is asked for: above the store's cursor nothing happens.
    let last = FIRST + events / PER_BLOCK + SINGLE as u64;
    let chain = RenderedChain::render(last, last, std::iter::empty(), true);
    let options = LogNodeOptions {
        chain_id: CHAIN_ID,
        ..LogNodeOptions::default()
    };
    let node = LogNode::start(Arc::new(chain), options).await?;
    let options = Options::default();
    let (token, application) = (options.token.clone(), options.application_id);
    let discord = LocalDiscord::start(options).await?;
    let guild = discord.add_guild("Bench");
    let role = discord.add_role(guild, "Subscriber")?;
    discord.set_role_order(
        guild,
        &[role, discord.bot_role(guild).context("the bot's role")?],
    )?;
    let listen = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let gates: String = (0..MODULES)
        .map(|number| {
            format!(
                "[[gates]]\nguild_id = \"{guild}\"\nmodule = \"{}\"\nplan_ids = [1]\nrole_ids = [\"{role}\"]\n",
                module(number)
            )
        })
        .collect();
    let config = format!(
        "[chain]\nrpc_urls = [{:?}]\nchain_id = {CHAIN_ID}\nconfirmations = 0\nstart_block = {FIRST}\n\
         [amser]\napi_url = \"http://127.0.0.1:9\"\n\
         [discord]\napplication_id = \"{application}\"\napi_url = {:?}\n\
         [web]\nlisten = \"{listen}\"\npublic_url = \"http://{listen}\"\n[store]\npath = {:?}\n{gates}",
        node.url().as_str(),
        discord.base_url(),
        path.display().to_string(),
    );
    let started = Instant::now();
    let mut service = Task::start("serve", &ServeTask { config, token })?;
    let url = format!("http://{listen}/readyz");
    let ready = async {
        while !reqwest::get(&url)
            .await
            .is_ok_and(|answer| answer.status().is_success())
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, ready)
        .await
        .context("the service is not ready in time")?;
    let seconds = started.elapsed().as_secs_f64();
    service.kill().await?;
    Ok(seconds)
}
