//! What managers gave for a time, and which of it is over by the machine's clock. The clock is told, not read.

use rustc_hash::FxHashMap;

use super::People;
use crate::domain::{Grant, GuildId, MemberRole, Timestamp, UserId};

/// All of them. There are few, so that looking through them costs nothing.
#[derive(Debug, Default)]
pub(super) struct Grants {
    pub(super) of: FxHashMap<UserId, Vec<Grant>>,
    /// The machine's clock, as it was told.
    now: Timestamp,
}

impl People {
    /// What a member was given for a time.
    pub(crate) fn grants(&self, user: UserId) -> &[Grant] {
        self.grants.of.get(&user).map_or(&[], Vec::as_slice)
    }

    /// Whether its time is over. Then it is only the reason for which the role goes.
    pub(crate) fn is_over(&self, grant: &Grant) -> bool {
        grant.terms.until <= self.grants.now
    }

    /// Sets what a member was given; whether that differs from before.
    pub(crate) fn set_grants(&mut self, user: UserId, grants: &[Grant]) -> bool {
        if self.grants(user) == grants {
            return false;
        }
        for one in grants {
            self.seat(user, one.guild);
        }
        self.grants.of.insert(user, grants.to_vec());
        self.touch(user);
        self.tidy_grants(user);
        true
    }

    /// Ends what is over at `now` (machine clock).
    pub(crate) fn end_grants(&mut self, now: Timestamp) {
        let before = std::mem::replace(&mut self.grants.now, now);
        for (user, grants) in &self.grants.of {
            let mut ends = grants.iter().map(|one| one.terms.until);
            if ends.any(|until| before < until && until <= now) {
                self.dirty.entry(*user).or_default();
            }
        }
    }

    /// Forgets one that is over: its role is gone, or something else gives it.
    pub(crate) fn drop_grant(&mut self, (guild, user, role): MemberRole) {
        let now = self.grants.now;
        if let Some(grants) = self.grants.of.get_mut(&user) {
            let is_it =
                |one: &Grant| one.terms.until <= now && (one.guild, one.role) == (guild, role);
            grants.retain(|one| !is_it(one));
        }
        self.tidy_grants(user);
    }

    /// What the member was given in this server.
    pub(crate) fn granted(&self, guild: GuildId, user: UserId) -> impl Iterator<Item = &Grant> {
        let all = self.grants(user).iter();
        all.filter(move |one| one.guild == guild)
    }

    fn tidy_grants(&mut self, user: UserId) {
        if self.grants(user).is_empty() {
            self.grants.of.remove(&user);
            self.tidy(user);
        }
    }
}
