//! Wallets and chains that are rare: each gets a verdict, and the page a sentence, that is true of it.

use alloy::primitives::{Address, Bytes, U256, hex};
use alloy::providers::{Provider as _, RootProvider};
use alloy::signers::local::PrivateKeySigner;
use alloy::sol;
use alloy_sol_types::SolConstructor as _;
use amser_roles::domain::{SignatureVerdict, Wallet};
use amser_roles::sandbox::chain::{ChainOptions, LocalChain, wallet};
use serde_json::json;

use super::contract_wallets::{deploy, local_chain, owned_wallet, undeployed, wrap};
use super::failover::over;
use super::site::{Setup, start, verdict};
use super::visitor::{code, sign};
use crate::support::rpc_proxy::RpcProxy;

sol!(BadWallet, "abi/BadWallet.json");

/// The ways of a `BadWallet`.
const BURNS_GAS: u8 = 2;
const ECHOES_THE_QUESTION: u8 = 7;
const MAGIC_AND_MORE: u8 = 8;

const HELLO: &str = "hello";

async fn bad_wallet(chain: &LocalChain, way: u8) -> Address {
    let arguments = BadWallet::constructorCall { way_: way }.abi_encode();
    deploy(chain, &BadWallet::BYTECODE, arguments).await
}

/// Lets the contract act for the key's account (EIP-7702).
async fn delegate(chain: &LocalChain, account: Address, contract: Address) {
    let designator = Bytes::from([&hex!("ef0100")[..], contract.as_slice()].concat());
    let told = chain
        .provider()
        .raw_request::<_, ()>("anvil_setCode".into(), json!([account, designator]));
    told.await.unwrap();
}

/// A key's signature as ERC-8010 wraps it; what the context holds does not matter.
fn pre_delegated(key: &PrivateKeySigner, message: &str) -> Vec<u8> {
    let mut bytes = sign(key, message);
    bytes.extend([7; 320]);
    bytes.extend(U256::from(320).to_be_bytes::<32>());
    bytes.extend(hex!("80108010801080108010801080108010").repeat(2));
    bytes
}

#[tokio::test]
async fn the_answer_of_a_contract_is_compared_as_a_whole_word() {
    let chain = local_chain().await;
    for way in [ECHOES_THE_QUESTION, MAGIC_AND_MORE] {
        let bad = bad_wallet(&chain, way).await;
        for signature in [sign(&wallet("eve"), HELLO), Vec::new()] {
            let judged = verdict(chain.provider(), bad, HELLO, &signature).await;
            assert_eq!(judged, SignatureVerdict::RefusedByContract, "{way}");
        }
    }
}

#[tokio::test]
async fn smart_wallets_are_checked_on_an_evm_before_cancun() {
    let options = ChainOptions {
        hardfork: Some("shanghai"),
        ..ChainOptions::default()
    };
    let chain = LocalChain::start(options).await.unwrap();
    let (owner, eve) = (wallet("owner"), wallet("eve"));
    let smart = owned_wallet(&chain, owner.address()).await;
    let judge = async |address, key: &PrivateKeySigner| {
        verdict(chain.provider(), address, HELLO, &sign(key, HELLO)).await
    };
    assert_eq!(judge(smart, &owner).await, SignatureVerdict::Valid);
    let refused = SignatureVerdict::RefusedByContract;
    assert_eq!(judge(smart, &eve).await, refused);
    let other_key = SignatureVerdict::OtherKey;
    assert_eq!(judge(owner.address(), &eve).await, other_key);
}

#[tokio::test]
async fn a_chain_whose_evm_lacks_an_opcode_of_the_check_is_told_from_one_out_of_reach() {
    let chain = local_chain().await;
    let (owner, eve) = (wallet("owner"), wallet("eve"));
    let smart = owned_wallet(&chain, owner.address()).await;
    for (code, message) in [
        (
            -32_000,
            "VM Exception while processing transaction: invalid opcode",
        ),
        (-32_603, "EVM error NotActivated"),
    ] {
        let node = RpcProxy::start(&chain).await;
        node.set(|faults| faults.call_error = Some((code, message)));
        let signatures = over(&chain, &[node.http_url()]);
        let by_eve = sign(&eve, HELLO);
        let judged = signatures.check(Wallet(smart), HELLO, &by_eve).await;
        assert_eq!(judged, SignatureVerdict::CannotCheck);
        // Whether another key signed for a key's account shows without the check.
        let judged = signatures.check(Wallet(owner.address()), HELLO, &by_eve);
        assert_eq!(judged.await, SignatureVerdict::OtherKey);
    }
    let node = RpcProxy::start(&chain).await;
    node.set(|faults| faults.call_error = Some((-32_603, "EVM error NotActivated")));
    let provider = RootProvider::new_http(node.http_url().parse().unwrap());
    let said = refusal(Some(provider), smart, |message| sign(&owner, message)).await;
    assert_eq!((said.0, said.1.as_str()), (503, "chain_unavailable"));
    assert!(said.2.contains("31337") && !said.2.contains("try again"));
}

