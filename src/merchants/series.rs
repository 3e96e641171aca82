//! A server's numbers day by day: told from the chain's events and from the journal, of which nothing is stored twice.

use std::collections::{BTreeMap, BTreeSet};

use super::{Manager, Merchants, Refusal};
use crate::domain::{
    Cause, ChainEvent, GuildId, JournalEntry, ModuleAddress, Plan, PlanId, Policy, RoleAction,
    Rules, Subscription, Timestamp,
};
use crate::projection::{self, Gist};
use crate::store::Store;

const DAY: u64 = 86_400;
/// The most days that are told.
const MOST_DAYS: u16 = 366;
/// A role that was decided this many blocks after its payment was confirmed was not given for the payment alone: the member
/// linked the wallet or joined the server later.
const PROMPT: u64 = 60;

/// The last days, oldest first; the last one is today.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Series {
    /// Days of UTC, without gaps.
    pub days: Vec<Day>,
}

/// One day.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Day {
    /// Its first second (UTC).
    pub start: Timestamp,
    /// Subscriptions that gave access at its end (of today: now), for each plan of the server's gates.
    pub active: BTreeMap<(ModuleAddress, PlanId), u64>,
    /// Roles given.
    pub grants: u64,
    /// Roles taken.
    pub revokes: u64,
    /// From the block of a payment to the role that Discord acknowledged; `None` where no payment gave one.
    pub block_to_role: Option<Latency>,
}

/// How long it took, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    /// Half of them were not slower.
    pub median: u64,
    /// The slowest.
    pub slowest: u64,
}

impl Merchants {
    /// The numbers of the last `days` days (1 to 366).
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn series(&self, manager: &Manager, days: u16) -> Result<Series, Refusal> {
        let (guild, today) = (manager.guild, self.now());
        let confirmed = self.inputs().chain.borrow().confirmed;
        let chain_now = confirmed.map_or(Timestamp::default(), |block| block.timestamp);
        let default = self.default_policy();
        self.with_store(move |store| series(store, guild, &default, today, chain_now, days))
            .await
    }
}

fn series(
    store: &Store,
    guild: GuildId,
    default: &Policy,
    today: Timestamp,
    chain_now: Timestamp,
    days: u16,
) -> anyhow::Result<Series> {
    let mut days = empty(today, days);
    let Some(first) = days.first().map(|day| day.start) else {
        return Ok(Series::default());
    };
    let (fixed, own) = store.settings(guild)?;
    let policy = fixed.over(own).policy(default);
    let mut ends: Vec<_> = days.iter().map(|day| day.start.plus(DAY - 1)).collect();
    if let Some(last) = ends.last_mut() {
        *last = chain_now;
    }
    let mut plans: BTreeMap<ModuleAddress, BTreeSet<PlanId>> = BTreeMap::new();
    for gate in store.gates_of(guild)? {
        plans.entry(gate.module).or_default().extend(gate.plans);
    }
    let times = store.block_times(first)?;
    for (module, plans) in plans {
        let mut terms = BTreeMap::new();
        for plan in &plans {
            terms.insert(*plan, store.plan(module, *plan)?);
            for day in &mut days {
                day.active.insert((module, *plan), 0);
            }
        }
        let mut blocked = BTreeMap::new();
        store.for_each_blocked(|of, wallet, mark| {
            if of == module {
                blocked.insert(wallet, time_of(&times, mark.position.block));
            }
        })?;
        store.for_each_history(module, |_, events| {
            let history = History {
                events,
                times: &times,
                rules: store.rules(),
                policy: &policy,
            };
            let Some((wallet, plan)) = history.subscriber() else {
                return;
            };
            let Some(Some(terms)) = terms.get(&plan) else {
                return;
            };
            let active = history.active_at(&ends, terms, blocked.get(&wallet).copied());
            for (day, _) in days.iter_mut().zip(active).filter(|(_, active)| *active) {
                *day.active.entry((module, plan)).or_default() += 1;
            }
        })?;
    }
    count_changes(&mut days, first, &store.made_in(guild, first)?, &times);
    Ok(Series { days })
}

/// The last days, with nothing counted.
fn empty(today: Timestamp, days: u16) -> Vec<Day> {
    let today = today.0 - today.0 % DAY;
    let days = u64::from(days.clamp(1, MOST_DAYS));
    let starts = (0..days).rev().map(|ago| today.saturating_sub(ago * DAY));
    let day = |start| Day {
        start: Timestamp(start),
        ..Day::default()
    };
    starts.map(day).collect()
}

