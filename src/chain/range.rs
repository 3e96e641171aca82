//! Reads a long range of blocks as many short ones: several in flight, handed out in order, sized to what the provider
//! allows, and never skipping one. Memory is bounded by the ranges that wait for an earlier one.

mod collect;
mod read;
mod size;

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::task::JoinSet;
use tokio::time::{Duration, Instant};

pub use collect::{Collected, Collector, SeenBlock};
pub use read::{GetHeaders, GetLogs, Source};
pub use size::RangeSize;

use super::decode::Watched;
use super::filter::LogFilter;
use super::node::RpcError;
use super::node::error::LONGEST_ASKED;
use super::processors::Processors;
use crate::abi::Layouts;
use crate::domain::{ChainEvent, ModuleAddress, ModuleRecord, UnknownLogs};
use read::Read;

/// Ranges that are asked for at the same time.
const IN_FLIGHT: usize = 8;
/// Events that may wait for an earlier range before no new one is asked for.
const MOST_WAITING: usize = 30_000;
/// Wait after a rate limit that names none.
const RATE_LIMIT_WAIT: Duration = Duration::from_secs(1);
/// Logs of a range from which on their mix says which filter is better.
const LOGS_THAT_TELL: u64 = 1_000;

/// A stretch of blocks that was read, in order and without gaps.
#[derive(Debug)]
pub struct Piece {
    /// First block.
    pub from: u64,
    /// Last block.
    pub to: u64,
    /// The events that count, in chain order.
    pub events: Vec<ChainEvent>,
    /// Logs that the ABI does not know.
    pub unknown: Vec<UnknownLogs>,
    /// The blocks of which logs were seen, with the hashes that the logs named.
    pub blocks: Vec<SeenBlock>,
}

/// A range as it was asked for.
#[derive(Clone, Copy, Debug)]
struct Asked {
    from: u64,
    to: u64,
    /// Whether it is the rest of a range that was refused or cut: what it holds says little about the blocks to come.
    is_again: bool,
    /// Errors that the caller had heard of by then.
    reported: u32,
}

/// Reads `from..=to` for some modules.
pub struct RangeReader {
    source: Source,
    processors: Processors,
    watched: Arc<Watched>,
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
    running: JoinSet<(Asked, Result<Read, RpcError>)>,
    in_flight: usize,
    /// Since when rate limits have been waited out without an answer in between.
    limited_since: Option<Instant>,
    paused_until: Option<Instant>,
    /// Errors that the caller heard of. A call that started before the last one and fails too is no news.
    reported: u32,
}

impl RangeReader {
    /// Starts at `from`; nothing is asked for before the first [`RangeReader::next`].
    pub fn new(
        source: Source,
        layouts: Arc<Layouts>,
        modules: &BTreeMap<ModuleAddress, ModuleRecord>,
        from: u64,
        to: u64,
        size: RangeSize,
    ) -> Self {
        let processors = Processors::before(layouts, modules, from);
        let watched = Arc::new(processors.watched());
        let filter = Arc::new(LogFilter::combined(
            &processors.modules(),
            processors.known(),
        ));
        Self {
            source,
            processors,
            watched,
            filter,
            separate: false,
            size,
            due: from,
            next: from,
            to,
            again: BTreeMap::new(),
            ready: BTreeMap::new(),
            running: JoinSet::new(),
            in_flight: IN_FLIGHT,
            limited_since: None,
            paused_until: None,
            reported: 0,
        }
    }

    /// First block that has not been handed out.
    pub fn due(&self) -> u64 {
        self.due
    }

    /// Whether the processors' logs are asked for by module, because most are about others'.
    pub fn is_separate(&self) -> bool {
        self.separate
    }

