//! Intents: made durable before a change is handed over, and settled by what is seen of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::cause::to_changes;
use super::observe::DOUBT;
use super::tick::decision_key;
use super::{Reconcile, blocking};
use crate::clock::machine_time;
use crate::domain::{
    GuildId, JournalEntry, Outcome, RoleAction, RoleChange, RoleId, Timestamp, UserId,
};
use crate::planner::Findings;
use crate::store::Store;

impl Reconcile {
    /// Drops the outstanding changes that these sets leave out: from now on they are not sent.
    pub(super) fn withdraw(&mut self, outbox: &BTreeMap<(GuildId, UserId), Vec<RoleChange>>) {
        for (member, wanted) in outbox {
            let Some(outstanding) = self.outstanding.get_mut(member) else {
                continue;
            };
            let before = outstanding.len();
            outstanding.retain(|old| {
                let mut wanted = wanted.iter();
                wanted.any(|change| decision_key(change) == decision_key(old))
            });
            if outstanding.len() < before {
                let (guild, user) = *member;
                let left = outstanding.clone();
                self.discord.outbox().set(guild, user, left);
            }
            if outstanding.is_empty() {
                self.outstanding.remove(member);
            }
        }
    }

    /// Makes intents durable, in one commit.
    pub(super) async fn intend(&self, intents: Vec<RoleChange>, block: u64) -> anyhow::Result<()> {
        if intents.is_empty() {
            return Ok(());
        }
        let store = self.store.clone();
        blocking(move || store.intend(&intents, block)).await
    }

    /// Settles the intents that the last run left open or that became moot, in at most three commits. Answers of which roles
    /// the removal seems to have happened and may still be acknowledged.
    pub(super) async fn settle_findings(
        &mut self,
        findings: Findings,
        now: Timestamp,
        block: u64,
    ) -> anyhow::Result<BTreeSet<(GuildId, UserId, RoleId)>> {
        let Findings {
            mut gone,
            mut arrived,
            mut kept,
        } = findings;
        let mut in_doubt = BTreeSet::new();
        gone.retain(|(guild, user, role, removed)| {
            let is_settled = self.is_settled(*guild, *user, *role);
            if *removed && !is_settled {
                in_doubt.insert((*guild, *user, *role));
            }
            is_settled
        });
        arrived.retain(|(guild, user, role)| self.is_settled(*guild, *user, *role));
        kept.retain(|kept| self.is_settled(kept.guild, kept.user, kept.role));
        if gone.is_empty() && arrived.is_empty() && kept.is_empty() {
            return Ok(in_doubt);
        }
        for (guild, user, role, _) in &gone {
            self.roster.forget_applied(*guild, *user, *role);
        }
        for (guild, user, role) in &arrived {
            self.roster
                .acknowledge(*guild, *user, *role, RoleAction::Grant);
        }
        let store = self.store.clone();
        let kept = blocking(move || {
            let mut entries = Vec::new();
            let removed = gone.iter().filter(|(.., removed)| *removed);
            let removed =
                removed.map(|(guild, user, role, _)| (*guild, *user, *role, RoleAction::Revoke));
            let granted = arrived
                .iter()
                .map(|(guild, user, role)| (*guild, *user, *role, RoleAction::Grant));
            for (guild, user, role, action) in removed.chain(granted) {
                entries.extend(done_before(&store, guild, user, role, action)?);
            }
            store.settle(&entries)?;
            let gone: Vec<_> = gone
                .iter()
                .map(|(guild, user, role, _)| (*guild, *user, *role))
                .collect();
            store.forget_applied(&gone)?;
            let kept = to_changes(&store, &kept, now)?;
            store.keep(&kept, block)?;
            Ok(kept)
        })
        .await?;
        for change in &kept {
            self.roster.keep(change);
        }
        Ok(in_doubt)
    }

    /// Whether nothing can happen to a role any more that was asked for before: no change is outstanding or on its way.
    /// A change that was taken back before it was acknowledged may still arrive; its intent stays until it is known, and
    /// the member is looked at again.
    fn is_settled(&mut self, guild: GuildId, user: UserId, role: RoleId) -> bool {
        let mut outstanding = self.outstanding.get(&(guild, user)).into_iter().flatten();
        if outstanding.any(|change| change.role == role) {
            return false;
        }
        let may_arrive = self.discord.outbox().may_arrive(guild, user, role);
        if may_arrive {
            self.unsettled.insert(user, Instant::now() + DOUBT);
        }
        !may_arrive
    }
}

/// The journal's line for a change that was under way when the program last stopped, and is seen to have happened.
fn done_before(
    store: &Store,
    guild: GuildId,
    user: UserId,
    role: RoleId,
    action: RoleAction,
) -> anyhow::Result<Option<JournalEntry>> {
    let applied = store.applied(guild, user, role)?;
    Ok(applied.map(|applied| JournalEntry {
        at: machine_time(),
        block: applied.block,
        change: RoleChange {
            action,
            guild,
            user,
            role,
            cause: applied.cause,
        },
        outcome: Outcome::Done,
    }))
}
