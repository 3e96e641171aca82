//! The way of requests for members from those who ask to the connections of the gateway.

use std::sync::Mutex;

use tokio::sync::{mpsc, oneshot};

use super::member::SeenMember;
use crate::domain::{GuildId, UserId};

/// The shard that serves a server. <https://discord.com/developers/docs/events/gateway#sharding>
pub(super) fn shard_of(guild: GuildId, total: u32) -> u32 {
    u32::try_from((guild.0 >> 22) % u64::from(total.max(1))).unwrap_or_default()
}

/// What came of a request.
#[derive(Debug, PartialEq)]
pub(crate) enum Answer {
    /// Who is in the server, and who is certainly not.
    Members {
        found: Vec<SeenMember>,
        missing: Vec<UserId>,
    },
    /// Nothing came in time.
    Silence,
}

/// A request on its way to the connection.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) guild: GuildId,
    pub(super) users: Vec<UserId>,
    pub(super) answer: oneshot::Sender<Answer>,
}

/// The way from those who ask to the connections that are up, by shard.
#[derive(Debug, Default)]
pub(crate) struct Requests(Mutex<Vec<Option<mpsc::UnboundedSender<Ask>>>>);

impl Requests {
    /// Asks over the connection that serves the server. `None` while there is none; an error when it is lost before the
    /// answer.
    pub(crate) async fn ask(
        &self,
        guild: GuildId,
        users: &[UserId],
    ) -> Option<Result<Answer, oneshot::error::RecvError>> {
        let (answer, answered) = oneshot::channel();
        {
            let shards = self.0.lock().expect("the list of shards does not panic");
            let total = u32::try_from(shards.len())
                .ok()
                .filter(|total| *total > 0)?;
            let asks = shards[shard_of(guild, total) as usize].as_ref()?;
            let users = users.to_vec();
            asks.send(Ask {
                guild,
                users,
                answer,
            })
            .ok()?;
        }
        Some(answered.await)
    }

    /// So many connections are set up from now on; none is up yet.
    pub(super) fn reset(&self, total: u32) {
        let mut shards = self.0.lock().expect("the list of shards does not panic");
        *shards = (0..total).map(|_| None).collect();
    }

    /// A connection is up and takes requests, or is not and takes none.
    pub(super) fn set(&self, shard: u32, asks: Option<mpsc::UnboundedSender<Ask>>) {
        let mut shards = self.0.lock().expect("the list of shards does not panic");
        if let Some(place) = shards.get_mut(shard as usize) {
            *place = asks;
        }
    }
}
