//! When the API is listened to, and what counts then.

use alloy::primitives::B256;

use super::*;
use crate::domain::{Checkpoint, LOCAL_CHAIN};

const BASE: u64 = 8_453;
const TIME: u64 = 1_800_000_000;
const START: Timestamp = Timestamp(TIME);

/// A follower at the tip, whose newest block is of this moment.
fn followed(start: Instant) -> ChainStatus {
    let head = Checkpoint {
        number: 9,
        hash: B256::ZERO,
        timestamp: START,
    };
    let mut status = ChainStatus {
        head: Some(head),
        confirmed: Some(head),
        ..ChainStatus::default()
    };
    status.set_at_tip(true, start);
    status
}

fn after(start: Instant, seconds: u64) -> Moment {
    Moment {
        time: Timestamp(TIME + seconds),
        instant: start + Duration::from_secs(seconds),
    }
}

fn turns(status: &ChainStatus, chain_id: u64, now: Moment) -> DriftMode {
    mode(status, chain_id, AFTER, now, DriftMode::Chain)
}

#[test]
fn a_chain_that_is_away_for_two_minutes_turns_the_mode_and_a_shorter_while_does_not() {
    let start = Instant::now();
    for trouble in [None, Some("no node".to_owned())] {
        let mut status = followed(start);
        status.trouble = trouble;
        status.set_at_tip(false, after(start, 10).instant);
        assert_eq!(
            turns(&status, LOCAL_CHAIN, after(start, 129)),
            DriftMode::Chain
        );
        let since = Timestamp(TIME + 10);
        let fallback = DriftMode::Fallback { since };
        assert_eq!(turns(&status, LOCAL_CHAIN, after(start, 130)), fallback);
    }
}

#[test]
fn what_the_api_says_once_the_chain_is_away_is_never_earlier_than_that() {
    let start = Instant::now();
    // The machine's seconds begin when `start` was 50 ms ago.
    let read = |millis: u64| Moment {
        time: Timestamp(TIME + (millis + 50) / 1_000),
        instant: start + Duration::from_millis(millis),
    };
    for (away, answered, looked) in [(800, 900, 1_100), (8_050, 8_900, 9_990), (0, 940, 960)] {
        let mut status = followed(start);
        status.set_at_tip(false, read(away).instant);
        let since = away_since(&status, LOCAL_CHAIN, read(looked)).unwrap();
        assert!(since <= read(answered).time, "{away} {answered} {looked}");
    }
}

#[test]
fn the_end_of_trouble_ends_the_mode_and_other_trouble_does_not() {
    let start = Instant::now();
    let before = DriftMode::Fallback { since: START };
    let mut status = followed(start);
    let at = |seconds| after(start, seconds);
    assert_eq!(
        mode(&status, LOCAL_CHAIN, AFTER, at(500), before),
        DriftMode::Chain
    );
    // What a start knows.
    let nothing = ChainStatus::default();
    assert_eq!(mode(&nothing, LOCAL_CHAIN, AFTER, at(1), before), before);
    status.set_at_tip(false, at(499).instant);
    assert_eq!(mode(&status, LOCAL_CHAIN, AFTER, at(500), before), before);
}

#[test]
fn a_chain_whose_newest_block_is_too_old_is_away_unless_it_is_the_local_one() {
    let start = Instant::now();
    let status = followed(start);
    assert_eq!(turns(&status, BASE, after(start, 120)), DriftMode::Chain);
    let fallback = DriftMode::Fallback { since: START };
    assert_eq!(turns(&status, BASE, after(start, 121)), fallback);
    assert_eq!(
        turns(&status, LOCAL_CHAIN, after(start, 9_000)),
        DriftMode::Chain
    );
}

/// While the follower is behind, how old the newest block is decides nothing.
#[test]
fn the_mode_turns_two_minutes_after_the_follower_fell_behind_however_old_the_newest_block_is() {
    let start = Instant::now();
    for behind in [0, 5, 90, 110] {
        let mut status = followed(start);
        status.set_at_tip(false, after(start, behind).instant);
        for seconds in behind..300 {
            let is_over = turns(&status, BASE, after(start, seconds)) != DriftMode::Chain;
            assert_eq!(is_over, seconds >= behind + 120, "{behind} {seconds}");
        }
    }
}

#[test]
fn what_counts_follows_from_what_is_known_of_the_chain() {
    let start = Instant::now();
    let whole = followed(start);
    let mut away = followed(start);
    away.set_at_tip(false, start);
    let mut troubled = away.clone();
    troubled.trouble = Some("no node".to_owned());
    let (chain, fallback) = (DriftMode::Chain, DriftMode::Fallback { since: START });
    let at_tip = |mode| sources(&whole, true, true, mode);
    assert_eq!(at_tip(chain), Some((Sources::Events, Removals::AsPlanned)));
    // A node that stands still serves what it has.
    assert_eq!(at_tip(fallback), Some((Sources::Both, Removals::AsPlanned)));
    let with_trouble = |mode| sources(&troubled, false, true, mode);
    assert_eq!(with_trouble(chain), Some((Sources::Events, Removals::None)));
    assert_eq!(
        with_trouble(fallback),
        Some((Sources::Both, Removals::Agreed))
    );
    // History is being read, or nothing was since the start.
    for (status, reached_tip) in [(&away, true), (&away, false), (&troubled, false)] {
        assert_eq!(sources(status, false, reached_tip, chain), None);
        assert_eq!(
            sources(status, false, reached_tip, fallback),
            Some((Sources::Api, Removals::None))
        );
    }
}
