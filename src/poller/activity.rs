//! The payments and failures that amser's indexer has seen, where a merchant's key opens them: one request a merchant names
//! the transactions of which no event is stored. Their blocks are read again, from every node.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use tracing::{debug, warn};

use super::{Done, Inputs, Poller};
use crate::amser_api::Activity;
use crate::clock::machine_time;
use crate::domain::{ModuleAddress, Timestamp, Wallet};

/// How often each merchant's activity is asked for.
const EVERY: Duration = Duration::from_secs(300);
/// How far it goes back at the start, seconds.
const FIRST: u64 = 24 * 3_600;
/// How much of what was seen is asked for again, seconds: the indexer may be late.
const OVERLAP: u64 = 600;

/// How far each merchant's activity was compared.
#[derive(Clone, Debug, Default)]
pub(super) struct Activities {
    since: BTreeMap<Wallet, Timestamp>,
    /// What was doubted already.
    told: BTreeSet<Activity>,
    is_under_way: bool,
    asked_at: Option<Instant>,
}

impl Poller {
    /// Compares the activity of all merchants beside, if that is due.
    pub(super) fn compare_activity(&mut self) {
        let activities = &mut self.activities;
        let is_due = activities.asked_at.is_none_or(|at| at.elapsed() >= EVERY);
        let may = self.inputs.api.has_key() && self.at_tip && !activities.is_under_way;
        if !may || !is_due {
            return;
        }
        activities.is_under_way = true;
        activities.asked_at = Some(Instant::now());
        let (inputs, mut activities) = (self.inputs.clone(), activities.clone());
        let modules: BTreeSet<_> = self.queue.questions().map(|one| one.module).collect();
        self.tasks.spawn(async move {
            if let Err(error) = compare_all(&inputs, &mut activities, &modules).await {
                let error = format!("{error:#}");
                debug!(error, "amser's activity was not compared");
            }
            activities.is_under_way = false;
            Done::Activity(activities)
        });
    }
}

async fn compare_all(
    inputs: &Inputs,
    activities: &mut Activities,
    modules: &BTreeSet<ModuleAddress>,
) -> anyhow::Result<()> {
    let merchants = (inputs.merchants)(modules.iter().copied().collect()).await?;
    let merchants: BTreeSet<_> = merchants.into_iter().flatten().collect();
    activities
        .since
        .retain(|merchant, _| merchants.contains(merchant));
    for merchant in merchants {
        let start = Timestamp(machine_time().0.saturating_sub(FIRST));
        let since = activities.since.get(&merchant).copied().unwrap_or(start);
        // A key is one merchant's: others' activity is refused, and theirs is compared all the same.
        match inputs.api.activity(merchant, since).await {
            Ok(listed) => {
                let reached = compare(inputs, &mut activities.told, modules, listed).await?;
                let next = reached.map(|at| Timestamp(at.0.saturating_sub(OVERLAP)));
                activities
                    .since
                    .insert(merchant, next.unwrap_or(since).max(since));
            }
            Err(error) => {
                let error = format!("{error:#}");
                debug!(error, "amser's API did not list a merchant's activity");
            }
        }
    }
    Ok(())
}

/// Compares what was listed with the stored events. Returns until when it could be.
async fn compare(
    inputs: &Inputs,
    told: &mut BTreeSet<Activity>,
    modules: &BTreeSet<ModuleAddress>,
    listed: Vec<Activity>,
) -> anyhow::Result<Option<Timestamp>> {
    let store = inputs.store.clone();
    let asked: Vec<_> = listed
        .into_iter()
        .filter(|one| modules.contains(&one.module))
        .collect();
    let (reached, missing) = tokio::task::spawn_blocking(move || {
        // What is not confirmed yet can be missing.
        let cursor = store.cursor()?.map_or(0, |cursor| cursor.number);
        let confirmed: Vec<_> = asked
            .into_iter()
            .take_while(|one| one.block <= cursor)
            .collect();
        let reached = confirmed.last().map(|one| one.at);
        let Some(first) = confirmed.iter().map(|one| one.block).min() else {
            return anyhow::Ok((reached, Vec::new()));
        };
        let stored = store.events_after(first.saturating_sub(1))?;
        let stored: BTreeSet<_> = stored
            .into_iter()
            .map(|event| (event.module, event.transaction))
            .collect();
        let is_missing = |one: &Activity| !stored.contains(&(one.module, one.transaction));
        Ok((reached, confirmed.into_iter().filter(is_missing).collect()))
    })
    .await??;
    let horizon = reached.map_or(0, |at| at.0.saturating_sub(2 * OVERLAP));
    told.retain(|one| one.at.0 >= horizon);
    for one in missing {
        if told.insert(one.clone()) {
            warn!(module = %one.module, block = one.block, transaction = %one.transaction,
                "amser's API names a transaction of which no event is stored; its block is read again");
            (inputs.doubt_blocks)(one.module, one.block..=one.block);
        }
    }
    Ok(reached)
}
