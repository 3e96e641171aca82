//! What leaves and enters the open store: backups, and links with their proofs.

use std::io::Read;
use std::path::PathBuf;
use std::sync::mpsc;

use anyhow::Context as _;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::StreamExt as _;

use super::Running;
use super::stream::streamed;
use crate::clock::machine_time;
use crate::domain::Timestamp;
use crate::store::{BackupManifest, Store, keep_backup};
use crate::web::SignatureCheck;
use crate::web::transfer::{Import, ImportReport, LINES_AT_ONCE, export_links};

/// Chunks that may be ahead of the thread that writes the file.
const AHEAD: usize = 16;

#[derive(Clone)]
struct Opened {
    store: Store,
    check: SignatureCheck,
    limit: usize,
}

/// Answers from the open store. Imports check each signature with `check`, and let a member hold `limit` wallets.
pub fn store_routes(store: Store, check: SignatureCheck, limit: usize) -> Router {
    Router::new()
        .route("/backup", get(backup))
        .route("/backup/kept", post(kept))
        .route("/links", get(export).post(import))
        .with_state(Opened {
            store,
            check,
            limit,
        })
}

async fn backup(State(opened): State<Opened>) -> Response {
    streamed("backup", move |body| {
        opened.store.write_backup(machine_time(), body)
    })
}

async fn kept(State(opened): State<Opened>, Json(made_at): Json<Timestamp>) -> Response {
    let noted = tokio::task::spawn_blocking(move || opened.store.note_backup(made_at)).await;
    answer(
        noted
            .map_err(anyhow::Error::from)
            .flatten()
            .map(|()| "noted"),
    )
}

async fn export(State(opened): State<Opened>) -> Response {
    streamed("links", move |body| {
        export_links(&opened.store, body)?;
        Ok(())
    })
}

async fn import(State(opened): State<Opened>, body: Body) -> Response {
    let import = Import::new(opened.store, opened.check, opened.limit);
    answer(take_lines(import, body).await.map(Json))
}

async fn take_lines(mut import: Import, body: Body) -> anyhow::Result<ImportReport> {
    let mut chunks = body.into_data_stream();
    let (mut lines, mut line) = (Vec::new(), Vec::new());
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.context("the file was cut off on its way")?;
        for part in chunk.split_inclusive(|byte| *byte == b'\n') {
            line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                lines.push(std::mem::take(&mut line));
            }
            if lines.len() >= LINES_AT_ONCE {
                import.take(std::mem::take(&mut lines)).await?;
            }
        }
    }
    lines.push(line);
    import.take(lines).await?;
    Ok(import.finish())
}

fn answer(result: anyhow::Result<impl axum::response::IntoResponse>) -> Response {
    match result {
        Ok(answer) => answer.into_response(),
        Err(error) => {
            let error = format!("{error:#}");
            tracing::error!(error, "a request over the control socket failed");
            (StatusCode::INTERNAL_SERVER_ERROR, error).into_response()
        }
    }
}

/// Has the running service write its backup, and keeps it as `file`, written by this process.
///
/// # Errors
/// When the service does not answer or stops on the way, or as [`keep_backup`].
pub async fn ask_for_backup(running: &Running, file: PathBuf) -> anyhow::Result<BackupManifest> {
    let mut answer = running.ask(running.get("/backup")).await?;
    let (chunks, arriving) = mpsc::sync_channel(AHEAD);
    let keeping = tokio::task::spawn_blocking(move || keep_backup(Arriving::new(arriving), &file));
    let mut cut = None;
    loop {
        match answer.chunk().await {
            Ok(None) => break,
            Ok(Some(chunk)) => {
                let chunks = chunks.clone();
                let sent = tokio::task::spawn_blocking(move || chunks.send(chunk));
                // The thread that writes has failed, and says why.
                if sent.await?.is_err() {
                    break;
                }
            }
            Err(error) => {
                cut = Some(error);
                break;
            }
        }
    }
    drop(chunks);
    let kept = keeping.await.context("writing the backup failed")?;
    let manifest = match (kept, cut) {
        (Err(_), Some(cut)) => {
            return Err(cut).context("the running service stopped in the middle of the backup");
        }
        (kept, _) => kept?,
    };
    running
        .ask(running.post("/backup/kept").json(&manifest.made_at))
        .await?;
    Ok(manifest)
}

/// Chunks from another thread, as one stream of bytes.
struct Arriving {
    chunks: mpsc::Receiver<Bytes>,
    chunk: Bytes,
}

impl Arriving {
    fn new(chunks: mpsc::Receiver<Bytes>) -> Self {
        let chunk = Bytes::new();
        Self { chunks, chunk }
    }
}

impl Read for Arriving {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        while self.chunk.is_empty() {
            match self.chunks.recv() {
                Ok(chunk) => self.chunk = chunk,
                Err(_) => return Ok(0),
            }
        }
        let count = into.len().min(self.chunk.len());
        into[..count].copy_from_slice(&self.chunk.split_to(count));
        Ok(count)
    }
}
