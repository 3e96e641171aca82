use alloy::primitives::{Address, U256, keccak256};
use alloy_json_abi::Event;
use proptest::prelude::*;

use super::*;
use crate::abi::Field;

/// The table of PROTOCOL.md, written out by hand: signatures and numbers of indexed parameters.
const PROTOCOL: [(&str, usize); 13] = [
    ("PlanCreated(uint256,address,uint256,uint64,uint64)", 2),
    ("PlanStatusChanged(uint256,bool)", 1),
    (
        "SubscriptionCreated(uint256,address,uint256,uint256,uint256)",
        3,
    ),
    ("SubscriptionPaused(uint256,address)", 2),
    ("SubscriptionResumed(uint256,address)", 2),
    ("SubscriptionCancelled(uint256,address)", 2),
    ("SubscriptionExpiryUpdated(uint256,uint256)", 1),
    ("SubscriptionRecovered(uint256,uint256)", 1),
    ("SubscriberBlocked(address)", 1),
    ("SubscriberUnblocked(address)", 1),
    ("PaymentProcessorUpdated(address,address)", 2),
    (
        "ExecutionExecuted(address,uint256,address,address,uint256,uint256,address,uint256,uint256)",
        3,
    ),
    ("ExecutionFailed(address,uint256,uint8)", 2),
];

/// The rest of a processor, for files that are about one event of it.
const FAILED: &str =
    "event ExecutionFailed(address indexed module, uint256 indexed id, uint8 reason)";
const EXECUTED: &str = "event ExecutionExecuted(address indexed module, uint256 indexed id, address indexed payer, address token, uint256 amount, uint256 protocolFee, address keeper, uint256 executionTime, uint256 windowId)";

fn file(name: &str, items: &[&str]) -> (String, String) {
    let abi = JsonAbi::parse(items.iter().copied()).unwrap();
    (name.to_owned(), serde_json::to_string(&abi).unwrap())
}

fn refusal(files: &[(String, String)]) -> String {
    Layouts::with(files).unwrap_err().message
}

fn number(value: u64) -> [u8; 32] {
    U256::from(value).to_be_bytes()
}

/// The topics and the data of a log: one word per parameter, in the order of the signature.
fn log(signature: &str, words: &[[u8; 32]]) -> (Vec<B256>, Vec<u8>) {
    let event = Event::parse(signature).unwrap();
    let (mut topics, mut data) = (vec![event.selector()], Vec::new());
    for (input, word) in event.inputs.iter().zip(words) {
        match input.indexed {
            true => topics.push(B256::new(*word)),
            false => data.extend(word),
        }
    }
    (topics, data)
}

#[test]
fn the_built_in_layouts_are_those_of_the_protocol() {
    let layouts = Layouts::built_in();
    for (signature, indexed) in PROTOCOL {
        let topic = keccak256(signature);
        let key = (topic, indexed + 1);
        let found = layouts.layouts.binary_search_by_key(&key, Layout::key);
        assert!(
            found.is_ok() && layouts.topics().contains(&topic),
            "{signature}"
        );
        assert_eq!(layouts.name_of(&topic), Some(signature));
    }
    assert_eq!(layouts.topics().len(), PROTOCOL.len());
    assert!(layouts.notes().is_empty(), "{:?}", layouts.notes());
}

