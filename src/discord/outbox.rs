//! The role changes that are still to be made, newest set per member.

mod queue;
mod schedule;
mod standing;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub(crate) use queue::{End, Queue, Told};
pub(crate) use schedule::{delay, rare_delay};
pub(crate) use standing::scope;

use super::shared::Shared;
use crate::domain::{GuildId, RoleChange, RoleId, UserId};

/// The handle to the outstanding changes; cheap to clone. Nothing in it survives a restart, nor needs to: the next pass
/// computes the same changes again.
#[derive(Clone, Debug)]
pub struct Outbox {
    shared: Arc<Shared>,
}

impl Outbox {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Replaces the member's outstanding changes by `changes`; an empty set drops them. Changes that stay the same keep
    /// their place in line and their schedule, and one that is on its way is not sent twice.
    ///
    /// `changes` must all be about this member in this server. Costs microseconds and never waits.
    pub fn set(&self, guild: GuildId, user: UserId, changes: Vec<RoleChange>) {
        debug_assert!(
            changes
                .iter()
                .all(|change| (change.guild, change.user) == (guild, user))
        );
        self.shared.set(guild, user, changes);
    }

    /// Whether something may be heard in the next moments of a change of this role, wished for or dropped by now.
    pub fn may_arrive(&self, guild: GuildId, user: UserId, role: RoleId) -> bool {
        self.shared.may_arrive(guild, user, role)
    }

    /// Takes the grants that got no answer since the last call: Discord may have made them nonetheless.
    pub fn take_unanswered(&self) -> Vec<(GuildId, UserId, RoleId)> {
        self.shared.take_unanswered()
    }

    /// How many changes are outstanding over all servers, the ones on their way included.
    pub fn pending(&self) -> usize {
        self.shared.pending()
    }
}
