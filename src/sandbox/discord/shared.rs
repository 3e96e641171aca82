//! What the server's tasks and the control handle share: the world, the log, the faults and limits, and the news.
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard};
use std::time::Instant;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::fault::Faults;
use super::limits::RateLimiter;
use super::log::{Log, Rule};
use super::options::Options;
use super::world::World;
use crate::sandbox::page::action::ActionRequest;

/// The state behind one local Discord.
#[derive(Debug)]
pub(crate) struct Shared {
    addr: SocketAddr,
    world: Mutex<World>,
    log: Mutex<Log>,
    faults: Mutex<Faults>,
    limiter: Mutex<RateLimiter>,
    news: watch::Sender<u64>,
    actions: Mutex<Option<mpsc::Sender<ActionRequest>>>,
    /// Cancelled when the server stops.
    pub(crate) stop: CancellationToken,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .expect("no code panics while it holds a lock of the local Discord")
}

impl Shared {
    pub(crate) fn new(addr: SocketAddr, options: Options) -> Self {
        Self {
            addr,
            world: Mutex::new(World::new(options, format!("ws://{addr}/gateway"))),
            log: Mutex::default(),
            faults: Mutex::default(),
            limiter: Mutex::default(),
            news: watch::Sender::new(0),
            actions: Mutex::default(),
            stop: CancellationToken::new(),
        }
    }

    pub(crate) fn base_url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Looks at the world.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&World) -> T) -> T {
        look(&lock(&self.world))
    }

    /// Changes the world and wakes those who wait for news.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        let result = change(&mut lock(&self.world));
        self.notify();
        result
    }

    /// Reads or writes the log.
    pub(crate) fn log<T>(&self, with: impl FnOnce(&mut Log) -> T) -> T {
        with(&mut lock(&self.log))
    }

    /// Reads or writes the faults.
    pub(crate) fn faults<T>(&self, with: impl FnOnce(&mut Faults) -> T) -> T {
        with(&mut lock(&self.faults))
    }

    /// Uses the rate limiter.
    pub(crate) fn limiter<T>(&self, with: impl FnOnce(&mut RateLimiter, Instant) -> T) -> T {
        with(&mut lock(&self.limiter), Instant::now())
    }

    pub(crate) fn violate(&self, rule: Rule, what: impl Into<String>) {
        self.log(|log| log.violate(rule, what));
        self.notify();
    }

    pub(crate) fn notify(&self) {
        self.news
            .send_modify(|version| *version = version.wrapping_add(1));
    }

    /// Changes after every change of the state, every request and every violation.
    pub(crate) fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    /// Begins a new channel for what the page's buttons ask of the chain; an older one ends.
    pub(crate) fn take_actions(&self) -> mpsc::Receiver<ActionRequest> {
        let (sender, receiver) = mpsc::channel(16);
        *lock(&self.actions) = Some(sender);
        receiver
    }

    /// Where the page's buttons send what they ask of the chain, if anybody listens.
    pub(crate) fn actions(&self) -> Option<mpsc::Sender<ActionRequest>> {
        lock(&self.actions).clone()
    }
}
