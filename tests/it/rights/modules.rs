//! The merchant's wallet, the modules that are its, and their plans.

use std::time::Duration;

use alloy::primitives::{Address, U256};
use amser_roles::domain::{ModuleAddress, PlanId, UserId, Wallet};
use amser_roles::merchants::Refusal;
use amser_roles::sandbox::chain::{ChainOptions, LocalChain, wallet};
use serde_json::json;

use crate::support::following::config;
use crate::support::plan_names::PlanNames;
use crate::support::rig::{DEADLINE, Rig, Setup, until};
use crate::support::scene::{TERMS, new_module};

const ANNE: UserId = UserId(101);
const BOB: UserId = UserId(102);

fn setup(chain: &LocalChain) -> Setup {
    Setup {
        chain: config(chain, &[chain.ws_url()], 0),
        factory: Some(chain.factory),
        ..Setup::default()
    }
}

async fn start(setup: Setup) -> Rig {
    let mut rig = Rig::start_with(setup).await;
    let at_tip = rig.chain.wait_for(|status| status.at_tip);
    let at_tip = tokio::time::timeout(DEADLINE, at_tip).await;
    at_tip.expect("at the tip in time").unwrap();
    rig
}

/// What a signature would be: the pages check it.
fn proof() -> (String, Vec<u8>) {
    ("text".to_owned(), vec![1])
}

