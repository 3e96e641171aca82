//! Why a step of following was not made, and steps of the store that run off the async threads.

use anyhow::Context as _;

use super::node::RpcError;

/// Why a step was not made.
#[derive(Debug)]
pub(super) enum SessionError {
    /// The node failed, or gave an answer that cannot be believed.
    Rpc(RpcError),
    /// The chain moved while it was read; reading again gives a consistent answer.
    Moved(String),
    /// The store failed: nothing can be done here.
    Store(anyhow::Error),
}

impl From<RpcError> for SessionError {
    fn from(error: RpcError) -> Self {
        Self::Rpc(error)
    }
}

impl From<anyhow::Error> for SessionError {
    fn from(error: anyhow::Error) -> Self {
        Self::Store(error)
    }
}

/// Runs a reading step of the store off the async threads.
pub(super) async fn blocking<T: Send + 'static>(
    step: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> Result<T, SessionError> {
    let result = tokio::task::spawn_blocking(step).await;
    Ok(result.context("a step of the store was interrupted")??)
}
