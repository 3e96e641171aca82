//! Signature checks against whichever endpoint works, beside the follower and without getting in its way.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use super::ChainConfig;
use super::rpc::{Chosen, Pool};
use super::signature::{check_signature, is_signed_by_key};
use crate::domain::{SignatureVerdict, Wallet};

/// How long connecting to a node may take before the person is asked to try again.
const PATIENCE: Duration = Duration::from_secs(8);

/// Checks wallets' signatures; cheap to clone.
#[derive(Clone, Debug)]
pub struct Signatures {
    pool: Pool,
    /// The connection that worked last.
    chosen: Arc<Mutex<Option<Chosen>>>,
}

impl Signatures {
    /// Over the same endpoints as the follower; connects when the first contract wallet has to be asked.
    pub fn new(config: &ChainConfig) -> Self {
        Self {
            pool: Pool::new(&config.rpc_urls, config.chain_id),
            chosen: Arc::default(),
        }
    }

    /// Whether `wallet` signed `message`. [`SignatureVerdict::Unavailable`] when no node could be asked.
    pub async fn check(&self, wallet: Wallet, message: &str, signature: &[u8]) -> SignatureVerdict {
        if is_signed_by_key(wallet, message, signature) {
            return SignatureVerdict::Valid;
        }
        let connected = tokio::time::timeout(PATIENCE, async {
            let mut chosen = self.chosen.lock().await;
            match &*chosen {
                Some(known) => known.clone(),
                None => {
                    let found = self.pool.choose(|_| {}).await;
                    chosen.insert(found).clone()
                }
            }
        });
        let Ok(connected) = connected.await else {
            return SignatureVerdict::Unavailable;
        };
        let provider = connected.endpoint.provider();
        let verdict = check_signature(&provider, wallet, message, signature).await;
        if verdict == SignatureVerdict::Unavailable {
            // The next check begins with a fresh look at the endpoints.
            *self.chosen.lock().await = None;
        }
        verdict
    }
}
