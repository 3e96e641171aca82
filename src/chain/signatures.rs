//! Signature checks against whichever endpoint works, beside the follower and without getting in its way.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};

use super::ChainConfig;
use super::rpc::{Chosen, Pool, RpcError};
use super::signature::{check_signature, is_signed_by_key};
use crate::domain::{SignatureVerdict, Wallet};

/// How long connecting to a node may take before the person is asked to try again.
const PATIENCE: Duration = Duration::from_secs(8);

/// How many endpoints are asked before the person is asked to try again.
const TRIES: u32 = 2;

/// Checks wallets' signatures; cheap to clone.
#[derive(Clone, Debug)]
pub struct Signatures {
    pool: Pool,
    chain_id: u64,
    connection: Arc<Mutex<Option<Connection>>>,
}

/// The connection that worked last, or the search for one: all checks wait for the same.
type Connection = Shared<BoxFuture<'static, Chosen>>;

impl Signatures {
    /// Over the same endpoints as the follower; connects when the first contract wallet has to be asked.
    pub fn new(config: &ChainConfig) -> Self {
        Self {
            pool: Pool::new(&config.rpc_urls, config.chain_id),
            chain_id: config.chain_id,
            connection: Arc::default(),
        }
    }

    /// Whether `wallet` signed `message`. [`SignatureVerdict::Unavailable`] when no node could be asked.
    pub async fn check(&self, wallet: Wallet, message: &str, signature: &[u8]) -> SignatureVerdict {
        if is_signed_by_key(wallet, message, signature) {
            return SignatureVerdict::Valid;
        }
        for _ in 0..TRIES {
            let connection = self.connection();
            let Ok(chosen) = tokio::time::timeout(PATIENCE, connection.clone()).await else {
                break;
            };
            let provider = chosen.endpoint.provider();
            let checked =
                check_signature(&provider, self.chain_id, wallet, message, signature).await;
            match checked {
                Ok(verdict) => return verdict,
                Err(error) => self.give_up(&connection, &chosen, &error),
            }
        }
        SignatureVerdict::Unavailable
    }

    fn connection(&self) -> Connection {
        let search = || {
            let pool = self.pool.clone();
            // A task of its own: a slow search goes on when nobody waits any more, and the next check finds its end.
            tokio::spawn(async move { pool.choose(|_| {}).await })
                .map(|chosen| chosen.expect("the search does not panic and is not cancelled"))
                .boxed()
                .shared()
        };
        self.lock().get_or_insert_with(search).clone()
    }

    /// Lets the next check look for another connection. Of the checks that met the same failure, the first says so: it is
    /// one failure.
    fn give_up(&self, failed: &Connection, chosen: &Chosen, error: &RpcError) {
        let mut current = self.lock();
        let known = current.take_if(|current| current.ptr_eq(failed));
        if known.is_some() {
            self.pool.failed(chosen, true, error);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Connection>> {
        self.connection
            .lock()
            .expect("never poisoned: no panic while held")
    }
}
