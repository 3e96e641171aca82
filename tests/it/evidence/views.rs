//! What a contract itself says of access, and what happens when it contradicts the events that a node told.

use alloy::primitives::{Address, U256};
use alloy::providers::Provider as _;
use amser_roles::abi::Multicall3;
use amser_roles::domain::{ActiveAnswer, ActiveQuestion, ModuleAddress, PlanId, Wallet};
use amser_roles::sandbox::chain::{LocalChain, wallet};
use amser_roles::views::MULTICALL;

use super::{Warnings, follow};
use crate::support::following::Following;
use crate::support::rpc_proxy::RpcProxy;
use crate::support::scene::Scene;
use crate::support::stage::wait;

/// Puts Multicall3 where it is on public chains.
async fn add_multicall(chain: &LocalChain) {
    let code = Multicall3::DEPLOYED_BYTECODE.clone();
    let set: () = chain
        .provider()
        .raw_request("anvil_setCode".into(), (MULTICALL, code))
        .await
        .unwrap();
    set
}

/// Whether the scene's member of this number has access to its plan.
fn question(scene: &Scene, member: &str) -> ActiveQuestion {
    ActiveQuestion {
        module: ModuleAddress(scene.module),
        wallet: Wallet(wallet(member).address()),
        plan: PlanId(scene.plan),
    }
}

#[tokio::test]
async fn the_contract_says_who_has_access_at_the_newest_confirmed_block() {
    let mut scene = Scene::new().await;
    let first = scene.pay().await;
    scene.pay().await;
    let proxy = RpcProxy::start(&scene.chain).await;
    for (url, has_multicall) in [
        (proxy.http_url(), false),
        (proxy.ws_url(), false),
        (proxy.http_url(), true),
        (proxy.ws_url(), true),
    ] {
        if has_multicall {
            add_multicall(&scene.chain).await;
        }
        scene.pay().await;
        let mut following = follow(&scene, &[url]);
        let confirmed = following.until_at_tip(&scene.chain, 0).await;
        let no_module = |address: Address| ActiveQuestion {
            module: ModuleAddress(address),
            ..question(&scene, "member 1")
        };
        let questions = [
            question(&scene, "member 1"),
            question(&scene, "member 2"),
            question(&scene, "a stranger"),
            no_module(scene.chain.processor),
            no_module(Address::repeat_byte(9)),
        ];
        let before = proxy.calls_of("eth_call");
        let (block, answers) = following.views.are_active(&questions).await;
        let calls = proxy.calls_of("eth_call") - before;
        assert_eq!(block, confirmed);
        assert_eq!(
            answers[..4],
            [
                ActiveAnswer::Active,
                ActiveAnswer::Active,
                ActiveAnswer::Inactive,
                ActiveAnswer::NoView,
            ]
        );
        let nobody = matches!(&answers[4], ActiveAnswer::Unknown(why) if why.contains("0 bytes"));
        assert!(nobody, "{:?}", answers[4]);
        // The one that refused is asked once more by itself.
        assert_eq!(calls, if has_multicall { 2 } else { 6 });
        following.stop().await.unwrap();
    }
    // The block decides, not the moment.
    let mut following = follow(&scene, &[proxy.http_url()]);
    following.until_at_tip(&scene.chain, 0).await;
    scene.chain.let_lapse(scene.module, first).await.unwrap();
    following.until_at_tip(&scene.chain, 0).await;
    let asked = [question(&scene, "member 1")];
    let (_, answers) = following.views.are_active(&asked).await;
    assert_eq!(answers, [ActiveAnswer::Inactive]);
}

/// Followers of a chain on which the first member has paid for a second time, which the first of these nodes hides.
async fn with_a_hidden_payment(nodes: usize) -> (Scene, Vec<RpcProxy>, Following) {
    let mut scene = Scene::new().await;
    let first = scene.pay().await;
    let mut proxies = Vec::new();
    for _ in 0..nodes {
        proxies.push(RpcProxy::start(&scene.chain).await);
    }
    let urls: Vec<_> = proxies.iter().map(RpcProxy::http_url).collect();
    let mut following = follow(&scene, &urls);
    following
        .assert_equals_chain(&scene.chain, 0, &[scene.module])
        .await;
    let next = scene.chain.head().await.unwrap().number + 1;
    proxies[0].set(|faults| faults.hidden = Some((next, u64::MAX)));
    let paid = scene.chain.pay_when_due(scene.module, first);
    paid.await.unwrap();
    scene.chain.advance_time(1_000).await.unwrap();
    following.until_at_tip(&scene.chain, 0).await;
    let asked = [question(&scene, "member 1")];
    let (_, answers) = following.views.are_active(&asked).await;
    assert_eq!(answers, [ActiveAnswer::Active]);
    assert_eq!(
        paid_at(&following, first),
        1,
        "the second payment is hidden"
    );
    (scene, proxies, following)
}

/// How many payments of a subscription are stored.
fn paid_at(following: &Following, subscription: U256) -> usize {
    let is_payment = |event: &amser_roles::domain::ChainEvent| match event.kind {
        amser_roles::domain::EventKind::ExecutionExecuted {
            subscription: of, ..
        } => of.0 == subscription,
        _ => false,
    };
    let events = following.events();
    events.iter().filter(|event| is_payment(event)).count()
}

#[tokio::test]
async fn a_payment_that_the_contract_knows_of_is_taken_from_another_node() {
    let warnings = Warnings::listen();
    let (scene, _proxies, mut following) = with_a_hidden_payment(2).await;
    following.views.doubts().raise(question(&scene, "member 1"));
    following
        .eventually_equals_chain(&scene.chain, 0, &[scene.module])
        .await;
    let said = || warnings.with("left events out");
    wait("it was said", || !said().is_empty()).await;
    assert_eq!(said().len(), 1);
    assert_eq!(following.status.borrow().disagreements, 1);
}

#[tokio::test]
async fn a_payment_that_no_node_tells_of_is_looked_for_once_and_said_once() {
    let warnings = Warnings::listen();
    let (scene, proxies, following) = with_a_hidden_payment(1).await;
    let asked = question(&scene, "member 1");
    following.views.doubts().raise(asked);
    let said = || warnings.with("no node tells of a payment");
    wait("it was said", || !said().is_empty()).await;
    let ranges = proxies[0].faults().ranges;
    for _ in 0..100 {
        following.views.doubts().raise(asked);
    }
    super::two_looks(&proxies[0]).await;
    // The second looks alone.
    assert!(proxies[0].faults().ranges <= ranges + 6);
    assert_eq!(said().len(), 1);
    assert_eq!(following.status.borrow().disagreements, 1);
}
