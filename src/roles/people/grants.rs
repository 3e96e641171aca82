//! What managers gave for a time, and which of it is over by the machine's clock. The clock is told, not read.

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::People;
use crate::domain::{Grant, GuildId, MemberRole, RoleId, Timestamp, UserId};

/// A role that a member was given for a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granted {
    /// Where.
    pub guild: GuildId,
    /// Which role.
    pub role: RoleId,
    /// By whom.
    pub by: UserId,
    /// Until when (machine clock).
    pub until: Timestamp,
    /// Whether that time is over. Then it is only the reason for which the role goes.
    pub is_over: bool,
}

/// All of them. There are few, so that looking through them costs nothing.
pub(super) type Grants = FxHashMap<UserId, SmallVec<[Granted; 1]>>;

impl People {
    /// What a member was given for a time.
    pub fn grants(&self, user: UserId) -> &[Granted] {
        self.grants.get(&user).map_or(&[], SmallVec::as_slice)
    }

    /// Sets what a member was given; whether that differs from before. What is over is known at the next
    /// [`People::end_grants`].
    pub fn set_grants(&mut self, user: UserId, grants: &[Grant]) -> bool {
        let granted = grants.iter().map(|grant| Granted {
            guild: grant.guild,
            role: grant.role,
            by: grant.terms.by,
            until: grant.terms.until,
            is_over: false,
        });
        let granted: SmallVec<[Granted; 1]> = granted.collect();
        let key = |one: &Granted| (one.guild, one.role, one.by, one.until);
        if self
            .grants(user)
            .iter()
            .map(key)
            .eq(granted.iter().map(key))
        {
            return false;
        }
        for one in &granted {
            self.seat(user, one.guild);
        }
        self.grants.insert(user, granted);
        self.touch(user);
        self.tidy_grants(user);
        true
    }

    /// Ends what is over at `now` (machine clock).
    pub fn end_grants(&mut self, now: Timestamp) {
        for (user, grants) in &mut self.grants {
            for one in grants.iter_mut() {
                if !one.is_over && one.until <= now {
                    one.is_over = true;
                    self.dirty.entry(*user).or_default();
                }
            }
        }
    }

    /// When the next one ends (machine clock).
    pub fn next_grant_end(&self) -> Option<Timestamp> {
        let all = self.grants.values().flatten();
        let ahead = all.filter(|one| !one.is_over);
        ahead.map(|one| one.until).min()
    }

    /// Forgets one that is over: its role is gone, or something else gives it.
    pub fn drop_grant(&mut self, (guild, user, role): MemberRole) {
        if let Some(grants) = self.grants.get_mut(&user) {
            grants.retain(|one| !(one.is_over && (one.guild, one.role) == (guild, role)));
        }
        self.tidy_grants(user);
    }

    /// What the member was given in this server.
    pub fn granted(&self, guild: GuildId, user: UserId) -> impl Iterator<Item = &Granted> {
        let all = self.grants(user).iter();
        all.filter(move |one| one.guild == guild)
    }

    fn tidy_grants(&mut self, user: UserId) {
        if self.grants(user).is_empty() {
            self.grants.remove(&user);
            self.tidy(user);
        }
    }
}
