use super::*;
use crate::domain::{FailureReason, SubscriptionId};

const MODULE: ModuleAddress = ModuleAddress(Address::repeat_byte(1));
const FIRST: Address = Address::repeat_byte(0xa);
const SECOND: Address = Address::repeat_byte(0xb);
const STRANGER: Address = Address::repeat_byte(0xc);

fn watch() -> Watch {
    let record = ModuleRecord {
        start_block: 5,
        synced: crate::domain::Synced::To(None),
        initial_processor: FIRST,
        processor_updates: Vec::new(),
    };
    Watch::new(BTreeMap::from([(MODULE, record)]))
}

fn log(watch: &Watch, block: u64, log_index: u32, address: Address, kind: EventKind) -> WatchedLog {
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
