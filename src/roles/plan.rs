//! PURE. Compares the roles that people should hold with those they hold: desired − observed.
//!
//! ```text
//! desired(member, server) = ⋃ roles of the gates whose plans the member's wallets hold open at `now`,
//!                           ∪ roles that a manager gave until later
//! grant  = desired − observed
//! revoke = observed − desired, of roles that are ours (given or adopted; if gates claim them, any role of a gate)
//! ```
//!
//! A change that was decided and not acknowledged is sent until it is; only its opposite takes its place. So a plan never
//! asks whether it may have happened.

use smallvec::SmallVec;

use super::desired::{Because, entitlement, given_by_gates, why_lost};
use super::people::{People, Person, Presence, Seat, ServerRules};
use crate::domain::{
    AppliedState, Cause, ManualRoles, MemberRole, RoleAction, RoleChange, RoleId, Timestamp, UserId,
};

/// One change that should be made, and on what evidence.
pub type Decision = RoleChange<Because>;

/// What is to be done for some people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Role changes for Discord to make, grants first.
    pub changes: Vec<Decision>,
    /// Roles that entitled members hold already: they become ours without any change.
    pub adopted: Vec<Decision>,
    /// Roles that are not ours any more, because they are not held or their claim became moot.
    pub forgotten: Vec<MemberRole>,
    /// What a manager gave for a time that is over, and that explains nothing any more: the role is on its way off the member, or
    /// something else gives it.
    pub over: Vec<MemberRole>,
    /// Removals that were decided and are not to be made for now: a gate was made since, whose module is still being read.
    pub dropped: Vec<MemberRole>,
}

/// What must change for these people, each in their own servers. With each, whether they paid or verified just now: such
/// people need not have been read, because the changes are idempotent and Discord says who is not there.
///
/// Nothing is decided about roles of gates whose module has not been read completely.
pub fn plan(
    people: &People,
    users: impl IntoIterator<Item = (UserId, bool)>,
    now: Timestamp,
) -> Plan {
    let mut plan = Plan::default();
    for (user, just_now) in users {
        let Some(person) = people.person(user) else {
            continue;
        };
        for seat in &person.seats {
            let check = Check {
                people,
                rules: people.rules(seat.guild),
                person,
                seat,
                user,
                just_now,
                now,
            };
            check.check(&mut plan);
        }
    }
    // Whatever the order of the people was.
    plan.changes.sort_unstable();
    plan.adopted.sort_unstable();
    plan.forgotten.sort_unstable();
    plan.over.sort_unstable();
    plan.dropped.sort_unstable();
    plan
}

/// The grant of a role that its gates give a member, as far as their modules have been read.
pub(super) fn deserved(
    people: &People,
    of @ (guild, user, role): MemberRole,
    now: Timestamp,
) -> Option<Decision> {
    let cause = given_by_gates(people, of, now)?;
    Some(Decision {
        action: RoleAction::Grant,
        guild,
        user,
        role,
        cause,
    })
}

/// One person in one server.
struct Check<'a> {
    people: &'a People,
    /// What the server asks for.
    rules: &'a ServerRules,
    person: &'a Person,
    seat: &'a Seat,
    user: UserId,
    just_now: bool,
    now: Timestamp,
}