/// What the page says of this signature: status, code and sentence.
async fn refusal(
    provider: Option<RootProvider>,
    address: Address,
    signed: impl Fn(&str) -> Vec<u8>,
) -> (u16, String, String) {
    let site = start(Setup {
        provider,
        ..Setup::default()
    })
    .await;
    let mut ada = site.member("ada").await;
    let link = site.verify(ada.id);
    let message = ada.browser.challenge(&link, address).await;
    let signature = signed(&message);
    let answer = ada.browser.answer(&link, &message, &signature).await;
    let sentence = answer.1["error"]["message"].as_str().unwrap().to_owned();
    (answer.0, code(&answer), sentence)
}

#[tokio::test]
async fn a_wallet_that_is_not_deployed_is_told_so() {
    let chain = local_chain().await;
    let owner = wallet("owner");
    let (factory, smart, deployment) = undeployed(&chain, owner.address()).await;
    let provider = || Some(chain.provider().clone());
    // Two owners' signatures without the wrapper, and a wrapper whose factory deploys another wallet.
    let bare = refusal(provider(), smart, |text| sign(&owner, text).repeat(2)).await;
    let elsewhere = Address::repeat_byte(9);
    let wrapped = refusal(provider(), elsewhere, |text| {
        wrap(factory, &deployment, sign(&owner, text))
    });
    for said in [bare, wrapped.await] {
        assert_eq!((said.0, said.1.as_str()), (400, "signature_malformed"));
        assert!(said.2.contains("no smart wallet") && said.2.contains("chain 31337"));
    }
    // One owner's looks like another account's.
    let said = refusal(provider(), smart, |text| sign(&owner, text)).await;
    assert_eq!((said.0, said.1.as_str()), (422, "signature_of_another_key"));
    assert!(said.2.contains("Another account") && said.2.contains("not deployed yet"));
}

#[tokio::test]
async fn a_wallet_that_uses_up_the_gas_is_told_so() {
    let chain = local_chain().await;
    let burning = bad_wallet(&chain, BURNS_GAS).await;
    let provider = Some(chain.provider().clone());
    let said = refusal(provider, burning, |text| sign(&wallet("owner"), text)).await;
    assert_eq!((said.0, said.1.as_str()), (422, "refused_by_contract"));
    assert!(said.2.contains("gas"));
}

#[tokio::test]
async fn an_account_that_lets_a_contract_act_for_it_is_still_the_keys() {
    let chain = local_chain().await;
    let (ada, owner, eve) = (wallet("ada"), wallet("owner"), wallet("eve"));
    let contract = owned_wallet(&chain, owner.address()).await;
    delegate(&chain, ada.address(), contract).await;
    let judge =
        async |bytes: Vec<u8>| verdict(chain.provider(), ada.address(), HELLO, &bytes).await;
    assert_eq!(judge(sign(&ada, HELLO)).await, SignatureVerdict::Valid);
    // By the contract's own rule.
    assert_eq!(judge(sign(&owner, HELLO)).await, SignatureVerdict::Valid);
    assert_eq!(judge(sign(&eve, HELLO)).await, SignatureVerdict::OtherKey);
    let refused = SignatureVerdict::RefusedByContract;
    assert_eq!(judge(sign(&eve, HELLO).repeat(2)).await, refused);
}

#[tokio::test]
async fn a_signature_with_a_delegation_that_is_not_on_the_chain_counts_by_the_accounts_own_key() {
    let chain = local_chain().await;
    let (ada, owner, eve) = (wallet("ada"), wallet("owner"), wallet("eve"));
    // No node is needed for it.
    let nowhere = over(&chain, &["http://127.0.0.1:9".to_owned()]);
    let own = pre_delegated(&ada, HELLO);
    let judged = nowhere.check(Wallet(ada.address()), HELLO, &own).await;
    assert_eq!(judged, SignatureVerdict::Valid);
    let judge = async |text: &str, bytes: Vec<u8>| {
        verdict(chain.provider(), ada.address(), text, &bytes).await
    };
    let not_deployed = SignatureVerdict::NotDeployed;
    assert_eq!(judge("other", own.clone()).await, not_deployed);
    for other in [&owner, &eve] {
        assert_eq!(
            judge(HELLO, pre_delegated(other, HELLO)).await,
            not_deployed
        );
    }
    // Once the delegation is on the chain, the contract's word counts too.
    let contract = owned_wallet(&chain, owner.address()).await;
    delegate(&chain, ada.address(), contract).await;
    let valid = SignatureVerdict::Valid;
    assert_eq!(judge(HELLO, own).await, valid);
    assert_eq!(judge(HELLO, pre_delegated(&owner, HELLO)).await, valid);
    let other_key = SignatureVerdict::OtherKey;
    assert_eq!(judge(HELLO, pre_delegated(&eve, HELLO)).await, other_key);
}
