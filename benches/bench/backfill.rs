//! Backfill: logs per second and memory against a floor that only downloads the same answers, and completeness under
//! every provider's limits.

pub(crate) mod floor;
pub(crate) mod year;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use amser_roles::chain::{self, ChainConfig};
use amser_roles::domain::ModuleAddress;
use amser_roles::sandbox::log_node::{LogNodeOptions, PLANS, WORDINGS, module};
use amser_roles::store::Store;
use anyhow::Context;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::node::{FIRST, NodeTask};
use crate::process::{self, Task};
use crate::table::{Table, median};

/// Each of floor and backfill is measured so often, by turns; the median of fewer still moves by a tenth between runs.
const ROUNDS: usize = 11;
/// The same of the two that are told apart by how often each subscription is paid.
const FEWER_ROUNDS: usize = 7;

#[derive(Debug, Serialize, Deserialize)]
struct BackfillTask {
    url: Url,
    modules: usize,
    store: PathBuf,
}

#[derive(Debug, Serialize, Deserialize)]
struct Measured {
    seconds: f64,
    events: u64,
    bytes: u64,
    peak_mb: f64,
}

/// What `amser-roles index` does, into a new store.
pub(crate) async fn task(arguments: &[String]) -> anyhow::Result<()> {
    let task: BackfillTask = process::options(arguments)?;
    let started = Instant::now();
    let store = Store::open(&task.store)?;
    let config = ChainConfig {
        start_block: Some(FIRST),
        ..ChainConfig::new(vec![task.url], LogNodeOptions::default().chain_id)
    };
    let modules = (0..task.modules).map(|n| ModuleAddress(module(n)));
    let report = chain::index(
        config,
        store,
        modules.collect(),
        None,
        Arc::new(|_| {}),
        CancellationToken::new(),
    )
    .await?;
    process::say(&Measured {
        seconds: started.elapsed().as_secs_f64(),
        events: report.events,
        bytes: 0,
        peak_mb: process::peak_memory()?,
    })
}

/// Whether the file that a backfill left behind holds exactly the events of the node's story.
fn is_complete(path: &Path, node: &NodeTask) -> anyhow::Result<bool> {
    let mut stored = Store::open(path)?.all_events()?;
    stored.sort_unstable_by_key(|event| event.position);
    let mut told = node.story().filter_map(|log| log.event);
    for mut event in stored {
        // Where the node sends no timestamps, only those that matter are known.
        let told = told.next().map(|mut told| {
            if event.timestamp.is_none() || !node.block_timestamps {
                event.timestamp = None;
                told.timestamp = None;
            }
            told
        });
        if told.as_ref() != Some(&event) {
            eprintln!("    stored {event:?}, told {told:?}");
            return Ok(false);
        }
    }
    Ok(told.next().is_none())
}

pub(crate) async fn speed(table: &mut Table) -> anyhow::Result<()> {
    let plain = NodeTask::new(20_000, 200_000);
    for (name, node, rounds, most) in [
        (
            "200,000 logs of a mixed life".to_owned(),
            plain.clone(),
            ROUNDS,
            3.3,
        ),
        payments(&plain, 20_000, 10, 3.3),
        payments(&plain, 200_000, 1, 4.5),
    ] {
        one_speed(table, &name, &node, rounds, most).await?;
    }
    Ok(())
}

/// So many subscriptions, each paid so often; with their creation and the plans that is more than 200,000 logs.
fn payments(
    plain: &NodeTask,
    subscriptions: u64,
    each: u64,
    most: f64,
) -> (String, NodeTask, usize, f64) {
    let logs = PLANS * plain.modules as u64 + subscriptions * (1 + each);
    let node = NodeTask {
        logs: logs as usize,
        subscriptions: Some(subscriptions),
        ..plain.clone()
    };
    let name = format!("{logs} logs: {subscriptions} subscriptions, each paid {each} x");
    (name, node, FEWER_ROUNDS, most)
}

