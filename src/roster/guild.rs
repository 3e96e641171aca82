//! One server as it was observed, and what of it this program did.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use crate::domain::{AppliedState, ManualRoles, Policy, RoleAction, RoleId, UserId};

/// A server: who is in it and who holds which of the gates' roles.
#[derive(Debug, Default)]
pub struct GuildView {
    /// Whether members have been read since the start; before that nothing is known and nothing is planned.
    pub observed: bool,
    /// Names of the server's roles.
    pub role_names: BTreeMap<RoleId, String>,
    /// Why roles cannot be changed at present.
    pub trouble: BTreeMap<Option<RoleId>, String>,
    /// The roles that `held` tells about.
    interest: BTreeSet<RoleId>,
    /// Grants that got no answer, until Discord acknowledges any change of the role.
    unanswered: BTreeSet<(UserId, RoleId)>,
    members: FxHashMap<UserId, Member>,
}

/// A member as seen on Discord, and what of it this program did. Few hold more than a role or two of ours; theirs lie
/// in the map itself, because a pass over everyone waits for memory more than for anything else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// Whether the user is in the server.
    pub is_present: bool,
    /// The gates' roles that the member holds.
    pub held: SmallVec<[RoleId; 2]>,
    /// The roles that this program gave the member, and how far each came.
    pub applied: SmallVec<[(RoleId, AppliedState); 1]>,
}

impl Member {
    fn is_nobody(&self) -> bool {
        !self.is_present && self.held.is_empty() && self.applied.is_empty()
    }

    fn set_applied(&mut self, role: RoleId, state: Option<AppliedState>) {
        self.applied.retain(|(other, _)| *other != role);
        self.applied.extend(state.map(|state| (role, state)));
    }
}

impl GuildView {
    /// What is known of a user here; `None` for one who is not in the server and was given nothing.
    pub fn member(&self, user: UserId) -> Option<&Member> {
        self.members.get(&user)
    }

    /// Whether it is known who holds this role: that of a gate made since is not before the server is read again.
    pub fn knows(&self, role: RoleId) -> bool {
        self.interest.contains(&role)
    }

    /// Whether the role may be held, whatever was seen: a grant of it got no answer.
    pub fn may_hold(&self, user: UserId, role: RoleId) -> bool {
        self.unanswered.contains(&(user, role))
    }

    /// Whether the user is in the server.
    pub fn is_present(&self, user: UserId) -> bool {
        self.member(user).is_some_and(|member| member.is_present)
    }

    /// The gates' roles that a member holds.
    pub fn held(&self, user: UserId) -> &[RoleId] {
        self.member(user).map_or(&[], |member| &member.held)
    }

    /// How many members are in the server.
    pub fn present(&self) -> usize {
        let members = self.members.values();
        members.filter(|member| member.is_present).count()
    }

    /// How many members hold `role`.
    pub fn holders(&self, role: RoleId) -> usize {
        self.members
            .values()
            .filter(|member| member.held.contains(&role))
            .count()
    }

    /// Users whose roles are this program's business, whether they linked a wallet or not.
    pub(super) fn users_to_check(&self, policy: &Policy) -> impl Iterator<Item = UserId> {
        let claims = policy.manual_roles == ManualRoles::Claim;
        let ours =
            move |member: &Member| !member.applied.is_empty() || claims && !member.held.is_empty();
        let members = self.members.iter();
        members
            .filter(move |(_, member)| ours(member))
            .map(|(user, _)| *user)
    }

    pub(super) fn fill(
        &mut self,
        interest: BTreeSet<RoleId>,
        present: Vec<UserId>,
        held: Vec<(UserId, Vec<RoleId>)>,
    ) {
        self.observed = true;
        self.interest = interest;
        for member in self.members.values_mut() {
            member.is_present = false;
            member.held.clear();
        }
        for user in present {
            self.members.entry(user).or_default().is_present = true;
        }
        for (user, roles) in held {
            self.members.entry(user).or_default().held = roles.into();
        }
        self.members.retain(|_, member| !member.is_nobody());
    }

    pub(super) fn see(&mut self, user: UserId, roles: &[RoleId]) -> bool {
        let interest = &self.interest;
        let held = roles.iter().filter(|role| interest.contains(role));
        let held: SmallVec<_> = held.copied().collect();
        let member = self.members.entry(user).or_default();
        let joined = !std::mem::replace(&mut member.is_present, true);
        let differs = member.held != held;
        member.held = held;
        joined || differs
    }

    pub(super) fn leave(&mut self, user: UserId) {
        self.change(user, |member| {
            member.is_present = false;
            member.held.clear();
        });
    }

    pub(super) fn set_applied(&mut self, user: UserId, role: RoleId, state: Option<AppliedState>) {
        if state.is_none() {
            self.unanswered.remove(&(user, role));
        }
        self.change(user, |member| member.set_applied(role, state));
    }

    /// A grant got no answer.
    pub(super) fn note_unanswered(&mut self, user: UserId, role: RoleId) {
        self.unanswered.insert((user, role));
    }

    /// Discord acknowledged a change.
    pub(super) fn acknowledge(&mut self, user: UserId, role: RoleId, action: RoleAction) {
        self.unanswered.remove(&(user, role));
        self.change(user, |member| {
            member.held.retain(|other| *other != role);
            let state = match action {
                RoleAction::Grant => {
                    // One who left meanwhile lost the role again.
                    if member.is_present {
                        member.held.push(role);
                    }
                    Some(AppliedState::Granted)
                }
                // The intent to grant again is newer than the revoke that was under way, and stays.
                RoleAction::Revoke => {
                    let intent = (role, AppliedState::Granting);
                    member.applied.contains(&intent).then_some(intent.1)
                }
            };
            member.set_applied(role, state);
        });
    }

    pub(super) fn all_applied(&self) -> impl Iterator<Item = RoleId> {
        let applied = self.members.values().flat_map(|member| &member.applied);
        applied.map(|(role, _)| *role)
    }

    pub(super) fn forget_applied(&mut self) {
        self.members.retain(|_, member| {
            member.applied.clear();
            !member.is_nobody()
        });
    }

    fn change(&mut self, user: UserId, change: impl FnOnce(&mut Member)) {
        let member = self.members.entry(user).or_default();
        change(member);
        if member.is_nobody() {
            self.members.remove(&user);
        }
    }
}
