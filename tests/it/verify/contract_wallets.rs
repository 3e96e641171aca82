//! Smart wallets: asked on the chain, deployed or not, and refused for every answer but the right one.

use alloy::network::TransactionBuilder as _;
use alloy::primitives::{Address, B256, Bytes, U256, hex};
use alloy::providers::Provider as _;
use alloy::rpc::types::TransactionRequest;
use alloy::sol;
use alloy_sol_types::{SolCall as _, SolConstructor as _, SolValue as _};
use amser_roles::domain::{SignatureVerdict, Wallet};
use amser_roles::sandbox::chain::{ChainOptions, LocalChain, wallet};

use super::site::{Setup, start, verdict};
use super::visitor::{code, sign};

sol!(OwnedWallet, "abi/OwnedWallet.json");
sol!(OwnedWalletFactory, "abi/OwnedWalletFactory.json");
sol!(LenientWallet, "abi/LenientWallet.json");
sol!(BadWallet, "abi/BadWallet.json");

const MAGIC: [u8; 32] = hex!("6492649264926492649264926492649264926492649264926492649264926492");

pub(crate) async fn local_chain() -> LocalChain {
    LocalChain::start(ChainOptions::default()).await.unwrap()
}

pub(crate) async fn deploy(chain: &LocalChain, code: &Bytes, arguments: Vec<u8>) -> Address {
    let mut code = code.to_vec();
    code.extend(arguments);
    let call = TransactionRequest::default()
        .with_from(wallet("deployer").address())
        .with_deploy_code(code)
        .with_gas_limit(10_000_000);
    let receipt = send(chain, call).await;
    receipt.contract_address.unwrap()
}

async fn send(
    chain: &LocalChain,
    call: TransactionRequest,
) -> alloy::rpc::types::TransactionReceipt {
    // Gas is free here.
    chain.submit(call.with_gas_price(0)).await.unwrap()
}

pub(crate) async fn owned_wallet(chain: &LocalChain, owner: Address) -> Address {
    let arguments = OwnedWallet::constructorCall { owner_: owner }.abi_encode();
    deploy(chain, &OwnedWallet::BYTECODE, arguments).await
}

/// A factory, and where its wallet of this owner will stand.
pub(crate) async fn undeployed(chain: &LocalChain, owner: Address) -> (Address, Address, Bytes) {
    let factory = deploy(chain, &OwnedWalletFactory::BYTECODE, Vec::new()).await;
    let salt = B256::repeat_byte(5);
    let question = OwnedWalletFactory::addressOfCall { owner, salt };
    let call = TransactionRequest::default()
        .with_to(factory)
        .with_input(question.abi_encode());
    let answer = chain.provider().call(call).await.unwrap();
    let stands = Address::abi_decode(&answer).unwrap();
    let deployment = OwnedWalletFactory::deployCall { owner, salt }.abi_encode();
    (factory, stands, deployment.into())
}

pub(crate) fn wrap(factory: Address, deployment: &Bytes, signature: Vec<u8>) -> Vec<u8> {
    let mut wrapped = (factory, deployment.clone(), Bytes::from(signature)).abi_encode_params();
    wrapped.extend(MAGIC);
    wrapped
}

#[tokio::test]
async fn a_deployed_smart_wallet_links_by_its_own_word() {
    deployed_links(&local_chain().await).await;
}

/// A deployed smart wallet links with its owner's signature and with no other.
pub(crate) async fn deployed_links(chain: &LocalChain) {
    let owner = wallet("owner");
    let smart = owned_wallet(chain, owner.address()).await;
    let setup = Setup {
        provider: Some(chain.provider().clone()),
        ..Setup::default()
    };
    let site = start(setup).await;
    site.subscribe(smart);
    let mut ada = site.member("ada").await;
    let link = site.verify(ada.id);
    let message = ada.browser.challenge(&link, smart).await;
    let answer = ada
        .browser
        .answer(&link, &message, &sign(&wallet("eve"), &message))
        .await;
    assert_eq!(
        (answer.0, code(&answer).as_str()),
        (422, "refused_by_contract")
    );
    let (status, answer) = ada
        .browser
        .answer(&link, &message, &sign(&owner, &message))
        .await;
    assert_eq!(
        (status, answer["address"].as_str().unwrap()),
        (200, smart.to_string().as_str())
    );
    assert_eq!(answer["roles"][0]["name"], "Subscriber");
}

