//! What becomes of a file on a disk that fails or has no hard links.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use redb::StorageBackend;

use super::*;

/// A disk with room for so many more writes.
#[derive(Debug)]
struct Disk {
    kept: InMemoryBackend,
    room: Arc<AtomicU64>,
}

impl Disk {
    fn take(&self) -> std::io::Result<()> {
        let less = |room: u64| room.checked_sub(1);
        let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
        match self.room.fetch_update(set, fetch, less) {
            Ok(_) => Ok(()),
            Err(_) => Err(ErrorKind::StorageFull.into()),
        }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> std::io::Result<u64> {
        self.kept.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        self.kept.read(offset, out)
    }

    fn set_len(&self, len: u64) -> std::io::Result<()> {
        self.take()?;
        self.kept.set_len(len)
    }

    fn sync_data(&self) -> std::io::Result<()> {
        self.kept.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        self.take()?;
        self.kept.write(offset, data)
    }
}

#[test]
fn a_disk_that_fills_up_at_any_write_is_not_taken_for_damage() {
    let mut failures = 0;
    for room in 0.. {
        let left = Arc::new(AtomicU64::new(u64::MAX));
        let disk = Disk {
            kept: InMemoryBackend::new(),
            room: Arc::clone(&left),
        };
        let database = redb::Builder::new().create_with_backend(disk).unwrap();
        left.store(room, Ordering::Relaxed);
        let Err(error) = lay_out(&database, SCHEMA_VERSION) else {
            break;
        };
        let error = unusable(error, "x");
        assert!(matches!(error, StoreError::Io(..)), "{room}: {error}");
        failures += 1;
    }
    assert!(failures > 0, "it never ran full");
}

#[test]
fn without_hard_links_a_store_is_put_in_place_and_never_replaces_one() {
    let folder = tempfile::tempdir().unwrap();
    let (fresh, path) = (folder.path().join("fresh"), folder.path().join("store"));
    for kind in [ErrorKind::Unsupported, ErrorKind::PermissionDenied] {
        std::fs::write(&fresh, "new").unwrap();
        put_in_place(&fresh, &path, |_, _| Err(kind.into())).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
        assert!(!fresh.exists());
        std::fs::write(&fresh, "second").unwrap();
        let refused = put_in_place(&fresh, &path, |_, _| Err(kind.into())).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
        std::fs::remove_file(&path).unwrap();
    }
}
