//! The tip of a made-up chain, whose blocks come when a row says so: calls per block.

pub(crate) mod many;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use amser_roles::chain::{self, ChainConfig};
use amser_roles::domain::{ChainStatus, ModuleAddress};
use amser_roles::sandbox::log_node::{
    LogNode, LogNodeOptions, PLANS, RenderedChain, Story, StorySpec, module,
};
use amser_roles::store::Store;
use anyhow::Context as _;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::node::FIRST;
use crate::table::Table;

const DEADLINE: Duration = Duration::from_secs(300);
/// Blocks that are there at the start; the plans of all modules lie in them.
const PAST: u64 = 400;
/// Blocks that can come.
const FUTURE: u64 = 2_000;
/// Blocks over which calls are counted, after those in which the follower learns when they come and reads the end of its
/// history again.
const COUNTED: u64 = 60;
const LEARNED: u64 = 45;
/// A block's time, and a second look every ten blocks, as on Base.
const BLOCK_TIME: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// What is followed, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    pub(crate) modules: usize,
    /// Of these, how many are followed from the beginning.
    pub(crate) watched: usize,
    pub(crate) by_websocket: bool,
    pub(crate) latency: Duration,
    pub(crate) second_look_every: Duration,
}

impl Setup {
    pub(crate) fn new(modules: usize, by_websocket: bool) -> Self {
        Self {
            modules,
            watched: modules,
            by_websocket,
            latency: Duration::ZERO,
            second_look_every: LOOK_EVERY,
        }
    }

    /// One log in each block that comes.
    fn story(&self) -> Story {
        let plans = PLANS as usize * self.modules;
        let past = PAST as usize;
        let in_past = (0..past).map(|block| (block + 1) * plans / past - block * plans / past);
        Story::new(StorySpec {
            first_block: FIRST,
            logs_per_block: in_past.chain((0..FUTURE).map(|_| 1)).collect(),
            modules: self.modules,
            foreign_percent: 0,
        })
    }
}

/// A follower and its node.
pub(crate) struct Tip {
    setup: Setup,
    node: LogNode,
    pub(crate) store: Store,
    wanted: watch::Sender<BTreeSet<ModuleAddress>>,
    pub(crate) status: watch::Receiver<ChainStatus>,
    stop: CancellationToken,
    following: JoinHandle<anyhow::Result<()>>,
    head: u64,
}

impl Tip {
    /// Follows into the store of this file, and returns when the tip is reached.
    pub(crate) async fn start(setup: Setup, path: &Path) -> anyhow::Result<Self> {
        let head = FIRST + PAST - 1;
        let last = head + FUTURE;
        let options = LogNodeOptions {
            latency: setup.latency,
            full_blooms: true,
            head: Some(head),
            ..LogNodeOptions::default()
        };
        let story = setup.story();
        let rendering = move || RenderedChain::render(FIRST, last, story, true);
        let chain = tokio::task::spawn_blocking(rendering).await?;
        let node = LogNode::start(Arc::new(chain), options).await?;
        let url = match setup.by_websocket {
            true => node.ws_url(),
            false => node.url(),
        };
        let config = ChainConfig {
            start_block: Some(FIRST),
            second_look_every: setup.second_look_every,
            ..ChainConfig::new(vec![url], LogNodeOptions::default().chain_id)
        };
        let store = Store::open(path)?;
        let (wanted, modules) = watch::channel(modules(setup.watched));
        let (shown, status) = watch::channel(ChainStatus::default());
        let stop = CancellationToken::new();
        let following = tokio::spawn(chain::follow(
            config,
            store.clone(),
            modules,
            chain::Doubts::default(),
            shown,
            stop.clone(),
        ));
        let mut tip = Self {
            setup,
            node,
            store,
            wanted,
            status,
            stop,
            following,
            head,
        };
        let reached = tip.status.wait_for(|status| status.at_tip);
        tokio::time::timeout(DEADLINE, reached)
            .await
            .context("the tip is not reached in time")??;
        Ok(tip)
    }

    /// The next block is there. Says which.
    pub(crate) fn next(&mut self) -> u64 {
        self.head += 1;
        self.node.set_head(self.head);
        self.head
    }

    /// The newest block whose events are stored.
    pub(crate) fn confirmed(&self) -> u64 {
        let confirmed = self.status.borrow().confirmed;
        confirmed.map_or(0, |confirmed| confirmed.number)
    }

    /// Waits until the events of the newest block are stored.
    pub(crate) async fn is_followed(&mut self) -> anyhow::Result<()> {
        let head = self.head;
        let followed = self.status.wait_for(|status| {
            let confirmed = status.confirmed;
            confirmed.is_some_and(|confirmed| confirmed.number >= head)
        });
        tokio::time::timeout(DEADLINE, followed)
            .await
            .context("a block is not followed in time")??;
        Ok(())
    }

    /// All modules are wanted from now on.
    pub(crate) fn want_all(&self) {
        self.wanted.send_replace(modules(self.setup.modules));
    }

    /// Stops; says whether the store holds exactly the events of the story up to the newest block.
    pub(crate) async fn end(mut self) -> anyhow::Result<bool> {
        self.is_followed().await?;
        self.stop.cancel();
        self.following.await??;
        let mut stored = self.store.all_events()?;
        stored.sort_unstable_by_key(|event| event.position);
        let told = self.setup.story().filter_map(|log| log.event);
        let told = told.take_while(|event| event.position.block <= self.head);
        Ok(stored.into_iter().eq(told))
    }

    /// Lets blocks come in their rhythm, and counts the JSON-RPC calls of each.
    async fn calls_per_block(&mut self) -> anyhow::Result<f64> {
        let mut ticks = tokio::time::interval(BLOCK_TIME);
        let mut before = 0;
        for block in 0..LEARNED + COUNTED {
            ticks.tick().await;
            if block == LEARNED {
                before = self.node.calls();
            }
            self.next();
        }
        ticks.tick().await;
        Ok((self.node.calls() - before) as f64 / COUNTED as f64)
    }
}

fn modules(count: usize) -> BTreeSet<ModuleAddress> {
    (0..count).map(|n| ModuleAddress(module(n))).collect()
}

/// Calls per block on a chain whose blooms are full, every JSON-RPC call counted.
pub(crate) async fn blooms(table: &mut Table) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let run = |by_websocket| {
        let path = folder.path().join(format!("{by_websocket}.redb"));
        async move {
            let mut tip = Tip::start(Setup::new(1, by_websocket), &path).await?;
            let calls = tip.calls_per_block().await?;
            anyhow::Ok((calls, tip.end().await?))
        }
    };
    let (ws, http) = tokio::try_join!(run(true), run(false))?;
    for (what, (calls, is_complete), most) in [("ws", ws, 1.3), ("http", http, 2.3)] {
        table.row(
            &format!("full blooms, a log in each of {COUNTED} blocks of 1 s, {what}"),
            format!("{calls:.2} calls per block"),
            &format!("complete, <= {most}"),
            is_complete && calls <= most,
        );
    }
    Ok(())
}

/// Milliseconds since then.
fn millis_since(started: Instant) -> f64 {
    started.elapsed().as_secs_f64() * 1e3
}
