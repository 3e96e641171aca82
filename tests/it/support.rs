//! What several stories need: a follower to watch, an independent reading of the chain, a faulty node.

pub(crate) mod following;
pub(crate) mod oracle;
pub(crate) mod rpc_proxy;
pub(crate) mod scene;
