//! The store from async handlers.

use super::Site;
use super::error::WebError;
use crate::store::Store;

impl Site {
    /// Runs a store transaction on a blocking thread.
    pub(super) async fn with_store<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> anyhow::Result<T> + Send + 'static,
    ) -> Result<T, WebError> {
        let store = self.state.store.clone();
        let done = tokio::task::spawn_blocking(move || work(&store)).await;
        Ok(done.map_err(anyhow::Error::from)??)
    }
}
