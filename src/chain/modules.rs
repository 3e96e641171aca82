//! How a module joins. It is registered (its first block, its processor there), watched at the tip from the next block on,
//! and its past up to that block is read beside the tip, several modules as a group. One commit then stores what the tip
//! has seen of it meanwhile, and it moves with the cursor from there on: there can be no gap.

mod failures;
mod join;
mod register;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::task::JoinSet;
use tracing::debug;

use super::compare::compare;
use super::context::Context;
use super::error::{SessionError, unless_aborted};
use super::history::{self, ConfirmedRange};
use super::node::{Chosen, Node};
use super::processors::Processors;
use super::state::Followed;
use crate::clock::sleep_until;
use crate::domain::{Checkpoint, ModuleAddress, ModuleRecord, Synced};

use self::failures::Failures;
pub(super) use self::register::{NotYet, Registered, correct, read_again, register};

/// Modules that are registered at the same time.
pub(super) const REGISTERED_AT_ONCE: usize = 8;
/// Modules that begin to be watched at once, at most.
const WATCHED_AT_ONCE: usize = 500;
/// Groups whose past is read at the same time.
const GROUPS_AT_ONCE: usize = 4;
/// A task's result.
pub(super) enum Done {
    /// A module was registered, or cannot be, or not yet.
    Registered(
        ModuleAddress,
        Result<Result<Registered, NotYet>, SessionError>,
    ),
    /// The past of a group was read, with its processors, or could not be.
    Read(BTreeSet<ModuleAddress>, Result<Processors, SessionError>),
    /// The last of the histories was compared with another node's.
    Compared(Result<(), SessionError>),
}

/// The modules that join, read from one node, and the history that is compared with another node's.
pub(super) struct Joins {
    chosen: Chosen,
    tasks: JoinSet<Done>,
    registering: BTreeSet<ModuleAddress>,
    /// The groups whose past is read.
    reading: Vec<BTreeSet<ModuleAddress>>,
    comparing: bool,
    failures: Failures,
    /// Modules that are registered and not watched yet: watching more costs a second reading of the unconfirmed blocks.
    registered: BTreeMap<ModuleAddress, Registered>,
    /// Whether a wanted module waits for its turn.
    waiting: bool,
}

impl Joins {
    /// Nothing is started yet.
    pub(super) fn new(chosen: &Chosen) -> Self {
        Self {
            chosen: chosen.clone(),
            tasks: JoinSet::new(),
            registering: BTreeSet::new(),
            reading: Vec::new(),
            comparing: false,
            failures: Failures::default(),
            registered: BTreeMap::new(),
            waiting: true,
        }
    }

    /// Whether every wanted module that can be read is followed.
    pub(super) fn is_done(&self, followed: &Followed) -> bool {
        let is_given_up = |module| self.failures.sentence(module).is_some();
        self.registering.is_empty()
            && self.registered.is_empty()
            && followed.joining.keys().all(is_given_up)
            && !self.waiting
            && self.failures.are_all_told()
    }

    /// Whether a module is registered or read at the moment, or waits to be watched.
    fn is_under_way(&self, module: &ModuleAddress) -> bool {
        self.registering.contains(module)
            || self.reading.iter().any(|group| group.contains(module))
            || self.registered.contains_key(module)
    }

    /// Modules that cannot be read, each with one sentence on why.
    pub(super) fn unread(&self) -> BTreeMap<ModuleAddress, String> {
        self.failures.sentences()
    }

    /// Brings the watched modules in line with the wanted ones and sets tasks going.
    pub(super) async fn update(
        &mut self,
        context: &Context,
        followed: &mut Followed,
    ) -> Result<(), SessionError> {
        self.failures.keep_only(&context.wanted.borrow());
        let watched = followed.processors.modules();
        let is_settled = context.wanted.borrow().iter().copied().eq(watched);
        if is_settled && followed.joining.is_empty() && !self.waiting {
            return Ok(());
        }
        let wanted = context.wanted.borrow().clone();
        if followed.retain(|module| wanted.contains(module)) {
            self.abort(context).await?;
        }
        let may_begin =
            |module: &&ModuleAddress| !self.is_under_way(module) && self.failures.may_start(module);
        let candidates: Vec<_> = wanted
            .iter()
            .filter(|module| followed.processors.get(module).is_none() && may_begin(module))
            .copied()
            .collect();
        let unread: Vec<_> = followed.joining.keys().filter(may_begin).copied().collect();
        self.waiting = !candidates.is_empty();
        if candidates.is_empty() && (unread.is_empty() || self.reading.len() == GROUPS_AT_ONCE) {
            return Ok(());
        }
        // What a module is read up to must be stored first, or a crash would leave it ahead of the cursor.
        followed.save(context).await?;
        let room = REGISTERED_AT_ONCE.saturating_sub(self.registering.len());
        self.waiting = candidates.len() > room;
        for module in candidates.into_iter().take(room) {
            self.registering.insert(module);
            let (base, head) = (followed.window.base().number, followed.window.tip().number);
            let (node, context) = (Arc::clone(&self.chosen.node), context.clone());
            self.tasks.spawn(async move {
                let registered = register(&context, &node, module, base, head).await;
                Done::Registered(module, registered)
            });
        }
        self.read_groups(context, followed, unread).await
    }

