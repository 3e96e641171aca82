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

/// Answers that are asked for in one turn where each is full; the next turn goes on from there.
const MOST_PAGES: usize = 20;

/// How far each merchant's activity was compared.
#[derive(Clone, Debug, Default)]
pub(super) struct Activities {
    merchants: BTreeMap<Wallet, Compared>,
    is_under_way: bool,
    asked_at: Option<Instant>,
}

/// One merchant's activity.
#[derive(Clone, Debug)]
struct Compared {
    /// What is asked for next begins here.
    since: Timestamp,
    /// What was doubted already.
    told: BTreeSet<Activity>,
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
        .merchants
        .retain(|merchant, _| merchants.contains(merchant));
    for merchant in merchants {
        let start = Timestamp(machine_time().0.saturating_sub(FIRST));
        let compared = activities.merchants.entry(merchant);
        let compared = compared.or_insert_with(|| Compared {
            since: start,
            told: BTreeSet::new(),
        });
        // A key is one merchant's: others' activity is refused, and theirs is compared all the same.
        if let Err(error) = compare_merchant(inputs, compared, merchant, modules).await {
            let error = format!("{error:#}");
            debug!(error, "amser's API did not list a merchant's activity");
        }
    }
    Ok(())
}

/// Compares what a merchant's activity lists, answer by answer while they are full.
async fn compare_merchant(
    inputs: &Inputs,
    compared: &mut Compared,
    merchant: Wallet,
    modules: &BTreeSet<ModuleAddress>,
) -> anyhow::Result<()> {
    for _ in 0..MOST_PAGES {
        let page = inputs.api.activity(merchant, compared.since).await?;
        if page.is_full && page.is_newest_first {
            warn!(%merchant, "amser's API lists the newest activity first and not all of it; only the contracts tell of the rest");
        }
        let newest = page.entries.last().map(|one| one.at);
        let reached = compare(inputs, &mut compared.told, modules, page.entries).await?;
        let Some(reached) = reached else {
            return Ok(());
        };
        let horizon = reached.0.saturating_sub(2 * OVERLAP);
        compared.told.retain(|one| one.at.0 >= horizon);
        // An answer that is full says nothing of what came after it. Its last second may go on in the next one.
        let is_more = page.is_full && Some(reached) == newest;
        let next = match is_more {
            true => Timestamp(reached.0.saturating_sub(1)).max(compared.since.plus(1)),
            false => Timestamp(reached.0.saturating_sub(OVERLAP)).max(compared.since),
        };
        compared.since = next;
        if !is_more {
            return Ok(());
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
    let (store, modules) = (inputs.store.clone(), modules.clone());
    let (reached, missing) = tokio::task::spawn_blocking(move || {
        // What is not confirmed yet can be missing, and of a module that is still read anything.
        let cursor = store.cursor()?.map_or(0, |cursor| cursor.number);
        let confirmed = listed.into_iter().take_while(|one| one.block <= cursor);
        let confirmed: Vec<_> = confirmed.collect();
        let reached = confirmed.last().map(|one| one.at);
        let followed = confirmed.into_iter();
        let complete = store.complete_modules()?;
        let followed: Vec<_> = followed
            .filter(|one| modules.contains(&one.module) && complete.contains(&one.module))
            .collect();
        let Some(first) = followed.iter().map(|one| one.block).min() else {
            return anyhow::Ok((reached, Vec::new()));
        };
        let stored = store.events_after(first.saturating_sub(1))?;
        let stored: BTreeSet<_> = stored
            .into_iter()
            .map(|event| (event.module, event.transaction))
            .collect();
        let is_missing = |one: &Activity| !stored.contains(&(one.module, one.transaction));
        Ok((reached, followed.into_iter().filter(is_missing).collect()))
    })
    .await??;
    for one in missing {
        if told.insert(one.clone()) {
            warn!(module = %one.module, block = one.block, transaction = %one.transaction,
                "amser's API names a transaction of which no event is stored; its block is read again");
            (inputs.doubt_blocks)(one.module, one.block..=one.block);
        }
    }
    Ok(reached)
}
