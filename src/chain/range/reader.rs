//! Reads a long range of blocks as many short ones: several in flight, handed out in order. Memory is bounded by the ranges
//! that wait for an earlier one.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::task::{JoinError, JoinSet};
use tokio::time::{Duration, Instant};

use super::burst::after_burst;
use super::collect::{Collected, SeenBlock, count_unknown};
use super::one::{self, Read};
use super::size::RangeSize;
use crate::chain::decode::Emitted;
use crate::chain::error::unless_aborted;
use crate::chain::filter::LogFilter;
use crate::chain::node::error::LONGEST_ASKED;
use crate::chain::node::reconnect::Reconnect;
use crate::chain::node::{Node, RpcError};
use crate::domain::{Checkpoint, UnknownLogs};

/// Ranges that are asked for at the same time.
pub const IN_FLIGHT: usize = 8;
/// Events that may wait for an earlier range before no new one is asked for.
const MOST_WAITING: usize = 30_000;
/// Rate limits that last so long without an answer may mean the size of the range: some plans' words for it are a quota's.
const LIMITED_FOR_LONG: Duration = Duration::from_secs(3);
/// The least logs of a range that tell whether most belong to other merchants.
const LOGS_THAT_TELL: u64 = 1_000;

/// Consecutive blocks that were read.
#[derive(Debug)]
pub struct Piece {
    /// First block.
    pub from: u64,
    /// Last block, as the node had it that answered for it.
    pub end: Checkpoint,
    /// The events in chain order; whose processor counts is not decided yet.
    pub events: Vec<Emitted>,
    /// Logs that the ABI does not know.
    pub unknown: Vec<UnknownLogs>,
    /// The last block of which logs were seen, with the hash that the logs named.
    pub last_seen: Option<SeenBlock>,
}

/// A range as it was asked for.
#[derive(Clone, Copy, Debug)]
struct Asked {
    from: u64,
    to: u64,
    /// Whether it is the rest of a range that was refused or cut: what it holds says little about the blocks to come.
    is_again: bool,
    /// Whether the connection was closed already.
    was_closed: bool,
    /// Errors that the caller had been given by then.
    reported: u32,
}

/// A call that ended.
type Finished = (Asked, Result<Read, RpcError>);

/// Reads `from..=to`.
pub struct RangeReader {
    node: Arc<Node>,
    filter: Arc<LogFilter>,
    /// Whether processors are asked only for what concerns our modules.
    separate: bool,
    size: RangeSize,
    /// Next block to hand out.
    due: u64,
    /// Next block that was never asked for.
    next: u64,
    to: u64,
    /// Ranges to ask for again: first to last block.
    again: BTreeMap<u64, u64>,
    /// Ranges that wait for an earlier one.
    ready: BTreeMap<u64, Read>,
    running: JoinSet<Finished>,
    in_flight: usize,
    /// Since when rate limits have been waited out without an answer in between.
    limited_since: Option<Instant>,
    paused_until: Option<Instant>,
    /// When the first call after the newest pause was made.
    burst_since: Instant,
    /// The waits after refusals that do not say why, until an answer comes.
    unexplained: Reconnect,
    /// Errors returned so far; a call launched before the last one that fails as well is not reported again.
    reported: u32,
}

impl RangeReader {
    /// Starts at `from`; nothing is asked for before the first [`RangeReader::next`].
    pub fn new(node: Arc<Node>, filter: Arc<LogFilter>, from: u64, to: u64) -> Self {
        Self {
            node,
            filter,
            separate: false,
            size: RangeSize::default(),
            due: from,
            next: from,
            to,
            again: BTreeMap::new(),
            ready: BTreeMap::new(),
            running: JoinSet::new(),
            in_flight: IN_FLIGHT,
            limited_since: None,
            paused_until: None,
            burst_since: Instant::now(),
            unexplained: Reconnect::new(),
            reported: 0,
        }
    }

    /// Whether the processors' logs are asked for by module, because most are about others'.
    pub fn is_separate(&self) -> bool {
        self.separate
    }

