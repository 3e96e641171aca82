//! What the long-running parts say about themselves; read by health, metrics and the roles' loop.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::{
    ChainEvent, ChannelId, Checkpoint, Gate, GateId, GuildId, ModuleAddress, PlanId, RoleId,
    Timestamp, UserId,
};

/// The follower's view of the chain, published at every change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChainStatus {
    /// The newest block that the node has shown.
    pub head: Option<Checkpoint>,
    /// The newest confirmed block whose events are in the store. Its timestamp is the clock by which access expires.
    pub confirmed: Option<Checkpoint>,
    /// Whether everything up to the confirmed tip has been read since the start. Until then nothing is revoked.
    pub at_tip: bool,
    /// Whether the tip was reached at any time since the start.
    pub reached_tip: bool,
    /// Since when the follower has not been at the tip, or has had trouble; `None` while all is well.
    pub behind_since: Option<Instant>,
    /// The usual time between two blocks of this chain, once it is known.
    pub block_time: Option<Duration>,
    /// Host of the RPC endpoint in use; never a path or query, which may hold a key.
    pub rpc: Option<String>,
    /// Reorganisations that changed stored blocks, since the start.
    pub reorgs: u64,
    /// How often a contract said that a wallet has access where the followed events say that it has none, since the start.
    pub disagreements: u64,
    /// Events read from blocks that are not confirmed yet, in chain order: shown to members, never acted upon.
    pub pending: Vec<ChainEvent>,
    /// Why the chain cannot be followed at the moment, in one sentence.
    pub trouble: Option<String>,
    /// Modules that gates ask about and that cannot be read, each with one sentence on why. The others are followed all the
    /// same.
    pub unread_modules: BTreeMap<ModuleAddress, String>,
}

/// A newest block that is older than this is too old, unless the chain is slower.
const OLDEST_BLOCK: Duration = Duration::from_secs(120);

/// So many times the usual time between blocks may pass without one.
const BLOCKS_MISSED: u32 = 5;

/// The chain of local nodes (anvil, Hardhat), which are wiped at will and whose clock stands still or is set.
pub const LOCAL_CHAIN: u64 = 31_337;

impl ChainStatus {
    /// How old the newest block is, in seconds. A chain whose clock runs ahead of ours has no lag.
    pub fn age_of_newest(&self, now: Timestamp) -> Option<u64> {
        let newest = self.head.max(self.confirmed)?;
        Some(now.0.saturating_sub(newest.timestamp.0))
    }

    /// When the newest block will be too old, if none follows (machine clock); `None` on the local chain.
    pub fn stands_still_at(&self, chain_id: u64) -> Option<Timestamp> {
        let newest = self.head.max(self.confirmed)?;
        let usual = self.block_time.unwrap_or_default();
        let oldest = OLDEST_BLOCK.max(usual * BLOCKS_MISSED);
        (chain_id != LOCAL_CHAIN).then(|| newest.timestamp.plus(oldest.as_secs() + 1))
    }

    /// Whether the newest block is too old at `now` (machine clock).
    pub fn stands_still(&self, chain_id: u64, now: Timestamp) -> bool {
        self.stands_still_at(chain_id).is_some_and(|at| at <= now)
    }

    /// Why this gate cannot work on the chain's side, each in one sentence that says what to do: its module cannot be read, or
    /// what it names is not there, as `found` says.
    pub fn troubles_of(&self, gate: &Gate, found: &GateTroubles) -> BTreeSet<String> {
        let found = found.get(&gate.id).map(|trouble| &trouble.sentences);
        let unread = self.unread_modules.get(&gate.module);
        found.into_iter().flatten().chain(unread).cloned().collect()
    }

    /// Notes whether everything up to the confirmed tip has been read, and since when it has not.
    pub fn set_at_tip(&mut self, at_tip: bool, now: Instant) {
        self.at_tip = at_tip;
        if at_tip {
            self.reached_tip = true;
            self.behind_since = None;
        } else {
            self.behind_since.get_or_insert(now);
        }
    }
}

/// Whether the gateway tells of members who join, change and leave: that needs Discord's privileged members intent. Without
/// it no member event comes, but for those of the bot itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MembersIntent {
    /// In use.
    #[default]
    Used,
    /// Discord refused it.
    Refused,
    /// `discord.members_intent = "never"`.
    Never,
}

impl MembersIntent {
    /// As `/api/status` shows it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Used => "used",
            Self::Refused => "refused",
            Self::Never => "never",
        }
    }
}

