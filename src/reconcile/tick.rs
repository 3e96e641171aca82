//! One tick: feed the roster, plan, make the intents durable, hand over.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use rustc_hash::FxHashSet;
use tracing::{debug, warn};

use super::cause::to_changes;
use super::{Reconcile, blocking};
use crate::domain::{Counts, GuildId, RoleAction, RoleChange, RoleId, Timestamp, UserId};
use crate::planner;
use crate::roster::Roster;
use crate::store::{Store, Touched};

impl Reconcile {
    /// Brings Discord a step closer to what should be. Touches only members whose evidence changed.
    pub(super) async fn tick(&mut self) -> anyhow::Result<()> {
        // The clock is read before the events: a clock of block N with the events up to N or later is sound, the
        // reverse could take a role for want of a payment that is already stored. `at_tip` must hold before and after,
        // because a rollback is announced before it is committed.
        let before = self.chain.borrow_and_update().clone();
        let touched = self.store.take_touched();
        let at_tip = before.at_tip && self.chain.borrow().at_tip;
        self.feed(touched).await?;
        let Some(confirmed) = before.confirmed else {
            return Ok(());
        };
        if at_tip && !self.reached_tip {
            self.reached_tip = true;
            if std::mem::take(&mut self.reload_at_tip) {
                self.reload().await?;
            }
            self.touch_everyone();
        }
        // While history is being read, what is stored is the past: nothing is planned from it. While the node is away,
        // what is stored is the newest there is: members who link a paid wallet get their role.
        if !self.reached_tip || (!at_tip && before.trouble.is_none()) {
            return Ok(());
        }
        let now = confirmed.timestamp;
        if now < self.last_now {
            self.touch_everyone();
        }
        self.last_now = now;
        if at_tip {
            for user in std::mem::take(&mut self.waiting) {
                self.roster.touch(user);
            }
        }
        let users = self.roster.take_dirty(now);
        if !users.is_empty() {
            self.plan_and_hand_over(users, now, confirmed.number, at_tip)
                .await?;
        }
        self.counts_due.0 = true;
        Ok(())
    }

    async fn plan_and_hand_over(
        &mut self,
        users: FxHashSet<UserId>,
        now: Timestamp,
        block: u64,
        may_revoke: bool,
    ) -> anyhow::Result<()> {
        for (guild, user, role) in self.discord.outbox().take_unanswered() {
            self.roster.note_unanswered(guild, user, role);
        }
        let (mut decisions, findings) = planner::plan(&self.roster, users.iter().copied(), now);
        if !may_revoke {
            self.waiting
                .extend(planner::without_revokes(&mut decisions));
        }
        let store = self.store.clone();
        let mut changes = if decisions.is_empty() {
            Vec::new()
        } else {
            blocking(move || to_changes(&store, &decisions, now)).await?
        };
        self.brake(&mut changes);
        let mut outbox = planner::by_member(
            changes
                .into_iter()
                .map(|change| (change.guild, change.user, change)),
        );
        // Members whose outstanding changes are moot now.
        for member in self.outstanding.keys() {
            if users.contains(&member.1) {
                outbox.entry(*member).or_default();
            }
        }
        outbox.retain(|member, changes| {
            let under_way = self.outstanding.get(member).map_or(&[][..], Vec::as_slice);
            !same_changes(under_way, changes)
        });
        self.withdraw(&outbox);
        let in_doubt = self.settle_findings(findings, now, block).await?;
        // Of a removal that seems to have happened, its intent is all that the journal's line can be written from.
        outbox.retain(|(guild, user), changes| {
            changes.retain(|change| !in_doubt.contains(&(*guild, *user, change.role)));
            !changes.is_empty()
        });
        let intents: Vec<_> = outbox.values().flatten().cloned().collect();
        self.intend(intents.clone(), block).await?;
        for change in &intents {
            self.roster.intend(change);
            self.decided_at.insert(decision_key(change), block);
        }
        // Grants of all members reach the outbox before revokes do, so that a worker that is quick grants first.
        let (grants, rest): (Vec<_>, Vec<_>) = outbox.into_iter().partition(|(_, changes)| {
            changes
                .iter()
                .any(|change| change.action == RoleAction::Grant)
        });
        for ((guild, user), changes) in grants.into_iter().chain(rest) {
            debug!(%guild, changes = changes.len(), "role changes handed over");
            self.outstanding.insert((guild, user), changes.clone());
            self.discord.outbox().set(guild, user, changes);
        }
        Ok(())
    }

    /// Feeds the roster with what the store's commits touched.
    async fn feed(&mut self, touched: Touched) -> anyhow::Result<()> {
        if touched.is_empty() {
            return Ok(());
        }
        if touched.everything {
            if self.reached_tip {
                return self.reload().await;
            }
            // Nothing is planned before the tip is reached, and until then this happens with each large commit.
            self.reload_at_tip = true;
        }
        for ((module, id), plan) in touched.plans {
            self.roster.set_plan(module, id, plan);
        }
        for ((module, wallet), mark) in touched.blocked {
            self.roster.set_blocked(module, wallet, mark.is_some());
        }
        for ((module, id), state) in &touched.subscriptions {
            self.roster.set_subscription(*module, *id, state.as_ref());
        }
        for user in touched.members {
            let store = self.store.clone();
            let (wallets, ended, forgotten) = blocking(move || {
                let ended = store.ended_links_of(user)?;
                Ok((store.wallets_of(user)?, ended, store.is_forgotten(user)?))
            })
            .await?;
            self.roster.set_ended_links(user, ended);
            self.roster.set_wallets(user, wallets);
            self.roster.set_forgotten(user, forgotten);
        }
        if touched.gates {
            let store = self.store.clone();
            let gates = blocking(move || store.gates()).await?;
            self.roster.set_gates(gates);
            self.gates_changed();
        }
        if let Some(complete) = touched.complete {
            self.roster.set_complete(complete);
        }
        Ok(())
    }

