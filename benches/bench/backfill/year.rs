//! A year of Base: 16 million blocks with few logs, where the calls that a limit makes necessary are all there is to wait
//! for.

use amser_roles::chain::range::IN_FLIGHT;
use url::Url;

use super::{BackfillTask, Folder, Measured, is_complete};
use crate::node::NodeTask;
use crate::process::{self, Task};
use crate::table::Table;

/// One every two seconds.
const BLOCKS: usize = 16_000_000;
const LOGS: usize = 5_000;
/// Requests per second, where that is limited, and the blocks then: half a minute.
const RATE: u64 = 25;
const RATED_BLOCKS: usize = 7_500_000;
/// geth's words for a limit of blocks, which name it.
const GETH: usize = 3;

pub(crate) async fn year(table: &mut Table) -> anyhow::Result<()> {
    for max_blocks in [10_000, 2_000] {
        let node = NodeTask {
            max_blocks: Some(max_blocks),
            wording: GETH,
            ..NodeTask::new(BLOCKS, LOGS)
        };
        let needed = (BLOCKS as u64).div_ceil(max_blocks);
        let floor = needed as f64 * node.latency_ms as f64 / 1e3 / IN_FLIGHT as f64;
        let (seconds, is_complete) = read(&node).await?;
        table.ratio(
            &format!(
                "a year of Base, {BLOCKS} blocks, {LOGS} logs, {max_blocks} blocks a call{}",
                if is_complete { "" } else { ": INCOMPLETE" }
            ),
            format!("{seconds:.2} s"),
            format!("{floor:.2} s: {needed} calls of 20 ms, {IN_FLIGHT} in flight"),
            if is_complete {
                seconds / floor
            } else {
                f64::INFINITY
            },
            1.15,
        );
    }
    let max_blocks = 10_000;
    let node = NodeTask {
        max_blocks: Some(max_blocks),
        wording: GETH,
        requests_per_second: Some(RATE),
        ..NodeTask::new(RATED_BLOCKS, LOGS)
    };
    let needed = (RATED_BLOCKS as u64).div_ceil(max_blocks);
    let floor = needed as f64 / RATE as f64;
    let (seconds, is_complete) = read(&node).await?;
    table.ratio(
        &format!(
            "{RATED_BLOCKS} blocks of it (half a minute's) under {RATE} requests/s, {max_blocks} blocks a call{}",
            if is_complete { "" } else { ": INCOMPLETE" }
        ),
        format!("{seconds:.2} s"),
        format!("{floor:.2} s: {needed} requests at that rate"),
        if is_complete { seconds / floor } else { f64::INFINITY },
        1.1,
    );
    Ok(())
}

async fn read(node: &NodeTask) -> anyhow::Result<(f64, bool)> {
    let mut server = Task::start("node", node)?;
    let url: Url = server.line().await?;
    let folder = Folder::new()?;
    let backfill = BackfillTask {
        url,
        modules: node.modules,
        store: folder.path.join("store.redb"),
    };
    let done: Measured = process::run("backfill", &backfill).await?;
    Ok((done.seconds, is_complete(&backfill.store, node)?))
}
