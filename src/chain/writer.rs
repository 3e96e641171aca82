//! The one thread that writes what was read from the chain. What is submitted happens in order, whether or not the caller
//! still waits for it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};

use alloy::primitives::{Address, B256};
use anyhow::Context;
use tokio::sync::oneshot;
use tracing::warn;

use crate::abi::Layouts;
use crate::domain::{Batch, UnknownLogs};
use crate::store::Store;

/// A contract can make up any number of topics; after so many warnings the counters alone tell the rest.
const MOST_WARNINGS: usize = 200;

/// What to do; answers by itself.
type Job = Box<dyn FnOnce() + Send>;
/// Emitters and topics of logs.
type Warned = BTreeSet<(Address, B256)>;

/// The way to the thread, which ends with the last clone of this.
#[derive(Clone, Debug)]
pub(super) struct Writer {
    store: Store,
    jobs: mpsc::Sender<Job>,
    layouts: Arc<Layouts>,
    /// The unknown logs that were warned of.
    warned: Arc<Mutex<Warned>>,
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
            layouts,
            warned: Arc::default(),
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
        self.warn_of(&batch.unknown);
        self.submit(move |store| {
            store.ingest(batch)?;
            events.fetch_add(added, Ordering::Relaxed);
            commits.fetch_add(1, Ordering::Relaxed);
            Ok(())
        })
    }

    /// Warns once of each address and topic that cannot be read, with what to do.
    fn warn_of(&self, unknown: &[UnknownLogs]) {
        let warned = self.warned.lock();
        let mut warned = warned.expect("never poisoned: no panic while held");
        for UnknownLogs { address, topic, .. } in new_among(&mut warned, unknown) {
            let explanation = self.layouts.explain(&topic);
            warn!(%address, %topic, "a followed contract's logs cannot be read: {explanation}");
        }
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

fn new_among(warned: &mut Warned, unknown: &[UnknownLogs]) -> Vec<UnknownLogs> {
    let is_new = |logs: &&UnknownLogs| {
        warned.len() < MOST_WARNINGS && warned.insert((logs.address, logs.topic))
    };
    unknown.iter().filter(is_new).copied().collect()
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

    #[test]
    fn each_address_and_topic_is_warned_of_once_and_a_flood_ends() {
        let logs = |address: u8, topic: u8| UnknownLogs {
            address: Address::repeat_byte(address),
            topic: B256::repeat_byte(topic),
            count: 1,
        };
        let mut warned = Warned::new();
        let first = [logs(1, 1), logs(1, 2), logs(1, 1)];
        assert_eq!(new_among(&mut warned, &first), first[..2]);
        assert_eq!(
            new_among(&mut warned, &[logs(1, 2), logs(2, 2)]),
            [logs(2, 2)]
        );
        let flood: Vec<_> = (0..=255).map(|topic| logs(3, topic)).collect();
        assert_eq!(new_among(&mut warned, &flood).len(), MOST_WARNINGS - 3);
    }
}
