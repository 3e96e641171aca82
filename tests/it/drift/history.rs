//! A history with holes: payments that a node left out from the first start are found by a round of the contracts, mended, told
//! once, and the node is named.

use alloy::primitives::Address;
use amser_roles::domain::{Act, Drift, GateMatch};
use amser_roles::sandbox::amser_api::{Behaviour, LocalApi};
use amser_roles::sandbox::chain::{ChainOptions, LocalChain};
use serde_json::json;

use crate::support::following::{Following, config};
use crate::support::rpc_proxy::RpcProxy;
use crate::support::slash::until_answered;
use crate::support::stage::{Person, Setting, Stage, wait};

/// What the journal of the stage's server tells of drifts.
fn drifts(stage: &Stage) -> Vec<Drift> {
    let acts = stage.store.acts(stage.guild, 100).unwrap();
    let drift = acts.into_iter().filter_map(|entry| match entry.act {
        Act::Drift(drift) => Some(drift),
        _ => None,
    });
    drift.collect()
}

/// A stage whose service asks amser's API as well.
async fn stage_with_api() -> (Stage, LocalApi) {
    let chain = LocalChain::start(ChainOptions::default()).await.unwrap();
    let api = LocalApi::of_chain(&chain).await.unwrap();
    let setting = Setting {
        api_url: Some(api.base_url().to_owned()),
        ..Setting::default()
    };
    (Stage::build(chain, setting).await, api)
}

#[tokio::test]
async fn payments_that_a_node_left_out_from_the_first_start_are_found_mended_and_told_once() {
    let chain = LocalChain::start(ChainOptions::default()).await.unwrap();
    let proxy = RpcProxy::start(&chain).await;
    let setting = Setting {
        rpc_urls: vec![proxy.http_url()],
        ..Setting::default()
    };
    let mut stage = Stage::build(chain, setting).await;
    // Another server of another merchant's, which this is no business of.
    let (elsewhere, roles) =
        crate::support::stage::new_guild(&stage.discord, "Elsewhere", &["Other"]);
    let (module, plan) = crate::support::scene::new_module(&stage.chain, "another").await;
    stage.gate(elsewhere, module, &[plan], GateMatch::Any, &roles);
    let (ann, bob) = (stage.join("ann").await, stage.join("bob").await);
    for person in [ann, bob] {
        stage.chain.fund(person.wallet, 1_000).await.unwrap();
    }
    let subscribed = [
        stage
            .chain
            .subscribe(stage.module, ann.wallet, stage.plan)
            .await
            .unwrap(),
        stage
            .chain
            .subscribe(stage.module, bob.wallet, stage.plan)
            .await
            .unwrap(),
    ];
    let first = stage.chain.head().await.unwrap().number + 1;
    for subscription in subscribed {
        stage
            .chain
            .execute(stage.module, subscription)
            .await
            .unwrap();
    }
    let last = stage.chain.head().await.unwrap().number;
    // Deep below the blocks that are kept, which are looked at again after a start.
    stage.chain.mine(1_200).await.unwrap();
    proxy.set(|faults| faults.hidden = Some((first, last)));
    let follow = config(&stage.chain, &[proxy.http_url()], 0);
    let mut following = Following::start(follow, stage.store.clone(), [stage.module, module]);
    following.until_at_tip(&stage.chain, 0).await;
    following.stop().await.unwrap();
    // From now on the node tells all; what it had left out is not read again by itself.
    proxy.set(|faults| faults.hidden = None);
    stage.start();
    stage.until_role(ann, true).await;
    stage.until_role(bob, true).await;
    wait("it is told", || !drifts(&stage).is_empty()).await;
    let host = proxy.host();
    let told = drifts(&stage);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((told[0].events, told[0].wallets), (2, 2));
    assert!(host.starts_with(&told[0].rpc), "{host} is {}", told[0].rpc);
    let other = stage.store.acts(elsewhere, 100).unwrap();
    assert!(
        other
            .iter()
            .all(|entry| !matches!(entry.act, Act::Drift(_))),
        "{other:?}"
    );
    stage.stop().await;
}

#[tokio::test]
async fn a_whole_service_checks_its_members_against_amsers_api() {
    let (mut stage, api) = stage_with_api().await;
    let ann = stage.join("ann").await;
    stage.pay(ann).await;
    stage.start();
    let is_asked = |wallet: Address| {
        api.requests().iter().any(|one| {
            (one.question.wallet.0, one.question.plan.0) == (wallet, stage.plan)
                && one.status == 200
        })
    };
    wait("the API was asked about a member", || is_asked(ann.wallet)).await;
    // Whoever links a wallet is asked about soon; by then the answer to the one before is taken.
    let bob = stage.join("bob").await;
    wait("it was asked about another", || is_asked(bob.wallet)).await;
    stage.until_role(ann, true).await;
    assert_eq!(drifts(&stage), []);
    stage.stop().await;
    let mut kept = Vec::new();
    stage
        .store
        .for_each_check(|question, row| {
            kept.push(((question.wallet.0, question.plan.0), row));
        })
        .unwrap();
    let row = kept
        .iter()
        .find(|(asked, _)| *asked == (ann.wallet, stage.plan))
        .unwrap();
    assert!(row.1.api.unwrap().api_active);
    stage.assert_no_violations();
}

#[tokio::test]
async fn a_member_reads_in_why_what_amsers_api_said_beside_what_the_contract_says() {
    let (mut stage, api) = stage_with_api().await;
    stage.start();
    let (ann, _) = stage.subscriber("ann").await;
    let role = [("role", json!(stage.role.to_string()))];
    let why = async |person: Person, word: &str| {
        let place = (stage.guild, person.user);
        let said = |told: &str| {
            let mut lines = told.lines();
            let says = |line: &str| line.contains("amser's API, asked") && line.ends_with(word);
            lines.any(says)
        };
        until_answered(&stage.discord, place, ("why", &role), said).await
    };
    let told = why(ann, ": access").await;
    assert!(told.contains("You have **Subscriber**"), "{told}");
    // The chain decides: an API that denies takes nobody's role, and what it says is told.
    api.set(Behaviour::Denies);
    let (bob, _) = stage.subscriber("bob").await;
    let told = why(bob, ": no access").await;
    let contract = told.lines().find(|line| line.contains("Contract at block"));
    assert!(contract.unwrap().ends_with(": access"), "{told}");
    assert!(stage.has_role(bob));
    stage.assert_no_violations();
}
