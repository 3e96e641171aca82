//! Smart wallets are asked at the next node when one fails, and never at one of another chain.

use std::time::{Duration, Instant};

use alloy::primitives::Address;
use alloy::providers::Provider as _;
use alloy::signers::local::PrivateKeySigner;
use amser_roles::domain::{ChainStatus, Checkpoint, SignatureVerdict, Timestamp, Wallet};
use amser_roles::sandbox::chain::{ChainOptions, LocalChain, wallet};
use amser_roles::wallet::{Signatures, Timing};

use serde_json::{Value, json};
use tokio::sync::watch;

use super::contract_wallets::owned_wallet;
use super::visitor::sign;
use crate::support::following::config;
use crate::support::rpc_proxy::{Faults, Pending, RpcProxy};

const DEADLINE: Duration = Duration::from_secs(90);

/// As in production, but a busy machine's node does not count as one that hangs.
const PATIENT: Timing = Timing {
    patience: Duration::from_secs(60),
    next_after: Duration::from_secs(10),
    return_after: Duration::from_secs(60),
};

/// For nodes that do hang, which are not waited for as long as a question may take.
const HANGING: Timing = Timing {
    next_after: Duration::from_secs(3),
    ..PATIENT
};

/// For checks that are to end without a verdict.
const IMPATIENT: Timing = Timing {
    patience: Duration::from_secs(20),
    ..PATIENT
};

async fn local_chain(chain_id: u64) -> LocalChain {
    let options = ChainOptions {
        chain_id,
        ..ChainOptions::default()
    };
    LocalChain::start(options).await.unwrap()
}

/// Checks by these nodes, while nothing is known to be confirmed.
pub(super) fn over(chain: &LocalChain, urls: &[String]) -> Signatures {
    over_as_of(ChainStatus::default(), chain, urls, PATIENT)
}

/// Checks by these nodes, while the follower has seen this much.
fn over_as_of(
    status: ChainStatus,
    chain: &LocalChain,
    urls: &[String],
    timing: Timing,
) -> Signatures {
    let (_, followed) = watch::channel(status);
    Signatures::new(&config(chain, urls, 0), followed, timing)
}

/// What the check of this key's signature for this wallet says.
async fn check(
    signatures: &Signatures,
    smart: Address,
    key: &PrivateKeySigner,
) -> SignatureVerdict {
    let signature = sign(key, "hello");
    let checking = signatures.check(Wallet(smart), "hello", &signature);
    let checked = tokio::time::timeout(DEADLINE, checking).await;
    checked.expect("a check ends")
}

#[tokio::test]
async fn a_smart_wallet_is_asked_at_the_next_node_when_one_fails() {
    let chain = local_chain(31_337).await;
    let owner = wallet("owner");
    let smart = owned_wallet(&chain, owner.address()).await;
    for fault in [
        (|faults| faults.status = Some(500)) as fn(&mut Faults),
        |faults| faults.nulls = Some(("eth_call", 1)),
        |faults| (faults.too_many, faults.retry_after) = (1, 60),
        |faults| faults.never = Some(("eth_call", 1)),
    ] {
        let (first, second) = (RpcProxy::start(&chain).await, RpcProxy::start(&chain).await);
        let urls = [first.http_url(), second.http_url()];
        let signatures = over(&chain, &urls);
        let valid = SignatureVerdict::Valid;
        assert_eq!(check(&signatures, smart, &owner).await, valid);
        assert_eq!(second.calls_of("eth_call"), 0, "the first is preferred");
        first.set(fault);
        assert_eq!(check(&signatures, smart, &owner).await, valid);
        assert_eq!(first.calls_of("eth_call"), 2, "the fault was met");
        assert_eq!(second.calls_of("eth_call"), 1);
        // The one that failed is left alone.
        assert_eq!(
            check(&signatures, smart, &wallet("eve")).await,
            SignatureVerdict::RefusedByContract
        );
        assert_eq!(first.calls_of("eth_call"), 2);
    }
}