#[tokio::test]
async fn a_smart_wallet_that_misbehaves_is_refused() {
    let chain = local_chain().await;
    let owner = wallet("owner");
    for way in 0..=8_u8 {
        let arguments = BadWallet::constructorCall { way_: way }.abi_encode();
        let bad = deploy(&chain, &BadWallet::BYTECODE, arguments).await;
        let setup = Setup {
            provider: Some(chain.provider().clone()),
            ..Setup::default()
        };
        let site = start(setup).await;
        let mut ada = site.member("ada").await;
        let link = site.verify(ada.id);
        let message = ada.browser.challenge(&link, bad).await;
        for signature in [sign(&owner, &message), Vec::new(), vec![1; 500]] {
            let answer = ada.browser.answer(&link, &message, &signature).await;
            assert_eq!(
                (answer.0, code(&answer).as_str()),
                (422, "refused_by_contract"),
                "{way}"
            );
        }
        assert_eq!(site.store.link_of(Wallet(bad)).unwrap(), None);
    }
}

#[tokio::test]
async fn a_smart_wallet_that_is_not_deployed_yet_links_with_its_deployment() {
    undeployed_links(&local_chain().await).await;
}

/// So does one that is not deployed yet, with its deployment around the signature.
pub(crate) async fn undeployed_links(chain: &LocalChain) {
    let owner = wallet("owner");
    let (factory, smart, deployment) = undeployed(chain, owner.address()).await;
    let setup = Setup {
        provider: Some(chain.provider().clone()),
        ..Setup::default()
    };
    let site = start(setup).await;
    let mut ada = site.member("ada").await;
    let link = site.verify(ada.id);
    let message = ada.browser.challenge(&link, smart).await;
    let wrong = wrap(factory, &deployment, sign(&wallet("eve"), &message));
    let answer = ada.browser.answer(&link, &message, &wrong).await;
    assert_eq!(code(&answer), "refused_by_contract");
    let right = wrap(factory, &deployment, sign(&owner, &message));
    assert_eq!(ada.browser.answer(&link, &message, &right).await.0, 200);
    assert!(
        chain
            .provider()
            .get_code_at(smart)
            .await
            .unwrap()
            .is_empty(),
        "asking deploys nothing"
    );
}

#[tokio::test]
async fn every_wrapped_signature_is_judged_by_the_wallet_that_the_message_names() {
    let chain = local_chain().await;
    let (owner, eve) = (wallet("owner"), wallet("eve"));
    let (factory, smart, deployment) = undeployed(&chain, owner.address()).await;
    let signature = || sign(&owner, "hello");
    let good = wrap(factory, &deployment, signature());
    let provider = chain.provider();
    let judge = async |wallet, bytes: &[u8]| verdict(provider, wallet, "hello", bytes).await;
    assert_eq!(judge(smart, &good).await, SignatureVerdict::Valid);
    assert_eq!(
        verdict(provider, smart, "other", &good).await,
        SignatureVerdict::RefusedByContract
    );
    // A deployment that makes another wallet says nothing about this address, whatever stands there.
    assert_eq!(
        judge(eve.address(), &good).await,
        SignatureVerdict::NotDeployed
    );
    let nothing = wrap(Address::ZERO, &deployment, signature());
    assert_eq!(judge(smart, &nothing).await, SignatureVerdict::NotDeployed);
    let burning = wrap(chain.token, &Bytes::from(vec![0xff; 40]), signature());
    assert_eq!(judge(smart, &burning).await, SignatureVerdict::NotDeployed);
    let mut broken = good[..good.len() - 64].to_vec();
    broken.extend(MAGIC);
    assert_eq!(judge(smart, &broken).await, SignatureVerdict::Malformed);
    // Once it is deployed, both forms hold.
    let call = TransactionRequest::default()
        .with_from(eve.address())
        .with_to(factory)
        .with_input(deployment.to_vec());
    send(&chain, call).await;
    assert_eq!(judge(smart, &good).await, SignatureVerdict::Valid);
    assert_eq!(judge(smart, &signature()).await, SignatureVerdict::Valid);
    assert_eq!(
        judge(smart, &sign(&eve, "hello")).await,
        SignatureVerdict::RefusedByContract
    );
    assert_eq!(U256::from(chain.chain_id), U256::from(31_337));
}

