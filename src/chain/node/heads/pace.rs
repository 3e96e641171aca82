//! When to ask for the next block: learns how often blocks come, and where between two polls they appeared. Pure.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Arrivals that the block time is averaged over.
const REMEMBERED: usize = 32;
/// Arrivals before the average is trusted.
const ENOUGH: usize = 4;
/// Assumed block time before anything was learned: Base's.
const ASSUMED_PERIOD: Duration = Duration::from_secs(2);
/// Interval of polls where blocks come irregularly, at the least and at the most.
const IRREGULAR: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// First wait after a poll that came too early; doubles every second time.
const FIRST_RETRY: Duration = Duration::from_millis(25);
/// How much earlier the next poll comes after one that hit at once: finds the moment at which blocks appear. Each step too
/// far costs a poll that finds nothing, so the steps are small until many polls in a row have hit.
const CREEP: Duration = Duration::from_millis(1);
/// Times at which the moment was found after a poll just before it, until the rhythm is known. Till then each poll that hits
/// doubles the step: the first guess is off by as much as a third of the block time.
const KNOWN: u32 = 3;
/// A poll that found a block so soon after one that did not shows when it appeared.
const EXACT: Duration = Duration::from_millis(50);
/// Polls in a row that hit at once before the step doubles with each further one: the moment is far off.
const FEW_HITS: u32 = 20;
/// Polls in a row after which it doubles no more.
const MOST_HITS: u32 = 28;

/// A block as it was first seen.
#[derive(Debug)]
struct Arrival {
    at: Instant,
    number: u64,
    /// Whether it was seen as soon as it appeared.
    is_exact: bool,
}