/// The Discord side's view of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiscordStatus {
    /// Whether the gateway session is up.
    pub connected: bool,
    /// Whether member events come.
    pub members_intent: MembersIntent,
    /// Whether Discord allows the privileged members intent without having reviewed it.
    pub intent_unreviewed: bool,
    /// How many members the bot's servers have together.
    pub members: u64,
    /// Standing errors by server and role (`None`: the whole server), each with one sentence on what to do.
    pub failing: BTreeMap<(GuildId, Option<RoleId>), String>,
    /// What is known of each server with a gate. A server that is missing was not read yet.
    pub servers: BTreeMap<GuildId, ServerStatus>,
    /// Channels in which the bot was to write and Discord refuses it, each with one sentence on what to do.
    pub channels_refused: BTreeMap<(GuildId, ChannelId), String>,
    /// Why Discord refuses the slash commands, in one sentence; `None` while it does not.
    pub commands_refused: Option<String>,
}

/// From so many users on, Discord withdraws the members intent from an application that it has not reviewed.
pub const REVIEWED_FROM: u64 = 10_000;

impl DiscordStatus {
    /// Whether Discord will withdraw the members intent that is in use. How many users an application has is not shown, but the
    /// servers' members are.
    pub fn is_review_due(&self) -> bool {
        let is_used = self.members_intent == MembersIntent::Used;
        is_used && self.intent_unreviewed && self.members >= REVIEWED_FROM
    }

    /// What managers of a server are to know, by role (`None`: the whole server): standing errors, and what is left alone of
    /// some members.
    pub fn troubles_of(&self, guild: GuildId) -> BTreeMap<Option<RoleId>, String> {
        let contested = self.servers.get(&guild).map(|server| &server.contested);
        let contested = contested.into_iter().flatten();
        let mut all: BTreeMap<_, _> = contested
            .map(|(role, contested)| (Some(*role), contested.sentence.clone()))
            .collect();
        let failing = self
            .failing
            .range((guild, None)..=(guild, Some(RoleId(u64::MAX))));
        all.extend(failing.map(|((_, role), sentence)| (*role, sentence.clone())));
        all
    }
}

/// Gates that give nobody a role whatever is paid, because what they name is not on the chain.
pub type GateTroubles = BTreeMap<GateId, GateTrouble>;

/// What is wrong with one gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateTrouble {
    /// Its server.
    pub guild: GuildId,
    /// One sentence each, that says what to do.
    pub sentences: BTreeSet<String>,
    /// The gate's plans that give nobody its roles, so that they are offered to nobody.
    pub not_for_sale: BTreeSet<PlanId>,
}

/// Whether who pays for this plan can come to the gate's roles, by what the chain says of the gates.
pub fn is_for_sale(found: &GateTroubles, gate: GateId, plan: &PlanId) -> bool {
    let trouble = found.get(&gate);
    trouble.is_none_or(|trouble| !trouble.not_for_sale.contains(plan))
}

/// What is known of one server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerStatus {
    /// Whether its members were read.
    pub reading: ReadingState,
    /// Role changes that are decided and not yet acknowledged.
    pub queued: usize,
    /// How long the last queued change will wait at the pace Discord allows.
    pub queue_wait: Duration,
    /// Removals that wait for a manager's approval, by role.
    pub held_back: BTreeMap<RoleId, HeldBack>,
    /// Roles that somebody else changes back again and again.
    pub contested: BTreeMap<RoleId, Contested>,
}

/// A role that is left alone, of some members, because somebody else changes it back again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contested {
    /// Whose.
    pub members: BTreeSet<UserId>,
    /// Who does that and what to do, in one sentence.
    pub sentence: String,
}

/// Whether a server's members were read since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ReadingState {
    /// Not yet.
    #[default]
    NotYet,
    /// They could not be read, for this reason (one sentence); it is tried again.
    Failed(String),
    /// They were.
    Done,
}

/// Removals of one role that the brake stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HeldBack {
    /// How many members would lose the role.
    pub removals: usize,
    /// How many members hold it.
    pub holders: usize,
    /// Since when they are stopped (machine clock).
    pub since: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_remembers_since_when_the_follower_is_behind_and_that_it_was_not() {
        let start = Instant::now();
        let later = |seconds| start + Duration::from_secs(seconds);
        let mut status = ChainStatus::default();
        status.set_at_tip(false, later(1));
        assert_eq!(
            (status.reached_tip, status.behind_since),
            (false, Some(later(1)))
        );
        status.set_at_tip(true, later(2));
        assert_eq!((status.reached_tip, status.behind_since), (true, None));
        status.set_at_tip(false, later(3));
        status.set_at_tip(false, later(4));
        assert_eq!(
            (status.reached_tip, status.behind_since),
            (true, Some(later(3)))
        );
    }
}