async fn one_speed(
    table: &mut Table,
    name: &str,
    node: &NodeTask,
    rounds: usize,
    most: f64,
) -> anyhow::Result<()> {
    let mut server = Task::start("node", node)?;
    let url: Url = server.line().await?;
    let folder = Folder::new()?;
    let calls = folder.path.join("calls.json");
    let backfill = BackfillTask {
        url: url.clone(),
        modules: node.modules,
        store: folder.path.join("store.redb"),
    };
    // The first round is not counted; it tells what there is to ask for.
    let _: Measured = process::run("backfill", &backfill).await?;
    let answered = reqwest::get(url.join("answered")?).await?.bytes().await?;
    std::fs::write(&calls, answered)?;
    let floor = floor::FloorTask { url, calls };
    let (mut floors, mut backfills, mut ratios, mut peaks) = (vec![], vec![], vec![], vec![]);
    let mut bytes = 0;
    let mut is_complete = true;
    for _ in 0..rounds {
        let low: Measured = process::run("floor", &floor).await?;
        let _ = std::fs::remove_file(&backfill.store);
        let done: Measured = process::run("backfill", &backfill).await?;
        bytes = low.bytes;
        is_complete &= self::is_complete(&backfill.store, node)?;
        eprintln!(
            "    floor {:.3} s, backfill {:.3} s, {:.0} MB",
            low.seconds, done.seconds, done.peak_mb
        );
        ratios.push(done.seconds / low.seconds);
        floors.push(low.seconds);
        backfills.push(done.seconds);
        peaks.push(done.peak_mb);
    }
    let logs = node.logs as f64;
    let (low, done) = (median(&floors), median(&backfills));
    table.ratio(
        &format!("backfill, {name}"),
        format!("{done:.2} s, {:.0} logs/s", logs / done),
        format!(
            "{low:.2} s: download of the same {:.0} MB, 8 calls in flight, 20 ms each",
            bytes as f64 / 1e6
        ),
        median(&ratios),
        most,
    );
    let peak = peaks.iter().copied().fold(0.0, f64::max);
    table.row(
        &format!(
            "the same, durable: {}",
            if is_complete {
                "complete"
            } else {
                "INCOMPLETE"
            }
        ),
        format!("{peak:.0} MB at its peak"),
        "complete, <= 150 MB",
        is_complete && peak <= 150.0,
    );
    Ok(())
}

pub(crate) async fn limits(table: &mut Table) -> anyhow::Result<()> {
    let plain = NodeTask::new(20_000, 200_000);
    let spike = Some((50_000, 4));
    let mut cases: Vec<(String, NodeTask)> = vec![
        (
            "without blockTimestamp".into(),
            NodeTask {
                block_timestamps: false,
                ..plain.clone()
            },
        ),
        (
            "a spike of 50,000 logs in 4 blocks".into(),
            NodeTask {
                spike,
                ..plain.clone()
            },
        ),
    ];
    for (wording, name) in WORDINGS.iter().enumerate() {
        for (what, max_results, max_blocks, spike) in [
            ("10,000 results", Some(10_000), None, None),
            ("2,000 blocks", None, Some(2_000), None),
            ("both", Some(10_000), Some(2_000), None),
            ("both, and the spike", Some(10_000), Some(2_000), spike),
        ] {
            let node = NodeTask {
                max_results,
                max_blocks,
                spike,
                wording,
                ..plain.clone()
            };
            cases.push((format!("{what} ({name:?})"), node));
        }
    }
    for (what, node) in cases {
        let mut server = Task::start("node", &node)?;
        let folder = Folder::new()?;
        let backfill = BackfillTask {
            url: server.line().await?,
            modules: node.modules,
            store: folder.path.join("store.redb"),
        };
        let done: Measured = process::run("backfill", &backfill).await?;
        table.row(
            &format!("backfill, {what}"),
            format!(
                "{:.2} s, {:.0} MB, {} events",
                done.seconds, done.peak_mb, done.events
            ),
            "complete, <= 150 MB",
            is_complete(&backfill.store, &node)? && done.peak_mb <= 150.0,
        );
    }
    Ok(())
}

/// A folder that goes when it is dropped.
struct Folder {
    path: PathBuf,
}

impl Folder {
    fn new() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("amser-roles-bench-{}", std::process::id()));
        std::fs::create_dir_all(&path).context("making a folder for the benchmark")?;
        Ok(Self { path })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}
