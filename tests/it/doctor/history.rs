//! Faults of what was read, and of contracts that changed or are not as they are thought to be.

use std::time::{SystemTime, UNIX_EPOCH};

use amser_roles::domain::{Level, Timestamp, UserId};
use amser_roles::sandbox::chain::{DRIFTED_MODULE_ID, wallet};
use amser_roles::store::Store;

use super::Ward;
use crate::operate::links::signed;
use crate::support::scene::TERMS;

const FAILURE: Level = Level::Failure;
const WARNING: Level = Level::Warning;

async fn index(ward: &Ward) {
    let read = ward.installation.run("index", &[]).await;
    assert_eq!(read.code, Some(0), "{read:?}");
}

#[tokio::test]
async fn a_history_whose_beginning_was_not_read_is_found() {
    let mut ward = Ward::new().await;
    ward.scene.pay().await;
    ward.scene.chain.mine(3).await.unwrap();
    let head = ward.scene.chain.head().await.unwrap().number;
    ward.edit("[amser]", &format!("start_block = {head}\n[amser]"));
    index(&ward).await;
    ward.assert_finds(&[("store.orphans", FAILURE), ("module.history", FAILURE)])
        .await;
    ward.edit(&format!("start_block = {head}"), "start_block = 1");
    index(&ward).await;
    ward.assert_finds(&[]).await;
}

#[tokio::test]
async fn a_first_block_that_is_not_there_yet_is_found() {
    let ward = Ward::new().await;
    ward.edit("[amser]", "start_block = 5000000\n[amser]");
    ward.assert_finds(&[("chain.start_block", FAILURE)]).await;
}

#[tokio::test]
async fn links_without_a_backup_and_with_an_old_one_are_found() {
    let ward = Ward::new().await;
    let store = Store::open(&ward.installation.store_path()).unwrap();
    store.link(&signed(UserId(1), 1), 5).unwrap();
    drop(store);
    ward.assert_finds(&[("store.backup", WARNING)]).await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    for (days, expected) in [(8, &[("store.backup", WARNING)][..]), (0, &[])] {
        let store = Store::open(&ward.installation.store_path()).unwrap();
        let made_at = Timestamp(now.as_secs() - days * 86_400);
        store.note_backup(made_at).unwrap();
        drop(store);
        ward.assert_finds(expected).await;
    }
}

#[tokio::test]
async fn a_processor_that_was_replaced_since_the_module_was_read_is_found() {
    let ward = Ward::new().await;
    index(&ward).await;
    let chain = &ward.scene.chain;
    chain.migrate_processor(ward.scene.module).await.unwrap();
    ward.assert_finds(&[("module.processor", WARNING)]).await;
    index(&ward).await;
    ward.assert_finds(&[]).await;
}

#[tokio::test]
async fn a_module_of_another_abi_is_found_by_its_events_and_by_its_plan() {
    let ward = Ward::new().await;
    let chain = &ward.scene.chain;
    let merchant = wallet("merchant").address();
    let module = chain.deploy_module_kind(merchant, DRIFTED_MODULE_ID);
    let module = module.await.unwrap();
    chain.create_plan(module, TERMS).await.unwrap();
    ward.gate_on(module);
    let found = ward.examine().await;
    let faults = found.faults();
    for expected in [("module.events", WARNING), ("module.abi", FAILURE)] {
        assert!(faults.contains(&expected), "{expected:?}: {found:#?}");
    }
    let other_sections = faults.iter().find(|(name, _)| !name.starts_with("module."));
    assert_eq!(other_sections, None, "{found:#?}");
}
