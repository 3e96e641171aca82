//! What several stories need: a follower to watch, an independent reading of the chain, a faulty node.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

pub(crate) mod entitled;
pub(crate) mod following;
pub(crate) mod life;
pub(crate) mod oracle;
pub(crate) mod relay;
pub(crate) mod rpc_proxy;
pub(crate) mod scene;
pub(crate) mod stage;
