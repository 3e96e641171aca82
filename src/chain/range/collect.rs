//! What one range's answers have given so far.

use std::ops::ControlFlow;
use std::sync::Arc;

use alloy::primitives::{Address, B256};

use crate::chain::decode::{Decoded, Emitter, LogDecoder, Watched};
use crate::chain::filter::Blocks;
use crate::chain::logs::Log;
use crate::chain::node::RpcError;
use crate::domain::{ChainEvent, Timestamp, UnknownLogs};

/// Events after which a range is cut at the last complete block, so that a spike does not fill the memory.
const MOST_EVENTS: usize = 16_384;

/// A block of which logs were seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeenBlock {
    /// Number.
    pub number: u64,
    /// The hash that the logs named.
    pub hash: B256,
    /// The timestamp that the logs named, if they did.
    pub timestamp: Option<Timestamp>,
}

/// Takes the logs of one or several answers about the same blocks.
#[derive(Debug)]
pub struct Collector {
    watched: Arc<Watched>,
    decoder: LogDecoder,
    /// The blocks that may be answered; `None` when they were asked for by hash.
    range: Option<(u64, u64)>,
    /// Bytes of the answers' bodies.
    pub bytes: u64,
    /// Logs received, foreign ones included.
    pub logs: u64,
    /// Of these, logs of watched processors about others' modules.
    pub foreign: u64,
    events: Vec<ChainEvent>,
    emitters: Vec<Emitter>,
    unknown: Vec<(u64, Address, B256)>,
    blocks: Vec<SeenBlock>,
    /// Whether the logs came in chain order so far.
    ordered: bool,
    /// Events of earlier answers.
    before_answer: usize,
    reached: (u64, u32),
    complete_to: Option<u64>,
    trouble: Option<&'static str>,
}

/// A range that was read.
#[derive(Debug, Default)]
pub struct Collected {
    /// Events in chain order, without duplicates; processors' events are not yet checked against their module's
    /// processor at that position.
    pub events: Vec<ChainEvent>,
    /// Who emitted them, one for one.
    pub emitters: Vec<Emitter>,
    /// Block, address and first topic of each log that could not be decoded.
    pub unknown: Vec<(u64, Address, B256)>,
    /// The blocks of which logs were seen, in order.
    pub blocks: Vec<SeenBlock>,
}

impl Collector {
    /// For answers about these blocks.
    pub fn new(watched: Arc<Watched>, blocks: Blocks) -> Self {
        Self {
            watched,
            decoder: LogDecoder::default(),
            range: match blocks {
                Blocks::Range(from, to) => Some((from, to)),
                Blocks::Hash(_) => None,
            },
            bytes: 0,
            logs: 0,
            foreign: 0,
            events: Vec::new(),
            emitters: Vec::new(),
            unknown: Vec::new(),
            blocks: Vec::new(),
            ordered: true,
            before_answer: 0,
            reached: (0, 0),
            complete_to: None,
            trouble: None,
        }
    }

    /// Makes room for about so many events at once: growing step by step would touch twice the memory.
    pub(super) fn expect(&mut self, events: usize) {
        let events = events.min(MOST_EVENTS);
        self.events.reserve(events);
        self.emitters.reserve(events);
    }

    /// Takes one log. `Break` when no more are wanted.
    pub fn take(&mut self, log: &Log<'_>) -> ControlFlow<()> {
        self.logs += 1;
        if log.removed {
            return ControlFlow::Continue(());
        }
        if let Some((from, to)) = self.range {
            if log.block_number < from {
                self.trouble = Some("it answered logs of blocks that were not asked for");
                return ControlFlow::Break(());
            }
            // Above the end: an answer that was asked for before another one was cut.
            if log.block_number > to {
                return ControlFlow::Continue(());
            }
        }
        let position = (log.block_number, log.log_index);
        if position < self.reached {
            self.ordered = false;
        } else if log.block_number > self.reached.0
            && self.ordered
            && self.events.len() - self.before_answer >= MOST_EVENTS
            && self.range.is_some_and(|(from, _)| self.reached.0 >= from)
        {
            self.complete_to = Some(self.reached.0);
            return ControlFlow::Break(());
        }
        self.reached = position;
        self.see_block(log);
        match self.decoder.decode(log, &self.watched) {
            Decoded::Event(event, emitter) => {
                self.events.push(event);
                self.emitters.push(emitter);
            }
            Decoded::Unknown => self.unknown.push((
                log.block_number,
                log.address,
                log.topics().first().copied().unwrap_or_default(),
            )),
            Decoded::Foreign => self.foreign += 1,
            Decoded::NotOurs => {}
        }
        self.trouble
            .map_or(ControlFlow::Continue(()), |_| ControlFlow::Break(()))
    }

