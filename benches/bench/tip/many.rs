//! 10,000 modules beside one: calls per block, and what a block and a commit cost more.

use std::time::Instant;

use alloy::primitives::B256;
use amser_roles::domain::{
    Batch, ChainEvent, Checkpoint, Coverage, EventKind, ModuleAddress, Position, SubscriptionId,
    Timestamp,
};
use amser_roles::sandbox::log_node::module;
use amser_roles::store::Store;

use super::{Setup, Tip, millis_since};
use crate::floors::Disk;
use crate::process;
use crate::table::{Table, median, millis};

const MANY: usize = 10_000;
/// Blocks, and commits, that are measured of each, by turns.
const SAMPLES: u32 = 100;
/// A block or commit with many modules may take so much longer than with one; on a slow disk, as long as a bare fsync more.
const MOST_MORE: f64 = 5.0;

pub(crate) async fn many(table: &mut Table) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let paths = [1, MANY].map(|modules| folder.path().join(format!("{modules}.redb")));
    let mut one = Tip::start(Setup::new(1, true), &paths[0]).await?;
    let started = Instant::now();
    let mut all = Tip::start(Setup::new(MANY, true), &paths[1]).await?;
    table.note(
        &format!("{MANY} modules, registered and read from nothing"),
        format!("{:.1} s", started.elapsed().as_secs_f64()),
    );
    let calls = all.calls_per_block().await?;
    table.row(
        &format!("{MANY} modules, ws, full blooms"),
        format!("{calls:.2} calls per block"),
        "<= 3",
        calls <= 3.0,
    );
    let (mut blocks, mut many_blocks) = (vec![], vec![]);
    for _ in 0..SAMPLES {
        for (tip, millis) in [(&mut one, &mut blocks), (&mut all, &mut many_blocks)] {
            let started = Instant::now();
            tip.next();
            tip.is_followed().await?;
            millis.push(millis_since(started));
        }
    }
    let (one_store, many_store) = (one.store.clone(), all.store.clone());
    let is_complete = one.end().await? & all.end().await?;
    table.row(
        "both followers",
        if is_complete {
            "complete"
        } else {
            "INCOMPLETE"
        },
        "complete",
        is_complete,
    );
    let (mut commits, mut many_commits, mut syncs) = (vec![], vec![], vec![]);
    let mut disk: Option<Disk> = None;
    for sample in 1..=SAMPLES {
        let written = process::written()?;
        commits.push(commit(&one_store, sample)?);
        let bytes = process::written()? - written;
        many_commits.push(commit(&many_store, sample)?);
        let disk = match &mut disk {
            Some(disk) => disk,
            None => disk.insert(Disk::new(folder.path(), bytes)?),
        };
        syncs.push(disk.sync()?);
    }
    let sync = median(&syncs);
    for (what, one, many) in [
        ("from a block to its events stored", blocks, many_blocks),
        ("a commit of one event", commits, many_commits),
    ] {
        let more = median(&many) - median(&one);
        table.row(
            &format!(
                "{what}, {MANY} modules: {}; one: {}",
                millis(&many),
                millis(&one)
            ),
            format!("{more:.2} ms more"),
            &format!("<= {MOST_MORE} ms more, or a bare fsync of as many bytes ({sync:.2} ms)"),
            more <= MOST_MORE.max(sync),
        );
    }
    Ok(())
}

/// Milliseconds of one at the tip.
fn commit(store: &Store, sample: u32) -> anyhow::Result<f64> {
    let cursor = store.cursor()?;
    let number = cursor.map_or(0, |cursor| cursor.number) + 1;
    let event = ChainEvent {
        module: ModuleAddress(module(0)),
        position: Position {
            block: number,
            log_index: sample,
        },
        transaction: B256::ZERO,
        timestamp: None,
        kind: EventKind::SubscriptionPaused {
            subscription: SubscriptionId::from(1),
        },
    };
    let to = Checkpoint {
        number,
        hash: B256::ZERO,
        timestamp: Timestamp(2_000_000_000),
    };
    let coverage = Coverage::Cursor {
        joined: Vec::new(),
        left: Vec::new(),
    };
    let batch = Batch {
        events: vec![event],
        ..Batch::new(to, coverage)
    };
    let started = Instant::now();
    store.ingest(batch)?;
    Ok(millis_since(started))
}
