//! Faults of nodes, by a proxy in front of the real one.

use alloy::primitives::Address;
use amser_roles::domain::{Level, ModuleAddress};
use amser_roles::sandbox::chain::{ChainOptions, LocalChain};
use amser_roles::store::Store;
use url::Url;

use super::{Ward, examined};
use crate::support::installation::end;
use crate::support::rpc_proxy::{Instead, Refusal, RpcProxy};
use crate::support::scene::patient;
use crate::support::tls::TlsFront;

const FAILURE: Level = Level::Failure;
const WARNING: Level = Level::Warning;

/// A healthy set-up whose node is behind a proxy.
async fn behind_a_proxy() -> (Ward, RpcProxy) {
    let ward = Ward::with(patient(), &[]).await;
    let proxy = RpcProxy::start(&ward.scene.chain).await;
    let direct = ward.scene.chain.ws_url();
    ward.edit(&direct, &proxy.http_url());
    (ward, proxy)
}

#[tokio::test]
async fn a_node_of_another_chain_and_one_that_is_down_are_found() {
    let (ward, proxy) = behind_a_proxy().await;
    ward.assert_finds(&[]).await;
    proxy.set(|faults| faults.chain_id = Some(1));
    ward.assert_finds(&[("node.chain_id", FAILURE)]).await;
    proxy.set(|faults| {
        faults.chain_id = None;
        faults.dead = true;
    });
    ward.assert_finds(&[("node.reach", FAILURE)]).await;
    let both = format!(
        "\"{}\", \"{}\"",
        proxy.http_url(),
        ward.scene.chain.ws_url()
    );
    ward.edit(&format!("\"{}\"", proxy.http_url()), &both);
    ward.assert_finds(&[("node.reach", WARNING)]).await;
}

#[tokio::test]
async fn a_node_whose_certificate_nobody_signed_is_believed_once_the_system_trusts_it() {
    let ward = Ward::new().await;
    let behind: Url = ward.scene.chain.http_url().parse().unwrap();
    let front = TlsFront::start(behind.port().unwrap()).await;
    let trusted = ward.installation.beside("trusted.pem");
    std::fs::write(&trusted, &front.certificate).unwrap();
    let mut before = ward.scene.chain.ws_url();
    for scheme in ["https", "wss"] {
        let url = format!("{scheme}://127.0.0.1:{}", front.port);
        ward.edit(&before, &url);
        before = url;
        let untrusted = ward.examine().await;
        assert_eq!(untrusted.faults(), [("node.reach", FAILURE)], "{scheme}");
        let said = format!("{:?}", untrusted.findings);
        assert!(said.contains("certificate"), "{scheme}: {said}");
        let mut command = ward.installation.command("doctor");
        command.arg("--json").env("SSL_CERT_FILE", &trusted);
        let examined = examined(end(&mut command).await);
        assert_eq!(examined.faults(), [], "{scheme}: {examined:#?}");
    }
}

#[tokio::test]
async fn a_nodes_limits_are_found() {
    let (ward, proxy) = behind_a_proxy().await;
    ward.scene.chain.mine(200).await.unwrap();
    proxy.set(|faults| {
        let refusal = Refusal::new(100, -32602, "exceed maximum block range: 100");
        faults.range_limit = Some(refusal);
    });
    ward.assert_finds(&[("node.range", WARNING)]).await;
    proxy.set(|faults| {
        faults.range_limit = None;
        faults.too_many_of = Some("eth_blockNumber");
        faults.too_many = 1_000;
        faults.retry_after = 60;
    });
    ward.assert_finds(&[("node.rate", WARNING)]).await;
}

#[tokio::test]
async fn a_node_that_hangs_over_wide_ranges_of_logs_can_be_used() {
    let (ward, proxy) = behind_a_proxy().await;
    // Those of 10,000, 2,000 and 500 blocks.
    proxy.set(|faults| faults.never = Some(("eth_getLogs", 3)));
    ward.assert_finds(&[("node.range", WARNING)]).await;
    proxy.set(|faults| faults.never = Some(("eth_getLogs", u64::MAX)));
    ward.assert_finds(&[("node.range", FAILURE)]).await;
}

#[tokio::test]
async fn a_limit_of_ranges_is_found_in_whatever_words_a_node_refuses_them() {
    let (ward, proxy) = behind_a_proxy().await;
    ward.scene.chain.mine(200).await.unwrap();
    for refusal in [
        Refusal::new(100, -32_099, "please be more modest"),
        Refusal::wordless(100, Instead::Status(500)),
        Refusal::wordless(100, Instead::Close(1_000)),
    ] {
        proxy.set(|faults| faults.range_limit = Some(refusal));
        ward.assert_finds(&[("node.range", WARNING)]).await;
    }
}

#[tokio::test]
async fn old_state_is_asked_for_only_while_a_module_is_to_be_found_by_it() {
    let (ward, proxy) = behind_a_proxy().await;
    ward.scene.chain.mine(200).await.unwrap();
    let read = ward.installation.run("index", &[]).await;
    assert_eq!(read.code, Some(0), "{read:?}");
    let store = Store::open(&ward.installation.store_path()).unwrap();
    for number in 1..=100 {
        let module = ModuleAddress(Address::with_last_byte(number));
        let processor = Address::repeat_byte(number);
        store.add_module(module, 0, processor).unwrap();
    }
    drop(store);
    let before = proxy.calls_of("eth_getCode");
    ward.assert_finds(&[]).await;
    let asked = proxy.calls_of("eth_getCode") - before;
    assert!(asked < 20, "{asked} calls for code");
}

#[tokio::test]
async fn another_chain_with_the_same_id_is_found() {
    let ward = Ward::new().await;
    ward.scene.chain.mine(50).await.unwrap();
    let other = LocalChain::start(ChainOptions::default()).await.unwrap();
    other.mine(100).await.unwrap();
    let first = ward.scene.chain.ws_url();
    let both = format!("\"{first}\", \"{}\"", other.ws_url());
    ward.edit(&format!("\"{first}\""), &both);
    ward.assert_finds(&[("node.same_chain", FAILURE)]).await;
}

#[tokio::test]
async fn a_node_that_dropped_what_was_read_and_one_of_a_wiped_chain_are_found() {
    let (ward, proxy) = behind_a_proxy().await;
    ward.scene.chain.mine(5).await.unwrap();
    let read = ward.installation.run("index", &[]).await;
    assert_eq!(read.code, Some(0), "{read:?}");
    ward.assert_finds(&[]).await;
    let head = ward.scene.chain.head().await.unwrap().number;
    proxy.set(|faults| faults.hidden = Some((0, head)));
    ward.assert_finds(&[("node.old_logs", FAILURE)]).await;
    proxy.set(|faults| faults.hidden = None);
    let other = LocalChain::start(ChainOptions::default()).await.unwrap();
    other.mine(head + 50).await.unwrap();
    proxy.point_at(&other);
    let found = ward.examine().await;
    let faults = found.faults();
    assert!(
        faults.contains(&("node.stored_chain", FAILURE)),
        "{found:#?}"
    );
}
