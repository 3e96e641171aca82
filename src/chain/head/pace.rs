//! When to ask for the next block: learns how often blocks come, and where between two polls they appeared. Pure.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use alloy::primitives::B256;

use crate::chain::read::Header;

/// Arrivals that the block time is averaged over.
const REMEMBERED: usize = 32;
/// Arrivals before the average is trusted.
const ENOUGH: usize = 4;
/// Assumed block time before anything was learned: Base's.
const ASSUMED_PERIOD: Duration = Duration::from_secs(2);
/// Interval of polls where blocks come irregularly, at the least and at the most.
const IRREGULAR: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));
/// First wait after a poll that came too early; doubles from there.
const FIRST_RETRY: Duration = Duration::from_millis(30);
/// How much earlier the next poll comes after one that hit at once: finds the moment at which blocks appear.
const CREEP: Duration = Duration::from_millis(8);

/// The rhythm of a chain as seen through one endpoint.
#[derive(Debug)]
pub(super) struct Pace {
    arrivals: VecDeque<(Instant, u64)>,
    newest: Option<B256>,
    /// When the newest block is thought to have appeared.
    appeared: Instant,
    /// When the last poll that found nothing was made, and how many there were since the newest block.
    missed: Option<(Instant, u32)>,
    /// How far arrivals are from the rhythm, averaged.
    deviation: Duration,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self {
            arrivals: VecDeque::new(),
            newest: None,
            appeared: Instant::now(),
            missed: None,
            deviation: Duration::ZERO,
        }
    }

    /// Whether this is another block than the newest known.
    pub(super) fn is_news(&self, header: &Header) -> bool {
        self.newest != Some(header.hash)
    }

    /// The average time between two blocks.
    pub(super) fn period(&self) -> Duration {
        let (Some(first), Some(last)) = (self.arrivals.front(), self.arrivals.back()) else {
            return ASSUMED_PERIOD;
        };
        match u32::try_from(last.1.saturating_sub(first.1)) {
            Ok(blocks) if blocks > 0 => (last.0 - first.0) / blocks,
            _ => ASSUMED_PERIOD,
        }
    }

    /// A block was seen at `now`.
    pub(super) fn arrived(&mut self, now: Instant, header: &Header) {
        self.newest = Some(header.hash);
        // A head that jumped back or stayed at its height says nothing about the rhythm.
        if self
            .arrivals
            .back()
            .is_some_and(|(_, number)| header.number <= *number)
        {
            self.arrivals.clear();
        }
        if self.arrivals.len() >= 2 {
            let period = self.period();
            let off = distance_to_multiple(now - self.appeared, period);
            self.deviation = (3 * self.deviation + off) / 4;
        }
        let due = self.appeared + self.period();
        self.appeared = match self.missed {
            Some((missed, _)) if missed < now => now,
            _ if self.is_regular() && due < now => due - CREEP,
            _ => now,
        };
        self.missed = None;
        self.arrivals.push_back((now, header.number));
        if self.arrivals.len() > REMEMBERED {
            self.arrivals.pop_front();
        }
    }

    /// A poll at `now` found nothing new.
    pub(super) fn missed(&mut self, now: Instant) {
        let count = self.missed.map_or(0, |(_, count)| count);
        self.missed = Some((now, count + 1));
    }

    /// When to poll next.
    pub(super) fn next_poll(&self) -> Instant {
        let period = self.period();
        if !self.is_regular() {
            let last = self.missed.map_or(self.appeared, |(at, _)| at);
            return last + (period / 3).clamp(IRREGULAR.0, IRREGULAR.1);
        }
        match self.missed {
            None => self.appeared + period,
            Some((at, count)) => {
                let wait = FIRST_RETRY * 2u32.saturating_pow(count.saturating_sub(1).min(10));
                at + wait.min(period / 2).clamp(FIRST_RETRY, IRREGULAR.1)
            }
        }
    }

    fn is_regular(&self) -> bool {
        self.arrivals.len() >= ENOUGH && self.deviation < self.period() / 6
    }
}

/// How far `elapsed` is from a whole number of periods, at least one: a slot without a block is not a change of rhythm.
fn distance_to_multiple(elapsed: Duration, period: Duration) -> Duration {
    if period.is_zero() || elapsed <= period {
        return period - elapsed.min(period);
    }
    let over = Duration::from_nanos(
        u64::try_from(elapsed.as_nanos() % period.as_nanos()).unwrap_or(u64::MAX),
    );
    over.min(period - over)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Timestamp;

    fn header(number: u64) -> Header {
        Header {
            number,
            hash: B256::with_last_byte(u8::try_from(number % 251).expect("small")),
            parent_hash: B256::ZERO,
            timestamp: Timestamp(number),
            logs_bloom: None,
            transactions_root: None,
        }
    }

    /// Plays a chain whose block `n` appears at `at(n)`, polled as `Pace` says; returns each block's delay and all polls.
    fn play(blocks: u64, at: impl Fn(u64) -> Duration) -> (Vec<Duration>, usize) {
        let start = Instant::now();
        let mut pace = Pace::new();
        pace.arrived(start + at(0), &header(0));
        let (mut delays, mut polls, mut seen) = (Vec::new(), 0, 0);
        while seen < blocks {
            let now = pace.next_poll();
            polls += 1;
            let newest = (seen..=blocks).take_while(|n| start + at(*n) <= now).last();
            match newest {
                Some(number) if number > seen => {
                    delays.push(now - (start + at(number)));
                    pace.arrived(now, &header(number));
                    seen = number;
                }
                _ => pace.missed(now),
            }
        }
        (delays, polls)
    }

    #[test]
    fn regular_blocks_are_seen_early_with_few_polls() {
        for millis in [400, 1_000, 2_000, 12_000] {
            // A little jitter, as sequencers have it.
            let at = |n: u64| Duration::from_millis(n * millis + n * 7919 % 20);
            let (mut delays, polls) = play(200, at);
            let mut late = delays.split_off(40);
            late.sort();
            assert!(
                late[late.len() / 2] <= Duration::from_millis(40),
                "{millis}: {late:?}"
            );
            assert!(polls <= 200 * 3, "{millis}: {polls} polls");
        }
    }

    #[test]
    fn irregular_blocks_are_polled_for_at_a_modest_interval() {
        let gaps = [50, 900, 3_000, 120, 7_000, 400, 60, 2_500, 5, 1_300];
        let at = |n: u64| {
            let index = usize::try_from(n).expect("small");
            Duration::from_millis(gaps.iter().cycle().take(index).sum())
        };
        let (delays, _) = play(100, at);
        assert!(
            delays
                .iter()
                .all(|delay| *delay <= Duration::from_millis(1_000)),
            "{delays:?}"
        );
    }

    #[test]
    fn a_slot_without_a_block_does_not_lose_the_rhythm() {
        let at = |n: u64| Duration::from_secs(12 * (n + u64::from(n > 50)));
        let (delays, polls) = play(100, at);
        assert!(
            delays[60..]
                .iter()
                .all(|delay| *delay <= Duration::from_millis(100))
        );
        assert!(polls < 350, "{polls}");
    }
}
