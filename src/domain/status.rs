//! What the long-running parts say about themselves; read by health, metrics and the reconcile loop.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{ChainEvent, Checkpoint, GuildId, ModuleAddress, RoleId, Timestamp};

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

impl ChainStatus {
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

/// The Discord side's view of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiscordStatus {
    /// Whether the gateway session is up.
    pub connected: bool,
    /// Standing errors by server and role (`None`: the whole server), each with one sentence on what to do.
    pub failing: BTreeMap<(GuildId, Option<RoleId>), String>,
}

/// Removals of one role that the brake has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HeldBack {
    /// How many members would lose the role.
    pub removals: usize,
    /// How many hold it.
    pub holders: usize,
    /// When it was stopped (machine clock).
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
