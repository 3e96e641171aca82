//! Files: whole, damaged, foreign, or in use.

use std::os::unix::fs::PermissionsExt as _;

use alloy::primitives::Address;

use super::module;
use crate::store::{Store, StoreError};

#[test]
fn a_second_process_is_told_that_the_store_is_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/er/store.redb");
    let _first = Store::open(&path).unwrap();
    assert!(matches!(Store::open(&path), Err(StoreError::InUse(_))));
}

#[test]
fn a_store_reopens_with_what_it_held() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let store = Store::open(&path).unwrap();
    store.bind_chain(8453).unwrap();
    store.add_module(module(1), 7, Address::ZERO).unwrap();
    drop(store);
    let store = Store::open(&path).unwrap();
    assert_eq!(store.modules().unwrap()[&module(1)].start_block, 7);
    assert!(store.bind_chain(8453).is_ok());
    let refused = store.bind_chain(1).unwrap_err().to_string();
    assert!(
        refused.contains("8453") && refused.contains("store.path"),
        "{refused}"
    );
}

#[test]
fn a_store_in_which_nothing_was_followed_yet_may_change_its_chain() {
    let store = Store::in_memory().unwrap();
    store.bind_chain(1).unwrap();
    store.bind_chain(8453).unwrap();
    store.add_module(module(1), 7, Address::ZERO).unwrap();
    assert!(store.bind_chain(1).is_err());
}

#[test]
fn a_store_is_for_its_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let _store = Store::open(&path).unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn foreign_and_empty_files_are_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    for content in [&b""[..], b"SQLite format 3\0 and more", b"redb"] {
        let path = folder.path().join("other.db");
        std::fs::write(&path, content).unwrap();
        assert!(matches!(Store::open(&path), Err(StoreError::Foreign(_))));
        assert_eq!(std::fs::read(&path).unwrap(), content);
    }
}

#[test]
fn a_redb_file_of_another_program_is_foreign() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.redb");
    drop(redb::Database::create(&path).unwrap());
    assert!(matches!(Store::open(&path), Err(StoreError::Foreign(_))));
}

#[test]
fn a_newer_schema_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    drop(Store::open(&path).unwrap());
    let database = redb::Database::open(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction
        .open_table(crate::store::tables::META)
        .unwrap()
        .insert(
            crate::store::tables::META_SCHEMA,
            99u32.to_le_bytes().as_slice(),
        )
        .unwrap();
    transaction.commit().unwrap();
    drop(database);
    assert!(matches!(
        Store::open(&path),
        Err(StoreError::Newer(_, 99, _))
    ));
}

#[test]
fn a_damaged_file_is_a_sentence_and_not_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let store = Store::open(&path).unwrap();
    store.add_module(module(1), 0, Address::ZERO).unwrap();
    drop(store);
    let sound = std::fs::read(&path).unwrap();
    let mut refused = 0;
    for start in (16..sound.len()).step_by(997) {
        let mut damaged = sound.clone();
        let end = (start + 600).min(damaged.len());
        damaged[start..end].fill(0xA5);
        std::fs::write(&path, &damaged).unwrap();
        match Store::open(&path) {
            // Damage in unused space harms nobody.
            Ok(_) => {}
            Err(error @ (StoreError::Damaged(..) | StoreError::Foreign(_))) => {
                refused += 1;
                assert!(!error.to_string().contains('\n'), "{error}");
            }
            Err(error) => panic!("unexpected: {error}"),
        }
    }
    assert!(refused > 0, "no damage was ever noticed");
    std::fs::write(&path, &sound[..sound.len() / 2]).unwrap();
    assert!(matches!(Store::open(&path), Err(StoreError::Damaged(..))));
}
