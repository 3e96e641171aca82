//! Why a step of following failed, and work off the follower's own task.

use tokio::task::JoinError;

use super::node::RpcError;
use super::processors::ProcessorError;

/// Why a step failed.
#[derive(Debug)]
pub(super) enum SessionError {
    /// The node failed, or gave an answer that cannot be believed.
    Rpc(RpcError),
    /// The chain moved while it was read; reading again gives a consistent answer.
    Moved(&'static str),
    /// A module was read with the wrong processors.
    Processors(ProcessorError),
    /// The store failed: nothing can be done here.
    Store(anyhow::Error),
}

impl From<RpcError> for SessionError {
    fn from(error: RpcError) -> Self {
        Self::Rpc(error)
    }
}

impl From<ProcessorError> for SessionError {
    fn from(error: ProcessorError) -> Self {
        Self::Processors(error)
    }
}

impl From<anyhow::Error> for SessionError {
    fn from(error: anyhow::Error) -> Self {
        Self::Store(error)
    }
}

/// What a task came to; `None` if it was aborted. Panics if the task did.
pub(super) fn unless_aborted<T>(ended: Result<T, JoinError>) -> Option<T> {
    match ended {
        Ok(ended) => Some(ended),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => None,
        },
    }
}
