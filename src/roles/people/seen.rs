//! How the picture is fed with what Discord shows: members seen, read, gone, and changes acknowledged.

use std::collections::BTreeSet;

use super::{People, Person, Presence};
use crate::discord::SeenMember;
use crate::domain::{GuildId, MemberRole, RoleAction, RoleChange, RoleId, UserId};

impl People {
    /// A member was seen with exactly these roles.
    pub fn see(&mut self, guild: GuildId, user: UserId, roles: &[RoleId], pending: bool) {
        let is_new = |person: &Person| person.seat(guild).is_none();
        let is_of_interest = match self.persons.get(&user) {
            Some(person) if is_new(person) => {
                let has_gates = self.rules.gated.contains(&guild);
                self.sightings.extend(has_gates.then_some((user, guild)));
                has_gates
            }
            Some(_) => true,
            None => roles.iter().any(|role| self.is_claimed(guild, *role)),
        };
        if is_of_interest {
            self.hear(guild, user, presence(pending), roles);
        }
    }

    /// Takes what was read of these people, `None` for those who are not there; see [`People::read`].
    pub(crate) fn read_all(
        &mut self,
        guild: GuildId,
        people: &[(UserId, Option<SeenMember>)],
        asked: u64,
    ) {
        for (user, seen) in people {
            let shown = seen.as_ref().map(|one| (one.roles.as_slice(), one.pending));
            self.read(guild, *user, shown, asked);
            if let Some(member) = seen {
                self.set_name(guild, *user, &member.name);
            }
        }
    }

    /// A member was seen as they are now, with their name.
    pub(crate) fn see_member(&mut self, guild: GuildId, member: &SeenMember) {
        self.see(guild, member.user, &member.roles, member.pending);
        self.set_name(guild, member.user, &member.name);
    }

    /// A member was found in the server's member list; see [`People::read`].
    pub(crate) fn see_listed(&mut self, guild: GuildId, member: &SeenMember, asked: u64) {
        if self.persons.contains_key(&member.user) {
            let shown = Some((member.roles.as_slice(), member.pending));
            self.read(guild, member.user, shown, asked);
            self.set_name(guild, member.user, &member.name);
        } else {
            self.see_member(guild, member);
        }
    }

    /// A member left the server, and with it lost its roles.
    pub(crate) fn left(&mut self, guild: GuildId, user: UserId) {
        if self.seat_of(user, guild).is_some() {
            self.hear(guild, user, Presence::Absent, &[]);
        }
    }

    fn hear(&mut self, guild: GuildId, user: UserId, presence: Presence, roles: &[RoleId]) {
        self.note_flips(guild, user, presence, roles);
        if self.heard(user, guild).see(presence, roles) {
            self.touch(user);
            self.tidy(user);
        }
    }

    /// Notes which of the roles that are ours to give somebody else changed, on one who was there before and is there now.
    /// Who leaves loses all roles, and that is nobody's doing.
    fn note_flips(&mut self, guild: GuildId, user: UserId, now: Presence, roles: &[RoleId]) {
        let Some(seat) = self.seat_of(user, guild) else {
            return;
        };
        if (seat.presence, now) != (Presence::Present, Presence::Present) {
            return;
        }
        let given = roles.iter().filter(|role| !seat.held.contains(role));
        let given =
            given.filter(|role| seat.state(**role).is_none() && self.is_claimed(guild, **role));
        let flips = seat.taken(roles).map(|role| (RoleAction::Grant, role));
        let flips: Vec<_> = flips
            .chain(given.map(|role| (RoleAction::Revoke, *role)))
            .map(|(ours, role)| ((guild, user, role), ours))
            .collect();
        self.flips.extend(flips);
    }