#[test]
fn other_names_widths_orders_and_added_parameters_are_understood() {
    let paid = "event ExecutionExecuted(uint64 indexed subscriptionId, address indexed moduleAddress, address user, uint128 amount, uint256 fee, bytes32 memo, uint40 executedAt, string note)";
    let layouts = Layouts::with(&[file("p.json", &[paid, FAILED])]).unwrap();
    let user = Address::repeat_byte(7).into_word().0;
    let module = Address::repeat_byte(8).into_word().0;
    let words = [
        number(5),
        module,
        user,
        number(12),
        number(1),
        [0xaa; 32],
        number(1_700_000_000),
        number(256),
    ];
    let (topics, mut data) = log(paid, &words);
    data.extend(number(0));
    let fields = layouts.read(&topics, &data).unwrap();
    assert_eq!(fields.event(), KnownEvent::ExecutionExecuted);
    assert_eq!(fields.uint(Field::Subscription), Some(U256::from(5)));
    assert_eq!(fields.address(Field::Module), Some(Address::repeat_byte(8)));
    assert_eq!(fields.address(Field::Payer), Some(Address::repeat_byte(7)));
    assert_eq!(fields.uint(Field::Amount), Some(U256::from(12)));
    assert_eq!(fields.short(Field::ExecutionTime), Some(1_700_000_000));
    assert!(
        layouts.read(&topics, &data[..6 * 32 - 1]).is_none(),
        "less than the head"
    );
    for (word, name) in [(0, "an address"), (1, "128 bits"), (4, "40 bits")] {
        let mut wrong = data.clone();
        wrong[word * 32] = 1;
        assert!(layouts.read(&topics, &wrong).is_none(), "{name}");
    }
    let old = log(EXECUTED, &[[0; 32]; 9]);
    assert!(
        layouts.read(&old.0, &old.1).is_some(),
        "the built-in one stays"
    );
}

#[test]
fn layouts_of_one_event_with_more_and_fewer_indexed_parameters_live_side_by_side() {
    let other = "event ExecutionFailed(address indexed module, uint256 id, uint8 reason)";
    let layouts = Layouts::with(&[file("p.json", &[EXECUTED, other])]).unwrap();
    for signature in [other, FAILED] {
        let (topics, data) = log(signature, &[number(1), number(2), number(8)]);
        let fields = layouts.read(&topics, &data).unwrap();
        assert_eq!(
            fields.uint(Field::Subscription),
            Some(U256::from(2)),
            "{signature}"
        );
        assert_eq!(fields.short(Field::Reason), Some(8), "{signature}");
    }
}

#[test]
fn two_files_whose_logs_cannot_be_told_apart_are_refused() {
    let swapped = "event ExecutionFailed(address indexed module, uint256 indexed reason, uint8 id)";
    let mine = file("mine.json", &[EXECUTED, swapped]);
    let told = refusal(&[mine.clone(), file("other.json", &[EXECUTED, FAILED])]);
    assert!(
        told.contains("other.json and mine.json")
            && told.contains("ExecutionFailed(address,uint256,uint8)"),
        "{told}"
    );
    // Against the built-in one the file counts: it is about what is deployed.
    let layouts = Layouts::with(&[mine]).unwrap();
    let (topics, data) = log(swapped, &[number(1), number(8), number(2)]);
    let fields = layouts.read(&topics, &data).unwrap();
    assert_eq!(fields.short(Field::Reason), Some(8));
    assert!(
        layouts.notes()[0].contains("mine.json"),
        "{:?}",
        layouts.notes()
    );
}

#[test]
fn a_missing_event_or_field_is_named() {
    let told = refusal(&[file("p.json", &[FAILED])]);
    assert!(
        told.contains("ExecutionExecuted") && told.contains("p.json"),
        "{told}"
    );
    let nameless = "event ExecutionFailed(address indexed module, uint256 indexed id, uint8)";
    let told = refusal(&[file("p.json", &[EXECUTED, nameless])]);
    assert!(
        told.contains("ExecutionFailed of p.json") && told.contains("reason"),
        "{told}"
    );
    let text = "event ExecutionFailed(address indexed module, uint256 indexed id, string reason)";
    let told = refusal(&[file("p.json", &[EXECUTED, text])]);
    assert!(told.contains("reason"), "{told}");
    let told = refusal(&[file(
        "t.json",
        &["event Transfer(address from, address to, uint256 value)"],
    )]);
    assert!(
        told.contains("t.json") && told.contains("SubscriptionCreated"),
        "{told}"
    );
    // Two files together may be whole.
    Layouts::with(&[file("a.json", &[EXECUTED]), file("b.json", &[FAILED])]).unwrap();
}

