//! Questions that pages and commands put to the roles' loop, which alone knows desired and observed roles together.

use std::collections::{BTreeMap, BTreeSet};

use tokio::sync::oneshot;

use super::{
    ActiveQuestion, Cause, Expectations, Gate, GateId, GateTroubles, GuildId, MemberPage,
    MemberState, ModuleAddress, PlanId, Preview, RoleChange, RoleId, SubscriptionId, Timestamp,
    UserId, Wallet,
};

/// A question with the way back for its answer. A dropped answer means that the service is stopping.
#[derive(Debug)]
pub enum Question {
    /// Where a member stands, in every server.
    Standing {
        /// Whose.
        user: UserId,
        /// The answer.
        answer: oneshot::Sender<MemberStanding>,
    },
    /// What the next full pass would change on Discord.
    Plan {
        /// The answer, or in one sentence what is not known yet.
        answer: oneshot::Sender<Result<PlannedChanges, String>>,
    },
    /// What the followed events say of the questions that members' roles depend on: of each linked wallet and each plan of the
    /// gates of a server that the member is or may be in.
    Expectations {
        /// These alone; `None`: all.
        only: Option<Vec<ActiveQuestion>>,
        /// The answer.
        answer: oneshot::Sender<Expectations>,
    },
    /// Reads a server's members anew, checks all of them, and has the difference carried out.
    Sync {
        /// The server.
        guild: GuildId,
        /// The answer; dropped when the server could not be read.
        answer: oneshot::Sender<SyncOutcome>,
    },
    /// Lets the stopped removals of one role through, once.
    Approve {
        /// The server.
        guild: GuildId,
        /// The role.
        role: RoleId,
        /// The manager who approves.
        by: UserId,
        /// Since when they are stopped and how many they are, as the manager was shown them: others are not let through. `None`:
        /// whatever is stopped.
        shown: Option<(Timestamp, usize)>,
        /// The answer.
        answer: oneshot::Sender<Approved>,
    },
    /// What would change if the server's gates were these. Nothing is changed.
    Preview(PreviewQuestion),
    /// A page of a server's members.
    Members {
        /// The server.
        guild: GuildId,
        /// Which of them.
        query: MembersQuery,
        /// The answer.
        answer: oneshot::Sender<MemberPage>,
    },
    /// What these people are called in a server; who was not read is left out.
    Names {
        /// The server.
        guild: GuildId,
        /// Who.
        users: BTreeSet<UserId>,
        /// The answer.
        answer: oneshot::Sender<BTreeMap<UserId, String>>,
    },
    /// Makes the roles ours that an invite is to bring to one who is not in the server.
    Invite {
        /// The server.
        guild: GuildId,
        /// Whom it is for.
        user: UserId,
        /// The answer: what they deserve now; nothing where they are in the server, or may be.
        answer: oneshot::Sender<Vec<RoleId>>,
    },
    /// Who has linked a wallet and is in no server that was ever theirs.
    Absent {
        /// The answer; `None` while not every server is read.
        answer: oneshot::Sender<Option<BTreeSet<UserId>>>,
    },
    /// Removes a server's dashboard gates and settings.
    Disconnect {
        /// The server.
        guild: GuildId,
        /// The manager.
        by: UserId,
        /// Whether the roles that were given go too; else they stay and are forgotten.
        remove_roles: bool,
        /// Told when it is stored.
        answer: oneshot::Sender<()>,
    },
}

/// The question of [`Question::Preview`].
#[derive(Debug)]
pub struct PreviewQuestion {
    /// The server.
    pub guild: GuildId,
    /// All gates that it would have.
    pub gates: Vec<Gate>,
    /// The one of them that is new or changed.
    pub draft: GateId,
    /// Everyone who holds a role of the draft, with all their roles; `None` where the member list cannot be read.
    pub holders: Option<BTreeMap<UserId, Vec<RoleId>>>,
    /// The answer, or in one sentence what is not known yet.
    pub answer: oneshot::Sender<Result<Preview, String>>,
}

/// Which members of a server are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MembersQuery {
    /// Those in this state alone.
    pub filter: Option<MemberState>,
    /// Part of a name, or an id; empty: everyone.
    pub text: String,
    /// [`MemberPage::next`] of the page before.
    pub after: Option<String>,
}

