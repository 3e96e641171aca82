//! One of `rpc_urls`, for those who ask now and then beside the follower.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use url::Url;

use super::address::host;
use super::connection::Node;
use super::error::RpcError;

/// Connects when somebody first asks, and again after the connection was lost.
#[derive(Debug)]
pub(crate) struct Endpoint {
    /// May hold a key.
    url: Url,
    chain_id: u64,
    patience: Duration,
    node: Mutex<Option<Arc<Node>>>,
}

impl Endpoint {
    /// Connects to nothing yet. `patience` is the longest wait for a rate limit.
    pub(crate) fn new(url: &Url, chain_id: u64, patience: Duration) -> Self {
        Self {
            url: url.clone(),
            chain_id,
            patience,
            node: Mutex::default(),
        }
    }

    /// The connection of whoever asked before, or a new one. Nobody waits for another one's attempt to connect: of several new
    /// connections the last is kept.
    pub(crate) async fn connect(&self) -> Result<Arc<Node>, RpcError> {
        let known = self.kept().clone();
        if let Some(node) = known {
            return Ok(node);
        }
        // On the heap: what a new connection does is large, and rarely done.
        let connecting = Box::pin(Node::connect(&self.url, self.chain_id, self.patience));
        let node = Arc::new(connecting.await?);
        *self.kept() = Some(Arc::clone(&node));
        Ok(node)
    }

    /// The connection may be lost: whoever asks next makes a new one.
    pub(crate) fn reconnect(&self) {
        *self.kept() = None;
    }

    /// Host and port: all of the URL that may be shown.
    pub(crate) fn host(&self) -> String {
        host(&self.url)
    }

    fn kept(&self) -> MutexGuard<'_, Option<Arc<Node>>> {
        self.node
            .lock()
            .expect("never poisoned: no panic while held")
    }
}
