//! The modules that are read together, and whose logs count as their processor's at each position. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use alloy::primitives::{Address, B256};

use super::decode::{Decoded, Emitter};
use super::question::Question;
use crate::domain::{ChainEvent, EventKind, ModuleAddress, ModuleRecord, Position, UnknownLogs};

/// One log of a watched address, decoded, with what is needed when it means nothing.
#[derive(Clone, Debug)]
pub(crate) struct WatchedLog {
    pub(crate) position: Position,
    pub(crate) address: Address,
    /// The first topic; zero for an anonymous event.
    pub(crate) topic: B256,
    pub(crate) decoded: Decoded,
}

/// Why a block must be read differently before it can be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Surprise {
    /// A module got a processor that was not watched; its logs from here on are missing.
    NewProcessor,
    /// A module had another processor than was thought: everything about it was read with the wrong filter.
    WrongProcessor {
        /// Which module.
        module: ModuleAddress,
        /// The processor it had up to this update.
        actual: Address,
    },
}

/// A block's logs, judged in chain order.
#[derive(Debug, Default)]
pub(crate) struct Judged {
    pub(crate) events: Vec<ChainEvent>,
    pub(crate) unknown: Vec<UnknownLogs>,
}

/// Watched modules with their processors over time.
#[derive(Clone, Debug)]
pub(crate) struct Watch {
    modules: BTreeMap<ModuleAddress, ModuleRecord>,
    question: Arc<Question>,
}

impl Watch {
    /// Watches these modules.
    pub(crate) fn new(modules: BTreeMap<ModuleAddress, ModuleRecord>) -> Self {
        let question = Arc::new(Question::about(&modules));
        Self { modules, question }
    }

    /// The watched modules in order.
    pub(crate) fn modules(&self) -> Vec<ModuleAddress> {
        self.modules.keys().copied().collect()
    }

    /// What is known of each.
    pub(crate) fn records(&self) -> &BTreeMap<ModuleAddress, ModuleRecord> {
        &self.modules
    }

    /// Everything up to this block has been read for all of them.
    pub(crate) fn set_synced(&mut self, to: u64) {
        for record in self.modules.values_mut() {
            record.synced_to = Some(to);
        }
    }

    /// The first block that has not been read for all of them.
    pub(crate) fn next_block(&self) -> u64 {
        let next = |record: &ModuleRecord| record.synced_to.map_or(record.start_block, |to| to + 1);
        self.modules.values().map(next).min().unwrap_or_default()
    }

    /// Whether this module is watched.
    pub(crate) fn contains(&self, module: &ModuleAddress) -> bool {
        self.modules.contains_key(module)
    }

    /// Whether nothing is watched.
    pub(crate) fn is_empty(&self) -> bool {
        self.modules.is_empty()
    }

    /// The first block that matters to any of them; 0 when there are none.
    pub(crate) fn start_block(&self) -> u64 {
        self.modules
            .values()
            .map(|record| record.start_block)
            .min()
            .unwrap_or_default()
    }

    /// What to ask a node.
    pub(crate) fn question(&self) -> Arc<Question> {
        Arc::clone(&self.question)
    }

    /// Watches more modules from now on.
    pub(crate) fn add(&mut self, other: Self) {
        self.modules.extend(other.modules);
        self.question = Arc::new(Question::about(&self.modules));
    }

    /// Watches only those of the modules that are in `wanted`; says whether that changed anything.
    pub(crate) fn keep_only(&mut self, wanted: &BTreeSet<ModuleAddress>) -> bool {
        let before = self.modules.len();
        self.modules.retain(|module, _| wanted.contains(module));
        let changed = self.modules.len() != before;
        if changed {
            self.question = Arc::new(Question::about(&self.modules));
        }
        changed
    }

    /// Stops watching a module.
    pub(crate) fn remove(&mut self, module: &ModuleAddress) {
        self.modules.remove(module);
        self.question = Arc::new(Question::about(&self.modules));
    }

    /// Takes in the processor updates among events that were judged elsewhere, in chain order.
    pub(crate) fn take_updates(&mut self, events: &[ChainEvent]) -> Result<(), Surprise> {
        let mut is_new = false;
        for event in events {
            let EventKind::PaymentProcessorUpdated { previous, current } = event.kind else {
                continue;
            };
            let Some(record) = self.modules.get_mut(&event.module) else {
                continue;
            };
            check_first(event.module, record, event.position, previous)?;
            record.processor_updates.push((event.position, current));
            is_new = true;
        }
        if is_new {
            self.question = Arc::new(Question::about(&self.modules));
        }
        Ok(())
    }

    /// Forgets what happened above this block.
    pub(crate) fn rewind(&mut self, to: u64) {
        for record in self.modules.values_mut() {
            record
                .processor_updates
                .retain(|(position, _)| position.block <= to);
        }
    }