    /// The next piece; `None` after the last block. An error is one that the reader cannot wait out or split away: the
    /// caller may go to another node or wait, and then call again. What was already read is kept and nothing is
    /// skipped. Cancel safe.
    pub async fn next(&mut self) -> Option<Result<Piece, RpcError>> {
        loop {
            if self.due > self.to {
                return None;
            }
            if let Some(read) = self.ready.remove(&self.due) {
                if let Some(piece) = self.hand_out(read) {
                    return Some(Ok(piece));
                }
                continue;
            }
            self.launch();
            let paused = self.paused_until;
            let finished = tokio::select! {
                Some(finished) = self.running.join_next() => finished,
                () = tokio::time::sleep_until(paused.unwrap_or_else(Instant::now)), if paused.is_some() => {
                    self.paused_until = None;
                    continue;
                }
            };
            let (asked, result) = match finished {
                Ok(finished) => finished,
                Err(error) => match error.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    Err(_) => continue,
                },
            };
            if let Err(error) = self.settle(asked, result)
                && asked.reported == self.reported
            {
                self.reported += 1;
                return Some(Err(error));
            }
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
        while self.running.len() < self.in_flight {
            let (from, to) = match self.again.first_key_value() {
                Some((from, to)) => (*from, *to),
                None if self.next <= self.to => (self.next, self.to),
                None => return,
            };
            if waiting > MOST_WAITING && from != self.due {
                return;
            }
            let is_again = self.again.remove(&from).is_some();
            let most = if is_again {
                self.size.ceiling()
            } else {
                self.size.blocks()
            };
            let end = to.min(from.saturating_add(most - 1));
            if !is_again {
                self.next = end + 1;
            } else if end < to {
                self.again.insert(end + 1, to);
            }
            let (source, filter) = (self.source.clone(), self.filter.clone());
            let watched = self.watched.clone();
            let asked = Asked {
                from,
                to: end,
                is_again,
                reported: self.reported,
            };
            let expected = self.size.expected(end - from + 1);
            self.running.spawn(async move {
                let result = read::read(&source, &filter, watched, from, end, expected).await;
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
                if !asked.is_again {
                    self.size
                        .answered(read.to - from + 1, read.logs, read.bytes);
                }
                if read.to < to {
                    self.again.insert(read.to + 1, to);
                }
                if !self.separate && read.logs >= LOGS_THAT_TELL && read.foreign * 2 > read.logs {
                    self.separate = true;
                    self.rebuild();
                }
                self.limited_since = None;
                self.in_flight = IN_FLIGHT.min(self.in_flight + 1);
                self.ready.insert(from, read);
                return Ok(());
            }
            Err(error) => error,
        };
        tracing::debug!(from, to, %error, "a range was refused");
        match error {
            RpcError::RangeTooWide { max, .. } if blocks > 1 => {
                self.size.too_wide(blocks, max);
                // Launching it again cuts it to the new ceiling.
                self.again.insert(from, to);
                Ok(())
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
                self.shrink(asked);
                Ok(())
            }
            RpcError::Timeout { .. } if blocks > 1 => {
                self.split(asked, 2);
                self.shrink(asked);
                Ok(())
            }
            // It may be a limit in words that nobody has seen yet.
            RpcError::Other { .. } if blocks > 1 => {
                self.split(asked, 2);
                Ok(())
            }
            RpcError::RateLimited { retry_after, .. } => {
                self.again.insert(from, to);
                let now = Instant::now();
                let until = now + retry_after.unwrap_or(RATE_LIMIT_WAIT).min(LONGEST_ASKED);
                let since = *self.limited_since.get_or_insert(now);
                if until - since > self.source.patience {
                    self.limited_since = None;
                    return Err(error);
                }
                // Calls that were on their way when the first was limited are no further warning.
                if self.paused_until.is_none() {
                    self.in_flight = (self.in_flight / 2).max(1);
                }
                self.paused_until = self.paused_until.max(Some(until));
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

    fn shrink(&mut self, asked: Asked) {
        if !asked.is_again {
            self.size.too_heavy(asked.to - asked.from + 1);
        }
    }

    fn rebuild(&mut self) {
        let (modules, processors) = (self.processors.modules(), self.processors.known());
        self.filter = Arc::new(if self.separate {
            LogFilter::separate(&modules, processors)
        } else {
            LogFilter::combined(&modules, processors)
        });
        self.watched = Arc::new(self.processors.watched());
    }

    /// Turns the range that is due into a piece. `None` when it must be read again from its first block, because a new
    /// processor appears there.
    fn hand_out(&mut self, read: Read) -> Option<Piece> {
        let Read {
            mut to,
            mut collected,
            ..
        } = read;
        let from = self.due;
        let watched = self.watched.clone();
        if let Some((block, processor)) = self.processors.first_new(&collected.events) {
            tracing::info!(block, %processor, "a module has a new payment processor");
            self.processors.add(processor);
            self.rebuild();
            self.restart(block);
            if block == from {
                return None;
            }
            to = block - 1;
            collected.events.retain(|event| event.position.block <= to);
            collected.unknown.retain(|(block, ..)| *block <= to);
            collected.blocks.retain(|block| block.number <= to);
        }
        self.processors
            .keep_counting(&mut collected.events, &collected.emitters, &watched);
        self.due = to + 1;
        Some(Piece {
            from,
            to,
            events: collected.events,
            unknown: collect::count_unknown(collected.unknown),
            blocks: collected.blocks,
        })
    }

    /// Forgets everything from this block on and asks again.
    fn restart(&mut self, block: u64) {
        self.running = JoinSet::new();
        self.ready.clear();
        self.again.clear();
        self.next = block;
    }
}