    fn see_block(&mut self, log: &Log<'_>) {
        if let Some(last) = self.blocks.last()
            && last.number == log.block_number
        {
            if last.hash != log.block_hash {
                self.trouble = Some("it named two hashes for one block");
            }
            return;
        }
        self.blocks.push(SeenBlock {
            number: log.block_number,
            hash: log.block_hash,
            timestamp: log.block_timestamp.map(Timestamp),
        });
    }

    /// An empty collector for another answer about the same blocks.
    pub(super) fn fork(&self) -> Self {
        let blocks = match self.range {
            Some((from, to)) => Blocks::Range(from, to),
            None => Blocks::Hash(B256::ZERO),
        };
        Self::new(self.watched.clone(), blocks)
    }

    /// Takes over what a forked collector has taken.
    pub(super) fn absorb(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.logs += other.logs;
        self.foreign += other.foreign;
        self.ordered &= other.ordered;
        self.events.extend(other.events);
        self.emitters.extend(other.emitters);
        self.unknown.extend(other.unknown);
        self.blocks.extend(other.blocks);
    }

    /// One answer has been taken. When it was cut, the range ends earlier from now on. Returns the range's last block.
    pub(super) fn end_answer(&mut self) -> Result<Option<u64>, RpcError> {
        if let Some(trouble) = self.trouble {
            return Err(RpcError::unavailable(trouble));
        }
        if let (Some(end), Some((_, to))) = (self.complete_to.take(), self.range.as_mut()) {
            *to = end;
        }
        self.reached = (0, 0);
        self.before_answer = self.events.len();
        Ok(self.range.map(|(_, to)| to))
    }

    /// All answers have been taken.
    ///
    /// # Errors
    /// When the answers contradict each other.
    pub fn finish(mut self, answers: usize) -> Result<Collected, RpcError> {
        if let Some(trouble) = self.trouble {
            return Err(RpcError::unavailable(trouble));
        }
        if !self.ordered || answers > 1 {
            self.sort()?;
        }
        if let Some((_, to)) = self.range
            && self
                .events
                .last()
                .is_some_and(|event| event.position.block > to)
        {
            let keep = self
                .events
                .partition_point(|event| event.position.block <= to);
            self.events.truncate(keep);
            self.emitters.truncate(keep);
            self.blocks.retain(|block| block.number <= to);
        }
        if let Some((_, to)) = self.range {
            self.unknown.retain(|(block, ..)| *block <= to);
        }
        // They may wait for long.
        self.events.shrink_to_fit();
        Ok(Collected {
            events: self.events,
            emitters: self.emitters,
            unknown: self.unknown,
            blocks: self.blocks,
        })
    }

    /// Brings everything into chain order and drops what was served twice.
    fn sort(&mut self) -> Result<(), RpcError> {
        let mut pairs: Vec<_> = std::mem::take(&mut self.events)
            .into_iter()
            .zip(std::mem::take(&mut self.emitters))
            .collect();
        pairs.sort_by_key(|(event, _)| event.position);
        pairs.dedup_by_key(|(event, _)| event.position);
        (self.events, self.emitters) = pairs.into_iter().unzip();
        self.blocks.sort_by_key(|block| block.number);
        self.blocks.dedup();
        if self
            .blocks
            .windows(2)
            .any(|pair| pair[0].number == pair[1].number)
        {
            return Err(RpcError::unavailable("it named two hashes for one block"));
        }
        Ok(())
    }
}

/// Sums unknown logs up by address and topic.
pub(super) fn count_unknown(mut unknown: Vec<(u64, Address, B256)>) -> Vec<UnknownLogs> {
    unknown.sort_by_key(|(_, address, topic)| (*address, *topic));
    unknown
        .chunk_by(|a, b| (a.1, a.2) == (b.1, b.2))
        .map(|logs| UnknownLogs {
            address: logs[0].1,
            topic: logs[0].2,
            count: logs.len() as u64,
        })
        .collect()
}
