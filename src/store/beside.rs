//! Files that appear as a whole: written beside their final place, where only their owner can read them, and renamed there.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rand::RngCore as _;

use super::disk::DiskFull;
use super::open::put_in_place;

/// A file that is being written beside `target`. It is removed when this is dropped before it is in its place.
#[derive(Debug)]
pub(super) struct Beside {
    path: PathBuf,
    target: PathBuf,
}

impl Beside {
    /// Makes the empty file (mode 0600), after removing those that a kill left behind.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn new(target: &Path) -> anyhow::Result<(Self, File)> {
        let folder = folder_of(target);
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
        let prefix = prefix_of(target)?;
        remove_abandoned(folder, &prefix);
        let mut name = prefix;
        name.push(format!("{:016x}", rand::rng().next_u64()));
        let beside = Self {
            path: folder.join(name),
            target: target.to_owned(),
        };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        let file = options
            .open(&beside.path)
            .with_context(|| format!("cannot write beside {}", target.display()))?;
        Ok((beside, file))
    }

    /// Where it is until then.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the place of what was at the target, if anything was, in one step that survives a crash.
    ///
    /// # Errors
    /// When the disk refuses; what was at the target is still there then.
    pub(super) fn replace(self) -> anyhow::Result<()> {
        self.finish(|from, to| std::fs::rename(from, to))
    }

    /// Takes its place only if nothing is there.
    ///
    /// # Errors
    /// When something is, or the disk refuses.
    pub(super) fn appear(self) -> anyhow::Result<()> {
        self.finish(|from, to| put_in_place(from, to, |from, to| std::fs::hard_link(from, to)))
    }

    fn finish(self, put: impl FnOnce(&Path, &Path) -> std::io::Result<()>) -> anyhow::Result<()> {
        let name = self.target.display();
        File::open(&self.path)
            .and_then(|file| file.sync_all())
            .with_context(|| format!("cannot write {name} to the disk"))?;
        put(&self.path, &self.target).with_context(|| format!("cannot make {name}"))?;
        // The name itself must survive a crash as well.
        File::open(folder_of(&self.target))
            .and_then(|folder| folder.sync_all())
            .with_context(|| format!("cannot write the folder of {name} to the disk"))
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // In its place by now, or of no use.
        let _left_behind = std::fs::remove_file(&self.path);
    }
}

/// Writes a file that appears as a whole, in place of what was there.
///
/// # Errors
/// With the error of `write`, or when the disk refuses; what was there is still there then.
pub fn write_whole<T>(
    target: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let write_beside = || {
        let (beside, part) = Beside::new(target)?;
        let mut out = BufWriter::new(part);
        let written = write(&mut out)?;
        out.flush()
            .with_context(|| format!("cannot write {}", target.display()))?;
        beside.replace()?;
        Ok(written)
    };
    write_beside().map_err(|error| DiskFull::name(error, target))
}

pub(super) fn folder_of(path: &Path) -> &Path {
    let folder = path.parent().unwrap_or(Path::new("."));
    match folder.as_os_str().is_empty() {
        true => Path::new("."),
        false => folder,
    }
}

fn prefix_of(target: &Path) -> anyhow::Result<OsString> {
    let name = target
        .file_name()
        .with_context(|| format!("{} names no file", target.display()))?;
    let mut prefix = name.to_owned();
    prefix.push(".part-");
    Ok(prefix)
}

/// Removes what killed processes left; one that is still being written is locked.
fn remove_abandoned(folder: &Path, prefix: &OsString) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let is_part = name
            .as_encoded_bytes()
            .starts_with(prefix.as_encoded_bytes());
        if is_part && File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok()) {
            let _gone_meanwhile = std::fs::remove_file(entry.path());
        }
    }
}

/// Whether there is anything at this path.
pub(super) fn exists(path: &Path) -> anyhow::Result<bool> {
    match std::fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).with_context(|| format!("cannot look at {}", path.display())),
    }
}