#[tokio::test]
async fn a_lost_connection_to_the_only_node_is_made_again_within_the_check() {
    let chain = local_chain(31_337).await;
    let owner = wallet("owner");
    let smart = owned_wallet(&chain, owner.address()).await;
    let node = RpcProxy::start(&chain).await;
    let nothing = ChainStatus::default();
    let signatures = over_as_of(nothing, &chain, &[node.ws_url()], IMPATIENT);
    let valid = SignatureVerdict::Valid;
    assert_eq!(check(&signatures, smart, &owner).await, valid);
    node.cut_websockets();
    assert_eq!(check(&signatures, smart, &owner).await, valid);
    assert_eq!(node.calls_of("eth_chainId"), 2, "it connected anew");
    node.set(|faults| faults.dead = true);
    node.cut_websockets();
    let unavailable = SignatureVerdict::Unavailable;
    assert_eq!(check(&signatures, smart, &owner).await, unavailable);
    node.set(|faults| faults.dead = false);
    assert_eq!(check(&signatures, smart, &owner).await, valid);
}

#[tokio::test]
async fn a_node_that_hangs_while_it_is_connected_to_does_not_keep_the_next_one_from_being_asked() {
    let chain = local_chain(31_337).await;
    let owner = wallet("owner");
    let smart = owned_wallet(&chain, owner.address()).await;
    let (first, second) = (RpcProxy::start(&chain).await, RpcProxy::start(&chain).await);
    first.set(|faults| faults.never = Some(("eth_chainId", u64::MAX)));
    let urls = [first.ws_url(), second.http_url()];
    let signatures = over_as_of(ChainStatus::default(), &chain, &urls, HANGING);
    let valid = SignatureVerdict::Valid;
    assert_eq!(check(&signatures, smart, &owner).await, valid);
    assert_eq!(first.calls_of("eth_chainId"), 1, "the fault was met");
    // Whoever comes next is not made to wait for the same node.
    assert_eq!(check(&signatures, smart, &owner).await, valid);
    assert_eq!(first.calls_of("eth_chainId"), 1);
}

#[tokio::test]
async fn a_node_that_came_to_another_chain_without_a_failure_is_not_believed() {
    let (chain, other) = tokio::join!(local_chain(31_337), local_chain(31_338));
    let (owner, eve) = (wallet("owner"), wallet("eve"));
    let smart = owned_wallet(&chain, owner.address()).await;
    assert_eq!(
        owned_wallet(&other, eve.address()).await,
        smart,
        "at the same address stands another's wallet"
    );
    let (first, second) = (RpcProxy::start(&chain).await, RpcProxy::start(&chain).await);
    let nothing = ChainStatus::default();
    let alone = over_as_of(nothing, &chain, &[first.http_url()], IMPATIENT);
    let both = over(&chain, &[first.http_url(), second.http_url()]);
    for signatures in [&alone, &both] {
        let verdict = check(signatures, smart, &owner).await;
        assert_eq!(verdict, SignatureVerdict::Valid);
    }
    first.point_at(&other);
    assert_eq!(
        check(&both, smart, &eve).await,
        SignatureVerdict::RefusedByContract
    );
    assert_eq!(second.calls_of("eth_call"), 1, "the other chain was met");
    assert_eq!(
        check(&alone, smart, &eve).await,
        SignatureVerdict::Unavailable
    );
}