#[test]
fn each_event_that_the_rules_need_is_missed_in_a_module_s_file() {
    let text = BUILT_IN[0].1;
    for row in WANTED.iter().filter(|row| row.contract == Contract::Module) {
        let abi: Vec<serde_json::Value> = {
            let file: serde_json::Value = serde_json::from_str(text).unwrap();
            let items = file["abi"].as_array().unwrap();
            let other = |item: &&serde_json::Value| item["name"] != row.name();
            items.iter().filter(other).cloned().collect()
        };
        let file = ("m.json".to_owned(), serde_json::to_string(&abi).unwrap());
        match row.need {
            Need::Always => assert!(refusal(&[file]).contains(row.name()), "{}", row.name()),
            Need::Optional => {
                let layouts = Layouts::with(&[file]).unwrap();
                assert!(layouts.notes()[0].contains(row.name()), "{}", row.name());
            }
        }
    }
}

#[test]
fn a_text_that_is_no_abi_is_refused_and_says_what_to_give() {
    for text in ["", "{}", "[{}]", "{\"abi\": 5}", "<html>", "[1]"] {
        let told = refusal(&[("x.json".to_owned(), text.to_owned())]);
        assert!(told.contains("x.json is not an ABI file"), "{text}: {told}");
    }
}

#[test]
fn an_abi_that_no_compiler_writes_is_refused_without_a_panic() {
    let input = r#"{"name": "a", "type": "uint8", "indexed": true}"#;
    let many = vec![input; 300].join(",");
    let huge = r#"{"name": "a", "type": "uint8[18446744073709551615][2]", "indexed": false}, {"name": "reason", "type": "uint8", "indexed": false}"#;
    for inputs in [many.as_str(), huge] {
        let text = format!(
            r#"[{{"type": "event", "name": "ExecutionFailed", "inputs": [{inputs}], "anonymous": false}}]"#
        );
        let told = refusal(&[("x.json".to_owned(), text)]);
        assert!(told.contains("x.json"), "{told}");
    }
}

#[test]
fn plan_created_without_terms_is_made_up_for_by_get_plan() {
    let text: serde_json::Value = serde_json::from_str(BUILT_IN[0].1).unwrap();
    let mut abi: JsonAbi = serde_json::from_value(text["abi"].clone()).unwrap();
    let bare = Event::parse("event PlanCreated(uint256 indexed planId, address indexed merchant)");
    abi.events
        .insert("PlanCreated".to_owned(), vec![bare.unwrap()]);
    let with = |abi: &JsonAbi| {
        Layouts::with(&[("m.json".to_owned(), serde_json::to_string(abi).unwrap())])
    };
    let layouts = with(&abi).unwrap();
    assert!(
        layouts.notes()[0].contains("getPlan"),
        "{:?}",
        layouts.notes()
    );
    abi.functions.remove("getPlan");
    let told = with(&abi).unwrap_err().message;
    assert!(
        told.contains("PlanCreated of m.json") && told.contains("token"),
        "{told}"
    );
}

#[test]
fn a_likely_variant_of_a_followed_event_is_named_though_no_file_has_it() {
    let layouts = Layouts::built_in();
    for signature in [
        "SubscriptionPaused(uint256)",
        "SubscriptionCreated(uint256,address,uint256)",
        "ExecutionFailed(address,uint256,bytes32)",
        "ExecutionExecuted(address,uint256,address,address,uint256,address,uint64,uint256)",
        "PlanCreated(uint256,address,uint256,uint256,uint256)",
    ] {
        assert_eq!(layouts.name_of(&keccak256(signature)), Some(signature));
    }
    let transfer = keccak256("Transfer(address,address,uint256)");
    assert_eq!(layouts.name_of(&transfer), None);
    for (signature, words) in [
        ("Transfer(address,address,uint256)", "is not known"),
        (
            "SubscriptionPaused(uint256)",
            "probably SubscriptionPaused(uint256)",
        ),
        ("SubscriberBlocked(address)", "invalid values"),
        ("ModuleDeployed(address,uint256,address)", "no rule reads"),
    ] {
        let told = layouts.explain(&keccak256(signature));
        assert!(told.contains(words), "{told}");
    }
}

proptest! {
    #[test]
    fn no_log_makes_the_reading_panic(known in 0..13_usize, more in 0..5_usize, data in prop::collection::vec(any::<u8>(), 0..400)) {
        let layouts = Layouts::built_in();
        let topics: Vec<_> = [layouts.topics()[known]].into_iter().chain(vec![B256::repeat_byte(1); more]).collect();
        let _ = layouts.read(&topics, &data);
    }
}
