//! What decides whether a charge will succeed: balances, the approvals to Permit2, its allowances, and the token registry.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tracing::debug;

use super::Views;
use super::calls::{At, Call, LIGHT, Outcome};
use super::facts::{Funds, FundsOf, RenewalFacts};
use crate::abi::PaymentProcessor::tokenRegistryCall;
use crate::abi::TestToken::{self, balanceOfCall};
use crate::abi::TokenRegistry::tokensCall;
use crate::abi::{PERMIT2, Permit2};
use crate::chain::node::{Node, RpcError};
use crate::domain::{Checkpoint, Permitted, Timestamp};

impl Views {
    /// What these charges draw on, at this block: some three calls of views for each, a few hundred together in one call of
    /// the node.
    ///
    /// # Errors
    /// When no node with that block answers.
    pub async fn renewal_facts(
        &self,
        block: Checkpoint,
        of: &BTreeSet<FundsOf>,
    ) -> anyhow::Result<RenewalFacts> {
        if of.is_empty() {
            return Ok(RenewalFacts::default());
        }
        let permit = self.shared.forecasts.acquire().await;
        let _permit = permit.expect("the semaphore is never closed");
        let ask = |node: Arc<Node>| async move { facts(&node, block, of).await };
        let facts = self.answer_in_tries(block, ask).await;
        facts
            .inspect_err(|why| debug!(why, "what renewals draw on could not be read"))
            .map_err(anyhow::Error::msg)
    }
}

async fn facts(
    node: &Node,
    block: Checkpoint,
    of: &BTreeSet<FundsOf>,
) -> Result<RenewalFacts, RpcError> {
    let at = At::block(node, block).await?;
    let processors: BTreeSet<_> = of.iter().map(|one| one.processor).collect();
    let calls = processors
        .iter()
        .map(|to| Call::new(*to, &tokenRegistryCall {}));
    let registries = at.call(node, &calls.collect::<Vec<_>>(), LIGHT).await?;
    let registries: BTreeMap<_, _> = processors
        .into_iter()
        .zip(&registries)
        .filter_map(|(processor, outcome)| Some((processor, outcome.read::<tokenRegistryCall>()?)))
        .collect();
    let pairs: BTreeSet<_> = of.iter().map(|one| (one.processor, one.token)).collect();
    let registered: Vec<_> = pairs
        .into_iter()
        .filter_map(|(processor, token)| Some((*registries.get(&processor)?, (processor, token))))
        .collect();
    let mut calls: Vec<_> = registered
        .iter()
        .map(|(registry, (_, token))| Call::new(*registry, &tokensCall { token: *token }))
        .collect();
    calls.extend(of.iter().flat_map(of_one));
    let mut outcomes = at.call(node, &calls, LIGHT).await?;
    at.check(node, block).await?;
    let of_wallets = outcomes.split_off(registered.len());
    let enabled = registered
        .into_iter()
        .zip(&outcomes)
        .filter_map(|((_, pair), outcome)| Some((pair, outcome.read::<tokensCall>()?.enabled)));
    let funds = of.iter().copied().zip(of_wallets.chunks(3).map(read));
    Ok(RenewalFacts {
        enabled: enabled.collect(),
        funds: funds.collect(),
    })
}

/// The calls whose outcomes [`read`] reads.
fn of_one(one: &FundsOf) -> [Call; 3] {
    let (account, token) = (one.wallet.0, one.token);
    [
        Call::new(token, &balanceOfCall { account }),
        Call::new(
            token,
            &TestToken::allowanceCall {
                owner: account,
                spender: PERMIT2,
            },
        ),
        Call::new(
            PERMIT2,
            &Permit2::allowanceCall {
                owner: account,
                token,
                spender: one.processor,
            },
        ),
    ]
}

fn read(outcomes: &[Outcome]) -> Funds {
    let [balance, approved, permitted] = outcomes else {
        return Funds::default();
    };
    let permitted = permitted.read::<Permit2::allowanceCall>();
    Funds {
        balance: balance.read::<balanceOfCall>(),
        approved: approved.read::<TestToken::allowanceCall>(),
        permitted: permitted.map(|permitted| Permitted {
            amount: permitted.amount.to(),
            until: Timestamp(permitted.expiration.to()),
        }),
    }
}
