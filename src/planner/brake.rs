//! PURE. The brake on mass removal: a pass that would take an outsized share of a gate's roles stops and says so.

use std::collections::{BTreeMap, BTreeSet};

use super::Decision;
use crate::domain::{Evidence, GuildId, RoleAction, RoleChange, RoleId};
use crate::roster::Roster;

/// Removals that were held back for one role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Held {
    /// Removals without an on-chain reason in this pass.
    pub removals: usize,
    /// How many members hold the role.
    pub holders: usize,
}

/// Takes out of `changes` the revokes of every role of which more than `max_revoke_share` of the holders, and at least
/// `max_revoke_floor`, would lose it without an on-chain reason, and of every role that is `stopped` already. Removals
/// with an on-chain reason always pass.
pub fn hold_back(
    roster: &Roster,
    changes: &mut Vec<RoleChange>,
    stopped: &BTreeSet<(GuildId, RoleId)>,
) -> BTreeMap<(GuildId, RoleId), Held> {
    let groundless = |change: &RoleChange| {
        change.action == RoleAction::Revoke && change.cause.evidence() == Evidence::Absence
    };
    let mut counts: BTreeMap<(GuildId, RoleId), usize> = BTreeMap::new();
    for change in changes.iter().filter(|change| groundless(change)) {
        *counts.entry((change.guild, change.role)).or_default() += 1;
    }
    let policy = roster.policy();
    let held: BTreeMap<_, _> = counts
        .into_iter()
        .filter_map(|((guild, role), removals)| {
            let holders = roster.guild(guild).map_or(0, |view| view.holders(role));
            let outsized = removals >= policy.max_revoke_floor as usize
                && removals as f64 > policy.max_revoke_share * holders as f64;
            (outsized || stopped.contains(&(guild, role)))
                .then_some(((guild, role), Held { removals, holders }))
        })
        .collect();
    changes
        .retain(|change| !(groundless(change) && held.contains_key(&(change.guild, change.role))));
    held
}

/// The revokes among `decisions`, which must wait while the chain has not been followed to its tip.
pub fn without_revokes(decisions: &mut Vec<Decision>) -> BTreeSet<crate::domain::UserId> {
    let waiting = decisions
        .iter()
        .filter(|decision| decision.action == RoleAction::Revoke)
        .map(|decision| decision.user)
        .collect();
    decisions.retain(|decision| decision.action == RoleAction::Grant);
    waiting
}