#[tokio::test]
async fn the_last_of_three_nodes_is_asked_within_the_check_when_the_others_fail() {
    let chain = local_chain(31_337).await;
    let owner = wallet("owner");
    let smart = owned_wallet(&chain, owner.address()).await;
    let (first, second) = (RpcProxy::start(&chain).await, RpcProxy::start(&chain).await);
    let third = RpcProxy::start(&chain).await;
    // So slow that a schedule of retries would come back to the first before the third had its turn.
    for failing in [&first, &second] {
        failing.set(|faults| {
            faults.nulls = Some(("eth_call", u64::MAX));
            faults.slow = Some(("eth_call", Duration::from_millis(400)));
        });
    }
    let urls = [&first, &second, &third].map(RpcProxy::http_url);
    let signatures = over(&chain, &urls);
    let valid = SignatureVerdict::Valid;
    assert_eq!(check(&signatures, smart, &owner).await, valid);
    let calls = [&first, &second, &third].map(|node| node.calls_of("eth_call"));
    assert_eq!(calls, [1, 1, 1]);
}

/// Calls the chain itself.
async fn tell(chain: &LocalChain, method: &'static str, params: Value) -> Value {
    let told = chain.provider().raw_request(method.into(), params).await;
    told.unwrap()
}

/// What a follower at the chain's tip says.
async fn followed(chain: &LocalChain) -> ChainStatus {
    let tip = tell(chain, "eth_getBlockByNumber", json!(["latest", false])).await;
    let number = |key: &str| {
        let text = tip[key].as_str().unwrap();
        u64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap()
    };
    ChainStatus {
        confirmed: Some(Checkpoint {
            number: number("number"),
            hash: tip["hash"].as_str().unwrap().parse().unwrap(),
            timestamp: Timestamp(number("timestamp")),
        }),
        ..ChainStatus::default()
    }
}

#[tokio::test]
async fn a_node_that_lags_behind_the_followed_one_is_not_believed() {
    let (chain, stale) = tokio::join!(local_chain(31_337), local_chain(31_337));
    let (owner, former) = (wallet("owner"), wallet("former owner"));
    let smart = owned_wallet(&chain, owner.address()).await;
    assert_eq!(owned_wallet(&stale, former.address()).await, smart);
    // Two seconds each.
    tell(&chain, "anvil_mine", json!([100])).await;
    let (first, second) = (RpcProxy::start(&chain).await, RpcProxy::start(&stale).await);
    let urls = [first.http_url(), second.http_url()];
    let signatures = over_as_of(followed(&chain).await, &chain, &urls, IMPATIENT);
    first.set(|faults| faults.status = Some(500));
    let unavailable = SignatureVerdict::Unavailable;
    assert_eq!(check(&signatures, smart, &former).await, unavailable);
    assert!(second.calls_of("eth_call") > 0, "the stale one was asked");
    first.set(|faults| faults.status = None);
    let refused = SignatureVerdict::RefusedByContract;
    assert_eq!(check(&signatures, smart, &former).await, refused);
    let valid = SignatureVerdict::Valid;
    assert_eq!(check(&signatures, smart, &owner).await, valid);
}

#[tokio::test]
async fn a_preferred_node_that_works_again_is_gone_back_to_while_the_other_is_asked() {
    let chain = local_chain(31_337).await;
    let owner = wallet("owner");
    let smart = owned_wallet(&chain, owner.address()).await;
    let (first, second) = (RpcProxy::start(&chain).await, RpcProxy::start(&chain).await);
    let urls = [first.http_url(), second.http_url()];
    let at_once = Timing {
        return_after: Duration::ZERO,
        ..PATIENT
    };
    let signatures = over_as_of(followed(&chain).await, &chain, &urls, at_once);
    let valid = SignatureVerdict::Valid;
    first.set(|faults| faults.status = Some(500));
    assert_eq!(check(&signatures, smart, &owner).await, valid);
    assert_eq!(second.calls_of("eth_call"), 1, "the fault was met");
    first.set(|faults| faults.status = None);
    let deadline = Instant::now() + DEADLINE;
    while first.calls_of("eth_call") == 0 {
        assert!(Instant::now() < deadline, "it is never gone back to");
        assert_eq!(check(&signatures, smart, &owner).await, valid);
    }
    let asked = second.calls_of("eth_call");
    assert_eq!(check(&signatures, smart, &owner).await, valid);
    assert_eq!(second.calls_of("eth_call"), asked);
}

