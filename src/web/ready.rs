//! Whether the service is ready, and if not, the one sentence that says why. Pure.

use std::time::{Duration, Instant};

use crate::domain::{ChainStatus, Timestamp};

/// A follower that is behind for less than this is ready: a load balancer's node that lags for a moment is no outage.
const FORGIVEN: Duration = Duration::from_secs(10);

/// The newest block is too old.
pub(super) const STANDS_STILL: &str =
    "The chain's newest block is too old: the node, or the chain itself, stands still.";

/// The moment at which readiness is judged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    /// The machine's time of day, for what is compared with blocks.
    pub(super) time: Timestamp,
    /// The same moment of the clock that never jumps.
    pub(super) instant: Instant,
}

/// Why the service is not ready; `None` when it is. Never more than a fixed sentence: the follower's own words may name a
/// host.
pub(super) fn why_not_ready(
    chain: &ChainStatus,
    chain_id: u64,
    is_discord_connected: bool,
    now: Moment,
) -> Option<&'static str> {
    let is_behind = chain
        .behind_since
        .is_some_and(|since| now.instant.saturating_duration_since(since) > FORGIVEN);
    if !chain.reached_tip && chain.trouble.is_some() {
        Some(
            "The chain cannot be followed at the moment, and has not been followed to its tip since the start.",
        )
    } else if !chain.reached_tip {
        Some("The chain has not been followed to its tip yet.")
    } else if is_behind && chain.trouble.is_some() {
        Some(
            "The chain has not been followed for more than 10 seconds, because no node can be used.",
        )
    } else if is_behind {
        Some("The chain has not been followed to its tip for more than 10 seconds.")
    } else if chain.stands_still(chain_id, now.time) {
        Some(STANDS_STILL)
    } else if !is_discord_connected {
        Some("Discord is not connected.")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use alloy::primitives::B256;

    use super::*;
    use crate::domain::Checkpoint;

    const TIME: u64 = 1_800_000_000;
    const BASE: u64 = 8_453;
    const LOCAL_CHAIN: u64 = 31_337;

    /// A status that is ready, with a newest block of this age in seconds.
    fn followed(age: u64) -> ChainStatus {
        let head = Checkpoint {
            number: 9,
            hash: B256::ZERO,
            timestamp: Timestamp(TIME - age),
        };
        let mut status = ChainStatus {
            head: Some(head),
            ..ChainStatus::default()
        };
        status.set_at_tip(true, Instant::now());
        status
    }

    fn says(status: &ChainStatus, chain_id: u64, since_behind: u64) -> String {
        let start = status.behind_since.unwrap_or_else(Instant::now);
        let now = Moment {
            time: Timestamp(TIME),
            instant: start + Duration::from_secs(since_behind),
        };
        why_not_ready(status, chain_id, true, now)
            .unwrap_or_default()
            .to_owned()
    }

    #[test]
    fn a_follower_at_the_tip_with_a_young_block_is_ready() {
        assert_eq!(says(&followed(120), BASE, 0), "");
        // A chain whose clock runs ahead.
        let mut ahead = followed(0);
        ahead.head.as_mut().unwrap().timestamp = Timestamp(TIME + 500);
        assert_eq!(says(&ahead, BASE, 0), "");
    }

    #[test]
    fn a_follower_that_never_reached_the_tip_is_not_ready() {
        let mut status = ChainStatus::default();
        assert!(says(&status, BASE, 0).contains("tip yet"));
        status.trouble = Some("secret.example: no".to_owned());
        assert!(says(&status, BASE, 0).starts_with("The chain cannot be followed"));
    }

    #[test]
    fn being_behind_for_a_moment_is_forgiven_and_for_longer_it_is_not() {
        for trouble in [None, Some("secret.example: no".to_owned())] {
            let mut status = followed(1);
            status.set_at_tip(false, Instant::now());
            status.trouble = trouble;
            assert_eq!(says(&status, BASE, 10), "");
            let said = says(&status, BASE, 11);
            assert!(said.contains("more than 10 seconds"), "{said}");
            assert!(!said.contains("secret"), "{said}");
        }
    }

    #[test]
    fn a_newest_block_that_is_too_old_for_its_chain_is_not_ready() {
        let mut status = followed(121);
        assert!(says(&status, BASE, 0).contains("too old"));
        assert_eq!(says(&status, LOCAL_CHAIN, 0), "", "its clock is set");
        status.block_time = Some(Duration::from_secs(30));
        assert_eq!(says(&status, BASE, 0), "");
        let mut status = followed(151);
        status.block_time = Some(Duration::from_secs(30));
        assert!(says(&status, BASE, 0).contains("too old"));
        status.block_time = Some(Duration::from_secs(2));
        assert!(says(&status, BASE, 0).contains("too old"));
    }

    #[test]
    fn without_discord_the_service_is_not_ready() {
        let now = Moment {
            time: Timestamp(TIME),
            instant: Instant::now(),
        };
        let said = why_not_ready(&followed(1), BASE, false, now);
        assert_eq!(said, Some("Discord is not connected."));
    }
}