    /// The next piece; `None` after the last block. After an error, which the reader could neither wait out nor split away,
    /// the caller may call again: nothing is skipped. Cancel safe.
    pub async fn next(&mut self) -> Option<Result<Piece, RpcError>> {
        loop {
            if self.due > self.to {
                return None;
            }
            // Before anything is handed out: while the caller is busy with it, the next calls are under way.
            while let Some(finished) = self.running.try_join_next() {
                if let Err(error) = self.take(finished) {
                    return Some(Err(error));
                }
            }
            self.launch();
            if let Some(read) = self.ready.remove(&self.due) {
                return Some(Ok(self.hand_out(read)));
            }
            let paused = self.paused_until;
            tokio::select! {
                Some(finished) = self.running.join_next() => {
                    if let Err(error) = self.take(finished) {
                        return Some(Err(error));
                    }
                }
                () = tokio::time::sleep_until(paused.unwrap_or_else(Instant::now)), if paused.is_some() => {
                    self.paused_until = None;
                    self.burst_since = Instant::now();
                }
            }
        }
    }

    /// The same, but a failure that another try may mend is waited out, up to `times` in a row.
    pub async fn next_retrying(&mut self, times: u32) -> Option<Result<Piece, RpcError>> {
        let mut schedule = Reconnect::new();
        for _ in 0..times {
            match self.next().await {
                Some(Err(error)) if self.is_worth_another_try(&error) => {
                    let wait = schedule.failed(None);
                    tracing::debug!(%error, ?wait, "a range failed; trying again");
                    tokio::time::sleep(wait).await;
                }
                next => return next,
            }
        }
        self.next().await
    }

    /// History that is not kept does not come back, nor does a closed connection, a crowded block stays one, and what is about
    /// the node is for the pool to answer.
    fn is_worth_another_try(&self, error: &RpcError) -> bool {
        let is_final = matches!(error, RpcError::Pruned { .. } | RpcError::Crowded { .. });
        !self.node.is_closed() && !error.is_about_node() && !is_final
    }

    /// Takes a finished call in. An error is for the caller.
    fn take(&mut self, finished: Result<Finished, JoinError>) -> Result<(), RpcError> {
        let Some((asked, result)) = unless_aborted(finished) else {
            return Ok(());
        };
        match self.settle(asked, result) {
            Err(error) if asked.reported == self.reported => {
                self.reported += 1;
                Err(error)
            }
            _ => Ok(()),
        }
    }

    /// Asks for as many ranges as may be in flight.
    fn launch(&mut self) {
        if self.paused_until.is_some() {
            return;
        }
        let waiting: usize = self
            .ready
            .values()
            .map(|read| read.collected.events.len())
            .sum();
        let limit = *self.node.range_limit();
        let in_flight = match limit.is_on_trial() {
            true => 1,
            false => self.in_flight,
        };
        while self.running.len() < in_flight {
            let (from, to) = match self.again.first_key_value() {
                Some((from, to)) => (*from, *to),
                None if self.next <= self.to => (self.next, self.to),
                None => return,
            };
            if waiting > MOST_WAITING && from != self.due {
                return;
            }
            let is_again = self.again.remove(&from).is_some();
            let most = match is_again {
                true => limit.most(),
                false => limit.most().min(self.size.blocks()),
            };
            let end = to.min(from.saturating_add(most - 1));
            if !is_again {
                self.next = end + 1;
            } else if end < to {
                self.again.insert(end + 1, to);
            }
            let (node, filter) = (Arc::clone(&self.node), Arc::clone(&self.filter));
            let asked = Asked {
                from,
                to: end,
                is_again,
                was_closed: self.node.is_closed(),
                reported: self.reported,
            };
            let expected = self.size.expected(end - from + 1);
            self.running.spawn(async move {
                let result = one::read(&node, &filter, from, end, expected).await;
                (asked, result)
            });
        }
    }