/// The answer to [`Question::Approve`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Approved {
    /// They are carried out now.
    Released {
        /// How many members lose the role.
        removals: usize,
    },
    /// No removal of this role is stopped.
    NothingHeld,
    /// Others are stopped than the manager was shown.
    Outdated,
}

/// The answer to [`Question::Sync`]: what was found, once the changes are decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyncOutcome {
    /// Members in the server; 0 where no gate asks about it, and nothing is read.
    pub members: usize,
    /// Roles on their way to members.
    pub grants: usize,
    /// Roles on their way off members.
    pub revokes: usize,
    /// Removals that were stopped, because they would take an outsized share of a role's holders.
    pub held_back: usize,
    /// Removals that wait because no node could say yet whether access is over.
    pub unconfirmed: usize,
    /// Whether removals may be decided at all: not before the chain was read to its tip.
    pub at_tip: bool,
}

/// The answer to [`Question::Plan`].
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PlannedChanges {
    /// The newest confirmed block; 0 before any was read.
    pub at_block: u64,
    /// Grants before revokes.
    pub changes: Vec<RoleChange>,
    /// What keeps changes from being made, or a server from being read, each in one sentence that says what to do.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub trouble: BTreeMap<GuildId, BTreeSet<String>>,
    /// What is wrong with the whole set-up, each in one sentence that says what to do.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub general_trouble: BTreeSet<String>,
}

impl PlannedChanges {
    /// Adds what the chain says of the gates.
    pub fn add_troubles(&mut self, troubles: &GateTroubles) {
        for trouble in troubles.values() {
            let of_server = self.trouble.entry(trouble.guild).or_default();
            of_server.extend(trouble.sentences.iter().cloned());
        }
    }
}

/// Where a member stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberStanding {
    /// Who.
    pub user: UserId,
    /// The linked wallets.
    pub wallets: Vec<Wallet>,
    /// The chain's time at the newest confirmed block.
    pub now: Timestamp,
    /// Every gate of every server that the member is in, by server.
    pub gates: Vec<GateStanding>,
}

impl MemberStanding {
    /// Whether the answer leaves a server out that has gates and that the member is in: its members were not read yet.
    pub fn leaves_out(&self, guild: GuildId, gates: &[Gate]) -> bool {
        let has_gates = gates.iter().any(|gate| gate.guild == guild);
        has_gates && self.gates.iter().all(|gate| gate.guild != guild)
    }
}

/// Where a member stands at one gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateStanding {
    /// The gate.
    pub gate: GateId,
    /// Its server.
    pub guild: GuildId,
    /// The merchant's module.
    pub module: ModuleAddress,
    /// The gate's plans.
    pub plans: Vec<PlanId>,
    /// Whether the member is entitled to the gate's roles.
    pub entitled: bool,
    /// The gate's roles.
    pub roles: Vec<RoleStanding>,
    /// The member's subscriptions to the gate's plans.
    pub subscriptions: Vec<SubscriptionStanding>,
    /// Why the gate cannot work at present, in one sentence (a missing permission, a backfill under way).
    pub trouble: Option<String>,
}

impl GateStanding {
    /// Where somebody stands at a gate who has linked no wallet.
    pub fn without_wallet(gate: &Gate, roles: Vec<RoleStanding>, trouble: Option<String>) -> Self {
        Self {
            gate: gate.id,
            guild: gate.guild,
            module: gate.module,
            plans: gate.plans.iter().copied().collect(),
            entitled: false,
            roles,
            subscriptions: Vec::new(),
            trouble,
        }
    }
}

/// One role of a gate, for one member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleStanding {
    /// The role.
    pub role: RoleId,
    /// Its name on Discord; the id where it is not known.
    pub name: String,
    /// Whether Discord shows it on the member.
    pub held: bool,
}

/// One subscription of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionStanding {
    /// The wallet that holds it.
    pub wallet: Wallet,
    /// The subscription.
    pub subscription: SubscriptionId,
    /// Its plan.
    pub plan: PlanId,
    /// End of the paid window without grace.
    pub paid_until: Option<Timestamp>,
    /// End of access, grace included.
    pub access_until: Option<Timestamp>,
    /// Whether it gives access now.
    pub open: bool,
    /// Why it does or does not; `None` when it was never paid.
    pub cause: Option<Cause>,
}
