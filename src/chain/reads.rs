//! Reads from the store, off the async threads.

use std::sync::Arc;

use anyhow::Context as _;
use tokio::sync::RwLock;

use super::error::SessionError;
use crate::store::Store;

/// The way to the store for those who read it; clones share it.
#[derive(Clone, Debug)]
pub(super) struct StoreReader {
    store: Store,
    /// Each read holds a part of it.
    running: Arc<RwLock<()>>,
}

impl StoreReader {
    pub(super) fn new(store: Store) -> Self {
        Self {
            store,
            running: Arc::default(),
        }
    }

    /// Reads from the store. It goes on to its end also when nobody waits for it any more.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Store) -> anyhow::Result<T> + Send + 'static,
    ) -> Result<T, SessionError> {
        let running = Arc::clone(&self.running).read_owned().await;
        let store = self.store.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let result = read(&store);
            drop(store);
            drop(running);
            result
        });
        Ok(reading
            .await
            .context("a read of the store was interrupted")??)
    }

    /// Returns when no read is running.
    pub(super) async fn settle(&self) {
        drop(self.running.write().await);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures_util::poll;

    use super::*;

    #[tokio::test]
    async fn a_read_that_nobody_waits_for_is_waited_for_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.redb");
        let open = || Store::open(&path);
        let reader = StoreReader::new(open().unwrap());
        let (begun, has_begun) = mpsc::channel();
        let (go_on, wait) = mpsc::channel::<()>();
        let mut reading = Box::pin(reader.read(move |_| {
            begun.send(())?;
            Ok(wait.recv()?)
        }));
        assert!(poll!(&mut reading).is_pending());
        has_begun.recv().unwrap();
        // As a branch of a `select!` that lost.
        drop(reading);
        let mut settling = Box::pin(reader.settle());
        assert!(poll!(&mut settling).is_pending());
        go_on.send(()).unwrap();
        settling.await;
        drop(reader);
        assert!(open().is_ok());
    }
}
