use alloy::primitives::B256;
use proptest::prelude::*;

use super::*;
use crate::domain::{FailureReason, SubscriptionId};

const MODULE: ModuleAddress = ModuleAddress(Address::repeat_byte(1));
const OTHER: ModuleAddress = ModuleAddress(Address::repeat_byte(2));
const FIRST: Address = Address::repeat_byte(0xa);
const SECOND: Address = Address::repeat_byte(0xb);
const STRANGER: Address = Address::repeat_byte(0xc);

fn watching(from: u64) -> Processors {
    let watched = |initial| WatchedModule {
        initial,
        updates: Vec::new(),
        from,
    };
    let mut processors = Processors::of(Layouts::built_in(), &BTreeMap::new());
    processors.add([(MODULE, watched(FIRST)), (OTHER, watched(SECOND))]);
    processors
}

fn emitted(
    module: ModuleAddress,
    block: u64,
    log_index: u32,
    emitter: Address,
    kind: EventKind,
) -> Emitted {
    Emitted {
        emitter,
        event: ChainEvent {
            module,
            position: Position { block, log_index },
            transaction: B256::ZERO,
            timestamp: None,
            kind,
        },
    }
}

fn update(block: u64, log_index: u32, previous: Address, current: Address) -> Emitted {
    update_of(MODULE, block, log_index, previous, current)
}

fn update_of(
    module: ModuleAddress,
    block: u64,
    log_index: u32,
    previous: Address,
    current: Address,
) -> Emitted {
    let kind = EventKind::PaymentProcessorUpdated { previous, current };
    emitted(module, block, log_index, module.0, kind)
}

fn failure(block: u64, log_index: u32, emitter: Address) -> Emitted {
    failure_of(MODULE, block, log_index, emitter)
}

fn failure_of(module: ModuleAddress, block: u64, log_index: u32, emitter: Address) -> Emitted {
    let kind = EventKind::ExecutionFailed {
        subscription: SubscriptionId::from(1),
        reason: FailureReason(8),
    };
    emitted(module, block, log_index, emitter, kind)
}

/// The events of logs that are taken whole.
fn whole(processors: &mut Processors, logs: Vec<Emitted>) -> Vec<ChainEvent> {
    let taken = processors.take(logs).unwrap();
    assert_eq!(taken.again_from, None, "every processor is asked for");
    taken.events
}

fn places(events: &[ChainEvent]) -> Vec<(u64, u32)> {
    let places = events.iter().map(|event| event.position);
    places.map(|at| (at.block, at.log_index)).collect()
}

/// What a reader does: asks for what the filter names, takes, and asks again from where it is told to.
fn read(processors: &mut Processors, logs: &[Emitted], cut: usize) -> Vec<ChainEvent> {
    let (first, second) = logs.split_at(cut.min(logs.len()));
    let mut events = Vec::new();
    for part in [first, second] {
        let mut from = Some(0);
        while let Some(block) = from {
            let filter = processors.filter();
            let is_answered = |log: &&Emitted| {
                let is_own = log.emitter == log.event.module.0;
                log.event.position.block >= block
                    && (is_own || filter.asks_for_processor(&log.emitter))
            };
            let answer = part.iter().filter(is_answered).cloned();
            let taken = processors.take(answer.collect()).unwrap();
            events.extend(taken.events);
            from = taken.again_from;
        }
    }
    events
}

/// The rule, told by one who sees every log: a processor's logs count while it is its module's.
fn counting(logs: &[Emitted]) -> Vec<ChainEvent> {
    let mut current = BTreeMap::from([(MODULE, FIRST), (OTHER, SECOND)]);
    let counts = logs.iter().filter(|log| {
        if let EventKind::PaymentProcessorUpdated { current: new, .. } = log.event.kind {
            current.insert(log.event.module, new);
            return true;
        }
        current[&log.event.module] == log.emitter
    });
    counts.map(|log| log.event.clone()).collect()
}

#[test]
fn only_the_processor_at_the_position_counts() {
    let mut processors = watching(0);
    let logs = vec![
        failure(5, 0, FIRST),
        failure(5, 1, STRANGER),
        update(6, 0, FIRST, SECOND),
        failure(6, 1, FIRST),
        failure(6, 2, SECOND),
    ];
    // The other module has the second one.
    let events = whole(&mut processors, logs);
    assert_eq!(places(&events), [(5, 0), (6, 0), (6, 2)]);
}

#[test]
fn a_new_processor_is_asked_for_from_its_block_on() {
    let mut processors = watching(0);
    let logs = vec![
        failure(5, 0, FIRST),
        update(7, 3, FIRST, STRANGER),
        update(7, 4, STRANGER, Address::ZERO),
        failure(8, 0, FIRST),
    ];
    let taken = processors.take(logs.clone()).unwrap();
    assert_eq!(taken.again_from, Some(7));
    assert_eq!(places(&taken.events), [(5, 0)]);
    assert!(processors.filter().asks_for_processor(&STRANGER));
    // Nothing of block 7 was taken in yet.
    assert_eq!(
        processors.get(&MODULE).map(|module| module.updates.len()),
        Some(0)
    );
    let events = whole(&mut processors, logs[1..].to_vec());
    assert_eq!(
        places(&events),
        [(7, 3), (7, 4)],
        "the zero address emits nothing"
    );
}

