//! Modes of files, and the disk that the store is on.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access, statfs, statvfs};

use crate::config::{Config, Secrets, secret_files};
use crate::doctor::facts::FileFacts;

/// The shortest part of a node's address that is taken for a key.
const SHORTEST_KEY: usize = 10;

/// File systems over a network by Linux' number for them, on which locks and `fsync` are not to be relied on.
const NETWORK_FILE_SYSTEMS: [(u64, &str); 6] = [
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB"),
    (0x0102_1997, "9p"),
    (0x6573_5546, "FUSE"),
];

pub(super) async fn look(config: &Config, secrets: &Secrets) -> FileFacts {
    let (config, secrets) = (config.clone(), secrets.clone());
    let looked = tokio::task::spawn_blocking(move || look_now(&config, &secrets));
    looked.await.unwrap_or_else(|error| FileFacts {
        space: Err(error.to_string()),
        network: None,
        is_writable: false,
        private: Vec::new(),
        config_with_key: None,
        cookie_key: Ok(()),
    })
}

fn look_now(config: &Config, secrets: &Secrets) -> FileFacts {
    let store = &config.store_path;
    let folder = existing_folder(store);
    let space = statvfs(&folder).map(|disk| {
        let block = disk.f_frsize.max(1);
        disk.f_bavail.saturating_mul(block)
    });
    let cookie_key = store.with_extension("cookie-key");
    let mut private = vec![store.clone(), cookie_key.clone()];
    private.extend(secret_files(config.file.as_deref()));
    let private = private
        .into_iter()
        .filter_map(|path| Some((mode(&path)?, path)))
        .map(|(mode, path)| (path, mode))
        .collect();
    let has_key = config.chain.rpc_urls.iter().any(|url| {
        let path = url.path_segments().into_iter().flatten();
        let long = |part: &str| part.len() >= SHORTEST_KEY;
        let in_path = path.into_iter().any(long);
        in_path || url.query().is_some_and(long) || url.password().is_some()
    });
    let file = config.file.as_ref().filter(|_| has_key);
    FileFacts {
        space: space.map_err(|error| format!("{}: {error}", folder.display())),
        network: statfs(&folder)
            .ok()
            .and_then(|disk| network(u64::try_from(disk.f_type).unwrap_or_default())),
        is_writable: is_room(store) && access(&folder, Access::WRITE_OK | Access::EXEC_OK).is_ok(),
        private,
        config_with_key: file.and_then(|path| Some((path.clone(), mode(path)?))),
        cookie_key: match secrets.cookie_key.is_some() || cookie_key.exists() {
            true => secrets
                .cookie_key(store)
                .map(drop)
                .map_err(|error| error.to_string()),
            // It is made at the first start.
            false => Ok(()),
        },
    }
}

fn network(kind: u64) -> Option<&'static str> {
    // The kernel's type is signed on some machines, so only its low 32 bits count.
    let kind = kind & 0xffff_ffff;
    NETWORK_FILE_SYSTEMS
        .iter()
        .find_map(|(number, name)| (*number == kind).then_some(*name))
}

/// The permission bits of a file, if there is one.
fn mode(path: &Path) -> Option<u32> {
    let mode = std::fs::metadata(path).ok()?.permissions().mode();
    Some(mode & 0o777)
}

/// The folder of the store, or the nearest one above that is there.
fn existing_folder(store: &Path) -> PathBuf {
    let absolute = std::path::absolute(store).unwrap_or_else(|_| store.to_owned());
    let folders = absolute.ancestors().skip(1);
    let mut folders = folders.filter(|folder| folder.is_dir());
    folders.next().unwrap_or(Path::new("/")).to_owned()
}

/// Whether the store's folder is there or can be made: no file stands in its place.
fn is_room(store: &Path) -> bool {
    let absolute = std::path::absolute(store).unwrap_or_else(|_| store.to_owned());
    let mut above = absolute.ancestors().skip(1);
    above
        .find(|path| path.symlink_metadata().is_ok())
        .is_none_or(Path::is_dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_in_the_place_of_the_stores_folder_leaves_no_room_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        assert!(is_room(&data.join("deeper/store.redb")));
        std::fs::write(&data, "").unwrap();
        assert!(!is_room(&data.join("store.redb")));
        assert!(!is_room(&data.join("deeper/store.redb")));
        assert!(is_room(&data));
    }

    #[test]
    fn the_nearest_folder_that_exists_is_judged() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("not/yet/store.redb");
        assert_eq!(existing_folder(&store), folder.path());
    }

    #[test]
    fn file_systems_over_a_network_are_told_from_local_ones() {
        assert_eq!(network(0x6969), Some("NFS"));
        assert_eq!(network(0xff53_4d42), Some("CIFS"));
        // ext4 and tmpfs.
        assert_eq!((network(0xef53), network(0x0102_1994)), (None, None));
    }
}
