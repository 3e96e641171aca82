//! The one thread that writes what was read from the chain. Its queue is the only order: what is submitted happens, one
//! thing after another, whether anybody still waits for it or not.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};

use anyhow::Context;
use tokio::sync::oneshot;

use super::unknown::UnknownWarnings;
use crate::abi::Layouts;
use crate::domain::Batch;
use crate::store::Store;

/// What to do; answers by itself.
type Job = Box<dyn FnOnce() + Send>;

/// The way to the thread, which ends with the last clone of this.
#[derive(Clone, Debug)]
pub(super) struct Writer {
    store: Store,
    jobs: mpsc::Sender<Job>,
    warnings: Arc<Mutex<UnknownWarnings>>,
    events: Arc<AtomicU64>,
    commits: Arc<AtomicU64>,
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(store: Store, layouts: Arc<Layouts>) -> anyhow::Result<Self> {
        let (jobs, waiting) = mpsc::channel::<Job>();
        std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || waiting.into_iter().for_each(|job| job()))
            .context("starting the thread that writes the store")?;
        Ok(Self {
            store,
            warnings: Arc::new(Mutex::new(UnknownWarnings::new(layouts))),
            jobs,
            events: Arc::default(),
            commits: Arc::default(),
        })
    }

    /// Queues a step at once; the future only waits for its result.
    pub(super) fn submit<T, F>(
        &self,
        step: F,
    ) -> impl Future<Output = anyhow::Result<T>> + Send + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce(&Store) -> anyhow::Result<T> + Send + 'static,
    {
        let (done, result) = oneshot::channel();
        let store = self.store.clone();
        let job = Box::new(move || {
            let result = step(&store);
            // Whoever hears of the last step may open the file again.
            drop(store);
            // Nobody may be waiting any more.
            let _ = done.send(result);
        });
        let gone = "the thread that writes the store has ended";
        let queued = self.jobs.send(job).ok().context(gone);
        async move {
            queued?;
            result.await.context(gone)?
        }
    }

    /// Queues a batch.
    pub(super) fn ingest(
        &self,
        batch: Batch,
    ) -> impl Future<Output = anyhow::Result<()>> + Send + use<> {
        let (events, commits) = (Arc::clone(&self.events), Arc::clone(&self.commits));
        let added = batch.events.len() as u64;
        self.warnings
            .lock()
            .expect("never poisoned: no panic while held")
            .warn(&batch.unknown);
        self.submit(move |store| {
            store.ingest(batch)?;
            events.fetch_add(added, Ordering::Relaxed);
            commits.fetch_add(1, Ordering::Relaxed);
            Ok(())
        })
    }

    /// Returns when everything that was queued before has happened.
    pub(super) async fn settle(&self) -> anyhow::Result<()> {
        self.submit(|_| Ok(())).await
    }

    /// Events stored since the start.
    pub(super) fn events_stored(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }

    /// Batches stored since the start: a sign of progress.
    pub(super) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_queued_happens_in_order_though_nobody_waits_for_it() {
        let writer = Writer::start(Store::in_memory().unwrap(), Layouts::built_in()).unwrap();
        let (seen, order) = mpsc::channel();
        for step in 0..3 {
            let seen = seen.clone();
            // Never polled: as by a task that was aborted, or a branch of a `select!` that lost.
            drop(writer.submit(move |_| Ok(seen.send(step)?)));
        }
        writer.settle().await.unwrap();
        assert_eq!(order.try_iter().collect::<Vec<_>>(), [0, 1, 2]);
    }

    #[tokio::test]
    async fn a_failed_step_fails_alone() {
        let writer = Writer::start(Store::in_memory().unwrap(), Layouts::built_in()).unwrap();
        let failed = writer.submit(|_| -> anyhow::Result<()> { anyhow::bail!("no room") });
        assert_eq!(failed.await.unwrap_err().to_string(), "no room");
        assert!(writer.settle().await.is_ok());
    }
}