    /// Judges logs in chain order: only a module itself and the processor that was its own at a log's position count.
    /// On a surprise nothing of this block has been taken in, but for a new processor that is watched from now on.
    pub(crate) fn judge(&mut self, logs: &[WatchedLog]) -> Result<Judged, Surprise> {
        let mut judged = Judged::default();
        let mut updates: Vec<(ModuleAddress, Position, Address)> = Vec::new();
        for log in logs {
            match &log.decoded {
                Decoded::NotOurs | Decoded::Foreign => {}
                Decoded::Unknown => count(&mut judged.unknown, log.address, log.topic),
                Decoded::Event(event, emitter) => {
                    let Some(record) = self.modules.get(&event.module) else {
                        continue;
                    };
                    let processor = updates
                        .iter()
                        .rev()
                        .find(|(module, ..)| *module == event.module)
                        .map_or_else(|| record.processor_at(log.position), |(.., now)| *now);
                    if let Emitter::Processor(_) = emitter
                        && log.address != processor
                    {
                        continue;
                    }
                    if let EventKind::PaymentProcessorUpdated { previous, current } = event.kind {
                        if updates.iter().all(|(module, ..)| *module != event.module) {
                            check_first(event.module, record, log.position, previous)?;
                        }
                        updates.push((event.module, log.position, current));
                    }
                    judged.events.push(event.clone());
                }
            }
        }
        let known = self.question.watched.processors();
        // The zero address emits nothing, so nothing is missing of it.
        let is_new = updates
            .iter()
            .any(|(.., current)| *current != Address::ZERO && !known.contains(current));
        if is_new {
            self.question = Arc::new(Question::with(
                &self.modules,
                updates.iter().map(|(.., current)| *current),
            ));
            return Err(Surprise::NewProcessor);
        }
        for (module, position, current) in updates {
            if let Some(record) = self.modules.get_mut(&module) {
                record.processor_updates.push((position, current));
            }
        }
        Ok(judged)
    }
}

/// Whether a module's first update contradicts what was thought of the time before it. The zero address emits nothing: an
/// initial "update" from it contradicts nothing. A later one that contradicts the one before it is the module's own
/// affair: reading it all again would bring the same.
fn check_first(
    module: ModuleAddress,
    record: &ModuleRecord,
    position: Position,
    previous: Address,
) -> Result<(), Surprise> {
    let is_first = record
        .processor_updates
        .iter()
        .all(|(at, _)| *at >= position);
    if !is_first || previous == record.initial_processor || previous == Address::ZERO {
        return Ok(());
    }
    Err(Surprise::WrongProcessor {
        module,
        actual: previous,
    })
}

