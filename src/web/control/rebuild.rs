//! `POST /rebuild`: everything derived is made again while the service goes on.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, oneshot};

use super::Running;
use super::stream::{BodyWriter, streamed};
use crate::store::{Rebuilt, Store};

/// How often it is said how far the reading of the chain is.
const TELL_EVERY: Duration = Duration::from_millis(500);

/// Has the follower forget what it read of the chain and read it again; answered once it is forgotten.
pub type ReadAgain = Arc<dyn Fn() -> oneshot::Receiver<()> + Send + Sync>;

/// How far a rebuild is. One line of JSON each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RebuildStep {
    /// The chain is read again: of so many modules, so many are done.
    Reading {
        /// Modules that are read.
        done: u64,
        /// All modules.
        of: u64,
    },
    /// Stored events are folded again, counted in rows.
    Folding {
        /// Rows that are folded.
        done: u64,
        /// All rows.
        of: u64,
    },
    /// It is done.
    Done {
        /// Subjects that were folded again.
        subjects: u64,
        /// How many of them were others before.
        changed: u64,
    },
}

impl From<Rebuilt> for RebuildStep {
    fn from(Rebuilt { subjects, changed }: Rebuilt) -> Self {
        Self::Done { subjects, changed }
    }
}

#[derive(Clone)]
struct Rebuilds {
    store: Store,
    read_again: ReadAgain,
    /// Held while one is under way.
    under_way: Arc<Mutex<()>>,
}

#[derive(Deserialize)]
struct Options {
    #[serde(default)]
    from_chain: bool,
}

/// Rebuilds the open store.
pub fn rebuild_routes(store: Store, read_again: ReadAgain) -> Router {
    Router::new()
        .route("/rebuild", post(rebuild))
        .with_state(Rebuilds {
            store,
            read_again,
            under_way: Arc::default(),
        })
}

async fn rebuild(State(rebuilds): State<Rebuilds>, Query(options): Query<Options>) -> Response {
    let Ok(alone) = Arc::clone(&rebuilds.under_way).try_lock_owned() else {
        return (StatusCode::CONFLICT, "a rebuild is under way already").into_response();
    };
    tracing::info!(from_chain = options.from_chain, "rebuilding");
    streamed("rebuild", move |body| {
        let _alone = alone;
        if options.from_chain {
            read_again(&rebuilds, body)?;
        }
        let rebuilt = rebuilds.store.rebuild(|done, of| {
            // Whoever asked may have gone; it is finished all the same.
            let _gone = tell(body, RebuildStep::Folding { done, of });
        })?;
        tracing::info!(
            subjects = rebuilt.subjects,
            changed = rebuilt.changed,
            "rebuilt"
        );
        tell(body, rebuilt.into())
    })
}

fn read_again(rebuilds: &Rebuilds, body: &mut BodyWriter) -> anyhow::Result<()> {
    let before = rebuilds.store.complete_modules()?;
    let of = before.len() as u64;
    tell(body, RebuildStep::Reading { done: 0, of })?;
    Handle::current()
        .block_on((rebuilds.read_again)())
        .context("the service is stopping")?;
    loop {
        let complete = rebuilds.store.complete_modules()?;
        let done = before.intersection(&complete).count() as u64;
        tell(body, RebuildStep::Reading { done, of })?;
        if done == of {
            return Ok(());
        }
        std::thread::sleep(TELL_EVERY);
    }
}

fn tell(body: &mut BodyWriter, step: RebuildStep) -> anyhow::Result<()> {
    serde_json::to_writer(&mut *body, &step)?;
    body.write_all(b"\n")?;
    Ok(body.flush()?)
}

/// Has the running service rebuild its store; `progress` hears of each step.
///
/// # Errors
/// When the service does not answer, is rebuilding already, or stops on the way.
pub async fn ask_for_rebuild(
    running: &Running,
    from_chain: bool,
    mut progress: impl FnMut(RebuildStep),
) -> anyhow::Result<Rebuilt> {
    let route = format!("/rebuild?from_chain={from_chain}");
    let mut answer = running.ask(running.post(&route)).await?;
    let mut text = Vec::new();
    let stopped = "the running service stopped in the middle of the rebuild; run it again";
    while let Some(chunk) = answer.chunk().await.context(stopped)? {
        text.extend_from_slice(&chunk);
        while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = text.drain(..=end).collect();
            match serde_json::from_slice(&line)
                .context("the running service is of another version")?
            {
                RebuildStep::Done { subjects, changed } => {
                    return Ok(Rebuilt { subjects, changed });
                }
                step => progress(step),
            }
        }
    }
    anyhow::bail!(stopped)
}
