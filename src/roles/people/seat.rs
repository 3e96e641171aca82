//! One person in one server: as Discord shows them, and what of it this program did.

use smallvec::SmallVec;

use crate::domain::{AppliedState, GuildId, RoleAction, RoleId};

/// Whether a person is in a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Presence {
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
pub(crate) struct Seat {
    pub(crate) guild: GuildId,
    pub(crate) presence: Presence,
    /// All roles that the person holds there, as last heard. Before they were read: those that we gave since.
    pub(crate) held: SmallVec<[RoleId; 2]>,
    /// The roles that this program gave, or has decided to give or to take.
    pub(crate) applied: SmallVec<[Ours; 1]>,
    /// [`super::People`]'s count of news when something was last heard of the person here: what was asked before is older.
    pub(super) heard: u64,
    /// What was last heard does not show a change of ours that was still to be acknowledged: it may be older than the change,
    /// or somebody may have undone it by hand.
    is_in_doubt: bool,
    /// A removal of ours may still be heard, and nothing was heard of the person since.
    is_unheard: bool,
}

/// A role that this program gave, or has decided to give or to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ours {
    pub(crate) role: RoleId,
    /// How far our change of it came.
    pub(crate) state: AppliedState,
    shown: Shown,
}

/// What was heard of a role since it was decided to give it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    /// Not that the person has it.
    No,
    /// Not that the person has it, who was not there before: what came with them may be told in an event after that of the join,
    /// or given by a bot that restores the roles of who comes back. The next reading but that of the join decides.
    Awaited,
    /// That the person has it, but not yet our own removal before that.
    Before,
    /// That the person has it: whoever takes it is somebody else.
    Yes,
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
    pub(crate) fn is_there(&self) -> bool {
        self.presence >= Presence::Pending || !self.held.is_empty()
    }

    /// How far our change of a role came; `None` where we have none.
    pub(crate) fn state(&self, role: RoleId) -> Option<AppliedState> {
        let found = self.applied.iter().find(|ours| ours.role == role);
        found.map(|ours| ours.state)
    }

    /// The roles that somebody else took, where the person has these now.
    pub(super) fn taken(&self, roles: &[RoleId]) -> impl Iterator<Item = RoleId> {
        let is_taken = |ours: &&Ours| {
            ours.shown == Shown::Yes
                && ours.state.outstanding() != Some(RoleAction::Revoke)
                && self.held.contains(&ours.role)
                && !roles.contains(&ours.role)
        };
        self.applied.iter().filter(is_taken).map(|ours| ours.role)
    }

    /// Whether a role of ours that the person was not seen with may have come with them all the same.
    pub(crate) fn awaits(&self, role: RoleId) -> bool {
        let is_it = |ours: &Ours| ours.role == role && ours.shown == Shown::Awaited;
        self.applied.iter().any(is_it)
    }

    /// What has not come by now did not come with the person; whether something was still awaited.
    pub(super) fn await_nothing(&mut self) -> bool {
        let mut awaited = false;
        for ours in &mut self.applied {
            if ours.shown == Shown::Awaited {
                ours.shown = Shown::No;
                awaited = true;
            }
        }
        awaited
    }

    /// Sets the person as just seen; whether that differs from before.
    pub(super) fn see(&mut self, presence: Presence, roles: &[RoleId]) -> bool {
        self.is_in_doubt = false;
        self.is_unheard = false;
        let came = self.presence != Presence::Present && presence == Presence::Present;
        for ours in &mut self.applied {
            let (would_change, shown) = match (roles.contains(&ours.role), ours.shown) {
                (true, Shown::Before) => (RoleAction::Revoke, Shown::Before),
                (true, _) => (RoleAction::Revoke, Shown::Yes),
                (false, before) if came || before == Shown::Awaited => {
                    (RoleAction::Grant, Shown::Awaited)
                }
                (false, _) => (RoleAction::Grant, Shown::No),
            };
            ours.shown = shown;
            self.is_in_doubt |= ours.state.outstanding() == Some(would_change);
        }
        let differs = self.presence != presence || self.held.as_slice() != roles;
        if differs {
            self.presence = presence;
            self.held = SmallVec::from_slice(roles);
        }
        differs
    }

    /// Something may have happened to the person that was not told: who left and came back lost all roles, too.
    pub(super) fn lose_sight(&mut self) {
        for ours in &mut self.applied {
            if ours.shown == Shown::Yes {
                ours.shown = Shown::No;
            }
        }
    }

    /// Before all of it is set again.
    pub(super) fn clear_applied(&mut self) {
        self.is_unheard |= self.applied.iter().any(|ours| ours.shown != Shown::Yes);
        self.applied.clear();
    }

    pub(super) fn set_applied(&mut self, role: RoleId, state: Option<AppliedState>) {
        let is_held = self.held.contains(&role);
        let at = self.applied.iter().position(|ours| ours.role == role);
        let shown = match at.map(|at| self.applied.remove(at)) {
            None if self.is_unheard => Shown::Before,
            None if is_held => Shown::Yes,
            None => Shown::No,
            Some(ours) if ours.state.outstanding() != Some(RoleAction::Revoke) => ours.shown,
            Some(_) if is_held => Shown::Before,
            Some(_) => Shown::No,
        };
        let ours = state.map(|state| Ours { role, state, shown });
        self.applied.extend(ours);
    }

    /// Discord acknowledged a change. An intent that is newer than the change stays. Whether the person is to be read again,
    /// because something else was heard meanwhile.
    pub(super) fn acknowledge(&mut self, role: RoleId, action: RoleAction) -> bool {
        let was_held = self.held.contains(&role);
        self.held.retain(|other| *other != role);
        match action {
            // One who left meanwhile lost the role again.
            RoleAction::Grant if self.presence == Presence::Absent => {}
            RoleAction::Grant => self.held.push(role),
            RoleAction::Revoke => self.is_unheard |= was_held,
        }
        self.set_applied(role, AppliedState::acknowledged(self.state(role), action));
        std::mem::take(&mut self.is_in_doubt)
    }
}