    /// Fills the roster anew from the store.
    pub(super) async fn reload(&mut self) -> anyhow::Result<()> {
        let mut roster = std::mem::take(&mut self.roster);
        let store = self.store.clone();
        self.roster = blocking(move || {
            load(&store, &mut roster)?;
            Ok(roster)
        })
        .await?;
        self.gates_changed();
        self.touch_everyone();
        Ok(())
    }

    /// Other gates may ask about other modules and other servers.
    fn gates_changed(&mut self) {
        let modules = self.roster.modules();
        self.modules
            .send_if_modified(|before| std::mem::replace(before, modules.clone()) != modules);
        for guild in self.roster.guilds_without_roles() {
            self.discord.forget(guild);
        }
        self.observe_all();
    }

    pub(super) fn touch_everyone(&mut self) {
        self.full_pass = true;
        for user in self.roster.everyone() {
            self.roster.touch(user);
        }
        for (_, user) in self.outstanding.keys() {
            self.roster.touch(*user);
        }
    }

    /// Takes out of `changes` what the brake stops. A role that it stopped stays stopped, member by member too, until a
    /// pass over everyone finds the removals no longer outsized.
    fn brake(&mut self, changes: &mut Vec<RoleChange>) {
        let before = if std::mem::take(&mut self.full_pass) {
            std::mem::take(&mut self.held_back)
        } else {
            BTreeMap::new()
        };
        let stopped = self.held_back.keys().copied().collect();
        for (role, held) in planner::hold_back(&self.roster, changes, &stopped) {
            if self.held_back.contains_key(&role) {
                continue;
            }
            self.held_back.insert(role, held);
            if before.get(&role) != Some(&held) {
                warn!(guild = %role.0, role = %role.1, removals = held.removals, holders = held.holders,
                    "stopped a mass removal without on-chain reasons; check the gates and links, then set \
                     policy.max_revoke_share to 1 and restart to let it through");
            }
        }
    }

    /// Counts for the status page. Walks all subscriptions, so it takes at most a fiftieth of the time.
    pub(super) fn count(&mut self) {
        let started = Instant::now();
        if !self.counts_due.0 || started < self.counts_due.1 {
            return;
        }
        let counts = Counts {
            subscriptions: self.roster.subscription_count(),
            active: self.roster.open_count(self.last_now),
            links: self.roster.link_count(),
            gates: self.roster.gate_count(),
            held_back: self
                .held_back
                .values()
                .map(|held| held.removals as u64)
                .sum(),
        };
        self.counts
            .send_if_modified(|before| std::mem::replace(before, counts) != counts);
        self.counts_due = (false, started + started.elapsed() * 50);
    }
}

/// What tells one decision about a role from the opposite one.
pub(super) fn decision_key(change: &RoleChange) -> (GuildId, UserId, RoleId, RoleAction) {
    (change.guild, change.user, change.role, change.action)
}

/// Whether two sets ask for the same of a member, whatever their causes.
fn same_changes(a: &[RoleChange], b: &[RoleChange]) -> bool {
    let asks = |changes: &[RoleChange]| {
        let pairs = changes.iter().map(|change| (change.action, change.role));
        pairs.collect::<BTreeSet<_>>()
    };
    a.len() == b.len() && asks(a) == asks(b)
}

/// Fills a roster from the store; what it observed on Discord stays.
///
/// # Errors
/// When the store cannot be read.
pub(super) fn load(store: &Store, roster: &mut Roster) -> anyhow::Result<()> {
    roster.clear_stored();
    // First: what is read after it has at least the events that make these modules complete.
    let complete = store.complete_modules()?;
    store.for_each_plan(|module, id, plan| roster.set_plan(module, id, Some(plan)))?;
    store.for_each_blocked(|module, wallet, _| roster.set_blocked(module, wallet, true))?;
    store.for_each_subscription(|module, id, state| {
        roster.set_subscription(module, id, Some(&state));
    })?;
    let mut wallets = BTreeMap::<_, Vec<_>>::new();
    store.for_each_link(|user, wallet| wallets.entry(user).or_default().push(wallet))?;
    for (user, wallets) in wallets {
        roster.set_wallets(user, wallets);
    }
    let mut ended = BTreeMap::<_, Vec<_>>::new();
    store.for_each_ended_link(|user, wallet, end| {
        ended.entry(user).or_default().push((wallet, end))
    })?;
    for (user, ended) in ended {
        roster.set_ended_links(user, ended);
    }
    store.for_each_forgotten(|user| roster.set_forgotten(user, true))?;
    roster.set_gates(store.gates()?);
    store.for_each_applied(|applied| roster.set_applied(&applied))?;
    roster.set_complete(complete);
    Ok(())
}
