//! One person in one server: as Discord shows them, and what of it this program did.

use smallvec::SmallVec;

use crate::domain::{AppliedState, GuildId, RoleAction, RoleId};

/// Whether a person is in a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Presence {
    /// Not read yet.
    #[default]
    Unknown,
    /// Not in the server.
    Absent,
    /// In the server, its rules not accepted yet: a role would make a full member past the screening.
    Pending,
    /// In the server.
    Present,
}

/// A person in a server. Few have more than a role or two of ours; theirs lie in the seat itself, because a pass over
/// everyone waits for memory more than for anything else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seat {
    /// The server.
    pub guild: GuildId,
    /// Whether the person is there.
    pub presence: Presence,
    /// All roles that the person holds there, as last heard. Before they were read: those that we gave since.
    pub held: SmallVec<[RoleId; 2]>,
    /// The roles that this program gave, or has decided to give or to take, and how far each came.
    pub applied: SmallVec<[(RoleId, AppliedState); 1]>,
    /// [`super::People`]'s count of news when something was last heard of the person here: what was asked before is older.
    pub(super) heard: u64,
    /// What was last heard does not show a change of ours that was still to be acknowledged: it may be older than the change,
    /// or somebody may have undone it by hand.
    is_in_doubt: bool,
    /// A grant was acknowledged and nothing was heard of the person since: what is heard next may be older than it.
    pub(super) is_unheard: bool,
}

impl Seat {
    pub(super) fn new(guild: GuildId) -> Self {
        Self {
            guild,
            presence: Presence::Unknown,
            held: SmallVec::new(),
            applied: SmallVec::new(),
            heard: 0,
            is_in_doubt: false,
            is_unheard: false,
        }
    }

    /// Whether the person is known to be in the server: was seen there, or given a role.
    pub fn is_there(&self) -> bool {
        self.presence >= Presence::Pending || !self.held.is_empty()
    }

    /// How far our change of a role came; `None` where we have none.
    pub fn state(&self, role: RoleId) -> Option<AppliedState> {
        let found = self.applied.iter().find(|(ours, _)| *ours == role);
        found.map(|(_, state)| *state)
    }

    /// Sets the person as just seen; whether that differs from before.
    pub(super) fn see(&mut self, presence: Presence, roles: &[RoleId]) -> bool {
        self.is_in_doubt = self.applied.iter().any(|(role, state)| {
            let would_change = match roles.contains(role) {
                true => RoleAction::Revoke,
                false => RoleAction::Grant,
            };
            state.outstanding() == Some(would_change)
        });
        self.is_unheard = false;
        let differs = self.presence != presence || self.held.as_slice() != roles;
        if differs {
            self.presence = presence;
            self.held = SmallVec::from_slice(roles);
        }
        differs
    }

    pub(super) fn set_applied(&mut self, role: RoleId, state: Option<AppliedState>) {
        self.applied.retain(|(other, _)| *other != role);
        self.applied.extend(state.map(|state| (role, state)));
    }

    /// Discord acknowledged a change. An intent that is newer than the change stays. Whether the person is to be read again,
    /// because something else was heard meanwhile.
    pub(super) fn acknowledge(&mut self, role: RoleId, action: RoleAction) -> bool {
        self.held.retain(|other| *other != role);
        // One who left meanwhile lost the role again.
        if action == RoleAction::Grant && self.presence != Presence::Absent {
            self.held.push(role);
            self.is_unheard = true;
        }
        self.set_applied(role, AppliedState::acknowledged(self.state(role), action));
        std::mem::take(&mut self.is_in_doubt)
    }
}
