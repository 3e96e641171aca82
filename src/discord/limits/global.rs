//! The bot's global limit: 50 requests per second over all routes.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{Wait, not_before};

/// Requests per [`WINDOW`]. <https://discord.com/developers/docs/topics/rate-limits#global-rate-limit>
const LIMIT: usize = 50;
/// Of these, as many are left for what people wait for: role changes in bulk and the pages of large servers never take all,
/// and have the same right to the others.
const RESERVED: usize = 10;
const WINDOW: Duration = Duration::from_secs(1);

/// A request holds its place until one second after its *answer*: Discord counted it at some moment before that, so no
/// second of Discord's clock ever sees more than 50, however long requests travel.
#[derive(Debug, Default)]
pub(super) struct Global {
    in_flight: usize,
    answered: VecDeque<Instant>,
    blocked_until: Option<Instant>,
}

impl Global {
    /// Whether one more may leave, a patient one only while others find room.
    pub(super) fn ask(&mut self, is_patient: bool, now: Instant) -> Result<(), Wait> {
        not_before(self.blocked_until.filter(|until| now < *until))?;
        while self
            .answered
            .front()
            .is_some_and(|answered| *answered + WINDOW <= now)
        {
            self.answered.pop_front();
        }
        let limit = if is_patient { LIMIT - RESERVED } else { LIMIT };
        match (self.in_flight + self.answered.len()).checked_sub(limit) {
            None => Ok(()),
            // So many must fall out of the window before, and one more.
            Some(surplus) => Err(self
                .answered
                .get(surplus)
                .map_or(Wait::ForAnswer, |answered| Wait::Until(*answered + WINDOW))),
        }
    }

    /// One more leaves.
    pub(super) fn take(&mut self) {
        self.in_flight += 1;
    }

    /// One was answered or lost.
    pub(super) fn release(&mut self, now: Instant) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.answered.push_back(now);
    }

    /// One was not sent.
    pub(super) fn unused(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// Discord said so.
    pub(super) fn block(&mut self, until: Instant) {
        self.blocked_until = self.blocked_until.max(Some(until));
    }
}
