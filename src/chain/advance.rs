//! One step at the tip: from a new head down to what is known, its blocks' events, and what that confirms.

use std::collections::HashMap;

use alloy::primitives::B256;
use futures_util::{StreamExt, TryStreamExt, stream};
use tracing::{debug, info, warn};

use super::block::{self, BlockLogs};
use super::commit::Stretch;
use super::follow::{Follower, Setback};
use super::node::Node;
use super::node::read::{self, Header};
use super::place::Place;
use super::question::Question;
use super::watch::{Surprise, Watch};
use super::window::{Block, Meeting};
use crate::domain::{ChainEvent, Checkpoint, UnknownLogs};

/// Blocks that are read at the same time.
pub(super) const AT_ONCE: usize = 8;

/// From so many blocks on, their logs are asked for together first.
const MANY: usize = 4;

/// Seconds by which a block is older than the newest one when the node must have had its logs long ago.
const HAD_ITS_TIME: u64 = 60;

/// What a step at the tip came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The head is followed.
    Done,
    /// Stored blocks are not on the node's chain any more.
    Reorganised,
    /// A block turned out to have had logs; it and those above it are to be followed again.
    Repaired,
}

/// What one more look at a block came to.
enum Looked {
    /// It is not followed any more.
    Left,
    /// It has no logs.
    Empty,
    /// It does have logs; this is its parent.
    Logs(Checkpoint),
}

/// The way from a new head to the followed chain.
enum Way {
    /// There is nothing new on it.
    Known,
    /// Oldest first, on top of this many unconfirmed blocks that stay.
    Up(usize, Vec<Header>),
    Reorganised,
}

impl Follower {
    /// Follows the newest of these heads, which the node showed one after another.
    pub(super) async fn advance(
        &mut self,
        node: &Node,
        place: &mut Place,
        heads: &[Header],
    ) -> Result<Step, Setback> {
        let (stay, path) = match self.way(node, place, heads).await? {
            Way::Known => {
                // What an earlier attempt took in and could not store.
                self.confirm(node, place).await?;
                return Ok(Step::Done);
            }
            Way::Reorganised => return Ok(Step::Reorganised),
            Way::Up(stay, path) => (stay, path),
        };
        let dropped = place.window.tail().count() - stay;
        if dropped > 0 {
            info!(dropped, "unconfirmed blocks were reorganised");
        }
        // The window and the watch change together, and only once everything is read.
        let mut watch = place.watch.clone();
        if let Some(first) = path.first() {
            watch.rewind(first.number.saturating_sub(1));
        }
        let first = path.first().map(|first| first.number);
        let (blocks, unsure) = self.read_blocks(node, &mut watch, path).await?;
        place.window.replace(stay, blocks);
        place.unsure.forget_from(first.unwrap_or(u64::MAX));
        let is_reset = watch.modules().len() < place.watch.modules().len();
        place.watch = watch;
        place.unsure.extend(unsure);
        if is_reset {
            place.drop_unwatched();
        }
        self.confirm(node, place).await?;
        Ok(Step::Done)
    }

    async fn way(&self, node: &Node, place: &Place, heads: &[Header]) -> Result<Way, Setback> {
        let Some(head) = heads.last() else {
            return Ok(Way::Known);
        };
        let base = place.window.base();
        let known = place.window.at(head.number);
        if known.is_some_and(|known| known.hash == head.hash) {
            // Also a head that jumped back on the same chain: the blocks above it are most likely still to come again.
            return Ok(Way::Known);
        }
        if head.number < base.number {
            return match self.is_on_another_chain(node, place, head.number).await? {
                true => Ok(Way::Reorganised),
                false => Ok(Way::Known),
            };
        }
        let tip = place.window.tip().number;
        let mut shown: HashMap<B256, Header> = heads
            .iter()
            .map(|header| (header.hash, header.clone()))
            .collect();
        let missing: Vec<u64> = (tip + 1..head.number)
            .filter(|number| !heads.iter().any(|header| header.number == *number))
            .collect();
        // By number they may belong to another chain; only those that the head leads to are used.
        let fetched = read::headers_at(node, &missing).await?;
        shown.extend(fetched.into_iter().map(|header| (header.hash, header)));
        let mut path = vec![head.clone()];
        let mut lowest = head.clone();
        loop {
            let Some(parent) = lowest.number.checked_sub(1) else {
                return Ok(Way::Reorganised);
            };
            match place.window.meets(parent, lowest.parent_hash) {
                Meeting::At(stay) => {
                    path.reverse();
                    return Ok(Way::Up(stay, path));
                }
                Meeting::Reorganised => return Ok(Way::Reorganised),
                Meeting::Below => {}
            }
            lowest = match shown.remove(&lowest.parent_hash) {
                Some(header) => header,
                None => read::header_of(node, lowest.parent_hash)
                    .await?
                    .ok_or_else(|| {
                        Setback::Moved(format!("block {parent} below a head is not there"))
                    })?,
            };
            path.push(lowest.clone());
        }
    }

