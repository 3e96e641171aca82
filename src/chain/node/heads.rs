//! New heads, as early as the node shows them: pushed over a websocket, or polled just when the next block is due.

use std::time::{Duration, Instant};

use alloy::primitives::B256;
use tokio::sync::broadcast::error::RecvError;
use tracing::debug;

use super::connection::{Node, PushedHeads};
use super::error::RpcError;
use super::read::{self, Header};

mod pace;

use pace::Pace;

/// How long a pushed head may come after a probe has already shown it.
const PUSH_GRACE: Duration = Duration::from_millis(750);
/// Bounds of the silence after which a websocket is probed; in between, three block times.
const SILENCE: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(30));

/// The new heads of one node.
#[derive(Debug)]
pub(crate) struct Heads {
    source: Source,
    pace: Pace,
    /// The highest head, and the one that came last: nodes behind a load balancer take turns.
    highest: Option<(u64, B256)>,
    last: Option<B256>,
    /// Since when nothing new has come.
    quiet_since: Instant,
    /// Whether a head was pushed.
    pushed: bool,
    /// Whether one was missed.
    silent: bool,
}

#[derive(Debug)]
enum Source {
    Pushed(PushedHeads),
    Polled,
}

/// What happened at the node.
#[derive(Clone, Debug)]
pub(crate) enum Seen {
    /// It has had these heads one after another; the last is the newest.
    Heads(Vec<Header>),
    /// It has had nothing new for longer than its block time; another node may be further.
    Nothing,
}

impl Heads {
    /// Subscribes, or prepares to poll where the node cannot push, or `is_mute`: it did not when it should have.
    pub(crate) async fn open(node: &Node, is_mute: bool) -> Self {
        let subscribed = match is_mute {
            true => None,
            false => node.subscribe_heads().await,
        };
        Self {
            source: subscribed.map_or(Source::Polled, Source::Pushed),
            pace: Pace::new(),
            highest: None,
            last: None,
            quiet_since: Instant::now(),
            pushed: false,
            silent: false,
        }
    }

    /// Whether the node pushes what it promised to push, as far as that is known.
    pub(crate) fn is_mute(&self) -> Option<bool> {
        match self.source {
            Source::Pushed(_) if self.pushed => Some(false),
            Source::Pushed(_) if self.silent => Some(true),
            _ => None,
        }
    }

    /// Waits for the next head. May be dropped at any moment without losing one.
    pub(crate) async fn next(&mut self, node: &Node) -> Result<Seen, RpcError> {
        let headers = match &mut self.source {
            Source::Polled => return self.poll(node).await,
            Source::Pushed(heads) => {
                let silence = (3 * self.pace.period()).clamp(SILENCE.0, SILENCE.1);
                let until = self.quiet_since + silence;
                match tokio::time::timeout_at(until.into(), pushed(heads)).await {
                    Ok(headers) => headers?,
                    Err(_) => return self.probe(node).await,
                }
            }
        };
        self.pushed = true;
        Ok(self.seen(headers))
    }

    /// The head that the node had before anyone waited for it: when it appeared is not known.
    pub(crate) fn starts_at(&mut self, header: &Header) {
        self.last = Some(header.hash);
        self.highest = Some((header.number, header.hash));
        self.quiet_since = Instant::now();
    }

    fn arrived(&mut self, header: &Header) {
        self.last = Some(header.hash);
        self.quiet_since = Instant::now();
        // A head that jumped back, or was replaced at its height, says nothing about the rhythm.
        match self.highest {
            Some((number, _)) if header.number < number => return,
            Some((number, _)) if header.number == number => {}
            _ => self.pace.arrived(self.quiet_since, header.number),
        }
        self.highest = Some((header.number, header.hash));
    }

    fn is_news(&self, header: &Header) -> bool {
        let hash = Some(header.hash);
        hash != self.last && hash != self.highest.map(|(_, hash)| hash)
    }

    fn seen(&mut self, headers: Vec<Header>) -> Seen {
        if let Some(newest) = headers.last() {
            self.arrived(newest);
        }
        Seen::Heads(headers)
    }

    /// The websocket has been silent: an idle chain, or a subscription that died?
    async fn probe(&mut self, node: &Node) -> Result<Seen, RpcError> {
        let latest = newest(node).await?;
        self.quiet_since = Instant::now();
        let highest = self.highest.map_or(0, |(number, _)| number);
        if latest.number <= highest {
            return Ok(Seen::Nothing);
        }
        if let Source::Pushed(heads) = &mut self.source
            && let Ok(headers) = tokio::time::timeout(PUSH_GRACE, pushed(heads)).await
        {
            let headers = headers?;
            return Ok(self.seen(headers));
        }
        self.silent = true;
        Err(RpcError::unavailable(format!(
            "the websocket went silent: the node has block {}, the last one pushed was {}",
            latest.number, highest
        )))
    }

    async fn poll(&mut self, node: &Node) -> Result<Seen, RpcError> {
        loop {
            tokio::time::sleep_until(self.pace.next_poll().into()).await;
            // `null` is what some load balancers answer while their nodes disagree.
            if let Some(latest) = read::latest(node).await?
                && self.is_news(&latest)
            {
                return Ok(self.seen(vec![latest]));
            }
            self.pace.missed(Instant::now());
            let silence = (3 * self.pace.period()).clamp(SILENCE.0, SILENCE.1);
            if self.quiet_since.elapsed() > silence {
                self.quiet_since = Instant::now();
                return Ok(Seen::Nothing);
            }
        }
    }
}

/// The newest block; not to know one is a failure.
pub(crate) async fn newest(node: &Node) -> Result<Header, RpcError> {
    let newest = read::latest(node).await?;
    newest.ok_or_else(|| RpcError::unavailable("it answered null for the newest block"))
}

/// The heads that were pushed since the last look, at least one.
async fn pushed(heads: &mut PushedHeads) -> Result<Vec<Header>, RpcError> {
    let mut headers = Vec::new();
    loop {
        let message = match heads.subscription.recv().await {
            Ok(message) => message,
            // More heads than the channel holds came while we were busy; the newest are still there.
            Err(RecvError::Lagged(_)) => continue,
            Err(RecvError::Closed) => {
                return Err(RpcError::unavailable("the websocket was closed"));
            }
        };
        match serde_json::from_str(message.get()) {
            Ok(header) => headers.push(header),
            Err(error) => debug!(%error, "a pushed head is unreadable"),
        }
        // A message that waits is received without suspending, so none is lost when this future is dropped.
        if heads.subscription.is_empty() && !headers.is_empty() {
            return Ok(headers);
        }
    }
}
