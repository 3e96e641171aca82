//! Faults of nodes, modules, the store and the disk.

use alloy::primitives::{Address, B256, U256};

use super::*;
use crate::abi::PlanAnswerError;
use crate::doctor::facts::{NodeTrouble, PlanTrouble};

fn answers(facts: &mut Facts, node: usize) -> &mut NodeAnswers {
    facts.chain.nodes[node].answers.as_mut().unwrap()
}

fn contract(facts: &mut Facts) -> &mut ContractFacts {
    facts.modules[0].contract.as_mut().unwrap()
}

fn stored(facts: &mut Facts) -> &mut StoredModule {
    facts.modules[0].stored.as_mut().unwrap()
}

const NODES: &[Fault] = &[
    ("node.chain_id", Level::Failure, |facts| {
        facts.chain.nodes[1].answers = Err(NodeTrouble::OtherChain(1));
    }),
    ("node.reach", Level::Warning, |facts| {
        facts.chain.nodes[0].answers = Err(NodeTrouble::Unusable("HTTP 502".to_owned()));
    }),
    ("node.reach", Level::Failure, |facts| {
        facts.chain.nodes.truncate(1);
        facts.chain.nodes[0].answers = Err(NodeTrouble::Unusable("HTTP 502".to_owned()));
        facts.modules[0].contract = Err("no node answers".to_owned());
    }),
    ("node.head", Level::Failure, |facts| {
        answers(facts, 0).head.timestamp = Timestamp(NOW - 3_600);
    }),
    ("node.head", Level::Failure, |facts| {
        answers(facts, 1).head.timestamp = Timestamp(NOW + 3_600);
    }),
    ("node.same_chain", Level::Failure, |facts| {
        answers(facts, 1).compared.as_mut().unwrap().hash = B256::repeat_byte(9);
    }),
    ("node.same_chain", Level::Warning, |facts| {
        answers(facts, 1).compared = None;
    }),
    ("node.stored_chain", Level::Failure, |facts| {
        answers(facts, 1).at_cursor = Some(B256::repeat_byte(9));
    }),
    ("node.old_logs", Level::Failure, |facts| {
        answers(facts, 0).old_logs = OldLogs::Lost(20_000_000);
    }),
    ("node.old_logs", Level::Warning, |facts| {
        answers(facts, 0).old_logs = OldLogs::Unknown("pruned".to_owned());
    }),
    ("node.old_state", Level::Warning, |facts| {
        answers(facts, 0).state_depth = Some(128);
    }),
    ("chain.confirmations", Level::Warning, |facts| {
        facts.chain.confirmations = 5_000;
    }),
    ("chain.start_block", Level::Failure, |facts| {
        facts.chain.start_block = Some(answers(facts, 0).head.number + 1);
    }),
    ("chain.factory", Level::Failure, |facts| {
        facts.chain.factory = Some((TOKEN, Ok(false)));
    }),
    ("chain.factory", Level::Warning, |facts| {
        facts.chain.factory = Some((TOKEN, Err("timed out".to_owned())));
    }),
    ("node.range", Level::Warning, |facts| {
        answers(facts, 0).widest_range = Ok(100);
    }),
    ("node.range", Level::Failure, |facts| {
        answers(facts, 0).widest_range = Err("method not allowed".to_owned());
    }),
    ("node.rate", Level::Warning, |facts| {
        answers(facts, 0).refused_at_once = 7;
    }),
    ("chain.confirmations", Level::Warning, |facts| {
        facts.chain.confirmations = 0;
    }),
];

const MODULES: &[Fault] = &[
    ("module.reach", Level::Failure, |facts| {
        facts.modules[0].contract = Err("first.example: it did not answer".to_owned());
    }),
    ("module.reach", Level::Warning, |facts| {
        facts.modules_left_out = 3;
    }),
    ("module.code", Level::Failure, |facts| {
        contract(facts).has_code = false;
    }),
    ("module.merchant", Level::Failure, |facts| {
        contract(facts).merchant = None;
    }),
    ("module.processor", Level::Failure, |facts| {
        contract(facts).processor = None;
    }),
    ("module.processor", Level::Failure, |facts| {
        contract(facts).processor_has_code = false;
    }),
    ("module.processor", Level::Warning, |facts| {
        stored(facts).processor = Address::repeat_byte(1);
    }),
    ("module.plan", Level::Failure, |facts| {
        facts.modules[0].gated = [PlanId::from(7)].into();
        contract(facts)
            .plans
            .insert(PlanId::from(7), Err(PlanTrouble::Missing));
    }),
    ("module.abi", Level::Failure, |facts| {
        let shape = PlanTrouble::Shape(PlanAnswerError::OtherShape);
        contract(facts).plans.insert(plan_id(), Err(shape));
    }),
    ("module.abi", Level::Failure, |facts| {
        let read = Plan {
            price: U256::from(2_592_000),
            ..plan()
        };
        contract(facts).plans.insert(plan_id(), Ok(read));
        facts.api.plans.clear();
    }),
    ("module.token", Level::Failure, |facts| {
        contract(facts).codeless_tokens.insert(TOKEN);
    }),
    ("module.is_active", Level::Warning, |facts| {
        contract(facts).has_is_active = false;
    }),
    ("module.events", Level::Warning, |facts| {
        let event = "this is probably SubscriptionCreated".to_owned();
        contract(facts).unknown_events.insert(event);
    }),
    ("module.api_terms", Level::Warning, |facts| {
        let told = facts.api.plans.get_mut(&(MODULE, plan_id())).unwrap();
        told.price = Some("4.99".to_owned());
    }),
    ("module.api_terms", Level::Warning, |facts| {
        let told = facts.api.plans.get_mut(&(MODULE, plan_id())).unwrap();
        told.interval = Some("86400".to_owned());
    }),
    ("module.history", Level::Failure, |facts| {
        stored(facts).has_events = false;
        stored(facts).created.clear();
    }),
];

