//! The way of requests for members from those who ask to the connections of the gateway.

use std::sync::{Mutex, MutexGuard};

use tokio::sync::{mpsc, oneshot};

use super::error::Failure;
use super::member::SeenMember;
use crate::domain::{GuildId, UserId};

/// The shard that serves a server. <https://discord.com/developers/docs/events/gateway#sharding>
pub(super) fn shard_of(guild: GuildId, total: u32) -> u32 {
    u32::try_from((guild.0 >> 22) % u64::from(total.max(1))).unwrap_or_default()
}

/// Who is in the server, with their roles, and who (`None`) is certainly not.
pub(crate) type Members = Vec<(UserId, Option<SeenMember>)>;

/// A request on its way to the connection.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) guild: GuildId,
    pub(super) users: Vec<UserId>,
    /// `None`: nothing came in time.
    pub(super) answer: oneshot::Sender<Option<Members>>,
}

/// The way from those who ask to the connections that are up, by shard.
#[derive(Debug, Default)]
pub(crate) struct Requests(Mutex<Shards>);

type Shards = Vec<Option<mpsc::UnboundedSender<Ask>>>;

impl Requests {
    fn shards(&self) -> MutexGuard<'_, Shards> {
        self.0.lock().expect("the list of shards does not panic")
    }

    /// Asks over the connection that serves the server. `None` while there is none, or when no answer came in time.
    ///
    /// # Errors
    /// When the connection is lost before the answer.
    pub(crate) async fn ask(
        &self,
        guild: GuildId,
        users: &[UserId],
    ) -> Result<Option<Members>, Failure> {
        let (answer, answered) = oneshot::channel();
        let ask = Ask {
            guild,
            users: users.to_vec(),
            answer,
        };
        {
            let shards = self.shards();
            let shard = shard_of(guild, shards.len().try_into().unwrap_or(u32::MAX));
            let asks = shards.get(shard as usize).and_then(Option::as_ref);
            if asks.is_none_or(|asks| asks.send(ask).is_err()) {
                return Ok(None);
            }
        }
        let lost = |_| Failure::Transient("the gateway was lost before the answer".to_owned());
        answered.await.map_err(lost)
    }

    /// So many connections are set up from now on; none is up yet.
    pub(super) fn reset(&self, total: u32) {
        *self.shards() = (0..total).map(|_| None).collect();
    }

    /// A connection is up and takes requests, or is not and takes none.
    pub(super) fn set(&self, shard: u32, asks: Option<mpsc::UnboundedSender<Ask>>) {
        if let Some(place) = self.shards().get_mut(shard as usize) {
            *place = asks;
        }
    }

    /// Whether all connections are up.
    pub(super) fn is_whole(&self) -> bool {
        let shards = self.shards();
        !shards.is_empty() && shards.iter().all(Option::is_some)
    }
}