#[tokio::test]
async fn a_node_that_hangs_leaves_the_rest_of_the_patience_to_the_others() {
    let chain = local_chain(31_337).await;
    let owner = wallet("owner");
    let smart = owned_wallet(&chain, owner.address()).await;
    let (first, second) = (RpcProxy::start(&chain).await, RpcProxy::start(&chain).await);
    let third = RpcProxy::start(&chain).await;
    for hanging in [&first, &second] {
        hanging.set(|faults| faults.never = Some(("eth_call", u64::MAX)));
    }
    let urls = [&first, &second, &third].map(RpcProxy::http_url);
    let signatures = over_as_of(ChainStatus::default(), &chain, &urls, HANGING);
    let valid = SignatureVerdict::Valid;
    assert_eq!(check(&signatures, smart, &owner).await, valid);
    let calls = [&first, &second, &third].map(|node| node.calls_of("eth_call"));
    assert_eq!(calls, [1, 1, 1]);
    // Many at once, none of which waits for those that hang.
    let checks = (0..20).map(|_| check(&signatures, smart, &owner));
    for verdict in futures_util::future::join_all(checks).await {
        assert_eq!(verdict, valid);
    }
    assert_eq!(first.calls_of("eth_call"), 1);
}

#[tokio::test]
async fn a_url_whose_nodes_lag_in_turn_is_asked_until_one_has_caught_up() {
    let chain = local_chain(31_337).await;
    let owner = wallet("owner");
    let smart = owned_wallet(&chain, owner.address()).await;
    tell(&chain, "anvil_mine", json!([5])).await;
    let node = RpcProxy::start(&chain).await;
    node.set(|faults| faults.stale_calls = (3, 3));
    let status = followed(&chain).await;
    let signatures = over_as_of(status, &chain, &[node.http_url()], PATIENT);
    let valid = SignatureVerdict::Valid;
    assert_eq!(check(&signatures, smart, &owner).await, valid);
    assert_eq!(node.calls_of("eth_call"), 4, "it was asked again");
    assert_eq!(
        node.calls_of("eth_chainId"),
        1,
        "a node that lags keeps its connection"
    );
}

#[tokio::test]
async fn a_wallet_that_was_deployed_in_the_newest_block_is_asked_where_it_stands() {
    let chain = local_chain(31_337).await;
    let owner = wallet("owner");
    let before = followed(&chain).await;
    let smart = owned_wallet(&chain, owner.address()).await;
    let node = RpcProxy::start(&chain).await;
    node.set(|faults| faults.stale_calls = (1, 2));
    // Confirmed is only the block before, which a node that lags does have.
    let status = ChainStatus {
        head: followed(&chain).await.confirmed,
        ..before
    };
    let signatures = over_as_of(status, &chain, &[node.http_url()], PATIENT);
    let valid = SignatureVerdict::Valid;
    assert_eq!(check(&signatures, smart, &owner).await, valid);
    assert_eq!(node.calls_of("eth_call"), 3);
}

#[tokio::test]
async fn nodes_that_refuse_or_delay_the_pending_block_are_asked_at_the_newest() {
    let chain = local_chain(31_337).await;
    let owner = wallet("owner");
    let smart = owned_wallet(&chain, owner.address()).await;
    tell(&chain, "anvil_mine", json!([5])).await;
    for pending in [Pending::Refused, Pending::Behind(4)] {
        let node = RpcProxy::start(&chain).await;
        node.set(|faults| faults.pending = Some(pending));
        let status = followed(&chain).await;
        let signatures = over_as_of(status, &chain, &[node.http_url()], IMPATIENT);
        let valid = SignatureVerdict::Valid;
        assert_eq!(
            check(&signatures, smart, &owner).await,
            valid,
            "{pending:?}"
        );
        assert_eq!(node.calls_of("eth_call"), 1, "{pending:?}");
    }
}
