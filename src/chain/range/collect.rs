//! What the answers about some blocks have given so far, and whether they contradict each other.

use std::ops::ControlFlow;
use std::sync::Arc;

use alloy::primitives::{Address, B256};

use crate::chain::decode::{Decoded, Emitted, Watched, decode};
use crate::chain::filter::Blocks;
use crate::chain::logs::Log;
use crate::chain::node::RpcError;
use crate::domain::{Position, UnknownLogs};

/// Events after which a range is cut at the last complete block, so that a spike does not fill the memory.
const MOST_EVENTS: usize = 16_384;

/// A block of which logs were seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeenBlock {
    /// Number.
    pub number: u64,
    /// The hash that the logs named.
    pub hash: B256,
}

/// A log of a watched address that the ABI does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownLog {
    /// Where it stands.
    pub position: Position,
    /// Who emitted it.
    pub address: Address,
    /// Its first topic; zero for an anonymous event.
    pub topic: B256,
}

/// Takes the logs of one or several answers about the same blocks.
#[derive(Debug)]
pub struct Collector {
    watched: Arc<Watched>,
    /// What `decode` works in.
    buffer: Vec<u8>,
    /// What may be answered. A range's end moves down when an answer is cut.
    asked: Blocks,
    collected: Collected,
    /// Whether the logs came in chain order so far, none of them twice.
    ordered: bool,
    /// Answers that were taken.
    answers: usize,
    /// Events of earlier answers.
    before_answer: usize,
    reached: Option<Position>,
    trouble: Option<String>,
}

/// Some blocks that were read.
#[derive(Debug, Default)]
pub struct Collected {
    /// Events in chain order, without duplicates; whose processor counts is not decided yet.
    pub events: Vec<Emitted>,
    /// The logs that could not be decoded.
    pub unknown: Vec<UnknownLog>,
    /// The blocks of which logs were seen, in order.
    pub blocks: Vec<SeenBlock>,
    /// Bytes of the answers' bodies.
    pub bytes: u64,
    /// Logs received, foreign ones included.
    pub logs: u64,
    /// Of these, logs of watched processors about others' modules, or that the ABI does not know.
    pub foreign: u64,
}

impl Collector {
    /// For answers about these blocks.
    pub fn new(watched: Arc<Watched>, blocks: Blocks) -> Self {
        Self {
            watched,
            buffer: Vec::new(),
            asked: blocks,
            collected: Collected::default(),
            ordered: true,
            answers: 0,
            before_answer: 0,
            reached: None,
            trouble: None,
        }
    }

    /// Adds an answer's bytes.
    pub fn add_bytes(&mut self, bytes: u64) {
        self.collected.bytes += bytes;
    }

    /// Reserves room for about this many events: growing step by step would touch twice the memory.
    pub fn expect(&mut self, events: usize) {
        self.collected.events.reserve(events.min(MOST_EVENTS));
    }

    /// Takes one log. `Break` when no more are wanted.
    pub fn take(&mut self, log: &Log<'_>) -> ControlFlow<()> {
        self.collected.logs += 1;
        if log.removed {
            return ControlFlow::Continue(());
        }
        match self.asked {
            Blocks::Range(from, _) if log.block_number < from => {
                return self.fail("it answered logs of blocks that were not asked for");
            }
            // Above the end: an answer that was asked for before another one was cut.
            Blocks::Range(_, to) if log.block_number > to => return ControlFlow::Continue(()),
            Blocks::Hash(hash) if log.block_hash != hash => {
                return self.fail("it answered with another block's logs");
            }
            _ => {}
        }
        let position = Position {
            block: log.block_number,
            log_index: log.log_index,
        };
        match self.reached {
            Some(reached) if position <= reached => self.ordered = false,
            Some(Position { block, .. })
                if log.block_number > block
                    && self.ordered
                    && self.collected.events.len() - self.before_answer >= MOST_EVENTS =>
            {
                if let Blocks::Range(_, to) = &mut self.asked {
                    *to = block;
                }
                return ControlFlow::Break(());
            }
            _ => {}
        }
        self.reached = Some(position);
        self.see_block(log);
        match decode(log, &self.watched, &mut self.buffer) {
            Decoded::Event(event) => self.collected.events.push(Emitted {
                emitter: log.address,
                event,
            }),
            Decoded::Unknown => {
                // A processor may be any contract: what it says beside payments is no reason to read all of it.
                self.collected.foreign += u64::from(!self.watched.is_module(&log.address));
                self.collected.unknown.push(UnknownLog {
                    position,
                    address: log.address,
                    topic: log.topics().first().copied().unwrap_or_default(),
                });
            }
            Decoded::Foreign => self.collected.foreign += 1,
            Decoded::NotOurs => {}
        }
        match self.trouble {
            None => ControlFlow::Continue(()),
            Some(_) => ControlFlow::Break(()),
        }
    }