impl Check<'_> {
    fn check(&self, plan: &mut Plan) {
        let Self {
            people,
            rules,
            person,
            seat,
            ..
        } = self;
        let is_nothing_given = people.granted(seat.guild, self.user).next().is_none();
        if person.wallets.is_empty()
            && seat.held.is_empty()
            && seat.applied.is_empty()
            && is_nothing_given
        {
            return;
        }
        let mut wanted: SmallVec<[RoleId; 4]> = SmallVec::new();
        let mut unknown: SmallVec<[RoleId; 4]> = SmallVec::new();
        for gate in &rules.gates {
            if !people.is_complete(gate.module) {
                unknown.extend(gate.roles.iter().copied());
            } else if let Some(because) =
                entitlement(people, &rules.policy, gate, &person.wallets, self.now)
            {
                for role in &gate.roles {
                    if !wanted.contains(role) {
                        wanted.push(*role);
                        self.wanted(*role, because, plan);
                    }
                }
            }
        }
        for one in people.granted(seat.guild, self.user) {
            if people.is_over(one) {
                self.over(one.role, plan);
            } else if !wanted.contains(&one.role) {
                wanted.push(one.role);
                let (by, until) = (one.terms.by, one.terms.until);
                self.wanted(one.role, Because::Other(Cause::Granted { by, until }), plan);
            }
        }
        let is_known = |role: &RoleId| !wanted.contains(role) && !unknown.contains(role);
        let ours = seat.applied.iter();
        for ours in ours.filter(|ours| !wanted.contains(&ours.role)) {
            // Without a wallet no module can say anything of the member.
            if is_known(&ours.role) || person.wallets.is_empty() {
                self.unwanted(ours.role, ours.state, plan);
            } else if ours.state.outstanding() == Some(RoleAction::Revoke) {
                plan.dropped.push((seat.guild, self.user, ours.role));
            }
        }
        for role in seat.held.iter().filter(|role| is_known(role)) {
            if seat.state(*role).is_none() && people.is_claimed(seat.guild, *role) {
                plan.changes.push(self.decide(
                    RoleAction::Revoke,
                    *role,
                    Because::Other(Cause::ManualRole),
                ));
            }
        }
    }

    /// The time is over for which a manager gave the role.
    fn over(&self, role: RoleId, plan: &mut Plan) {
        let over = (self.seat.guild, self.user, role);
        let state = self.seat.state(role);
        match (state, given_by_gates(self.people, over, self.now)) {
            // From now on the subscription is the reason for the role.
            (Some(AppliedState::Granted), Some(because)) => {
                plan.adopted
                    .push(self.decide(RoleAction::Grant, role, because));
                plan.over.push(over);
            }
            // Nothing of it is left; or its removal is decided, with its cause.
            (None | Some(AppliedState::Revoking | AppliedState::Claiming), _) => {
                plan.over.push(over);
            }
            (Some(AppliedState::Granting | AppliedState::Granted), _) => {}
        }
    }

    /// The member is entitled to the role.
    fn wanted(&self, role: RoleId, because: Because, plan: &mut Plan) {
        let is_held = self.seat.held.contains(&role);
        let leave = self.rules.policy.manual_roles == ManualRoles::Leave;
        let grant = match (self.seat.state(role), self.seat.presence) {
            (Some(AppliedState::Granting), _) | (Some(_), Presence::Absent) => false,
            // Whatever is seen: the removal may have been sent.
            (Some(AppliedState::Revoking | AppliedState::Claiming), _) => true,
            (Some(AppliedState::Granted), presence) => presence == Presence::Present && !is_held,
            (None, _) if is_held => {
                if !leave {
                    plan.adopted
                        .push(self.decide(RoleAction::Grant, role, because));
                }
                false
            }
            (None, Presence::Present) => true,
            // A role that was given by hand is not to be taken for ours.
            (None, Presence::Unknown) => self.just_now && !leave,
            (None, Presence::Absent | Presence::Pending) => false,
        };
        if grant {
            plan.changes
                .push(self.decide(RoleAction::Grant, role, because));
        }
    }

    /// The member is not entitled to the role, of which this program made it `state`.
    fn unwanted(&self, role: RoleId, state: AppliedState, plan: &mut Plan) {
        let Self {
            people,
            person,
            seat,
            ..
        } = self;
        let is_held = seat.held.contains(&role);
        let (revoke, forget) = match (state, seat.presence) {
            // Discord answers of those who left that they are not there.
            (AppliedState::Revoking, _) | (AppliedState::Granting, Presence::Absent) => {
                (false, false)
            }
            (AppliedState::Claiming, _) => (false, !people.is_claimed(seat.guild, role)),
            // It may have been given.
            (AppliedState::Granting, _) => (true, false),
            // A role may come back with its member.
            (AppliedState::Granted, Presence::Absent) => (false, person.is_forgotten),
            (AppliedState::Granted, Presence::Unknown) => (self.just_now || is_held, false),
            (AppliedState::Granted, Presence::Pending) => (is_held, false),
            (AppliedState::Granted, Presence::Present) => (is_held, !is_held && !seat.awaits(role)),
        };
        if revoke {
            let because = why_lost(people, seat.guild, role, self.user, self.now);
            plan.changes
                .push(self.decide(RoleAction::Revoke, role, because));
        }
        if forget {
            plan.forgotten.push((seat.guild, self.user, role));
        }
    }

    fn decide(&self, action: RoleAction, role: RoleId, cause: Because) -> Decision {
        Decision {
            action,
            guild: self.seat.guild,
            user: self.user,
            role,
            cause,
        }
    }
}

#[cfg(test)]
mod tests;
