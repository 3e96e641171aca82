//! What the long-running parts say about themselves; read by health, metrics and the reconcile loop.

use std::collections::BTreeMap;

use super::{ChainEvent, Checkpoint, GuildId, ModuleAddress, RoleId};

/// The follower's view of the chain, published at every change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChainStatus {
    /// The newest block that the node has shown.
    pub head: Option<Checkpoint>,
    /// The newest confirmed block whose events are in the store. Its timestamp is the clock by which access expires.
    pub confirmed: Option<Checkpoint>,
    /// Whether everything up to the confirmed tip has been read since the start. Until then nothing is revoked.
    pub at_tip: bool,
    /// Whether the tip was reached since the start.
    pub reached_tip: bool,
    /// Since when the follower has not been at the tip, or had trouble; `None` while all is well.
    pub behind_since: Option<std::time::Instant>,
    /// The usual time between two blocks, as far as it is known.
    pub block_time: Option<std::time::Duration>,
    /// Host of the RPC endpoint in use; never a path or query, which may hold a key.
    pub rpc: Option<String>,
    /// Reorganisations that changed stored blocks, since the start.
    pub reorgs: u64,
    /// Events read from blocks that are not confirmed yet, in chain order: shown to members, never acted upon.
    pub pending: Vec<ChainEvent>,
    /// Why the chain cannot be followed at the moment, in one sentence.
    pub trouble: Option<String>,
    /// Modules that gates ask about and that cannot be read, each with one sentence on why. The others are followed all the
    /// same.
    pub unread_modules: BTreeMap<ModuleAddress, String>,
}

/// The Discord side's view of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiscordStatus {
    /// Whether the gateway session is up.
    pub connected: bool,
    /// Standing errors by server and role (`None`: the whole server), each with one sentence on what to do.
    pub failing: BTreeMap<(GuildId, Option<RoleId>), String>,
}