    fn fail(&mut self, trouble: &str) -> ControlFlow<()> {
        self.trouble = Some(trouble.to_owned());
        ControlFlow::Break(())
    }

    fn see_block(&mut self, log: &Log<'_>) {
        if let Some(last) = self.collected.blocks.last()
            && last.number == log.block_number
        {
            if last.hash != log.block_hash {
                self.trouble = Some(two_hashes(last.number));
            }
            return;
        }
        self.collected.blocks.push(SeenBlock {
            number: log.block_number,
            hash: log.block_hash,
        });
    }

    /// One answer has been taken. Returns the range's last block, which is an earlier one from now on where the answer was cut.
    pub fn end_answer(&mut self) -> Result<Option<u64>, RpcError> {
        if let Some(trouble) = &self.trouble {
            return Err(RpcError::unavailable(trouble));
        }
        self.answers += 1;
        self.reached = None;
        self.before_answer = self.collected.events.len();
        match self.asked {
            Blocks::Range(_, to) => Ok(Some(to)),
            Blocks::Hash(_) => Ok(None),
        }
    }

    /// All answers have been taken.
    ///
    /// # Errors
    /// When the answers contradict each other.
    pub fn finish(mut self) -> Result<Collected, RpcError> {
        if let Some(trouble) = self.trouble {
            return Err(RpcError::unavailable(trouble));
        }
        if !self.ordered || self.answers > 1 {
            self.sort()?;
        }
        let mut collected = self.collected;
        if let Blocks::Range(_, to) = self.asked {
            let events = &mut collected.events;
            events.truncate(events.partition_point(|log| log.event.position.block <= to));
            collected.blocks.retain(|block| block.number <= to);
            collected.unknown.retain(|log| log.position.block <= to);
        }
        // They may wait for long.
        collected.events.shrink_to_fit();
        Ok(collected)
    }

    /// Sorts everything into chain order and drops duplicates. Two different logs at one position are a contradiction.
    fn sort(&mut self) -> Result<(), RpcError> {
        let Collected {
            events,
            unknown,
            blocks,
            ..
        } = &mut self.collected;
        events.sort_by_key(|log| log.event.position);
        events.dedup();
        unknown.sort_by_key(|log| (log.position, log.topic));
        unknown.dedup();
        blocks.sort_by_key(|block| block.number);
        blocks.dedup();
        let mut pairs = blocks.windows(2);
        if let Some(pair) = pairs.find(|pair| pair[0].number == pair[1].number) {
            return Err(RpcError::unavailable(two_hashes(pair[0].number)));
        }
        let events = events.iter().map(|log| log.event.position);
        let unknown = unknown.iter().map(|log| log.position);
        let mut positions: Vec<Position> = events.chain(unknown).collect();
        positions.sort();
        match positions.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(RpcError::unavailable(format!(
                "it answered two different logs with index {} of block {}",
                pair[0].log_index, pair[0].block
            ))),
            None => Ok(()),
        }
    }
}

fn two_hashes(block: u64) -> String {
    format!("it named two hashes for block {block}")
}

/// Sums unknown logs up by address and topic.
pub fn count_unknown(mut unknown: Vec<UnknownLog>) -> Vec<UnknownLogs> {
    unknown.sort_by_key(|log| (log.address, log.topic));
    unknown
        .chunk_by(|a, b| (a.address, a.topic) == (b.address, b.topic))
        .map(|logs| UnknownLogs {
            address: logs[0].address,
            topic: logs[0].topic,
            count: logs.len() as u64,
        })
        .collect()
}

#[cfg(test)]
mod tests;
