//! kill -9 amid backups and restores: whatever is under the name is whole.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use amser_roles::domain::{Timestamp, UserId};
use amser_roles::store::{Store, restore};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::{Club, link};
use crate::support::installation::Installation;
use crate::support::knob;

/// Enough links that a backup takes a while.
const LINKS: u64 = 20_000;

fn fill(installation: &Installation) {
    let store = Store::open(&installation.store_path()).unwrap();
    let links: Vec<_> = (0..LINKS)
        .map(|n| {
            let mut address = [7; 20];
            address[12..].copy_from_slice(&n.to_be_bytes());
            link(UserId(10_000 + n), address.into())
        })
        .collect();
    store.link_all(&links, 5).unwrap();
}

/// Runs a command and kills it after a while, or lets it end; how long an uncut one takes.
async fn cut(installation: &Installation, words: (&str, &[&str]), after: Duration) {
    let mut started = installation.command(words.0).args(words.1).spawn().unwrap();
    let _ended_before = tokio::time::timeout(after, started.wait()).await;
    let _ended = started.kill().await;
}

/// What is under the name can be restored and is complete.
fn is_whole(file: &Path) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.redb");
    restore(file, &path, 31_337, false, Timestamp(1)).unwrap();
    assert_eq!(Store::open(&path).unwrap().link_count().unwrap(), LINKS + 2);
}

#[tokio::test]
async fn a_kill_amid_a_backup_or_a_restore_leaves_nothing_half_under_the_name() {
    let kills = knob("BACKUP_KILLS", 10);
    let club = Club::new().await;
    let installation = &club.installation;
    fill(installation);
    let file = installation.beside("roles.backup");
    let started = Instant::now();
    let whole = installation.run("backup", &[&file]).await;
    assert_eq!(whole.code, Some(0), "{whole:?}");
    let backup_takes = started.elapsed();
    std::fs::remove_file(&file).unwrap();
    let mut dice = StdRng::seed_from_u64(5);
    let mut made = 0;
    for _ in 0..kills.div_ceil(2) {
        let after = backup_takes.mul_f64(dice.random_range(0.05..1.1));
        cut(installation, ("backup", &[&file]), after).await;
        if Path::new(&file).exists() {
            is_whole(Path::new(&file));
            made += 1;
        }
    }
    let whole = installation.run("backup", &[&file]).await;
    assert_eq!(whole.code, Some(0), "{whole:?}");
    assert_eq!(
        parts(installation),
        BTreeSet::new(),
        "what kills left is removed"
    );

    // A store that differs from the backup, so that the two can be told apart.
    let store = Store::open(&installation.store_path()).unwrap();
    store.link(&link(UserId(1), [9; 20].into()), 5).unwrap();
    drop(store);
    let started = Instant::now();
    let restored = club.another_machine();
    let whole = restored.run("restore", &[&file]).await;
    assert_eq!(whole.code, Some(0), "{whole:?}");
    let restore_takes = started.elapsed();
    for _ in 0..kills / 2 {
        let after = restore_takes.mul_f64(dice.random_range(0.05..1.1));
        cut(installation, ("restore", &[&file, "--replace"]), after).await;
        let store = Store::open(&installation.store_path()).unwrap();
        let count = store.link_count().unwrap();
        assert!(count == LINKS + 2 || count == LINKS + 3, "{count} links");
    }
    let whole = installation.run("restore", &[&file, "--replace"]).await;
    assert_eq!(whole.code, Some(0), "{whole:?}");
    assert_eq!(
        parts(installation),
        BTreeSet::new(),
        "what kills left is removed"
    );
    println!("{kills} kills, {made} backups were there after one");
}

/// Unfinished files beside the store.
fn parts(installation: &Installation) -> BTreeSet<String> {
    let folder = installation.store_path();
    let entries = std::fs::read_dir(folder.parent().unwrap()).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains(".part-"))
        .collect()
}
