use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use redb::Database;

use super::*;
use crate::domain::UserId;
use crate::store::backup::tests::{link, stream};
use crate::store::tables::META_SCHEMA;
use crate::store::{Store, keep_backup};

const NOW: Timestamp = Timestamp(1_800_000_000);

struct Scene {
    folder: tempfile::TempDir,
}

impl Scene {
    /// A backup with one link.
    fn new() -> Self {
        let scene = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let store = Store::in_memory().unwrap();
        store.bind_chain(10).unwrap();
        store.link(&link(1), 5).unwrap();
        keep_backup(&stream(&store)[..], &scene.backup()).unwrap();
        scene
    }

    fn backup(&self) -> PathBuf {
        self.folder.path().join("a.backup")
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("s.redb")
    }

    fn restore(&self, chain_id: u64, replace: bool) -> anyhow::Result<Restored> {
        restore(&self.backup(), &self.store(), chain_id, replace, NOW)
    }

    fn refuses(&self, words: &str) {
        let refused = self.restore(10, false).unwrap_err();
        assert!(format!("{refused:#}").contains(words), "{refused:#}");
        assert!(!self.store().exists(), "nothing is left");
        let left = std::fs::read_dir(self.folder.path()).unwrap().count();
        assert_eq!(left, 1, "nothing is left beside");
    }
}

#[test]
fn an_existing_store_is_replaced_on_demand_alone_and_kept() {
    let scene = Scene::new();
    let store = Store::open(&scene.store()).unwrap();
    store.link(&link(2), 5).unwrap();
    let refused = scene.restore(10, true).unwrap_err();
    let in_use = refused.downcast_ref::<StoreError>();
    assert!(matches!(in_use, Some(StoreError::InUse(_))), "{refused:#}");
    drop(store);
    let refused = scene.restore(10, false).unwrap_err();
    assert!(refused.to_string().contains("--replace"), "{refused:#}");
    let before = std::fs::metadata(scene.store()).unwrap().ino();
    let first = scene.restore(10, true).unwrap().kept.unwrap();
    assert!(
        first
            .display()
            .to_string()
            .ends_with("s.redb.before-restore-2027-01-15T08-00-00Z")
    );
    assert_eq!(std::fs::metadata(&first).unwrap().ino(), before);
    let kept = Store::open(&first).unwrap();
    assert_eq!(kept.wallets_of(UserId(2)).unwrap().len(), 1);
    let store = Store::open(&scene.store()).unwrap();
    assert_eq!(store.wallets_of(UserId(1)).unwrap().len(), 1);
    assert_eq!(store.link_count().unwrap(), 1);
    drop(store);
    // In the same second.
    let second = scene.restore(10, true).unwrap().kept.unwrap();
    assert_ne!(first, second);
}

#[test]
fn a_backup_of_another_chain_or_of_a_newer_program_is_refused() {
    let scene = Scene::new();
    let refused = scene.restore(11, false).unwrap_err();
    assert!(refused.to_string().contains("chain 10"), "{refused:#}");
    let database = Database::open(scene.backup()).unwrap();
    let transaction = database.begin_write().unwrap();
    let newer = (SCHEMA_VERSION + 1).to_le_bytes();
    transaction
        .open_table(META)
        .unwrap()
        .insert(META_SCHEMA, newer.as_slice())
        .unwrap();
    transaction.commit().unwrap();
    drop(database);
    scene.refuses("schema version");
}

#[test]
fn what_is_no_backup_is_refused() {
    let scene = Scene::new();
    std::fs::write(scene.backup(), "hello").unwrap();
    scene.refuses("no backup");
    std::fs::remove_file(scene.backup()).unwrap();
    drop(Store::open(&scene.backup()).unwrap());
    scene.refuses("no backup");
    drop(Database::create(scene.folder.path().join("other")).unwrap());
    std::fs::rename(scene.folder.path().join("other"), scene.backup()).unwrap();
    scene.refuses("no backup");
}

#[test]
fn a_backup_that_was_changed_is_refused() {
    let scene = Scene::new();
    // As a store it takes rows of which its manifest knows nothing.
    let database = Database::open(scene.backup()).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction
        .open_table(crate::store::tables::LINKS)
        .unwrap()
        .retain(|_, _| false)
        .unwrap();
    transaction.commit().unwrap();
    drop(database);
    scene.refuses("damaged");
}

#[test]
fn a_backup_with_a_damaged_or_missing_page_is_refused() {
    let scene = Scene::new();
    let whole = std::fs::read(scene.backup()).unwrap();
    let text = b"text 1";
    let at = whole.windows(text.len()).position(|bytes| bytes == text);
    let mut flipped = whole.clone();
    flipped[at.unwrap()] ^= 1;
    std::fs::write(scene.backup(), &flipped).unwrap();
    scene.refuses("damaged");
    for length in [whole.len() / 2, 5_000, 100] {
        std::fs::write(scene.backup(), &whole[..length]).unwrap();
        scene.refuses("damaged");
    }
    std::fs::write(scene.backup(), whole).unwrap();
    scene.restore(10, false).unwrap();
}

#[test]
fn a_backup_that_was_opened_as_a_store_is_one() {
    let scene = Scene::new();
    drop(Store::open(&scene.backup()).unwrap());
    scene.refuses("no backup");
}

#[test]
fn what_is_restored_is_its_owners_alone_whatever_the_mode_of_the_backup() {
    let scene = Scene::new();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o777;
    let open_to_all = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(scene.backup(), open_to_all).unwrap();
    scene.restore(10, false).unwrap();
    assert_eq!(mode(&scene.store()), 0o600);
    let again = scene.restore(10, true).unwrap();
    let kept = again.kept.expect("the store before is kept");
    assert_eq!((mode(&scene.store()), mode(&kept)), (0o600, 0o600));
    let left = std::fs::read_dir(scene.folder.path()).unwrap().count();
    assert_eq!(left, 3, "nothing else is left beside");
}