    /// Compares the last of the histories, unless one is compared already.
    pub(super) fn compare(&mut self, context: &Context, followed: &Followed) {
        if !self.comparing
            && let Some(history) = followed.histories.last().cloned()
        {
            self.comparing = true;
            let (context, chosen) = (context.clone(), self.chosen.clone());
            let processors = followed.processors.clone();
            self.tasks.spawn(async move {
                Done::Compared(compare(context, chosen, processors, history).await)
            });
        }
    }

    /// Sets groups out whose past is to be read from the same block on.
    async fn read_groups(
        &mut self,
        context: &Context,
        followed: &Followed,
        unread: Vec<ModuleAddress>,
    ) -> Result<(), SessionError> {
        if unread.is_empty() {
            return Ok(());
        }
        let mut records = context.reads.read(|store| store.modules()).await?;
        let mut groups: BTreeMap<(Checkpoint, Option<u64>), BTreeMap<_, _>> = BTreeMap::new();
        for module in unread {
            let (Some(record), Some(joining)) =
                (records.remove(&module), followed.joining.get(&module))
            else {
                continue;
            };
            let read_to = match record.synced {
                Synced::To(read_to) => read_to,
                Synced::ToCursor => Some(joining.target.number),
            };
            let group = groups.entry((joining.target, read_to)).or_default();
            group.insert(module, record);
        }
        let room = GROUPS_AT_ONCE - self.reading.len();
        for ((target, read_to), group) in groups.into_iter().take(room) {
            let modules: BTreeSet<_> = group.keys().copied().collect();
            self.reading.push(modules.clone());
            let (node, context) = (Arc::clone(&self.chosen.node), context.clone());
            self.tasks.spawn(async move {
                let read = read_past(&context, &node, &group, read_to, target).await;
                Done::Read(modules, read)
            });
        }
        Ok(())
    }

    /// The next thing that came to an end, or `None` when a module that failed may be tried again.
    pub(super) async fn next(&mut self) -> Option<Done> {
        // Those that wait for room are looked at when something ends.
        let has_room =
            self.registering.len() < REGISTERED_AT_ONCE && self.reading.len() < GROUPS_AT_ONCE;
        let next_try = self.failures.next_try(|module| self.is_under_way(module));
        let retry = next_try.filter(|_| has_room);
        loop {
            let done = tokio::select! {
                Some(ended) = self.tasks.join_next() => unless_aborted(ended),
                () = sleep_until(retry) => return None,
            };
            match &done {
                None => continue,
                Some(Done::Registered(module, _)) => drop(self.registering.remove(module)),
                Some(Done::Read(modules, _)) => self.reading.retain(|group| group != modules),
                Some(Done::Compared(_)) => self.comparing = false,
            }
            return done;
        }
    }

    /// Stops all tasks; nothing of them reaches the store afterwards.
    pub(super) async fn abort(&mut self, context: &Context) -> anyhow::Result<()> {
        self.tasks.shutdown().await;
        self.registering.clear();
        self.registered.clear();
        self.reading.clear();
        self.comparing = false;
        context.writer.settle().await
    }
}

/// Reads the past of a group up to `target`, from the block after `read_to`, or from its first one's start.
async fn read_past(
    context: &Context,
    node: &Arc<Node>,
    group: &BTreeMap<ModuleAddress, ModuleRecord>,
    read_to: Option<u64>,
    to: Checkpoint,
) -> Result<Processors, SessionError> {
    let starts = group.values().map(|record| record.start_block);
    let from = read_to.map_or_else(|| starts.min().unwrap_or_default(), |read_to| read_to + 1);
    let mut processors = Processors::of(Arc::clone(&context.config.layouts), group);
    processors.rewind(from.saturating_sub(1));
    if from <= to.number {
        let next = None;
        let range = ConfirmedRange { from, to, next };
        let committed = |to: Checkpoint, events| {
            debug!(
                modules = group.len(),
                at = to.number,
                events,
                "modules catch up"
            );
        };
        history::read(context, node, &mut processors, range, committed).await?;
    }
    Ok(processors)
}
