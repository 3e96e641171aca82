//! 1,000 modules join while the tip moves (on the made-up chain, whose node takes 20 ms for each answer).

use std::time::{Duration, Instant};

use crate::table::Table;
use crate::tip::{Setup, Tip};

const JOINING: usize = 1_000;
const LATENCY: Duration = Duration::from_millis(20);
/// A quarter of Base's.
const BLOCK_TIME: Duration = Duration::from_millis(500);
const DEADLINE: Duration = Duration::from_secs(300);
/// Blocks that come after everyone has joined.
const AFTER: u32 = 5;

pub(crate) async fn join(table: &mut Table) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let setup = Setup {
        watched: 1,
        latency: LATENCY,
        ..Setup::new(1 + JOINING, true)
    };
    let mut tip = Tip::start(setup, &folder.path().join("join.redb")).await?;
    let mut ticks = tokio::time::interval(BLOCK_TIME);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let started = Instant::now();
    tip.want_all();
    let (mut late, mut joined, mut after) = (0, None, 0);
    while after < AFTER {
        ticks.tick().await;
        let head = tip.next();
        late = late.max(head - 1 - tip.confirmed().min(head - 1));
        let store = tip.store.clone();
        let complete = tokio::task::spawn_blocking(move || store.complete_modules()).await??;
        if complete.len() > JOINING {
            joined.get_or_insert_with(|| started.elapsed().as_secs_f64());
            after += 1;
        }
        anyhow::ensure!(
            started.elapsed() < DEADLINE,
            "{} modules have joined in time",
            complete.len()
        );
    }
    let is_complete = tip.end().await?;
    let seconds = joined.unwrap_or_default();
    table.row(
        &format!(
            "{JOINING} modules join while blocks come every 500 ms (log node, 20 ms a call): {seconds:.1} s"
        ),
        format!("at most {late} blocks late when the next one comes"),
        "complete, <= 1",
        is_complete && late <= 1,
    );
    Ok(())
}