async fn show(rig: &Rig, user: UserId, wallet: Address) -> Vec<ModuleAddress> {
    let shown = rig.merchants.set_wallet(user, Wallet(wallet), proof());
    shown.await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_finds_its_module_by_the_factory_and_no_other() {
    let chain = LocalChain::start(ChainOptions::default()).await.unwrap();
    let (module, _) = new_module(&chain, "anne").await;
    let (foreign, _) = new_module(&chain, "bob").await;
    let rig = start(setup(&chain)).await;
    assert!(rig.merchants.modules(ANNE).await.unwrap().is_empty());
    let refusal = rig.merchants.owns(ANNE, ModuleAddress(module)).await;
    assert!(matches!(refusal, Err(Refusal::NoWallet)));
    let own = show(&rig, ANNE, wallet("anne").address()).await;
    assert_eq!(own, [ModuleAddress(module)]);
    assert_eq!(
        rig.merchants.wallet(ANNE).await.unwrap(),
        Some(Wallet(wallet("anne").address()))
    );
    rig.merchants
        .owns(ANNE, ModuleAddress(module))
        .await
        .unwrap();
    for not_hers in [foreign, chain.token, Address::repeat_byte(7)] {
        let refusal = rig.merchants.owns(ANNE, ModuleAddress(not_hers)).await;
        let refusal = refusal.unwrap_err();
        assert_eq!(
            (refusal.status(), refusal.code()),
            (422, "foreign_module"),
            "{not_hers}"
        );
    }
    // The module is followed before it has a gate.
    until("its events are read", async || {
        let complete = rig.store.complete_modules().unwrap();
        complete == [ModuleAddress(module)].into()
    })
    .await;
    // With another wallet the first one's modules are not hers any more.
    let own = show(&rig, ANNE, wallet("nobody").address()).await;
    assert!(own.is_empty());
    let refusal = rig.merchants.owns(ANNE, ModuleAddress(module)).await;
    assert!(matches!(refusal, Err(Refusal::ForeignModule)));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_factory_a_pasted_module_is_checked_and_kept() {
    let chain = LocalChain::start(ChainOptions::default()).await.unwrap();
    let (module, _) = new_module(&chain, "anne").await;
    let setup = Setup {
        factory: None,
        ..setup(&chain)
    };
    let rig = start(setup).await;
    assert!(show(&rig, ANNE, wallet("anne").address()).await.is_empty());
    rig.merchants
        .owns(ANNE, ModuleAddress(module))
        .await
        .unwrap();
    assert_eq!(
        rig.merchants.modules(ANNE).await.unwrap(),
        [ModuleAddress(module)]
    );
    // Two people of one team may show the same wallet; others see nothing of it.
    let team = show(&rig, BOB, wallet("anne").address()).await;
    assert_eq!(team, [ModuleAddress(module)]);
    let stranger = show(&rig, UserId(103), wallet("eve").address()).await;
    assert!(stranger.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn while_no_node_answers_only_what_is_known_is_said() {
    let chain = LocalChain::start(ChainOptions::default()).await.unwrap();
    let (module, _) = new_module(&chain, "anne").await;
    let (other, _) = new_module(&chain, "bob").await;
    let rig = start(setup(&chain)).await;
    show(&rig, ANNE, wallet("anne").address()).await;
    drop(chain);
    let known = rig.merchants.owns(ANNE, ModuleAddress(module)).await;
    known.unwrap();
    let unknown = rig.merchants.owns(ANNE, ModuleAddress(other)).await;
    let refusal = unknown.unwrap_err();
    assert_eq!(
        (refusal.status(), refusal.code()),
        (503, "node_unavailable")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn plans_are_the_chains_and_named_by_amsers_api() {
    let chain = LocalChain::start(ChainOptions::default()).await.unwrap();
    let (module, first) = new_module(&chain, "anne").await;
    let second = chain.create_plan(module, TERMS).await.unwrap();
    chain.set_plan_active(module, second, false).await.unwrap();
    let (names, api) = PlanNames::start(Some("amsr_test_key")).await;
    let named = json!({ "data": [
        { "plan_id_on_chain": first.to_string(), "name": "Gold", "price": "1", "token_decimals": 18, "token_symbol": "EVIL" },
        { "plan_id_on_chain": "99", "name": "Not on the chain" },
    ] });
    names.set(module, named);
    let setup = Setup {
        api,
        ..setup(&chain)
    };
    let rig = start(setup).await;
    let module = ModuleAddress(module);
    // At once, though none of its events is read yet.
    let rows = rig.merchants.plans(&[module]).await.unwrap();
    let told: Vec<_> = rows
        .iter()
        .map(|row| (row.plan, row.name.as_str(), row.active))
        .collect();
    let second_name = format!("Plan {second}");
    assert_eq!(
        told,
        [
            (PlanId(first), "Gold", true),
            (PlanId(second), second_name.as_str(), false)
        ]
    );
    let gold = &rows[0];
    assert_eq!(
        (gold.price, gold.interval),
        (U256::from(TERMS.price), TERMS.interval)
    );
    // The token's own word on how prices are written.
    assert_eq!(
        (gold.decimals, gold.symbol.as_deref()),
        (Some(6), Some("TUSD"))
    );
    show(&rig, ANNE, wallet("anne").address()).await;
    until("its events are read", async || {
        rig.store.complete_modules().unwrap().contains(&module)
    })
    .await;
    assert_eq!(rig.merchants.plans(&[module]).await.unwrap(), rows);
    let asked = names.asked();
    assert_eq!(asked.len(), 1, "an answer is kept for a while");
    assert_eq!(
        asked[0].authorization.as_deref(),
        Some("Bearer amsr_test_key")
    );
    assert_eq!(asked[0].chain_id.as_deref(), Some("31337"));
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_come_too_late_hold_up_no_terms_and_are_there_the_next_time() {
    let chain = LocalChain::start(ChainOptions::default()).await.unwrap();
    let (module, plan) = new_module(&chain, "anne").await;
    chain.set_plan_active(module, plan, false).await.unwrap();
    let (names, api) = PlanNames::start(None).await;
    let gold = json!([{ "plan_id_on_chain": plan.to_string(), "name": "Gold" }]);
    names.set(module, gold);
    names.set_held(true);
    let setup = Setup {
        api,
        ..setup(&chain)
    };
    let rig = start(setup).await;
    show(&rig, ANNE, wallet("anne").address()).await;
    let module = ModuleAddress(module);
    until("its events are read", async || {
        rig.store.complete_modules().unwrap().contains(&module)
    })
    .await;
    let within = Duration::from_millis(200);
    let rows = rig.merchants.plans_within(&[module], within).await;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].name, format!("Plan {plan}"));
    assert_eq!(
        (rows[0].price, rows[0].active),
        (U256::from(TERMS.price), false)
    );
    names.set_held(false);
    until("the name is there", async || {
        let rows = rig.merchants.plans_within(&[module], within).await;
        rows[0].name == "Gold" && rows[0].decimals == Some(6)
    })
    .await;
    assert_eq!(names.asked().len(), 1, "who asked first was answered to");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_fails_costs_the_names_alone_and_is_left_alone_for_a_while() {
    let chain = LocalChain::start(ChainOptions::default()).await.unwrap();
    let (module, plan) = new_module(&chain, "anne").await;
    let (names, api) = PlanNames::start(None).await;
    names.set_down(true);
    let setup = Setup {
        api,
        ..setup(&chain)
    };
    let rig = start(setup).await;
    for _ in 0..3 {
        let rows = rig.merchants.plans(&[ModuleAddress(module)]).await.unwrap();
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].name, format!("Plan {plan}"));
    }
    assert_eq!(names.asked().len(), 1);
}