    /// Reads and judges blocks in order. A module that turns out to have been read wrongly is taken out of the watch.
    pub(super) async fn read_blocks(
        &self,
        node: &Node,
        watch: &mut Watch,
        headers: Vec<Header>,
    ) -> Result<(Vec<Block>, Vec<Checkpoint>), Setback> {
        let mut blocks: Vec<Block> = Vec::with_capacity(headers.len());
        let mut unsure = Vec::new();
        let newest = headers.last().map_or(0, |header| header.timestamp.0);
        'read: while blocks.len() < headers.len() {
            let question = watch.question();
            let rest = &headers[blocks.len()..];
            let mut known = match rest.len() >= MANY {
                true => block::logs_of_many(node, rest, &question).await,
                false => HashMap::new(),
            };
            let reads: Vec<_> = rest
                .iter()
                .map(|header| {
                    let (known, question) = (known.remove(&header.hash), &question);
                    async move {
                        match known {
                            Some(logs) => Ok(BlockLogs {
                                logs,
                                unsure: false,
                            }),
                            None => block::logs(node, header, question).await,
                        }
                    }
                })
                .collect();
            let read: Vec<BlockLogs> = stream::iter(reads).buffered(AT_ONCE).try_collect().await?;
            for (header, read) in rest.iter().zip(read) {
                match watch.judge(&read.logs) {
                    Ok(judged) => {
                        if read.unsure && header.timestamp.0 + HAD_ITS_TIME >= newest {
                            unsure.push(header.checkpoint());
                        }
                        blocks.push(Block {
                            header: header.clone(),
                            events: judged.events,
                            unknown: judged.unknown,
                        });
                    }
                    Err(Surprise::NewProcessor) => {
                        info!(
                            block = header.number,
                            "a module has a new payment processor"
                        );
                        continue 'read;
                    }
                    Err(Surprise::WrongProcessor { module, actual }) => {
                        self.committer
                            .ledger
                            .reset_module(watch, module, actual)
                            .await?;
                        continue 'read;
                    }
                }
            }
        }
        Ok((blocks, unsure))
    }

    /// Looks once more at blocks whose empty answers proved nothing, now that the node has had time. One that does have
    /// logs is followed again, with all that lies above it.
    pub(super) async fn look_again(
        &mut self,
        node: &Node,
        place: &mut Place,
    ) -> Result<Step, Setback> {
        let due = place.unsure.due(place.window.tip().number);
        if due.is_empty() {
            return Ok(Step::Done);
        }
        let question = place.watch.question();
        let (follower, followed) = (&*self, &*place);
        let looks: Vec<_> = due
            .into_iter()
            .map(|block| {
                let question = &question;
                async move {
                    let looked = follower.look(node, followed, question, block).await;
                    (block, looked)
                }
            })
            .collect();
        let looked: Vec<_> = stream::iter(looks).buffered(AT_ONCE).collect().await;
        for (block, looked) in looked {
            match looked {
                Ok(Looked::Left) => place.unsure.settled(block),
                Ok(Looked::Empty) => place.unsure.still_empty(block),
                Ok(Looked::Logs(below)) => {
                    warn!(
                        block = block.number,
                        "the node had a block before its logs; following it again"
                    );
                    self.follow_again(place, block, below);
                    return Ok(Step::Repaired);
                }
                // A node behind a load balancer may not have the block yet. It must not be forgotten for that, nor is
                // it worth a change of node.
                Err(Setback::Rpc(error)) => {
                    debug!(block = block.number, %error, "a look is postponed");
                    place.unsure.postpone(block);
                }
                Err(setback) => return Err(setback),
            }
        }
        Ok(Step::Done)
    }

    /// Looks at one block whose empty answer proved nothing.
    async fn look(
        &self,
        node: &Node,
        place: &Place,
        question: &Question,
        block: Checkpoint,
    ) -> Result<Looked, Setback> {
        let followed = match place.window.at(block.number) {
            Some(followed) => followed.hash,
            None if block.number > place.window.tip().number => return Ok(Looked::Left),
            // Older than the window remembers.
            None => self.known_header(node, block.number).await?.hash,
        };
        if followed != block.hash {
            return Ok(Looked::Left);
        }
        if !block::has_logs(node, block, question).await? {
            return Ok(Looked::Empty);
        }
        let now = self.known_header(node, block.number).await?;
        let below = self
            .known_header(node, block.number.saturating_sub(1))
            .await?;
        if now.hash != block.hash || now.parent_hash != below.hash {
            return Err(Setback::Moved(
                "the chain moved below a block without logs".to_owned(),
            ));
        }
        Ok(Looked::Logs(below.checkpoint()))
    }

    /// Forgets a block and all above it, so that they are followed again from `below`, its parent.
    fn follow_again(&mut self, place: &mut Place, block: Checkpoint, below: Checkpoint) {
        place.unsure.forget_from(block.number);
        if block.number > place.window.base().number {
            place.window.forget_from(block.number);
        } else {
            place.window.rewind(below);
            self.committer.roll_back_to(below.number);
        }
        place.watch.rewind(below.number);
    }

    /// Stores what has enough blocks on top of it.
    async fn confirm(&mut self, node: &Node, place: &mut Place) -> Result<(), Setback> {
        let confirmations = self.confirmations();
        let mut headers: Vec<Checkpoint> = Vec::new();
        let mut events: Vec<ChainEvent> = Vec::new();
        let mut unknown: Vec<UnknownLogs> = Vec::new();
        for block in place.window.confirmable(confirmations) {
            headers.push(block.header.checkpoint());
            events.extend(block.events.iter().cloned());
            unknown.extend(block.unknown.iter().copied());
        }
        let Some(to) = headers.last().copied() else {
            return Ok(());
        };
        if events.is_empty() && unknown.is_empty() && self.committer.rollback().is_none() {
            self.committer.keep_for_later(headers);
        } else {
            let stretch = Stretch {
                modules: place.watch.modules(),
                to,
                events,
                unknown,
            };
            self.committer.commit(node, stretch, &headers).await?;
        }
        place.window.confirm(confirmations);
        Ok(())
    }
}
