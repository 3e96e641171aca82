//! What one shard is made of: where it connects, as whom, and the session that it has.

use std::sync::Arc;

use secrecy::SecretString;
use serenity::model::gateway::GatewayIntents;
use tokio_util::sync::CancellationToken;

use super::events::Events;
use super::starts::Starts;

/// What a shard is and needs.
pub(super) struct Shard {
    pub(super) id: u32,
    pub(super) total: u32,
    /// Where new sessions begin.
    pub(super) url: String,
    pub(super) token: SecretString,
    pub(super) intents: GatewayIntents,
    pub(super) starts: Arc<Starts>,
    pub(super) events: Arc<Events>,
    pub(super) stop: CancellationToken,
}

/// A session that can be resumed.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) id: String,
    /// Where it is resumed.
    pub(super) url: String,
    /// The number of the last event.
    pub(super) sequence: u64,
}
