//! One tick: feed the picture, plan, ask the chain and the brake, make the intents durable, hand them over.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use rustc_hash::{FxHashMap, FxHashSet};
use tracing::warn;

use super::brake::Pass;
use super::cause::to_changes;
use super::desired::given_by_gates;
use super::fallback::Removals;
use super::people::Sources;
use super::plan::{Plan, plan};
use super::{Roles, blocking};
use crate::clock::machine_time;
use crate::domain::{
    Applied, Checkpoint, Counts, GuildId, HeldBack, Intent, MemberRole, RoleAction, RoleChange,
    RoleId, Timestamp, UserId,
};

impl Roles {
    /// Brings Discord a step closer to what should be. Touches only people whose evidence changed.
    pub(super) async fn tick(&mut self) -> anyhow::Result<()> {
        self.decide().await?;
        let sightings = self.people.take_sightings();
        if !sightings.is_empty() {
            blocking(&self.store, move |store| store.saw(&sightings)).await?;
        }
        self.read_on();
        Ok(())
    }

    /// The block by whose time things are judged: the newest confirmed one; where none was seen since the start, the one up to
    /// which the last run had read.
    pub(super) async fn clock(
        &self,
        confirmed: Option<Checkpoint>,
    ) -> anyhow::Result<Option<Checkpoint>> {
        match confirmed {
            None => blocking(&self.store, |store| store.cursor()).await,
            confirmed => Ok(confirmed),
        }
    }

    async fn decide(&mut self) -> anyhow::Result<()> {
        // The clock is read before the events: a clock of block N with the events up to N or later is sound, the
        // reverse could take a role for want of a payment that is already stored. `at_tip` must hold before and after,
        // because a rollback is announced before it is committed.
        let before = self.inputs.chain.borrow_and_update().clone();
        let touched = self.store.take_touched();
        self.progress.counts_due.0 |= !touched.is_empty();
        let at_tip =
            before.at_tip && before.confirmed.is_some() && self.inputs.chain.borrow().at_tip;
        self.feed(touched).await?;
        self.people.end_grants(machine_time());
        if !at_tip {
            // There may have been payments that are not read yet.
            self.confirming.confirmed.clear();
        }
        let is_first = at_tip && !self.progress.reached_tip;
        if is_first {
            self.progress.reached_tip = true;
            if std::mem::take(&mut self.progress.reload_at_tip) {
                self.reload().await?;
            }
            self.touch_everyone();
        }
        let Some(removals) = self.choose_sources(&before, at_tip).await? else {
            return Ok(());
        };
        let Some(clock) = self.clock(before.confirmed).await? else {
            return Ok(());
        };
        let now = clock.timestamp;
        if now < self.progress.last_now {
            self.touch_everyone();
        }
        self.progress.counts_due.0 |= now != self.progress.last_now;
        self.progress.last_now = now;
        self.note_flips();
        let is_full_pass = self.progress.full_pass;
        let mut users = self.people.take_dirty(now);
        self.hear_api(&mut users);
        if !users.is_empty() {
            self.progress.counts_due.0 = true;
            self.act(users, now, clock.number, removals, is_first)
                .await?;
        }
        if removals == Removals::AsPlanned {
            self.confirming.agreed.clear();
            if is_full_pass && self.progress.has_vouched {
                self.confirm_vouched(now, clock.number).await?;
            }
        }
        Ok(())
    }

    /// Plans for these people and has the changes made; `resumes`: with what the last run left open and this plan did not
    /// turn into its opposite.
    async fn act(
        &mut self,
        users: FxHashMap<UserId, bool>,
        now: Timestamp,
        block: u64,
        removals: Removals,
        resumes: bool,
    ) -> anyhow::Result<()> {
        for (user, _) in users.iter().filter(|(_, just_now)| **just_now) {
            self.reading.want_first(&self.people, *user);
        }
        let looked_at = users.iter().map(|(user, just_now)| (*user, *just_now));
        let Plan {
            mut changes,
            adopted,
            mut forgotten,
            mut over,
            mut dropped,
        } = plan(&self.people, looked_at, now);
        if self.people.sources() == Sources::Api {
            // Who is not vouched for may have paid all the same: everyone is looked at again when the chain is followed.
            changes.retain(|one| one.action == RoleAction::Grant);
            (forgotten, over, dropped) = Default::default();
        }
        if removals != Removals::AsPlanned {
            self.keep_agreed(&mut changes, removals, now);
        }
        let (mut changes, adopted) = blocking(&self.store, move |store| {
            let changes = to_changes(store, &changes, now)?;
            Ok((changes, to_changes(store, &adopted, now)?))
        })
        .await?;
        let mut looked_at: FxHashSet<UserId> = users.keys().copied().collect();
        if removals == Removals::AsPlanned {
            self.confirm(&mut changes, &users, now);
        } else {
            // Whose removals are missing from the plan is no sign that they are not wanted any more.
            self.progress.full_pass = false;
            let revokes = changes
                .iter()
                .filter(|one| one.action == RoleAction::Revoke);
            looked_at = revokes.map(|one| one.user).collect();
        }
        self.hold_back(&mut changes, &looked_at).await?;
        self.leave_contested(&mut changes, block);
        let intents = changes.into_iter().map(|change| Intent {
            just_now: users.get(&change.user).copied().unwrap_or_default(),
            change,
            block,
        });
        let intents: Vec<_> = intents.collect();
        let left_open = match self.people.sources() {
            Sources::Api => self.take_left_open(&users, now),
            Sources::Events | Sources::Both => Vec::new(),
        };
        for intent in &intents {
            self.people.intend(&intent.change);
        }
        self.people.adopt(&adopted);
        for gone in &forgotten {
            self.people.set_applied(*gone, None);
            self.discord.withdraw(*gone, RoleAction::Revoke);
        }
        for one in &over {
            self.people.drop_grant(*one);
        }
        for one in &dropped {
            self.people.drop_removal(*one);
            self.discord.withdraw(*one, RoleAction::Revoke);
        }
        let dropped: Vec<_> = dropped
            .into_iter()
            .map(|one| (one, RoleAction::Revoke))
            .collect();
        let intents = blocking(&self.store, move |store| {
            store.intend(&intents)?;
            store.adopt(&adopted, block)?;
            store.forget_applied(&forgotten)?;
            store.forget_grants(&over, machine_time())?;
            store.settle_not_there(&dropped)?;
            let mut intents = intents;
            let mut send = |applied: Applied| {
                let block = applied.block;
                intents.extend(applied.outstanding_change().map(|change| Intent {
                    change,
                    block,
                    just_now: false,
                }));
            };
            if resumes {
                store.for_each_applied(&mut send)?;
            }
            for (guild, user, role) in left_open {
                if let Some(applied) = store.applied(guild, user, role)? {
                    send(applied);
                }
            }
            Ok(intents)
        })
        .await?;
        self.discord.send(intents);
        Ok(())
    }