/// The chain's time at a block: of one whose header is not kept, what lies between those around it, because blocks come at a
/// steady pace. `None` outside of all known ones.
fn time_at(times: &[(u64, Timestamp)], block: u64) -> Option<Timestamp> {
    let above = times.partition_point(|(number, _)| *number < block);
    let (next, after) = *times.get(above)?;
    if next == block {
        return Some(after);
    }
    let (number, before) = *times.get(above.checked_sub(1)?)?;
    let (blocks, seconds) = (next - number, after.0.saturating_sub(before.0));
    let passed = u128::from(block - number) * u128::from(seconds) / u128::from(blocks);
    Some(before.plus(passed.try_into().unwrap_or(seconds)))
}

/// The same; before all known blocks it is the beginning of time, and after them the newest time.
fn time_of(times: &[(u64, Timestamp)], block: u64) -> Timestamp {
    let newest = times.last().filter(|(number, _)| block > *number);
    let newest = newest.map(|(_, time)| *time);
    time_at(times, block).or(newest).unwrap_or_default()
}

/// What one subscription went through.
struct History<'a> {
    events: &'a [ChainEvent],
    times: &'a [(u64, Timestamp)],
    rules: &'a Rules,
    policy: &'a Policy,
}

impl History<'_> {
    fn subscriber(&self) -> Option<(crate::domain::Wallet, PlanId)> {
        let mut state = Subscription::default();
        for event in self.events {
            projection::fold(&mut state, event, None, self.rules);
            if state.subscriber.is_some() {
                break;
            }
        }
        state.subscriber
    }

    /// Whether it gave access at each of these moments, in order of time; `blocked`: since when the subscriber is blocked.
    fn active_at(&self, ends: &[Timestamp], terms: &Plan, blocked: Option<Timestamp>) -> Vec<bool> {
        let mut state = Subscription::default();
        let mut events = self.events.iter().peekable();
        let mut active = Vec::with_capacity(ends.len());
        for end in ends {
            while let Some(event) = events.next_if(|event| self.happened_at(event) <= *end) {
                projection::fold(&mut state, event, Some(terms.interval), self.rules);
            }
            let is_blocked = blocked.is_some_and(|since| since <= *end);
            let access =
                projection::access(Gist::from(&state), Some(terms), is_blocked, self.policy);
            active.push(access.is_open(*end));
        }
        active
    }

    fn happened_at(&self, event: &ChainEvent) -> Timestamp {
        let known = event.timestamp;
        known.unwrap_or_else(|| time_of(self.times, event.position.block))
    }
}

/// Counts the role changes of each day, and how long those took that a payment gave.
fn count_changes(
    days: &mut [Day],
    first: Timestamp,
    made: &[JournalEntry],
    times: &[(u64, Timestamp)],
) {
    let mut waits: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
    for entry in made {
        let index = (entry.at.0.saturating_sub(first.0) / DAY) as usize;
        let Some(day) = days.get_mut(index) else {
            continue;
        };
        match entry.change.action {
            RoleAction::Grant => day.grants += 1,
            RoleAction::Revoke => day.revokes += 1,
        }
        if let Some(wait) = wait(entry, times) {
            waits.entry(index).or_default().push(wait);
        }
    }
    for (index, mut waits) in waits {
        waits.sort_unstable();
        let median = waits.get((waits.len() - 1) / 2).copied();
        if let (Some(day), Some(median), Some(slowest)) =
            (days.get_mut(index), median, waits.last().copied())
        {
            day.block_to_role = Some(Latency { median, slowest });
        }
    }
}

/// The seconds from the payment's block to the acknowledged role, where the payment alone gave it.
fn wait(entry: &JournalEntry, times: &[(u64, Timestamp)]) -> Option<u64> {
    let (RoleAction::Grant, Cause::Paid { mark, .. }) = (entry.change.action, &entry.change.cause)
    else {
        return None;
    };
    let block = mark.position.block;
    let is_prompt = entry.block.saturating_sub(block) <= PROMPT;
    let paid = time_at(times, block).filter(|_| is_prompt)?;
    Some(entry.at.0.saturating_sub(paid.0))
}

#[cfg(test)]
mod tests;
