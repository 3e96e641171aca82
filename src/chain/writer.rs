//! One thread for all of the follower's commits: one after another, however many readers wait, and none of them held up
//! by other blocking work.

use std::sync::mpsc;

use anyhow::Context;
use tokio::sync::oneshot;

use crate::domain::{Batch, Coverage, Synced};
use crate::store::Store;

/// What to do: run it, then answer.
type Job = Box<dyn FnOnce() + Send>;

/// The way to the thread, which ends with the last clone of this.
#[derive(Clone, Debug)]
pub(super) struct Writer {
    jobs: mpsc::Sender<Job>,
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start() -> anyhow::Result<Self> {
        let (jobs, waiting) = mpsc::channel::<Job>();
        std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || waiting.into_iter().for_each(|job| job()))
            .context("starting the thread that writes the store")?;
        Ok(Self { jobs })
    }

    /// Stores a batch. Once called it happens, also when the future is dropped; `turn` is held until then. The thread
    /// keeps nothing of the store afterwards.
    pub(super) async fn ingest(
        &self,
        store: Store,
        mut batch: Batch,
        turn: impl Send + 'static,
    ) -> anyhow::Result<()> {
        let (done, stored) = oneshot::channel();
        let job = Box::new(move || {
            let result = name_left(&store, &mut batch).and_then(|()| store.ingest(batch));
            drop((store, turn));
            // Nobody may be waiting any more.
            let _ = done.send(result);
        });
        let gone = "the thread that writes the store has ended";
        self.jobs.send(job).ok().context(gone)?;
        stored.await.context(gone)?
    }
}

/// Names the modules at the cursor that the batch does not cover.
fn name_left(store: &Store, batch: &mut Batch) -> anyhow::Result<()> {
    if let Coverage::Cursor { joined, left } = &mut batch.coverage {
        for (module, record) in store.modules()? {
            if record.synced == Synced::ToCursor && !joined.contains(&module) {
                left.push(module);
            }
        }
    }
    Ok(())
}