    /// Takes the grants to these people that the last run left open, and that are deserved now: on the API's word nothing else
    /// sends them.
    fn take_left_open(
        &mut self,
        users: &FxHashMap<UserId, bool>,
        now: Timestamp,
    ) -> Vec<MemberRole> {
        let (people, left_open) = (&self.people, &mut self.progress.left_open);
        let is_due = |of: &MemberRole| {
            users.contains_key(&of.1) && given_by_gates(people, *of, now).is_some()
        };
        left_open.extract_if(.., is_due).collect()
    }

    /// Takes out of `changes` what the brake stops, having looked at these people.
    async fn hold_back(
        &mut self,
        changes: &mut Vec<RoleChange>,
        looked_at: &FxHashSet<UserId>,
    ) -> anyhow::Result<()> {
        let (before, held_before) = (self.brake.stopped(), self.brake.held_back());
        let is_whole = std::mem::take(&mut self.progress.full_pass);
        let (people, reading, confirming) = (&self.people, &self.reading, &self.confirming);
        self.brake.hold_back(
            changes,
            &Pass {
                is_looked_at: &|guild, user| {
                    // Of one who is of no interest any more nothing will be decided.
                    let is_done = looked_at.contains(&user) || people.person(user).is_none();
                    is_done && !confirming.awaits(guild, user)
                },
                is_whole: &|guild, role| {
                    is_whole && reading.is_read(guild) && !confirming.awaits_any(guild, role)
                },
                holders: &|guild, role| people.holders(guild, role),
                policy: people.default_policy(),
                now: machine_time(),
            },
        );
        self.show_held_back(&held_before);
        let stopped = self.brake.stopped();
        if stopped != before {
            blocking(&self.store, move |store| store.set_stopped(&stopped)).await?;
        }
        Ok(())
    }

    /// Shows which removals are stopped, where they are others than before.
    pub(super) fn show_held_back(&self, before: &BTreeMap<(GuildId, RoleId), HeldBack>) {
        let held_back = self.brake.held_back();
        if held_back == *before {
            return;
        }
        for ((guild, role), held) in &held_back {
            if !before.contains_key(&(*guild, *role)) {
                warn!(%guild, %role, removals = held.removals, holders = held.holders,
                    "stopped a mass removal; check the gates, the links and the node, then approve it: /amser approve");
            }
        }
        let guilds: BTreeSet<_> = held_back
            .keys()
            .chain(before.keys())
            .map(|key| key.0)
            .collect();
        for guild in guilds {
            let here = held_back.iter().filter(|((of, _), _)| *of == guild);
            let here = here.map(|((_, role), held)| (*role, *held)).collect();
            self.discord.show(guild, |status| status.held_back = here);
        }
    }

    /// Counts for the status page. Walks all subscriptions, so it takes at most a fiftieth of the time.
    pub(super) fn count(&mut self) {
        let started = Instant::now();
        let (due, at) = self.progress.counts_due;
        if !due || started < at {
            return;
        }
        let (holdings, policy) = (self.people.holdings(), self.people.default_policy());
        let counts = Counts {
            subscriptions: holdings.count(),
            active: holdings.open_count(policy, self.progress.last_now),
            links: self.people.link_count(),
            gates: self.people.gate_count(),
            held_back: self
                .brake
                .held_back()
                .values()
                .map(|held| held.removals as u64)
                .sum(),
        };
        self.inputs
            .counts
            .send_if_modified(|before| std::mem::replace(before, counts) != counts);
        self.progress.counts_due = (false, started + started.elapsed() * 50);
    }
}
