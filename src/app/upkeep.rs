//! What keeps an installation going for years: backups, moving, rebuilding. Each is asked of the running service, or done on the
//! store when none runs.

use std::io::{BufRead as _, BufReader, BufWriter, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::open::open_bound;
use super::{control_path, once, pages};
use crate::clock::machine_time;
use crate::config::Config;
use crate::domain::ChainStatus;
use crate::store::{
    self, BackupManifest, Rebuilt, Restored, Store, StoreError, keep_backup, refuse_to_replace,
};
use crate::web::control::{RebuildStep, Running, ask_for_backup, ask_for_rebuild};
use crate::web::transfer::{Import, ImportReport, LINES_AT_ONCE, LinkLine, export_links};

/// Who has the store.
enum Holder {
    /// This process.
    Here(Store),
    /// A running service, which can be asked.
    Service(Running),
}

/// Opens the store, or finds the service that has it open. Makes no store where there is none.
async fn holder(config: &Config) -> anyhow::Result<Holder> {
    let path = &config.store_path;
    ensure!(
        path.try_exists().unwrap_or(true),
        "there is no store at {} (store.path) yet; start the service, or restore a backup",
        path.display()
    );
    match open_bound(config).await {
        Err(error) if matches!(error.downcast_ref(), Some(StoreError::InUse(_))) => {
            Ok(Holder::Service(Running::at(&control_path(path))?))
        }
        opened => Ok(Holder::Here(opened?)),
    }
}

/// Makes a backup, also while the service runs, and reads it back.
///
/// # Errors
/// As [`keep_backup`]; also when the service that has the store does not answer.
pub async fn backup(config: &Config, file: PathBuf) -> anyhow::Result<BackupManifest> {
    // Before anything is read: it may be long.
    refuse_to_replace(&file)?;
    match holder(config).await? {
        Holder::Service(running) => ask_for_backup(&running, file).await,
        Holder::Here(store) => {
            tokio::task::spawn_blocking(move || backup_of(&store, &file)).await?
        }
    }
}

fn backup_of(store: &Store, file: &Path) -> anyhow::Result<BackupManifest> {
    let (reader, writer) = std::io::pipe().context("cannot make a pipe")?;
    let (written, kept) = std::thread::scope(|scope| {
        let writing = scope.spawn(move || {
            let mut out = BufWriter::new(writer);
            store.write_backup(machine_time(), &mut out)
        });
        let kept = keep_backup(reader, file);
        (writing.join(), kept)
    });
    let written = written.map_err(|_| anyhow::anyhow!("reading the store panicked"))?;
    let manifest = match (written, kept) {
        // The other side gave up first, and knows why.
        (Err(error), Err(why)) if is_broken_pipe(&error) => return Err(why),
        (Err(error), _) => return Err(error),
        (Ok(()), kept) => kept?,
    };
    store.note_backup(manifest.made_at)?;
    Ok(manifest)
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

/// Puts a backup in the store's place.
///
/// # Errors
/// As [`store::restore`].
pub async fn restore(config: &Config, file: PathBuf, replace: bool) -> anyhow::Result<Restored> {
    let (path, chain_id) = (config.store_path.clone(), config.chain.chain_id);
    tokio::task::spawn_blocking(move || {
        store::restore(&file, &path, chain_id, replace, machine_time())
    })
    .await?
}

/// Writes every link with its proof into a file, one a line; how many.
///
/// # Errors
/// When the store cannot be read or the file not be written, or when something else is in the file.
pub async fn export(config: &Config, file: PathBuf) -> anyhow::Result<u64> {
    ensure!(
        may_take_links(&file)?,
        "{} exists and holds something else than links; name another file",
        file.display()
    );
    match holder(config).await? {
        Holder::Here(store) => {
            let write = move || store::write_whole(&file, |out| export_links(&store, out));
            tokio::task::spawn_blocking(write).await?
        }
        Holder::Service(running) => {
            let answer = running.ask(running.get("/links")).await?;
            let lines = answer.bytes().await;
            let lines = lines.context("the running service stopped in the middle of the export")?;
            let count = lines.iter().filter(|byte| **byte == b'\n').count() as u64;
            tokio::task::spawn_blocking(move || {
                store::write_whole(&file, |out| Ok(out.write_all(&lines)?))
            })
            .await??;
            Ok(count)
        }
    }
}

/// Whether nothing would be lost by an export to this file: it is not there, empty, or an export.
fn may_take_links(file: &Path) -> anyhow::Result<bool> {
    let file = match std::fs::metadata(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(true),
        // A folder, or a pipe, which would be waited on for ever.
        Ok(there) if !there.is_file() => return Ok(false),
        _ => {
            std::fs::File::open(file).with_context(|| format!("cannot read {}", file.display()))?
        }
    };
    let mut line = Vec::new();
    BufReader::new(file).read_until(b'\n', &mut line)?;
    Ok(line.is_empty() || serde_json::from_slice::<LinkLine>(&line).is_ok())
}

/// Takes links in whose proofs hold.
///
/// # Errors
/// When the file cannot be read or the store not be written. A line that is refused is part of the report.
pub async fn import(config: &Config, file: &Path) -> anyhow::Result<ImportReport> {
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    match holder(config).await? {
        Holder::Service(running) => {
            let request = running.post("/links").body(bytes);
            let answer = running.ask(request).await?.json().await;
            answer.context("the running service stopped in the middle of the import; run it again")
        }
        Holder::Here(store) => {
            let (_followed, status) = watch::channel(ChainStatus::default());
            let check = pages::signature_check(config, status);
            let mut import = Import::new(store, check, config.web.links_per_member);
            let lines: Vec<_> = bytes.split(|byte| *byte == b'\n').collect();
            for some in lines.chunks(LINES_AT_ONCE) {
                let some = some.iter().map(|line| line.to_vec()).collect();
                import.take(some).await?;
            }
            Ok(import.finish())
        }
    }
}

/// Makes everything derived again; with `from_chain` after reading the events from the chain again.
///
/// # Errors
/// When the store cannot be read or written, or the chain not be read.
pub async fn rebuild(
    config: &Config,
    from_chain: bool,
    progress: impl Fn(RebuildStep) + Send + Sync + 'static,
    stop: CancellationToken,
) -> anyhow::Result<Rebuilt> {
    let store = match holder(config).await? {
        Holder::Service(running) => return ask_for_rebuild(&running, from_chain, progress).await,
        Holder::Here(store) => store,
    };
    if from_chain {
        let resetting = store.clone();
        let modules = tokio::task::spawn_blocking(move || {
            resetting.reset_modules()?;
            resetting.modules()
        });
        let modules = modules.await??.into_keys().collect();
        once::follow_to(config, store.clone(), modules, None, stop).await?;
    }
    let progress = Arc::new(progress);
    tokio::task::spawn_blocking(move || {
        store.rebuild(|done, of| progress(RebuildStep::Folding { done, of }))
    })
    .await?
}