const STORE: &[Fault] = &[
    ("store.open", Level::Failure, |facts| {
        facts.store.state = StoreState::Unusable("the store is damaged".to_owned());
        facts.store.cursor = None;
    }),
    ("store.health", Level::Failure, |facts| {
        facts.store.rows.damaged.insert("links_v1".to_owned(), 2);
    }),
    ("store.health", Level::Warning, |facts| {
        facts.store.pages = Some(Pages::Repaired);
    }),
    ("store.orphans", Level::Failure, |facts| {
        facts.store.orphans = 3;
    }),
    ("store.unknown_logs", Level::Warning, |facts| {
        facts.store.unknown.push((5, "0xaa: not known".to_owned()));
    }),
    ("store.backup", Level::Warning, |facts| {
        facts.store.last_backup = None;
    }),
    ("store.backup", Level::Warning, |facts| {
        facts.store.last_backup = Some(Timestamp(NOW - 700_000));
    }),
    ("disk.space", Level::Warning, |facts| {
        facts.files.space = Ok(500 << 20);
    }),
    ("disk.space", Level::Failure, |facts| {
        facts.files.space = Ok(1 << 20);
    }),
    ("disk.kind", Level::Warning, |facts| {
        facts.files.network = Some("NFS");
    }),
    ("disk.writable", Level::Failure, |facts| {
        facts.files.is_writable = false;
    }),
    ("files.mode", Level::Warning, |facts| {
        facts.files.private[0].1 = 0o644;
    }),
    ("files.config", Level::Warning, |facts| {
        facts.files.config_with_key = Some(("/etc/roles/config.toml".into(), 0o644));
    }),
    ("files.cookie_key", Level::Failure, |facts| {
        facts.files.cookie_key = Err("store.cookie-key: must be 128 characters".to_owned());
    }),
];

#[test]
fn faults_of_nodes_are_found_by_name_and_nothing_else_is() {
    assert_found(healthy, NODES);
}

#[test]
fn faults_of_modules_are_found_by_name_and_nothing_else_is() {
    assert_found(healthy, MODULES);
}

#[test]
fn faults_of_the_store_and_the_disk_are_found_by_name_and_nothing_else_is() {
    assert_found(healthy, STORE);
}

#[test]
fn a_processor_in_the_place_of_a_module_is_recognised() {
    let mut facts = healthy();
    let mut processor = module();
    processor.module = ModuleAddress(PROCESSOR);
    let contract = processor.contract.as_mut().unwrap();
    contract.merchant = None;
    facts.modules.push(processor);
    let findings = all(&facts);
    let found = findings
        .iter()
        .find(|finding| finding.level != Level::Ok)
        .unwrap();
    assert!(found.sentence.contains("payment processor"), "{found:?}");
}

#[test]
fn terms_that_the_api_does_not_tell_are_said_not_to_be_compared() {
    let mut facts = healthy();
    facts.api.plans.clear();
    assert_eq!(found(&facts), []);
    let findings = all(&facts);
    let mut terms = findings
        .iter()
        .filter(|finding| finding.name == "module.api_terms");
    let sentence = &terms.next().unwrap().sentence;
    assert!(sentence.ends_with("were not compared"), "{sentence}");
}

#[test]
fn on_the_local_chain_old_blocks_and_missing_confirmations_are_no_fault() {
    let mut facts = healthy();
    facts.chain.chain_id = 31_337;
    facts.api.key = None;
    facts.chain.confirmations = 0;
    answers(&mut facts, 0).head.timestamp = Timestamp(1);
    assert_eq!(found(&facts), []);
}

#[test]
fn a_node_that_replaced_the_newest_blocks_is_no_other_chain() {
    let mut facts = healthy();
    facts.store.cursor = Some(block(29_999_999, 4));
    answers(&mut facts, 0).at_cursor = Some(B256::repeat_byte(9));
    answers(&mut facts, 1).at_cursor = Some(block(29_999_999, 4).hash);
    assert_eq!(found(&facts), []);
}
