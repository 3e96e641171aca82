//! Backfill: logs per second and memory against a floor that only downloads the same answers, and completeness under
//! every provider's limits.

pub(crate) mod floor;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use amser_roles::chain::range::{RangeReader, RangeSize, Source};
use amser_roles::chain::rpc::http_logs::HttpLogs;
use amser_roles::domain::{ModuleAddress, ModuleRecord};
use amser_roles::sandbox::log_node::{PROCESSOR, Story, WORDINGS, module};
use anyhow::Context;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::node::{FIRST, NodeTask};
use crate::process::{self, Task};
use crate::table::{Table, median};

/// Each of floor and backfill is measured so often, by turns.
const ROUNDS: usize = 5;

#[derive(Debug, Serialize, Deserialize)]
struct BackfillTask {
    url: Url,
    modules: usize,
    last: u64,
    store: PathBuf,
    /// Where to write the calls' bodies down, for the floor.
    record: Option<PathBuf>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Measured {
    seconds: f64,
    events: usize,
    bytes: u64,
    peak_mb: f64,
}

pub(crate) async fn task(arguments: &[String]) -> anyhow::Result<()> {
    let task: BackfillTask = process::options(arguments)?;
    let modules: BTreeMap<ModuleAddress, ModuleRecord> = (0..task.modules)
        .map(|n| {
            let record = ModuleRecord {
                start_block: FIRST,
                synced_to: None,
                initial_processor: PROCESSOR,
                processor_updates: vec![],
            };
            (ModuleAddress(module(n)), record)
        })
        .collect();
    let started = Instant::now();
    let http = HttpLogs::new(reqwest::Client::new(), task.url.clone());
    let headers = http.clone();
    let recorded = Arc::new(Mutex::new(Vec::new()));
    let record = task.record.is_some().then(|| recorded.clone());
    let source = Source {
        logs: Arc::new(move |query, collector| {
            let http = http.clone();
            if let Some(record) = &record {
                let body = serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": query.method(), "params": query.params()});
                record.lock().expect("no task panics").push(body);
            }
            Box::pin(async move { http.get_logs(&query, collector).await })
        }),
        headers: Arc::new(move |numbers| {
            let headers = headers.clone();
            Box::pin(async move { headers.get_headers(numbers).await })
        }),
    };
    let mut reader = RangeReader::new(source, &modules, FIRST, task.last, RangeSize::default());
    let mut events = 0;
    while let Some(piece) = reader.next().await {
        events += piece?.events.len();
    }
    let seconds = started.elapsed().as_secs_f64();
    if let Some(path) = task.record {
        let calls = recorded.lock().expect("no task panics");
        std::fs::write(path, serde_json::to_vec(&*calls)?)?;
    }
    process::say(&Measured {
        seconds,
        events,
        bytes: 0,
        peak_mb: process::peak_memory()?,
    })
}

pub(crate) async fn speed(table: &mut Table) -> anyhow::Result<()> {
    let node = NodeTask {
        blocks: 20_000,
        logs: 200_000,
        spike: None,
        modules: 4,
        block_timestamps: true,
        latency_ms: 20,
        max_results: None,
        max_blocks: None,
        wording: 0,
    };
    let expected = Story::new(node.spec())
        .filter(|log| log.event.is_some())
        .count();
    let mut server = Task::start("node", &node)?;
    let url: Url = server.line().await?;
    let folder = Folder::new()?;
    let calls = folder.path.join("calls.json");
    let mut backfill = BackfillTask {
        url: url.clone(),
        modules: node.modules,
        last: node.last_block(),
        store: folder.path.join("store.redb"),
        record: Some(calls.clone()),
    };
    let _: Measured = process::run("backfill", &backfill).await?;
    backfill.record = None;
    let floor = floor::FloorTask { url, calls };
    let (mut floors, mut backfills, mut ratios, mut peaks) = (vec![], vec![], vec![], vec![]);
    let mut bytes = 0;
    let mut is_complete = true;
    for _ in 0..ROUNDS {
        let low: Measured = process::run("floor", &floor).await?;
        let _ = std::fs::remove_file(&backfill.store);
        let done: Measured = process::run("backfill", &backfill).await?;
        bytes = low.bytes;
        is_complete &= done.events == expected;
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
    table.note(
        "floor: download of 200,000 logs, 8 calls in flight, 20 ms each",
        format!(
            "{low:.2} s, {:.0} MB, {:.0} logs/s",
            bytes as f64 / 1e6,
            logs / low
        ),
    );
    table.row(
        "backfill of the same, durable",
        format!("{done:.2} s, {:.0} logs/s", logs / done),
        "complete",
        is_complete,
    );
    let ratio = median(&ratios);
    table.row(
        "backfill / floor",
        format!("{ratio:.2}"),
        "<= 3.3",
        ratio <= 3.3,
    );
    let peak = peaks.iter().copied().fold(0.0, f64::max);
    table.row(
        "peak memory of the backfill",
        format!("{peak:.0} MB"),
        "<= 150 MB",
        peak <= 150.0,
    );
    Ok(())
}

pub(crate) async fn limits(table: &mut Table) -> anyhow::Result<()> {
    let plain = NodeTask {
        blocks: 20_000,
        logs: 200_000,
        spike: None,
        modules: 4,
        block_timestamps: true,
        latency_ms: 20,
        max_results: None,
        max_blocks: None,
        wording: 0,
    };
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
        let expected = Story::new(node.spec())
            .filter(|log| log.event.is_some())
            .count();
        let mut server = Task::start("node", &node)?;
        let folder = Folder::new()?;
        let backfill = BackfillTask {
            url: server.line().await?,
            modules: node.modules,
            last: node.last_block(),
            store: folder.path.join("store.redb"),
            record: None,
        };
        let done: Measured = process::run("backfill", &backfill).await?;
        table.row(
            &format!("backfill, {what}"),
            format!(
                "{:.2} s, {:.0} MB, {} events",
                done.seconds, done.peak_mb, done.events
            ),
            "complete, <= 150 MB",
            done.events == expected && done.peak_mb <= 150.0,
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
