use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use alloy::primitives::Address;
use redb::TableHandle as _;

use super::*;
use crate::domain::{GuildId, Link, UserId, Wallet};
use crate::store::tables::{EachTable, each_kept, each_short_lived};
use crate::store::{Session, restore};

const NOW: Timestamp = Timestamp(1_800_000_000);

pub(in crate::store) fn link(n: u64) -> Link {
    let mut address = [0; 20];
    address[12..].copy_from_slice(&n.to_be_bytes());
    Link {
        user: UserId(n),
        wallet: Wallet(Address::from(address)),
        linked_at: Timestamp(n),
        proof: Some((format!("text {n}"), vec![7; 65])),
    }
}

/// The bytes of a backup of this store.
pub(in crate::store) fn stream(store: &Store) -> Vec<u8> {
    let mut bytes = Vec::new();
    store.write_backup(NOW, &mut bytes).unwrap();
    bytes
}

fn filled() -> Store {
    let store = Store::in_memory().unwrap();
    store.bind_chain(31_337).unwrap();
    for n in 1..=40 {
        store.link(&link(n), 5).unwrap();
        store.saw(&[(UserId(n), GuildId(9))]).unwrap();
    }
    store
}

fn names(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    names.sort();
    names
}

struct Names(BTreeSet<String>);

impl EachTable for Names {
    fn table<K: redb::Key + 'static, V: redb::Value + 'static>(
        &mut self,
        table: redb::TableDefinition<'static, K, V>,
    ) -> anyhow::Result<()> {
        assert!(
            self.0.insert(table.name().to_owned()),
            "{} twice",
            table.name()
        );
        Ok(())
    }
}

#[test]
fn every_table_of_a_store_is_either_backed_up_or_short_lived() {
    let store = Store::in_memory().unwrap();
    let transaction = store.database.begin_read().unwrap();
    let all = transaction.list_tables().unwrap();
    let all: BTreeSet<_> = all.map(|table| table.name().to_owned()).collect();
    let mut listed = Names(BTreeSet::new());
    each_kept(&mut listed).unwrap();
    each_short_lived(&mut listed).unwrap();
    assert_eq!(listed.0, all);
}

#[test]
fn a_backup_is_read_back_and_restored_it_is_the_same_store() {
    let folder = tempfile::tempdir().unwrap();
    let (file, path) = (
        folder.path().join("a.backup"),
        folder.path().join("new/s.redb"),
    );
    let store = filled();
    let bytes = stream(&store);
    let manifest = keep_backup(&bytes[..], &file).unwrap();
    assert_eq!((manifest.links, manifest.chain_id), (40, Some(31_337)));
    assert_eq!(manifest.made_at, NOW);
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(names(folder.path()), std::slice::from_ref(&file));

    let restored = restore(&file, &path, 31_337, false, NOW).unwrap();
    assert_eq!(restored.kept, None);
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let again = Store::open(&path).unwrap();
    assert_eq!(again.last_backup().unwrap(), Some(NOW));
    store.note_backup(NOW).unwrap();
    assert_eq!(stream(&again), stream(&store), "every row is the same");
    // A second one takes the place of the first.
    keep_backup(&stream(&again)[..], &file).unwrap();
}

#[test]
fn a_session_that_was_ended_does_not_come_back_with_a_backup() {
    let store = filled();
    let session = Session {
        user: UserId(1),
        expires_at: NOW.plus(1_000),
        servers: Vec::new(),
        csrf: "x".to_owned(),
        idle_seconds: None,
        link: None,
    };
    store.start_session(&[3; 32], &session, None).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (file, path) = (folder.path().join("a"), folder.path().join("s.redb"));
    keep_backup(&stream(&store)[..], &file).unwrap();
    restore(&file, &path, 31_337, false, NOW).unwrap();
    let again = Store::open(&path).unwrap();
    assert_eq!(again.use_session(&[3; 32], NOW).unwrap(), None);
    assert_eq!(again.link_count().unwrap(), 40);
}