    /// Takes what was read of a person: their roles and whether the server's rules are still to be accepted; `None` for one
    /// who is not there. `asked` is [`People::news`] of the moment of asking: what was heard since is not older, and stays.
    pub(crate) fn read(
        &mut self,
        guild: GuildId,
        user: UserId,
        shown: Option<(&[RoleId], bool)>,
        asked: u64,
    ) {
        let Some(seat) = self.seat_of(user, guild) else {
            return;
        };
        let mut granted = Vec::new();
        if seat.heard > asked {
            if seat.presence != Presence::Unknown {
                return;
            }
            // Nothing but acknowledged grants; the answer may be older than they are.
            granted.extend(&seat.held);
        }
        if self.seat(user, guild).await_nothing() {
            self.touch(user);
        }
        match shown {
            Some((roles, pending)) => {
                granted.retain(|role| !roles.contains(role));
                self.hear(guild, user, presence(pending), &[roles, &granted].concat());
            }
            None => self.hear(guild, user, Presence::Absent, &[]),
        }
    }

    /// Discord made a change.
    pub(crate) fn acknowledge(&mut self, (guild, user, role): MemberRole, action: RoleAction) {
        if self.heard(user, guild).acknowledge(role, action) {
            self.unread.push((guild, user));
        }
        self.touch(user);
        self.tidy(user);
    }

    /// Discord answered to a change that the member is not in the server; whether that ends the change. It does not where
    /// they were last seen there: they left just now, or joined just now and not all of Discord knows it. Either way they are
    /// read, which decides.
    pub(crate) fn not_there(&mut self, change: &RoleChange) -> bool {
        let of @ (guild, user, role) = change.member_role();
        if let Some(seat) = self.seat_of(user, guild) {
            let was_there = seat.presence >= Presence::Pending;
            self.unread.push((guild, user));
            if was_there {
                return false;
            }
        }
        self.hear(guild, user, Presence::Absent, &[]);
        let Some(person) = self.persons.get(&user) else {
            return true;
        };
        let state = person.seat(guild).and_then(|seat| seat.state(role));
        if let Some(state) = state.filter(|state| state.outstanding() == Some(change.action)) {
            let left = state.after_leaving(person.is_forgotten);
            self.set_applied(of, left);
        }
        self.touch(user);
        true
    }

    /// Forgets those who were seen for the sake of a plan that changes nothing, where they are of no interest.
    pub(crate) fn forget_strangers(&mut self, strangers: &BTreeSet<UserId>) {
        for user in strangers {
            self.tidy(*user);
            if !self.persons.contains_key(user) {
                self.dirty.remove(user);
                self.unread.retain(|(_, unread)| unread != user);
            }
        }
    }

    /// Something may have happened in the server that was not told.
    pub(crate) fn lose_sight(&mut self, guild: GuildId) {
        for user in self.servers.get(&guild).cloned().unwrap_or_default() {
            self.seat(user, guild).lose_sight();
        }
    }

    /// A role was deleted: nobody holds it any more.
    pub(crate) fn strike_role(&mut self, guild: GuildId, role: RoleId) {
        for user in self.servers.get(&guild).cloned().unwrap_or_default() {
            let seat = self.seat(user, guild);
            let before = seat.held.len();
            seat.held.retain(|held| *held != role);
            if seat.held.len() < before {
                self.touch(user);
            }
        }
    }

    /// Before all holders of claimed roles are read: who held one only is forgotten, and read again if they still do.
    pub(crate) fn forget_claimed(&mut self, guild: GuildId) {
        for user in self.servers.get(&guild).cloned().unwrap_or_default() {
            let is_given = self.granted(guild, user).next().is_some();
            let person = self.persons.entry(user).or_default();
            let is_ours = is_given || person.seats.iter().any(|seat| !seat.applied.is_empty());
            if person.wallets.is_empty() && !is_ours {
                person.seats.retain(|seat| seat.guild != guild);
                self.leave_server(guild, user);
                self.tidy(user);
            }
        }
    }
}

fn presence(pending: bool) -> Presence {
    if pending {
        Presence::Pending
    } else {
        Presence::Present
    }
}
