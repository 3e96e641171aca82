//! Logs as a node sends them, rendered once, so that the node is never what a benchmark measures.

use std::fmt::Write;

use alloy::primitives::{Address, B256};
use axum::body::Bytes;

use super::story::{MadeLog, block_hash, block_time};

/// The logs of a made-up chain.
#[derive(Debug)]
pub struct RenderedChain {
    first_block: u64,
    last_block: u64,
    text: Bytes,
    logs: Vec<LogIndex>,
    /// For each block, the index of its first log; one more at the end.
    block_starts: Vec<usize>,
}

#[derive(Debug)]
struct LogIndex {
    emitter: Address,
    topics: [B256; 2],
    /// Where its text begins; it ends one byte (the comma) before the next.
    start: usize,
}

/// A filter as it arrives in a call.
#[derive(Debug, Default)]
pub struct Wanted {
    /// Any of these emitters; empty: any.
    pub addresses: Vec<Address>,
    /// For the first two topics, any of these; empty: any.
    pub topics: [Vec<B256>; 2],
}

impl RenderedChain {
    /// Renders logs of the blocks `first_block..=last_block`, in the order and with the fields of geth.
    pub fn render(
        first_block: u64,
        last_block: u64,
        story: impl Iterator<Item = MadeLog>,
        block_timestamps: bool,
    ) -> Self {
        let mut text = String::new();
        let mut logs = Vec::new();
        let mut block_starts = vec![0];
        for log in story {
            while first_block + (block_starts.len() as u64) <= log.block {
                block_starts.push(logs.len());
            }
            let topic = |index: usize| log.data.topics().get(index).copied().unwrap_or_default();
            logs.push(LogIndex {
                emitter: log.emitter,
                topics: [topic(0), topic(1)],
                start: text.len(),
            });
            write_log(&mut text, &log, block_timestamps);
            text.push(',');
        }
        while first_block + (block_starts.len() as u64) <= last_block + 1 {
            block_starts.push(logs.len());
        }
        Self {
            first_block,
            last_block,
            text: text.into(),
            logs,
            block_starts,
        }
    }

    /// The newest block.
    pub fn last_block(&self) -> u64 {
        self.last_block
    }

    /// How many logs there are.
    pub fn len(&self) -> usize {
        self.logs.len()
    }

    /// Whether there is no log.
    pub fn is_empty(&self) -> bool {
        self.logs.is_empty()
    }

    /// Whether a block has logs.
    pub fn has_logs(&self, block: u64) -> bool {
        let index = block.saturating_sub(self.first_block) as usize;
        block >= self.first_block
            && self
                .block_starts
                .get(index..index + 2)
                .is_some_and(|starts| starts[0] < starts[1])
    }

    /// The text of the matching logs, in pieces to be written one after another, or their number when that exceeds
    /// `most`, together with the last block up to which they would fit.
    pub fn matching(
        &self,
        from: u64,
        to: u64,
        wanted: &Wanted,
        most: usize,
    ) -> Result<Vec<Bytes>, (usize, u64)> {
        let at = |block: u64| {
            let index = block.saturating_sub(self.first_block) as usize;
            self.block_starts
                .get(index)
                .copied()
                .unwrap_or(self.logs.len())
        };
        let (start, end) = (at(from), at(to.saturating_add(1)));
        let mut pieces: Vec<(usize, usize)> = Vec::new();
        let mut count = 0;
        for index in start..end {
            let log = &self.logs[index];
            if !wanted.wants(log) {
                continue;
            }
            count += 1;
            let next = self
                .logs
                .get(index + 1)
                .map_or(self.text.len(), |log| log.start);
            match pieces.last_mut() {
                Some(last) if last.1 == log.start => last.1 = next,
                _ => pieces.push((log.start, next)),
            }
        }
        if count > most {
            let fitting = self.fitting(start, end, wanted, most);
            return Err((count, fitting));
        }
        let last = pieces.len().saturating_sub(1);
        Ok(pieces
            .iter()
            .enumerate()
            // Each log's text ends with a comma, which the last must not have.
            .map(|(index, (from, to))| self.text.slice(*from..to - usize::from(index == last)))
            .collect())
    }

    fn fitting(&self, start: usize, end: usize, wanted: &Wanted, most: usize) -> u64 {
        let beyond = (start..end)
            .filter(|index| wanted.wants(&self.logs[*index]))
            .nth(most)
            .unwrap_or(end);
        let block = self.block_starts.partition_point(|first| *first <= beyond) as u64 - 1;
        (self.first_block + block).saturating_sub(1)
    }
}

impl Wanted {
    fn wants(&self, log: &LogIndex) -> bool {
        (self.addresses.is_empty() || self.addresses.contains(&log.emitter))
            && self
                .topics
                .iter()
                .zip(&log.topics)
                .all(|(wanted, topic)| wanted.is_empty() || wanted.contains(topic))
    }
}

fn write_log(text: &mut String, log: &MadeLog, block_timestamps: bool) {
    let topics = log
        .data
        .topics()
        .iter()
        .map(|topic| format!("\"{topic}\""))
        .collect::<Vec<_>>()
        .join(",");
    let timestamp = if block_timestamps {
        format!("\"blockTimestamp\":\"{:#x}\",", block_time(log.block))
    } else {
        String::new()
    };
    write!(
        text,
        "{{\"address\":\"{:#x}\",\"topics\":[{topics}],\"data\":\"{}\",\"blockNumber\":\"{:#x}\",\
         \"transactionHash\":\"{}\",\"transactionIndex\":\"{:#x}\",\"blockHash\":\"{}\",{timestamp}\
         \"logIndex\":\"{:#x}\",\"removed\":false}}",
        log.emitter,
        log.data.data,
        log.block,
        log.transaction,
        log.log_index / 2,
        block_hash(log.block),
        log.log_index,
    )
    .expect("writing to a string cannot fail");
}
