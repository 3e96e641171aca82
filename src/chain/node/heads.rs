//! New heads, as early as the node shows them. A push over a websocket, or the time at which the next block is due, is a
//! reason to read the newest block; a pushed header is used itself only if it extends the followed chain by one block.

use std::sync::Arc;
use std::time::{Duration, Instant};

use alloy::primitives::B256;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinSet;
use tracing::debug;

use super::connection::Node;
use super::error::RpcError;
use super::header::Header;
use super::read;
use super::websocket::PushedHeads;
use crate::chain::error::unless_aborted;
use crate::domain::Checkpoint;

mod pace;

use pace::Pace;

/// Bounds of the silence after which a websocket that pushes is not waited for; in between, three block times.
const SILENCE: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(30));

/// The new heads of one node.
#[derive(Debug)]
pub(crate) struct Heads {
    subscription: Option<PushedHeads>,
    pace: Pace,
    /// The highest head, and the one that was shown last: nodes behind a load balancer take turns.
    highest: Option<(u64, B256)>,
    last: Option<B256>,
    /// Since when nothing new was shown.
    quiet_since: Instant,
    /// Whether the last new head was pushed. A subscription that misses one is not waited for until it pushes again.
    pushes: bool,
    /// The look that is under way, if one is. It goes on while the follower turns to something else: a node that is far away
    /// would else be asked again and again, and never be heard.
    look: JoinSet<Result<Option<Header>, RpcError>>,
}

impl Heads {
    /// Subscribes where the node can push. `head` is the one it had before; when that appeared is not known.
    pub(crate) async fn open(node: &Arc<Node>, head: &Header) -> Self {
        let subscription = node.subscribe_heads().await;
        let mut heads = Self {
            pushes: subscription.is_some(),
            subscription,
            pace: Pace::new(),
            highest: Some((head.number, head.hash)),
            last: Some(head.hash),
            quiet_since: Instant::now(),
            look: JoinSet::new(),
        };
        // What came before the subscription began is not pushed.
        heads.look(node);
        heads
    }

    /// Asks for the newest block.
    fn look(&mut self, node: &Arc<Node>) {
        let node = Arc::clone(node);
        self.look.spawn(async move { read::latest(&node).await });
    }

    /// The usual time between two blocks, as far as it is known.
    pub(crate) fn block_time(&self) -> Duration {
        self.pace.period()
    }

    /// Waits for a head that is not the last one shown, and may be lower; `tip` is the newest followed block. `None` when
    /// there was nothing new for longer than the block time: another node may be further. Cancel safe.
    ///
    /// # Errors
    /// When the node cannot be asked, or its subscription ended and it allows no new one.
    pub(crate) async fn next(
        &mut self,
        node: &Arc<Node>,
        tip: Checkpoint,
    ) -> Result<Option<Header>, RpcError> {
        loop {
            if self.look.is_empty() {
                let look_at = self.next_look();
                tokio::select! {
                    pushed = pushed(self.subscription.as_mut()) => match pushed {
                        Some(headers) => {
                            self.pushes = true;
                            if let [header] = headers.as_slice()
                                && header.number == tip.number + 1
                                && header.parent_hash == tip.hash
                            {
                                self.arrived(header);
                                return Ok(Some(header.clone()));
                            }
                        }
                        None => {
                            self.subscription = node.subscribe_heads().await;
                            if self.subscription.is_none() {
                                return Err(RpcError::unavailable("the websocket was closed"));
                            }
                        }
                    },
                    () = tokio::time::sleep_until(look_at.into()) => {}
                }
                self.look(node);
            }
            let Some(latest) = self.look.join_next().await.and_then(unless_aborted) else {
                continue;
            };
            // `null` is what some load balancers answer while their nodes disagree.
            let latest = latest?;
            if let Some(latest) = latest.filter(|latest| self.last != Some(latest.hash)) {
                self.pushes &= self.quiet_since.elapsed() < self.silence();
                self.arrived(&latest);
                return Ok(Some(latest));
            }
            self.pace.missed(Instant::now());
            if self.quiet_since.elapsed() > self.silence() {
                self.quiet_since = Instant::now();
                return Ok(None);
            }
        }
    }

    /// When to look next if nothing is pushed until then.
    fn next_look(&self) -> Instant {
        match self.subscription.is_some() && self.pushes {
            true => self.quiet_since + self.silence(),
            false => self.pace.next_poll(),
        }
    }

    fn silence(&self) -> Duration {
        (3 * self.pace.period()).clamp(SILENCE.0, SILENCE.1)
    }

    fn arrived(&mut self, header: &Header) {
        self.last = Some(header.hash);
        let now = Instant::now();
        match self.highest {
            // It jumped back, or came back: nodes behind a load balancer take turns. That is nothing new.
            Some((number, hash)) if header.number < number || header.hash == hash => {
                return self.pace.missed(now);
            }
            // One that was replaced at its height says nothing about the rhythm.
            Some((number, _)) if header.number == number => self.pace.missed(now),
            _ => self.pace.arrived(now, header.number),
        }
        self.quiet_since = now;
        self.highest = Some((header.number, header.hash));
    }
}

/// The newest block; not to know one is a failure.
pub(crate) async fn newest(node: &Node) -> Result<Header, RpcError> {
    let newest = read::latest(node).await?;
    newest.ok_or_else(|| RpcError::unavailable("it answered null for the newest block"))
}

/// The heads pushed since the last look, at least one; `None` when the subscription ended. Pending without a subscription.
async fn pushed(heads: Option<&mut PushedHeads>) -> Option<Vec<Header>> {
    let Some(heads) = heads else {
        return std::future::pending().await;
    };
    let mut headers = Vec::new();
    loop {
        let message = match heads.subscription.recv().await {
            Ok(message) => message,
            // More heads than the channel holds came while we were busy; the newest are still there.
            Err(RecvError::Lagged(_)) => continue,
            Err(RecvError::Closed) => return None,
        };
        match serde_json::from_str(message.get()) {
            Ok(header) => headers.push(header),
            Err(error) => debug!(%error, "a pushed head is unreadable"),
        }
        // Heads that are lost when this future is dropped are read by number with the next one.
        if heads.subscription.is_empty() && !headers.is_empty() {
            return Some(headers);
        }
    }
}
