//! `index` follows the chain without Discord and ends with one line of JSON.

use std::time::Duration;

use alloy::primitives::Address;
use amser_roles::domain::ModuleAddress;
use amser_roles::sandbox::discord::{LocalDiscord, Options};
use amser_roles::store::Store;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::support::following::stored_events;
use crate::support::installation::{Installation, gate, signal};
use crate::support::oracle;
use crate::support::rpc_proxy::{Refusal, RpcProxy};
use crate::support::scene::Scene;
use crate::support::stage::{Setting, new_guild, wait};

struct Indexed {
    events: u64,
    cursor: u64,
}

/// The one line that it prints.
fn line(output: &str) -> Indexed {
    assert_eq!(output.lines().count(), 1, "{output}");
    let line: Value = serde_json::from_str(output).unwrap();
    assert!(line["seconds"].is_f64() && line.as_object().unwrap().len() == 3);
    Indexed {
        events: line["events"].as_u64().unwrap(),
        cursor: line["cursor"].as_u64().unwrap(),
    }
}

async fn installation(scene: &Scene, setting: &Setting) -> (Installation, LocalDiscord) {
    let discord = LocalDiscord::start(Options::default()).await.unwrap();
    let (guild, roles) = new_guild(&discord, "Index", &["Subscriber"]);
    let gate = gate(guild, scene.module, scene.plan, roles[0]);
    let installation = Installation::new(setting, &scene.chain, &discord, &gate);
    (installation, discord)
}

#[tokio::test]
async fn the_confirmed_tip_is_reached_once_and_nothing_is_read_twice() {
    let mut scene = Scene::new().await;
    scene.history(5, 30).await;
    let setting = Setting {
        confirmations: 2,
        ..Setting::default()
    };
    let (installation, _discord) = installation(&scene, &setting).await;
    let head = scene.chain.head().await.unwrap().number;

    let part = installation.run("index", &["--to", "40"]).await;
    assert_eq!(part.code, Some(0), "{part:?}");
    let part = line(&part.output);
    assert_eq!(part.cursor, 40);

    let whole = installation.run("index", &[]).await;
    assert_eq!(whole.code, Some(0), "{whole:?}");
    let whole = line(&whole.output);
    assert_eq!(whole.cursor, head - 2);
    // A plan, and a subscription with its payment for each member.
    assert_eq!(part.events + whole.events, 1 + 5 * 2);

    let beyond = installation.run("index", &["--to", "100000"]).await;
    assert_eq!(beyond.code, Some(0), "{beyond:?}");
    assert!(beyond.errors.contains("not confirmed"), "{}", beyond.errors);
    let beyond = line(&beyond.output);
    assert_eq!((beyond.events, beyond.cursor), (0, head - 2));
}

#[tokio::test]
async fn a_module_that_is_not_there_ends_the_index_with_one_sentence_and_exit_code_1() {
    let mut scene = Scene::new().await;
    scene.pay().await;
    let (installation, _discord) = installation(&scene, &Setting::default()).await;
    let text = std::fs::read_to_string(installation.config_path()).unwrap();
    let module = scene.module.to_string();
    let (processor, factory) = (scene.chain.processor, scene.chain.factory);
    for absent in [Address::repeat_byte(0x77), processor, factory] {
        installation.configure(&text.replace(&module, &absent.to_string()));
        let ended = installation.run("index", &[]).await;
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert_eq!(ended.output, "");
        let said = ended.errors.lines().last().unwrap();
        assert!(said.starts_with("amser-roles: "), "{said}");
        assert!(
            said.contains("module") && said.contains(&absent.to_string()),
            "{said}"
        );
    }
    installation.configure(&text);
    let ended = installation.run("index", &[]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[tokio::test]
async fn a_wrong_chain_is_refused_and_its_correction_accepted() {
    let mut scene = Scene::new().await;
    scene.pay().await;
    let (installation, _discord) = installation(&scene, &Setting::default()).await;
    let text = std::fs::read_to_string(installation.config_path()).unwrap();
    installation.configure(&text.replace("chain_id = 31337", "chain_id = 8453"));
    let refused = installation.run("index", &[]).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert_eq!(refused.output, "");
    assert!(
        refused.errors.contains("chain 31337") && refused.errors.contains("chain_id is 8453"),
        "{}",
        refused.errors
    );

    installation.configure(&text);
    let corrected = installation.run("index", &[]).await;
    assert_eq!(corrected.code, Some(0), "{corrected:?}");

    // But what holds one chain is never filled up with another.
    installation.configure(&text.replace("chain_id = 31337", "chain_id = 8453"));
    let refused = installation.run("index", &[]).await;
    assert_eq!(refused.code, Some(1));
    assert!(refused.errors.contains("store.path"), "{}", refused.errors);
}

#[tokio::test]
async fn an_interrupted_index_does_not_look_done() {
    // Accepts calls and never answers them.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let scene = Scene::new().await;
    let setting = Setting {
        rpc_urls: vec![format!("http://{}", silent.local_addr().unwrap())],
        ..Setting::default()
    };
    let (installation, _discord) = installation(&scene, &setting).await;
    let mut command = installation.command("index");
    command.stdout(std::process::Stdio::piped());
    command.stderr(std::process::Stdio::piped());
    let started = command.spawn().unwrap();
    let _called = silent.accept().await.unwrap();
    signal(&started, "INT").await;
    let ended = started.wait_with_output().await.unwrap();
    let errors = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{errors}");
    assert!(
        ended.stdout.is_empty() && errors.contains("stopped"),
        "{errors}"
    );
}

#[tokio::test]
async fn killed_amid_a_first_history_the_next_index_goes_on_and_nothing_is_missing() {
    /// Of some fifty calls for logs; by then something is stored.
    const CALLS: u64 = 34;
    let mut scene = Scene::new().await;
    scene.history(12, 40).await;
    let proxy = RpcProxy::start(&scene.chain).await;
    proxy.set(|faults| {
        let words = "query exceeds max block range 10";
        faults.range_limit = Some(Refusal::new(10, -32602, words));
        faults.slow = Some(("eth_getLogs", Duration::from_millis(400)));
    });
    let setting = Setting {
        rpc_urls: vec![proxy.http_url()],
        ..Setting::default()
    };
    let (installation, _discord) = installation(&scene, &setting).await;
    let modules = [(ModuleAddress(scene.module), scene.chain.processor)].into();
    for round in 0.. {
        assert!(round < 20, "no kill came amid the history");
        let before = proxy.calls_of("eth_getLogs");
        let mut started = installation.command("index").spawn().unwrap();
        let is_amid = || proxy.calls_of("eth_getLogs") >= before + CALLS;
        wait("the history is being read", is_amid).await;
        // SIGKILL.
        started.kill().await.unwrap();
        let store = Store::open(&installation.store_path()).unwrap();
        if let Some(cursor) = store.cursor().unwrap() {
            let expected = oracle::events(&scene.chain, &modules, cursor.number).await;
            assert!(!expected.is_empty());
            assert_eq!(stored_events(&store), expected);
            break;
        }
    }
    proxy.set(|faults| faults.slow = None);
    let whole = installation.run("index", &[]).await;
    assert_eq!(whole.code, Some(0), "{whole:?}");
    let head = line(&whole.output).cursor;
    assert_eq!(
        head,
        scene.chain.head().await.unwrap().number - setting.confirmations
    );
    let store = Store::open(&installation.store_path()).unwrap();
    let expected = oracle::events(&scene.chain, &modules, head).await;
    assert_eq!(stored_events(&store), expected);
}
