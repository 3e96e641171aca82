//! The handle to a running local Discord.
use std::sync::Arc;

use tokio_util::sync::DropGuard;

use super::shared::Shared;

/// A running local Discord. Clones are handles to the same one; it stops when the last is dropped.
#[derive(Clone, Debug)]
pub struct LocalDiscord {
    pub(crate) shared: Arc<Shared>,
    /// Stops the server when dropped; the server's own handle has none.
    _stop: Option<Arc<DropGuard>>,
}

impl LocalDiscord {
    /// A handle that stops the server when it and its clones are dropped.
    pub(crate) fn running(shared: Arc<Shared>) -> Self {
        let guard = shared.stop.clone().drop_guard();
        Self {
            shared,
            _stop: Some(Arc::new(guard)),
        }
    }

    /// A handle for the server itself.
    pub(crate) fn of_server(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            _stop: None,
        }
    }

    /// `http://127.0.0.1:PORT`: what serenity's `HttpBuilder::proxy` and our `discord.api_url` take.
    pub fn base_url(&self) -> String {
        self.shared.base_url()
    }

    /// Stops it now, whatever handles there are.
    pub fn stop(&self) {
        self.shared.stop.cancel();
    }
}
