//! PURE. Notices that somebody else changes a member's role back, again and again, and leaves that one alone for a while.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use crate::domain::{GuildId, MemberRole, RoleAction};

/// Changes back are counted over this time.
pub const WINDOW: Duration = Duration::from_secs(600);
/// So many within it are put right. A person who tries something out changes a role two or three times.
pub const MOST: usize = 3;
/// So long a role is left alone then: time for a person to read why and to end it. Where nobody does, the two programs make a
/// handful of changes an hour, which disturbs nobody, and a role that is deserved still comes back by itself in the end.
const PAUSE: Duration = Duration::from_secs(3_600);

/// The roles that somebody else changed back lately.
#[derive(Debug, Default)]
pub(super) struct Flips(BTreeMap<MemberRole, Flipped>);

#[derive(Debug)]
struct Flipped {
    /// When it was changed back, within the last ten minutes; oldest first.
    at: VecDeque<Instant>,
    /// What we do to it each time.
    ours: RoleAction,
    /// Until when it is left alone.
    left_until: Option<Instant>,
    /// Whether it was told that it is.
    is_told: bool,
}

/// Whether a change is to be made that puts a role right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    /// It is made.
    No,
    /// It is not, from now on; this is said once.
    Begins,
    /// It is not, still.
    GoesOn,
}

impl Flips {
    /// Somebody else changed a role, which we would put right by `ours`.
    pub(super) fn changed_back(&mut self, key: MemberRole, ours: RoleAction, now: Instant) {
        let new = || Flipped {
            at: VecDeque::new(),
            ours,
            left_until: None,
            is_told: false,
        };
        let flipped = self.0.entry(key).or_insert_with(new);
        if flipped.ours != ours {
            *flipped = new();
        }
        if flipped.is_left(now) {
            return;
        }
        flipped.at.retain(|at| now.duration_since(*at) < WINDOW);
        flipped.at.push_back(now);
        if flipped.at.len() > MOST {
            *flipped = Flipped {
                left_until: Some(now + PAUSE),
                ..new()
            };
        }
    }

    /// Whether a change that would put a role right is to be left for now.
    pub(super) fn hold(&mut self, key: MemberRole, ours: RoleAction, now: Instant) -> Hold {
        let found = self.0.get_mut(&key);
        let found = found.filter(|flipped| flipped.ours == ours && flipped.is_left(now));
        found.map_or(Hold::No, |flipped| {
            match std::mem::replace(&mut flipped.is_told, true) {
                true => Hold::GoesOn,
                false => Hold::Begins,
            }
        })
    }

    /// Forgets what is over; whether a role is left alone no longer.
    pub(super) fn forget_old(&mut self, now: Instant) -> bool {
        let mut is_over = false;
        self.0.retain(|_, flipped| {
            let is_left = flipped.is_left(now);
            is_over |= flipped.left_until.take_if(|_| !is_left).is_some();
            let newest = flipped.at.back();
            is_left || newest.is_some_and(|at| now.duration_since(*at) < WINDOW)
        });
        is_over
    }

    /// A person asks for the server's roles to be put right now.
    pub(super) fn lift(&mut self, guild: GuildId) {
        self.0.retain(|(of, ..), _| *of != guild);
    }

    /// What is left alone and was told, and what we would do to it.
    pub(super) fn left(&self) -> impl Iterator<Item = (MemberRole, RoleAction)> + '_ {
        let left = |(key, flipped): (&MemberRole, &Flipped)| {
            flipped.is_told.then_some((*key, flipped.ours))
        };
        self.0.iter().filter_map(left)
    }
}

impl Flipped {
    fn is_left(&self, now: Instant) -> bool {
        self.left_until.is_some_and(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{RoleId, UserId};

    const KEY: MemberRole = (GuildId(1), UserId(2), RoleId(3));

    fn flips() -> (Flips, impl Fn(u64) -> Instant) {
        let start = Instant::now();
        (Flips::default(), move |seconds| {
            start + Duration::from_secs(seconds)
        })
    }

    fn taken(flips: &mut Flips, now: Instant) -> Hold {
        flips.changed_back(KEY, RoleAction::Grant, now);
        flips.hold(KEY, RoleAction::Grant, now)
    }

    #[test]
    fn more_than_three_flips_in_ten_minutes_stop_ours_and_fewer_do_not() {
        let (mut flips, at) = flips();
        for second in 0..3 {
            assert_eq!(taken(&mut flips, at(second)), Hold::No);
        }
        // The first is older than ten minutes by now.
        assert_eq!(taken(&mut flips, at(600)), Hold::No);
        assert!(flips.left().next().is_none());
        assert_eq!(taken(&mut flips, at(600)), Hold::Begins);
        assert_eq!(taken(&mut flips, at(601)), Hold::GoesOn);
        let left: Vec<_> = flips.left().collect();
        assert_eq!(left, [(KEY, RoleAction::Grant)]);
    }

    #[test]
    fn another_member_or_another_role_is_counted_by_itself() {
        let (mut flips, at) = flips();
        for user in 0..20 {
            let key = (KEY.0, UserId(user), KEY.2);
            flips.changed_back(key, RoleAction::Grant, at(0));
            assert_eq!(flips.hold(key, RoleAction::Grant, at(0)), Hold::No);
        }
    }

    #[test]
    fn a_role_is_put_right_again_after_an_hour_and_the_count_begins_again() {
        let (mut flips, at) = flips();
        for _ in 0..4 {
            taken(&mut flips, at(0));
        }
        assert!(!flips.forget_old(at(3_599)));
        assert_eq!(taken(&mut flips, at(3_599)), Hold::GoesOn);
        assert!(flips.forget_old(at(3_600)));
        assert!(!flips.forget_old(at(3_600)));
        for _ in 0..3 {
            assert_eq!(taken(&mut flips, at(3_600)), Hold::No);
        }
        assert_eq!(taken(&mut flips, at(3_600)), Hold::Begins);
    }

    #[test]
    fn the_opposite_change_is_a_new_matter() {
        let (mut flips, at) = flips();
        for _ in 0..4 {
            taken(&mut flips, at(0));
        }
        assert_eq!(flips.hold(KEY, RoleAction::Revoke, at(1)), Hold::No);
        flips.changed_back(KEY, RoleAction::Revoke, at(1));
        assert_eq!(flips.hold(KEY, RoleAction::Revoke, at(1)), Hold::No);
        assert_eq!(flips.hold(KEY, RoleAction::Grant, at(1)), Hold::No);
    }

    #[test]
    fn a_manager_who_asks_ends_the_pause() {
        let (mut flips, at) = flips();
        for _ in 0..4 {
            taken(&mut flips, at(0));
        }
        flips.lift(GuildId(9));
        assert_eq!(taken(&mut flips, at(1)), Hold::GoesOn);
        flips.lift(KEY.0);
        assert_eq!(taken(&mut flips, at(1)), Hold::No);
        assert!(flips.left().next().is_none());
    }

    #[test]
    fn nothing_is_remembered_of_what_is_over() {
        let (mut flips, at) = flips();
        taken(&mut flips, at(0));
        assert!(!flips.forget_old(at(599)));
        assert_eq!(flips.0.len(), 1);
        flips.forget_old(at(600));
        assert_eq!(flips.0.len(), 0);
    }
}
