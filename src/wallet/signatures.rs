//! Signature checks against whichever node works, beside the follower and without getting in its way.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use tokio::sync::watch;

use super::signature::{check_signature, is_signed_by_key};
use crate::chain::ChainConfig;
use crate::chain::node::{Chosen, Pool, RpcError};
use crate::domain::{ChainStatus, SignatureVerdict, Timestamp, Wallet};

/// How long a check may take before the person is asked to try again.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long another node than the preferred one is used before the preferred one is looked for again.
pub const RETURN_AFTER: Duration = Duration::from_secs(60);

/// Checks wallets' signatures; cheap to clone.
#[derive(Clone, Debug)]
pub struct Signatures {
    pool: Pool,
    chain_id: u64,
    followed: watch::Receiver<ChainStatus>,
    return_after: Duration,
    current: Arc<Mutex<Current>>,
}

/// What all checks share.
#[derive(Debug, Default)]
struct Current {
    connection: Option<Connection>,
    /// Whether a better one is looked for meanwhile.
    renewing: bool,
}

/// The connection that worked last, or the search for one: all checks wait for the same.
type Connection = Shared<BoxFuture<'static, Chosen>>;

impl Signatures {
    /// Over the same endpoints as the follower; connects when the first contract wallet has to be asked. What `followed`
    /// says is confirmed is the least that a node must have: see [`check_signature`]. Without it, any node is believed.
    /// After `return_after` ([`RETURN_AFTER`]) in place of a preferred node, a search begins anew.
    pub fn new(
        config: &ChainConfig,
        followed: watch::Receiver<ChainStatus>,
        return_after: Duration,
    ) -> Self {
        Self {
            pool: Pool::new(&config.rpc_urls, config.chain_id),
            chain_id: config.chain_id,
            followed,
            return_after,
            current: Arc::default(),
        }
    }

    /// Whether `wallet` signed `message`. [`SignatureVerdict::Unavailable`] when no node could be asked in time.
    pub async fn check(&self, wallet: Wallet, message: &str, signature: &[u8]) -> SignatureVerdict {
        if is_signed_by_key(wallet, message, signature) {
            return SignatureVerdict::Valid;
        }
        let asking = self.ask(wallet, message, signature);
        match tokio::time::timeout(PATIENCE, asking).await {
            Ok(Some(verdict)) => verdict,
            Ok(None) | Err(_) => SignatureVerdict::Unavailable,
        }
    }

    /// What the first node says that says anything. Each is tried, and one once more: a connection may have been lost
    /// since it was last used.
    async fn ask(
        &self,
        wallet: Wallet,
        message: &str,
        signature: &[u8],
    ) -> Option<SignatureVerdict> {
        let confirmed = self.followed.borrow().confirmed;
        let reached = confirmed.map_or(Timestamp(0), |block| block.timestamp);
        for _ in 0..=self.pool.len() {
            let connection = self.connection();
            let chosen = connection.clone().await;
            let provider = chosen.node.provider();
            let checked = check_signature(
                &provider,
                self.chain_id,
                reached,
                wallet,
                message,
                signature,
            );
            match checked.await {
                Ok(verdict) => return Some(verdict),
                Err(error) => self.give_up(&connection, &chosen, &error),
            }
        }
        None
    }

    fn connection(&self) -> Connection {
        let mut current = self.lock();
        let connection = current
            .connection
            .get_or_insert_with(|| self.search())
            .clone();
        let overdue = connection
            .peek()
            .is_some_and(|chosen| chosen.has_stood_in_for(self.return_after));
        if overdue && !current.renewing {
            current.renewing = true;
            self.renew();
        }
        connection
    }

    /// A task of its own: a slow search goes on when nobody waits any more, and the next check finds its end.
    fn search(&self) -> Connection {
        let pool = self.pool.clone();
        tokio::spawn(async move { pool.choose(|_| {}).await })
            .map(|chosen| chosen.expect("the search does not panic and is not cancelled"))
            .boxed()
            .shared()
    }

    /// Searches afresh from the preferred node; until that ends, checks go on with the one in use.
    fn renew(&self) {
        let (search, current) = (self.search(), Arc::clone(&self.current));
        tokio::spawn(async move {
            search.clone().await;
            *lock(&current) = Current {
                connection: Some(search),
                renewing: false,
            };
        });
    }

    /// Lets the next check look for another connection. Of the checks that met the same failure, the first says so: it is
    /// one failure.
    fn give_up(&self, failed: &Connection, chosen: &Chosen, error: &RpcError) {
        let mut current = self.lock();
        let known = current.connection.take_if(|current| current.ptr_eq(failed));
        if known.is_some() {
            self.pool.failed(chosen, true, error);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Current> {
        lock(&self.current)
    }
}

fn lock(current: &Mutex<Current>) -> MutexGuard<'_, Current> {
    current.lock().expect("never poisoned: no panic while held")
}