fn count(unknown: &mut Vec<UnknownLogs>, address: Address, topic: B256) {
    let known = unknown
        .iter_mut()
        .find(|seen| seen.address == address && seen.topic == topic);
    match known {
        Some(seen) => seen.count += 1,
        None => unknown.push(UnknownLogs {
            address,
            topic,
            count: 1,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{FailureReason, SubscriptionId};

    const MODULE: ModuleAddress = ModuleAddress(Address::repeat_byte(1));
    const FIRST: Address = Address::repeat_byte(0xa);
    const SECOND: Address = Address::repeat_byte(0xb);
    const STRANGER: Address = Address::repeat_byte(0xc);

    fn watch() -> Watch {
        let record = ModuleRecord {
            start_block: 5,
            synced_to: None,
            initial_processor: FIRST,
            processor_updates: Vec::new(),
        };
        Watch::new(BTreeMap::from([(MODULE, record)]))
    }

    fn log(
        watch: &Watch,
        block: u64,
        log_index: u32,
        address: Address,
        kind: EventKind,
    ) -> WatchedLog {
        let position = Position { block, log_index };
        let processors = watch.question.watched.processors();
        let decoded = match processors
            .iter()
            .position(|processor| *processor == address)
        {
            _ if address == MODULE.0 => Some(Emitter::Module),
            Some(index) => Some(Emitter::Processor(u16::try_from(index).expect("few"))),
            None => None,
        };
        let event = ChainEvent {
            module: MODULE,
            position,
            transaction: B256::ZERO,
            timestamp: None,
            kind,
        };
        WatchedLog {
            position,
            address,
            topic: B256::ZERO,
            decoded: decoded.map_or(Decoded::NotOurs, |emitter| Decoded::Event(event, emitter)),
        }
    }

    fn update(previous: Address, current: Address) -> EventKind {
        EventKind::PaymentProcessorUpdated { previous, current }
    }

    fn failure() -> EventKind {
        EventKind::ExecutionFailed {
            subscription: SubscriptionId::from(1),
            reason: FailureReason(8),
        }
    }

    #[test]
    fn a_new_processor_counts_from_its_update_on_and_the_old_one_up_to_it() {
        let mut watch = watch();
        let read = |watch: &Watch| {
            vec![
                log(watch, 7, 0, FIRST, failure()),
                log(watch, 7, 1, SECOND, failure()),
                log(watch, 7, 2, MODULE.0, update(FIRST, SECOND)),
                log(watch, 7, 3, FIRST, failure()),
                log(watch, 7, 4, SECOND, failure()),
                log(watch, 7, 5, STRANGER, failure()),
            ]
        };
        // At first the new processor is not even asked for.
        assert!(matches!(
            watch.judge(&read(&watch)),
            Err(Surprise::NewProcessor)
        ));
        let judged = watch.judge(&read(&watch)).expect("it is watched now");
        let kept: Vec<u32> = judged
            .events
            .iter()
            .map(|event| event.position.log_index)
            .collect();
        assert_eq!(kept, [0, 2, 4]);
        // In later blocks too, until it is undone.
        let later = [
            log(&watch, 8, 0, FIRST, failure()),
            log(&watch, 8, 1, SECOND, failure()),
        ];
        let judged = watch.judge(&later).expect("nothing new");
        assert_eq!(judged.events.len(), 1);
        watch.rewind(6);
        let judged = watch.judge(&later).expect("nothing new");
        assert_eq!(judged.events[0].position.log_index, 0);
    }

    #[test]
    fn an_update_from_another_processor_than_thought_is_a_surprise() {
        let mut watch = watch();
        let logs = [log(&watch, 7, 0, MODULE.0, update(STRANGER, SECOND))];
        let surprise = Surprise::WrongProcessor {
            module: MODULE,
            actual: STRANGER,
        };
        assert_eq!(watch.judge(&logs).err(), Some(surprise));
        let event = |kind| match log(&watch, 7, 0, MODULE.0, kind).decoded {
            Decoded::Event(event, _) => event,
            other => panic!("{other:?}"),
        };
        let events = [event(update(STRANGER, SECOND))];
        let initial = [event(update(Address::ZERO, SECOND))];
        assert_eq!(watch.take_updates(&events), Err(surprise));
        assert_eq!(watch.take_updates(&initial), Ok(()));
    }

    #[test]
    fn updates_that_contradict_each_other_are_no_reason_to_read_again() {
        let mut in_one_block = watch();
        let mut in_two_blocks = watch();
        let mut in_history = watch();
        let updates = |watch: &Watch, second_block: u64| {
            [
                log(watch, 7, 0, MODULE.0, update(FIRST, SECOND)),
                log(watch, second_block, 1, MODULE.0, update(STRANGER, FIRST)),
            ]
        };
        let events = updates(&in_history, 8).map(|log| match log.decoded {
            Decoded::Event(event, _) => event,
            other => panic!("{other:?}"),
        });
        in_history.take_updates(&events).expect("taken as it is");
        let at_once = updates(&in_one_block, 7);
        assert_eq!(
            in_one_block.judge(&at_once).err(),
            Some(Surprise::NewProcessor)
        );
        in_one_block.judge(&at_once).expect("taken as it is");
        let [first, second] = updates(&in_two_blocks, 8);
        let first = [first];
        assert_eq!(
            in_two_blocks.judge(&first).err(),
            Some(Surprise::NewProcessor)
        );
        in_two_blocks.judge(&first).expect("the first");
        in_two_blocks.judge(&[second]).expect("taken as it is");
        let later = Position {
            block: 9,
            log_index: 0,
        };
        for watch in [in_one_block, in_two_blocks, in_history] {
            assert_eq!(watch.records()[&MODULE].processor_at(later), FIRST);
        }
    }

    #[test]
    fn a_processor_that_is_taken_away_is_no_surprise() {
        let mut watch = watch();
        let logs = [log(&watch, 7, 0, MODULE.0, update(FIRST, Address::ZERO))];
        let judged = watch.judge(&logs).expect("there is nothing to ask for");
        assert_eq!(judged.events.len(), 1);
        let later = [log(&watch, 8, 0, FIRST, failure())];
        assert_eq!(watch.judge(&later).expect("no surprise").events.len(), 0);
    }

    #[test]
    fn unknown_logs_are_counted_by_address_and_topic() {
        let mut watch = watch();
        let unknown = |topic| WatchedLog {
            topic: B256::repeat_byte(topic),
            decoded: Decoded::Unknown,
            ..log(&watch, 7, 0, MODULE.0, failure())
        };
        let logs = [unknown(1), unknown(2), unknown(1)];
        let judged = watch.judge(&logs).expect("no surprise");
        let counts: Vec<u64> = judged.unknown.iter().map(|unknown| unknown.count).collect();
        assert_eq!(counts, [2, 1]);
    }
}
