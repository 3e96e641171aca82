//! Signature checks against whichever node answers, beside the follower and without getting in its way.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::warn;

use super::candidate::Candidate;
use super::signature::{CheckError, Reached, SignedText, check_signature, is_signed_by_key};
use crate::chain::ChainConfig;
use crate::chain::node::RpcError;
use crate::domain::{ChainStatus, SignatureVerdict, Wallet};

/// Connecting to a node and asking it may take this long together.
const ANSWER_WITHIN: Duration = Duration::from_secs(6);

/// The pause after the first round of questions. It doubles after each round, up to the block time: a node that lags has
/// caught up by then.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// The time of a block where the follower has not learned it; that of Base.
const USUAL_BLOCK_TIME: Duration = Duration::from_secs(2);

/// The longest pause, on chains that are slower than that.
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// The waits of a check.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// How long a check may take before the person is asked to try again.
    pub patience: Duration,
    /// When a node has not answered after this, the next one is asked as well: a node that hangs must not use up the
    /// patience.
    pub next_after: Duration,
    /// For how long a node that failed is asked only after the others.
    pub return_after: Duration,
}

impl Default for Timing {
    /// 20 s of patience, the next node after 1.5 s; a node that failed is preferred again after a minute.
    fn default() -> Self {
        Self {
            patience: Duration::from_secs(20),
            next_after: Duration::from_millis(1_500),
            return_after: Duration::from_secs(60),
        }
    }
}

/// Checks wallets' signatures; cheap to clone.
#[derive(Clone, Debug)]
pub struct Signatures {
    candidates: Arc<[Candidate]>,
    chain_id: u64,
    followed: watch::Receiver<ChainStatus>,
    timing: Timing,
}

/// What one node made of the question, with its index into `rpc_urls`.
type Answered = (usize, Result<SignatureVerdict, CheckError>);

impl Signatures {
    /// Over the same URLs as the follower; connects when the first contract wallet has to be asked. What `followed` says
    /// of the chain is the least that a node must have reached: see [`Reached`]. Without it, any node is believed.
    pub fn new(
        config: &ChainConfig,
        followed: watch::Receiver<ChainStatus>,
        timing: Timing,
    ) -> Self {
        let candidate = |url| Candidate::new(url, config.chain_id);
        let candidates = config.rpc_urls.iter().map(candidate);
        Self {
            candidates: candidates.collect(),
            chain_id: config.chain_id,
            followed,
            timing,
        }
    }

    /// Whether `wallet` signed `message`. [`SignatureVerdict::Unavailable`] when no node could be asked in time.
    pub async fn check(&self, wallet: Wallet, message: &str, signature: &[u8]) -> SignatureVerdict {
        let text = SignedText {
            wallet,
            message,
            signature,
        };
        if is_signed_by_key(text) {
            return SignatureVerdict::Valid;
        }
        let (reached, block_time) = {
            let status = self.followed.borrow();
            (Reached::by(&status), status.block_time)
        };
        let longest_pause = block_time
            .unwrap_or(USUAL_BLOCK_TIME)
            .clamp(FIRST_PAUSE, LONGEST_PAUSE);
        let asking = self.ask(text, reached, longest_pause);
        let verdict = timeout(self.timing.patience, asking).await;
        let verdict = verdict.unwrap_or(SignatureVerdict::Unavailable);
        match verdict {
            SignatureVerdict::Unavailable => {
                warn!(%wallet, "a signature could not be checked: no node gave a usable answer in time");
            }
            SignatureVerdict::CannotCheck => {
                warn!(%wallet, "a signature could not be checked: the EVM of this chain does not run the check of smart wallets");
            }
            SignatureVerdict::OutOfGas => {
                warn!(%wallet, "a smart wallet used up the gas of a signature check");
            }
            _ => {}
        }
        verdict
    }

    /// The first verdict that a node gives. Each node is asked once before any is asked again; does not end while none
    /// gives a verdict.
    async fn ask(
        &self,
        text: SignedText<'_>,
        reached: Reached,
        longest_pause: Duration,
    ) -> SignatureVerdict {
        let mut pause = FIRST_PAUSE;
        let mut asked = FuturesUnordered::new();
        // Those that have not answered yet: they are not asked twice at the same time.
        let mut waiting = BTreeSet::new();
        let mut runs_nowhere = false;
        loop {
            for place in self.in_order() {
                if self.candidates[place].is_quiet() || !waiting.insert(place) {
                    continue;
                }
                asked.push(self.ask_node(place, text, reached));
                match timeout(self.timing.next_after, next(&mut asked)).await {
                    Ok((_, Ok(verdict))) => return verdict,
                    Ok((failed, Err(error))) => {
                        waiting.remove(&failed);
                        runs_nowhere |= matches!(error, CheckError::CannotRun { .. });
                    }
                    Err(_) => self.candidates[place].is_slow(),
                }
            }
            // The chain's rules are the same at every node: none will run it later either.
            if runs_nowhere {
                return SignatureVerdict::CannotCheck;
            }
            let until = Instant::now() + pause;
            while let Ok((place, answer)) = timeout_at(until, next(&mut asked)).await {
                match answer {
                    Ok(verdict) => return verdict,
                    Err(_) => waiting.remove(&place),
                };
            }
            pause = (pause * 2).min(longest_pause);
        }
    }

    async fn ask_node(&self, place: usize, text: SignedText<'_>, reached: Reached) -> Answered {
        let candidate = &self.candidates[place];
        let asking = async {
            let node = candidate.connect().await?;
            let ask = |method, params| node.ask(method, params);
            check_signature(ask, self.chain_id, reached, text).await
        };
        let answer = timeout(ANSWER_WITHIN, asking).await.unwrap_or_else(|_| {
            Err(CheckError::Node(RpcError::Timeout {
                message: "a signature was not checked in time".to_owned(),
            }))
        });
        match &answer {
            Ok(_) => candidate.worked(),
            Err(error) => candidate.failed(error),
        }
        (place, answer)
    }

    /// The nodes in order of preference, those that failed lately last.
    fn in_order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.candidates.len()).collect();
        order.sort_by_key(|place| self.candidates[*place].failed_within(self.timing.return_after));
        order
    }
}

/// The next answer; does not end while nothing is asked.
async fn next(asked: &mut FuturesUnordered<impl Future<Output = Answered>>) -> Answered {
    match asked.next().await {
        Some(answered) => answered,
        None => std::future::pending().await,
    }
}