#[tokio::test]
async fn the_wrapping_of_a_deployed_wallets_signature_calls_nothing() {
    let chain = local_chain().await;
    let provider = chain.provider();
    let judge = async |smart, bytes: &[u8]| verdict(provider, smart, "hello", bytes).await;
    let lenient = deploy(&chain, &LenientWallet::BYTECODE, Vec::new()).await;
    // It agrees to everything once anybody has opened it, which the wrapping asks for.
    let open = Bytes::from(LenientWallet::openCall {}.abi_encode());
    let wrapped = wrap(lenient, &open, sign(&wallet("eve"), "hello"));
    let refused = SignatureVerdict::RefusedByContract;
    assert_eq!(judge(lenient, &wrapped).await, refused);
    // That call would have worked.
    let call = TransactionRequest::default()
        .with_from(wallet("eve").address())
        .with_to(lenient)
        .with_input(open);
    send(&chain, call).await;
    assert_eq!(judge(lenient, &wrapped).await, SignatureVerdict::Valid);
}

#[tokio::test]
async fn a_chain_out_of_reach_means_try_again_and_never_yes() {
    let chain = local_chain().await;
    let owner = wallet("owner");
    let smart = owned_wallet(&chain, owner.address()).await;
    let site = start(Setup::default()).await;
    let mut ada = site.member("ada").await;
    let link = site.verify(ada.id);
    let message = ada.browser.challenge(&link, smart).await;
    let answer = ada
        .browser
        .answer(&link, &message, &sign(&owner, &message))
        .await;
    assert_eq!(
        (answer.0, code(&answer).as_str()),
        (503, "chain_unavailable")
    );
    assert_eq!(site.store.link_count().unwrap(), 0);
    // The key of an ordinary wallet needs no chain.
    assert_eq!(ada.browser.link(&link, &owner).await.0, 200);
}

#[tokio::test]
async fn a_node_that_answers_nonsense_is_not_believed() {
    use axum::{Json, Router, routing::post};
    use serde_json::{Value, json};
    let owner = wallet("owner");
    for result in [
        json!({ "result": "0x" }),
        json!({ "result": "0x01" }),
        json!({ "result": format!("0x01{:064x}", 31_338) }),
        json!({ "result": format!("0x03{:064x}", 31_337) }),
        json!({ "result": format!("0x01{:064x}01", 31_337) }),
        json!({ "result": "0x0101" }),
        json!({ "result": "0x03" }),
        json!({ "result": format!("0x{}01", "00".repeat(31)) }),
        json!({ "result": null }),
        json!({ "result": true }),
        json!({ "error": { "code": -32005, "message": "rate limit exceeded" } }),
        json!({ "error": { "code": 3, "message": "execution reverted" } }),
    ] {
        let shown = result.to_string();
        let handler = move |Json(request): Json<Value>| {
            let mut answer = result.clone();
            answer["jsonrpc"] = json!("2.0");
            answer["id"] = request["id"].clone();
            async move { Json(answer) }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(
            axum::serve(listener, Router::new().route("/", post(handler))).into_future(),
        );
        let provider = alloy::providers::RootProvider::<alloy::network::Ethereum>::new_http(
            url.parse().unwrap(),
        );
        let smart = Address::repeat_byte(9);
        let answer = verdict(&provider, smart, "hello", &sign(&owner, "hello")).await;
        assert_eq!(answer, SignatureVerdict::Unavailable, "{shown}");
        server.abort();
    }
}