#[test]
fn two_modules_with_new_processors_in_one_range_are_both_read_to_its_end() {
    let logs = [
        update(10, 0, FIRST, STRANGER),
        update_of(OTHER, 20, 0, SECOND, Address::repeat_byte(0xd)),
        failure(30, 0, STRANGER),
        failure_of(OTHER, 30, 1, Address::repeat_byte(0xd)),
    ];
    let events = read(&mut watching(0), &logs, logs.len());
    assert_eq!(places(&events), [(10, 0), (20, 0), (30, 0), (30, 1)]);
}

#[test]
fn a_first_update_from_another_processor_is_a_wrong_start() {
    let mut processors = watching(0);
    let taken = processors.take(vec![failure(5, 0, FIRST), update(6, 0, STRANGER, SECOND)]);
    let wrong = ProcessorError::WrongStart {
        module: MODULE,
        actual: STRANGER,
    };
    assert_eq!(taken, Err(wrong));
    // An initial one from nothing is none, and later ones are the contract's affair.
    let logs = vec![
        update(6, 0, Address::ZERO, SECOND),
        update(7, 0, STRANGER, FIRST),
    ];
    assert_eq!(whole(&mut processors, logs).len(), 2);
}

#[test]
fn a_module_that_names_ever_new_processors_is_dropped() {
    let mut processors = watching(0);
    let updates: Vec<_> = (0..40)
        .map(|n: u8| {
            let before = if n == 0 {
                FIRST
            } else {
                Address::repeat_byte(0x40 + n - 1)
            };
            update(6 + u64::from(n), 0, before, Address::repeat_byte(0x40 + n))
        })
        .collect();
    let mut rest = updates;
    for asked in 0.. {
        match processors.take(rest.clone()) {
            Ok(taken) => rest.retain(|log| Some(log.event.position.block) >= taken.again_from),
            Err(error) => {
                assert_eq!(error, ProcessorError::TooMany(MODULE));
                return assert!(asked < MOST_PROCESSORS, "{asked}");
            }
        }
    }
}

#[test]
fn a_module_that_changes_between_two_processors_without_end_is_dropped() {
    let mut processors = watching(0);
    let mut rest = Vec::new();
    for n in 0..MOST_UPDATES as u64 {
        let (before, after) = match n % 2 {
            0 => (FIRST, SECOND),
            _ => (SECOND, FIRST),
        };
        rest.push(update(6 + n, 0, before, after));
    }
    assert_eq!(whole(&mut processors, rest).len(), MOST_UPDATES);
    let more = vec![update(1_000, 0, FIRST, SECOND)];
    assert_eq!(processors.take(more), Err(ProcessorError::TooMany(MODULE)));
}

#[test]
fn logs_below_a_modules_first_block_are_read_elsewhere() {
    let mut processors = watching(6);
    let logs = vec![
        update(5, 0, STRANGER, SECOND),
        failure(5, 1, FIRST),
        failure(6, 0, FIRST),
    ];
    let events = whole(&mut processors, logs);
    assert_eq!(places(&events), [(6, 0)]);
}

fn any_logs() -> impl Strategy<Value = Vec<Emitted>> {
    let chosen = [
        FIRST,
        SECOND,
        STRANGER,
        Address::repeat_byte(0xd),
        Address::repeat_byte(0xe),
    ];
    let step = (0_u64..3, 0_usize..5, any::<bool>(), any::<bool>());
    prop::collection::vec(step, 0..30).prop_map(move |steps| {
        let mut block = 5;
        let mut current = BTreeMap::from([(MODULE, FIRST), (OTHER, SECOND)]);
        let logs =
            steps
                .into_iter()
                .zip(0..)
                .map(|((ahead, processor, is_other, is_update), index)| {
                    block += ahead;
                    let module = if is_other { OTHER } else { MODULE };
                    let processor = chosen[processor];
                    if is_update {
                        let previous = current.insert(module, processor).unwrap();
                        update_of(module, block, index, previous, processor)
                    } else {
                        failure_of(module, block, index, processor)
                    }
                });
        logs.collect()
    })
}

proptest! {
    #[test]
    fn any_cut_between_blocks_gives_the_same(logs in any_logs(), cut in 0_usize..30) {
        // A range ends with a whole block.
        let cut = logs.get(cut).map_or(logs.len(), |log| {
            logs.partition_point(|other| other.event.position.block < log.event.position.block)
        });
        let (mut whole, mut parts) = (watching(0), watching(0));
        let expected = counting(&logs);
        prop_assert_eq!(&read(&mut whole, &logs, logs.len()), &expected);
        prop_assert_eq!(read(&mut parts, &logs, cut), expected);
        prop_assert_eq!(whole.get(&MODULE), parts.get(&MODULE));
    }

    #[test]
    fn rewinding_and_reading_again_gives_the_same(logs in any_logs(), to in 5_u64..40) {
        let mut processors = watching(0);
        let mut events = read(&mut processors, &logs, logs.len());
        let after = processors.get(&MODULE).cloned();
        processors.rewind(to);
        events.retain(|event| event.position.block <= to);
        let again: Vec<_> = logs.iter().filter(|log| log.event.position.block > to).cloned().collect();
        events.extend(read(&mut processors, &again, again.len()));
        let mut fresh = watching(0);
        prop_assert_eq!(events, read(&mut fresh, &logs, logs.len()));
        prop_assert_eq!(processors.get(&MODULE), after.as_ref());
    }
}