#[test]
fn a_stream_that_is_cut_off_anywhere_leaves_the_older_backup_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.backup");
    let bytes = stream(&filled());
    keep_backup(&bytes[..], &file).unwrap();
    let before = std::fs::read(&file).unwrap();
    for part in [0, 1, 3, 40, bytes.len() / 2, bytes.len() - 1] {
        keep_backup(&bytes[..part], &file).unwrap_err();
        let left = names(folder.path());
        assert_eq!(left, std::slice::from_ref(&file), "cut after {part}");
    }
    assert_eq!(std::fs::read(&file).unwrap(), before);
}

#[test]
fn what_is_no_backup_is_not_replaced_and_parts_of_killed_backups_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let (config, store) = (
        folder.path().join("config.toml"),
        folder.path().join("s.redb"),
    );
    std::fs::write(&config, "[chain]").unwrap();
    drop(Store::open(&store).unwrap());
    let bytes = stream(&filled());
    for file in [&config, &store] {
        let refused = keep_backup(&bytes[..], file).unwrap_err();
        assert!(refused.to_string().contains("is no backup"), "{refused:#}");
    }
    assert_eq!(std::fs::read_to_string(&config).unwrap(), "[chain]");
    let file = folder.path().join("a.backup");
    std::fs::write(folder.path().join("a.backup.part-0123456789abcdef"), &bytes).unwrap();
    keep_backup(&bytes[..], &file).unwrap();
    assert_eq!(names(folder.path()), [file, config, store]);
}

#[test]
fn a_row_that_does_not_fit_its_table_is_an_error_and_no_panic() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.backup");
    // A row of `links_v1`, whose key has 20 bytes.
    let mut bytes = b"T\x08\x00links_v1R\x02\x00\x00\x00ab\x01\x00\x00\x00c".to_vec();
    let refused = keep_backup(&bytes[..], &file).unwrap_err();
    assert!(format!("{refused:#}").contains("length"), "{refused:#}");
    bytes[3..11].copy_from_slice(b"links_v9");
    let refused = keep_backup(&bytes[..], &file).unwrap_err();
    assert!(format!("{refused:#}").contains("links_v9"), "{refused:#}");
}

/// Links of one commit. Each commit is a batch of links, numbered without a gap: a moment is a number of whole batches.
const BATCH: u64 = 100;
/// Links that are there when the first backup is made, so that it takes a while.
const BEFORE: u64 = 20_000;
/// Links a second that are written while a backup counts as one under load.
const RATE: u64 = 1_000;

fn batch(number: u64) -> Vec<Link> {
    (1..=BATCH).map(|n| link(number * BATCH + n)).collect()
}

#[test]
fn a_backup_amid_a_thousand_writes_a_second_holds_one_moment() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("s.redb")).unwrap();
    let before: Vec<_> = (0..BEFORE / BATCH).flat_map(batch).collect();
    store.link_all(&before, 5).unwrap();
    let (written, stop) = (AtomicU64::new(BEFORE), AtomicBool::new(false));
    let deadline = Instant::now() + Duration::from_secs(300);
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            for number in BEFORE / BATCH.. {
                if stop.load(Ordering::Relaxed) || Instant::now() > deadline {
                    return;
                }
                store.link_all(&batch(number), 5).unwrap();
                written.fetch_add(BATCH, Ordering::SeqCst);
            }
        });
        let mut under_load = 0;
        while under_load < 5 {
            let is_writing = !writing.is_finished();
            assert!(is_writing, "the writer has failed, or the disk is too slow");
            let file = folder.path().join("a.backup");
            let (before, began) = (written.load(Ordering::SeqCst), Instant::now());
            let manifest = keep_backup(&stream(&store)[..], &file).unwrap();
            let after = written.load(Ordering::SeqCst) + BATCH;
            let rate = (after - BATCH - before) as f64 / began.elapsed().as_secs_f64();
            under_load += u64::from(rate >= RATE as f64);
            assert!((before..=after).contains(&manifest.links), "{manifest:?}");
            assert_eq!(manifest.links % BATCH, 0, "a part of a commit");
            let path = folder.path().join("restored.redb");
            restore(&file, &path, 1, path.exists(), NOW).unwrap();
            let again = Store::open(&path).unwrap();
            let mut users = BTreeSet::new();
            again
                .for_each_link(|user, _| users.extend([user.0]))
                .unwrap();
            assert_eq!(users, (1..=manifest.links).collect());
        }
        stop.store(true, Ordering::Relaxed);
    });
}