    /// Takes the result of a range in: keeps it, or plans how to read it otherwise. An error is for the caller.
    fn settle(&mut self, asked: Asked, result: Result<Read, RpcError>) -> Result<(), RpcError> {
        let Asked { from, to, .. } = asked;
        let blocks = to - from + 1;
        let error = match result {
            Ok(read) => {
                let end = read.end.number;
                self.node.range_limit().answered(blocks);
                if !asked.is_again {
                    let Collected { logs, bytes, .. } = read.collected;
                    self.size.answered(end - from + 1, logs, bytes);
                }
                if end < to {
                    self.again.insert(end + 1, to);
                }
                let Collected { logs, foreign, .. } = read.collected;
                if !self.separate && logs >= LOGS_THAT_TELL && foreign * 2 > logs {
                    self.separate = true;
                    self.filter = Arc::new(self.filter.separate());
                }
                self.limited_since = None;
                self.unexplained.healthy();
                self.in_flight = IN_FLIGHT.min(self.in_flight + 1);
                self.ready.insert(from, read);
                return Ok(());
            }
            Err(error) => error,
        };
        tracing::debug!(from, to, %error, "a range was refused");
        match error {
            RpcError::RangeTooWide { max, .. } if blocks > 1 => {
                self.node.range_limit().too_wide(blocks, max);
                // Launching it again cuts it to the new limit.
                self.again.insert(from, to);
                Ok(())
            }
            // The next connection goes on with what this one has shown.
            error if self.node.is_closed() => {
                if blocks > 1 && !asked.was_closed {
                    self.node.range_limit().refused(blocks);
                }
                self.again.insert(from, to);
                Err(error)
            }
            RpcError::TooManyResults { suggested, .. } if blocks > 1 => {
                match suggested.filter(|(first, last)| *first == from && *last < to) {
                    Some((_, last)) => {
                        self.again.insert(from, last);
                        self.again.insert(last + 1, to);
                    }
                    // In two at first, in eight where that did not help: a few crowded blocks are to be found then.
                    None => self.split(asked, if asked.is_again { 8 } else { 2 }),
                }
                if !asked.is_again {
                    self.size.too_heavy(blocks);
                }
                Ok(())
            }
            // Perhaps a limit of the range, or of the rate, in unknown words or in none: less is asked for, and less often.
            RpcError::Other { .. } | RpcError::Unavailable { .. } | RpcError::Timeout { .. }
                if blocks > 1 =>
            {
                self.again.insert(from, to);
                self.in_flight = 1;
                let mut limit = self.node.range_limit();
                limit.refused(blocks);
                // Calls that were on their way when the first was refused are no further warning.
                if !limit.is_comparing() && self.paused_until.is_none() {
                    let wait = self.unexplained.failed(None);
                    self.paused_until = Some(Instant::now() + wait);
                }
                Ok(())
            }
            RpcError::RateLimited { retry_after, .. } => {
                self.again.insert(from, to);
                let now = Instant::now();
                let until = match retry_after {
                    Some(asked) => now + asked.min(LONGEST_ASKED),
                    None => {
                        after_burst(now, self.burst_since, self.limited_since, self.paused_until)
                    }
                };
                let since = *self.limited_since.get_or_insert(now);
                if until - since > self.node.patience() {
                    self.limited_since = None;
                    return Err(error);
                }
                // Calls that were on their way when the first was limited are no further warning.
                if self.paused_until.is_none() {
                    self.in_flight = (self.in_flight / 2).max(1);
                }
                self.paused_until = self.paused_until.max(Some(until));
                // Each wait was kept, and nothing was answered: it may be the size all the same.
                if blocks > 1 && now - since > LIMITED_FOR_LONG {
                    self.limited_since = None;
                    self.node.range_limit().refused(blocks);
                }
                Ok(())
            }
            error => {
                self.again.insert(from, to);
                Err(error)
            }
        }
    }

    /// Cuts a refused range.
    fn split(&mut self, asked: Asked, parts: u64) {
        let step = (asked.to - asked.from + 1).div_ceil(parts);
        let mut from = asked.from;
        while from <= asked.to {
            let end = asked.to.min(from + step - 1);
            self.again.insert(from, end);
            from = end + 1;
        }
    }

    fn hand_out(&mut self, read: Read) -> Piece {
        let from = std::mem::replace(&mut self.due, read.end.number + 1);
        Piece {
            from,
            end: read.end.checkpoint(),
            events: read.collected.events,
            unknown: count_unknown(read.collected.unknown),
            last_seen: read.collected.blocks.last().copied(),
        }
    }

    /// Asks for everything from this block on again, with another filter.
    pub fn restart(&mut self, block: u64, filter: &Arc<LogFilter>) {
        self.filter = match self.separate {
            true => Arc::new(filter.separate()),
            false => Arc::clone(filter),
        };
        self.running = JoinSet::new();
        self.ready.clear();
        self.again.clear();
        self.due = block;
        self.next = block;
    }
}