/// The rhythm of a chain as seen through one node.
#[derive(Debug)]
pub(super) struct Pace {
    arrivals: VecDeque<Arrival>,
    /// When the newest block is thought to have appeared.
    appeared: Instant,
    /// When the last poll that found nothing was made, and how many there were since the newest block.
    missed: Option<(Instant, u32)>,
    /// Exact arrivals since there is a rhythm, at most [`KNOWN`].
    exact: u32,
    /// Polls in a row that found the next block at once.
    hits: u32,
    /// How far arrivals are from the rhythm, averaged; `None` before there is a rhythm.
    deviation: Option<Duration>,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self {
            arrivals: VecDeque::new(),
            appeared: Instant::now(),
            missed: None,
            exact: 0,
            hits: 0,
            deviation: None,
        }
    }

    /// The usual time between two blocks: the average without those far from the median, which were slots without a
    /// block or pauses of ours.
    pub(super) fn period(&self) -> Duration {
        let mut gaps: Vec<Duration> = self
            .arrivals
            .iter()
            .zip(self.arrivals.iter().skip(1))
            .filter_map(|(before, after)| {
                let blocks = u32::try_from(after.number - before.number).ok()?;
                (after.at - before.at).checked_div(blocks)
            })
            .collect();
        gaps.sort_unstable();
        let Some(median) = gaps.get(gaps.len() / 2).copied() else {
            return ASSUMED_PERIOD;
        };
        gaps.retain(|gap| gap.abs_diff(median) <= median / 4);
        let count = u32::try_from(gaps.len()).unwrap_or(u32::MAX);
        gaps.iter()
            .sum::<Duration>()
            .checked_div(count)
            .unwrap_or(median)
    }

    /// A block higher than all before was seen at `now`.
    pub(super) fn arrived(&mut self, now: Instant, number: u64) {
        if self.arrivals.len() >= 2 {
            let period = self.period();
            let off = distance_to_multiple(now - self.appeared, period);
            self.deviation = Some(match self.deviation {
                // Quicker to doubt than to trust.
                Some(before) if off < before => (3 * before + off) / 4,
                Some(before) => (before + off) / 2,
                None => off,
            });
        }
        let due = self.appeared + self.period();
        let is_exact = self.missed.is_some_and(|(at, _)| now - at <= EXACT);
        self.appeared = match self.missed {
            Some((missed, _)) => {
                self.hits = 0;
                self.between(missed, now)
            }
            // It was there already: a little earlier next time, in the end much earlier.
            None if self.is_regular() && due <= now => {
                self.hits = (self.hits + 1).min(MOST_HITS);
                due - self.step()
            }
            None => now,
        };
        self.missed = None;
        self.remember(Arrival {
            at: now,
            number,
            is_exact,
        });
    }

    /// How much earlier the next poll comes than the rhythm says.
    fn step(&self) -> Duration {
        let doublings = match self.exact < KNOWN {
            true => self.hits + 2,
            false => self.hits.saturating_sub(FEW_HITS),
        };
        CREEP * 2u32.pow(doublings.min(8))
    }

    fn remember(&mut self, arrival: Arrival) {
        match self.is_regular() {
            false => self.exact = 0,
            true if arrival.is_exact => {
                self.exact = (self.exact + 1).min(KNOWN);
                // What was seen late while there was no rhythm would make the average too long or too short.
                if let Some(first) = self.arrivals.iter().position(|arrival| arrival.is_exact) {
                    self.arrivals.drain(..first);
                }
            }
            true => {}
        }
        self.arrivals.push_back(arrival);
        if self.arrivals.len() > REMEMBERED {
            self.arrivals.pop_front();
        }
    }

    /// When a block appeared that was there at `now` and not at `missed`: a whole number of periods after the last one if
    /// that lies between the two, else a time between them. Where blocks come regularly, rather late than early: too early
    /// costs a poll, and too late is corrected by the polls that hit.
    fn between(&self, missed: Instant, now: Instant) -> Instant {
        let period = self.period();
        let slots = (now - self.appeared).as_nanos() / period.as_nanos().max(1);
        let in_rhythm = u32::try_from(slots).map(|slots| self.appeared + period * slots);
        match in_rhythm {
            Ok(at) if at > missed => at,
            _ => now - (now - missed) / if self.is_regular() { 4 } else { 2 },
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
                let wait = FIRST_RETRY * 2u32.pow((count.saturating_sub(1) / 2).min(10));
                at + wait.min(period / 2).clamp(FIRST_RETRY, IRREGULAR.1)
            }
        }
    }

    fn is_regular(&self) -> bool {
        let limit = self.period() / 3;
        self.arrivals.len() >= ENOUGH && self.deviation.is_some_and(|off| off < limit)
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

    /// Plays a chain whose block `n` appears at `at(n)`, polled as `Pace` says; returns each block's delay and all polls.
    fn play(blocks: u64, at: impl Fn(u64) -> Duration) -> (Vec<Duration>, usize) {
        let start = Instant::now();
        let mut pace = Pace::new();
        pace.arrived(start + at(0), 0);
        let (mut delays, mut polls, mut seen) = (Vec::new(), 0, 0);
        while seen < blocks {
            let now = pace.next_poll();
            polls += 1;
            let newest = (seen..=blocks).take_while(|n| start + at(*n) <= now).last();
            match newest {
                Some(number) if number > seen => {
                    delays.push(now - (start + at(number)));
                    pace.arrived(now, number);
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

    /// The bench's row over HTTP has 40 blocks of one second: whoever learns for longer answers a whole minute late.
    #[test]
    fn the_moment_at_which_regular_blocks_appear_is_found_within_a_dozen_blocks() {
        for millis in [400, 1_000, 2_000, 12_000] {
            for phase in [1, 90, 180, 270, 320] {
                let at = |n: u64| {
                    Duration::from_millis(n * millis + n * 7919 % 5 + u64::from(n > 0) * phase)
                };
                let (delays, _) = play(40, at);
                let mut late = delays[12..].to_vec();
                late.sort();
                assert!(
                    late[late.len() / 2] <= Duration::from_millis(40),
                    "{millis}, {phase}: {delays:?}"
                );
            }
        }
    }

    #[test]
    fn regular_blocks_cost_little_more_than_one_poll() {
        for millis in [400, 1_000, 2_000, 12_000] {
            for (jitter, percent) in [(1, 107), (20, 115), (100, 130)] {
                let at = |n: u64| Duration::from_millis(n * millis + n * 7919 % jitter);
                // What it costs to learn the rhythm is paid once.
                let polls = play(400, at).1 - play(100, at).1;
                assert!(polls <= 3 * percent, "{millis}, {jitter}: {polls}");
            }
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
