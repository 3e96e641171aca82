//! Answers 401, 403 and 429 are counted by Discord per address: 10,000 within 10 minutes and the address is banned.
//! <https://discord.com/developers/docs/topics/rate-limits#invalid-request-limit-aka-cloudflare-bans>

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The time over which Discord counts.
const WINDOW: Duration = Duration::from_secs(600);
/// Answers are counted together per so much time.
const SLOT: Duration = Duration::from_secs(10);
/// Below this many, nothing changes.
const FREE: u32 = 250;
/// This many are never exceeded: half of what Discord allows, as other programs may share the address.
const CEILING: u32 = 5_000;

/// A count over the last ten minutes that slows everything down as it grows.
#[derive(Debug, Default)]
pub(super) struct InvalidRequests {
    /// Start of a slot and its count, oldest first.
    slots: VecDeque<(Instant, u32)>,
    total: u32,
    last_sent: Option<Instant>,
}

impl InvalidRequests {
    /// Whether a request may leave; else when to ask again.
    pub(super) fn ask(&mut self, now: Instant) -> Result<(), Instant> {
        while let Some((start, count)) = self.slots.front().copied() {
            if now < start + SLOT + WINDOW {
                break;
            }
            self.total -= count;
            self.slots.pop_front();
        }
        if self.total < FREE {
            return Ok(());
        }
        if self.total >= CEILING {
            let oldest = self.slots.front().map_or(now, |(start, _)| *start);
            return Err(oldest + SLOT + WINDOW);
        }
        // Even if each answer were another one, what is left lasts for the whole window.
        let gap = WINDOW / (CEILING - self.total);
        match self.last_sent.map(|last| last + gap) {
            Some(next) if now < next => Err(next),
            _ => Ok(()),
        }
    }

    /// A request leaves.
    pub(super) fn sent(&mut self, now: Instant) {
        self.last_sent = Some(now);
    }

    /// A request was answered with 401, 403 or 429.
    pub(super) fn count(&mut self, now: Instant) {
        self.total += 1;
        match self.slots.back_mut() {
            Some((start, count)) if now < *start + SLOT => *count += 1,
            _ => self.slots.push_back((now, 1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endless_stream_of_refusals_never_reaches_half_of_discords_limit() {
        let mut invalid = InvalidRequests::default();
        let start = Instant::now();
        let mut now = start;
        let mut sent = VecDeque::new();
        while now < start + Duration::from_secs(3600) {
            match invalid.ask(now) {
                Ok(()) => {
                    invalid.sent(now);
                    invalid.count(now);
                    sent.push_back(now);
                    while sent.front().is_some_and(|first| *first + WINDOW < now) {
                        sent.pop_front();
                    }
                    assert!(sent.len() <= CEILING as usize);
                    now += Duration::from_millis(1);
                }
                Err(until) => {
                    assert!(until > now);
                    now = until;
                }
            }
        }
    }

    #[test]
    fn the_odd_refusal_slows_nothing_down() {
        let mut invalid = InvalidRequests::default();
        let now = Instant::now();
        for _ in 0..FREE - 1 {
            invalid.sent(now);
            invalid.count(now);
        }
        assert_eq!(invalid.ask(now), Ok(()));
        invalid.count(now);
        assert!(invalid.ask(now).is_err());
        assert_eq!(invalid.ask(now + SLOT + WINDOW), Ok(()));
    }
}
