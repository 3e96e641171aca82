//! One server as it was observed, and what of it this program did.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::{FxHashMap, FxHashSet};

use crate::domain::{AppliedState, ManualRoles, Policy, RoleAction, RoleId, UserId};

/// The roles that this program gave a member, and how far each came.
pub type AppliedRoles = Vec<(RoleId, AppliedState)>;

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
    present: FxHashSet<UserId>,
    held: FxHashMap<UserId, Vec<RoleId>>,
    applied: FxHashMap<UserId, AppliedRoles>,
}

impl GuildView {
    /// Whether the user is in the server.
    pub fn is_present(&self, user: UserId) -> bool {
        self.present.contains(&user)
    }

    /// The gates' roles that a member holds.
    pub fn held(&self, user: UserId) -> &[RoleId] {
        self.held.get(&user).map_or(&[], Vec::as_slice)
    }

    /// The roles that this program gave a member.
    pub fn applied(&self, user: UserId) -> &[(RoleId, AppliedState)] {
        self.applied.get(&user).map_or(&[], Vec::as_slice)
    }

    /// How many members hold `role`.
    pub fn holders(&self, role: RoleId) -> usize {
        self.held
            .values()
            .filter(|roles| roles.contains(&role))
            .count()
    }

    /// Members without a link whose roles are still this program's business.
    pub(super) fn users_to_check(&self, policy: &Policy) -> BTreeSet<UserId> {
        let mut users: BTreeSet<_> = self.applied.keys().copied().collect();
        if policy.manual_roles == ManualRoles::Claim {
            users.extend(self.held.keys().copied());
        }
        users
    }

    pub(super) fn fill(
        &mut self,
        interest: BTreeSet<RoleId>,
        present: Vec<UserId>,
        held: Vec<(UserId, Vec<RoleId>)>,
    ) {
        self.observed = true;
        self.interest = interest;
        self.present = present.into_iter().collect();
        self.held = held.into_iter().collect();
    }

    pub(super) fn see(&mut self, user: UserId, roles: &[RoleId]) -> bool {
        let interest = &self.interest;
        let wanted = roles.iter().filter(|role| interest.contains(role));
        let roles: Vec<_> = wanted.copied().collect();
        let joined = self.present.insert(user);
        let before = if roles.is_empty() {
            self.held.remove(&user)
        } else {
            self.held.insert(user, roles.clone())
        };
        joined || before.unwrap_or_default() != roles
    }

    pub(super) fn leave(&mut self, user: UserId) {
        self.present.remove(&user);
        self.held.remove(&user);
    }

    pub(super) fn set_applied(&mut self, user: UserId, role: RoleId, state: Option<AppliedState>) {
        let roles = self.applied.entry(user).or_default();
        roles.retain(|(other, _)| *other != role);
        roles.extend(state.map(|state| (role, state)));
        if roles.is_empty() {
            self.applied.remove(&user);
        }
    }

    /// Discord acknowledged a change.
    pub(super) fn acknowledge(&mut self, user: UserId, role: RoleId, action: RoleAction) {
        let roles = self.held.entry(user).or_default();
        roles.retain(|other| *other != role);
        if action == RoleAction::Grant {
            roles.push(role);
        }
        if roles.is_empty() {
            self.held.remove(&user);
        }
        let state = match action {
            RoleAction::Grant => Some(AppliedState::Granted),
            // The intent to grant again is newer than the revoke that was under way, and stays.
            RoleAction::Revoke => self
                .applied(user)
                .iter()
                .find(|(other, state)| *other == role && *state == AppliedState::Granting)
                .map(|(_, state)| *state),
        };
        self.set_applied(user, role, state);
    }

    pub(super) fn all_applied(&self) -> impl Iterator<Item = RoleId> {
        self.applied.values().flatten().map(|(role, _)| *role)
    }

    pub(super) fn forget_applied(&mut self) {
        self.applied.clear();
    }
}
