//! What else contracts say of themselves: whose a module is, where a merchant's module is, its plans, a
//! token's facts; and in which block a transaction is.

use std::sync::Arc;

use alloy::primitives::{Address, B256, U64, U256};
use anyhow::Context as _;
use serde::Deserialize;

use super::Views;
use super::calls::{At, Call, HEAVY, Outcome};
use super::facts::{TokenFacts, is_symbol};
use crate::abi::PlanAnswerError;
use crate::abi::RAIModuleFactory::moduleOfCall;
use crate::abi::SubscriptionModule::{getPlanCall, merchantCall};
use crate::abi::TestToken::{decimalsCall, symbolCall};
use crate::chain::node::{Node, RpcError};
use crate::domain::{Mined, ModuleAddress, Plan, PlanId, Wallet};

/// The factory's id of subscription modules.
const SUBSCRIPTION_MODULE: u64 = 0;
/// More decimals than any real token has.
const MOST_DECIMALS: u8 = 36;

/// The parts of a receipt that are needed; chains differ in the others.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Receipt {
    block_number: Option<U64>,
    /// Missing on chains of before 2017, where it cannot be told.
    status: Option<U64>,
}

fn of_merchants(modules: &[ModuleAddress]) -> Vec<Call> {
    let modules = modules.iter();
    let calls = modules.map(|module| Call::new(module.0, &merchantCall {}));
    calls.collect()
}

fn merchants(outcomes: &[Outcome]) -> Vec<Option<Wallet>> {
    let merchant = outcomes.iter().map(Outcome::read::<merchantCall>);
    merchant
        .map(|merchant| merchant.filter(|one| !one.is_zero()).map(Wallet))
        .collect()
}

impl Views {
    /// The merchant of each of these contracts at the newest confirmed block; `None` for one that was no module there.
    ///
    /// # Errors
    /// When no node with that block answers.
    pub async fn merchants_of(
        &self,
        modules: &[ModuleAddress],
    ) -> anyhow::Result<Vec<Option<Wallet>>> {
        Ok(merchants(&self.at_confirmed(&of_merchants(modules)).await?))
    }

    /// The same at the newest block.
    ///
    /// # Errors
    /// When no node answers.
    pub async fn merchants_at_newest(
        &self,
        modules: &[ModuleAddress],
    ) -> anyhow::Result<Vec<Option<Wallet>>> {
        Ok(merchants(&self.at_latest(&of_merchants(modules)).await?))
    }

    /// The merchant's subscription module by the factory's word at the newest block.
    ///
    /// # Errors
    /// When no node answers.
    pub async fn module_of(
        &self,
        factory: Address,
        merchant: Wallet,
    ) -> anyhow::Result<Option<ModuleAddress>> {
        let call = moduleOfCall {
            merchant: merchant.0,
            moduleId: U256::from(SUBSCRIPTION_MODULE),
        };
        let outcomes = self.at_latest(&[Call::new(factory, &call)]).await?;
        let module = outcomes
            .first()
            .and_then(|outcome| outcome.read::<moduleOfCall>());
        Ok(module.filter(|module| !module.is_zero()).map(ModuleAddress))
    }

    /// The plans with these ids that the module has at the newest block.
    ///
    /// # Errors
    /// When no node answers.
    pub async fn plans_of(
        &self,
        module: ModuleAddress,
        ids: &[PlanId],
    ) -> anyhow::Result<Vec<(PlanId, Plan)>> {
        let answers = self.plan_answers(module, ids).await?.into_iter();
        Ok(answers
            .filter_map(|(id, answer)| Some((id, answer.ok()?)))
            .collect())
    }

    /// Those of these plans that the module says it does not have, at the newest block. An answer that cannot be read says
    /// nothing.
    ///
    /// # Errors
    /// When no node answers.
    pub async fn missing_plans(
        &self,
        module: ModuleAddress,
        ids: &[PlanId],
    ) -> anyhow::Result<Vec<PlanId>> {
        use PlanAnswerError::{Empty, NoSuchPlan};
        let mut answers = self.plan_answers(module, ids).await?;
        answers.retain(|(_, answer)| matches!(answer, Err(NoSuchPlan | Empty)));
        Ok(answers.into_iter().map(|(id, _)| id).collect())
    }

    /// What the module answers for each of these plans at the newest block; where it refuses, it has no such plan.
    async fn plan_answers(
        &self,
        module: ModuleAddress,
        ids: &[PlanId],
    ) -> anyhow::Result<Vec<(PlanId, Result<Plan, PlanAnswerError>)>> {
        let call = |id: &PlanId| Call::new(module.0, &getPlanCall { planId: id.0 });
        let calls: Vec<_> = ids.iter().map(call).collect();
        let outcomes = self.at_latest(&calls).await?;
        let terms = |outcome: &Outcome| match outcome {
            Outcome::Said(answer) => self.shared.layouts.plan(answer),
            Outcome::Refused => Err(PlanAnswerError::NoSuchPlan),
        };
        let answers = ids.iter().zip(&outcomes);
        Ok(answers.map(|(id, one)| (*id, terms(one))).collect())
    }

    /// How amounts of these tokens are written.
    ///
    /// # Errors
    /// When no node answers.
    pub async fn tokens(&self, tokens: &[Address]) -> anyhow::Result<Vec<TokenFacts>> {
        let both = |token: &Address| {
            [
                Call::new(*token, &decimalsCall {}),
                Call::new(*token, &symbolCall {}),
            ]
        };
        let calls: Vec<_> = tokens.iter().flat_map(both).collect();
        let outcomes = self.at_latest(&calls).await?;
        let facts = |pair: &[Outcome]| TokenFacts {
            decimals: pair
                .first()
                .and_then(|outcome| outcome.read::<decimalsCall>())
                .filter(|decimals| *decimals <= MOST_DECIMALS),
            symbol: pair
                .get(1)
                .and_then(|outcome| outcome.read::<symbolCall>())
                .filter(|symbol| is_symbol(symbol)),
        };
        Ok(outcomes.chunks(2).map(facts).collect())
    }
}

impl Views {
    /// In which block a transaction is by the most preferred node that has it; `None` where every node that answers has it in
    /// none. Only says where to look in the followed chain: nothing is concluded from it.
    ///
    /// # Errors
    /// When no node answers.
    pub async fn mined(&self, transaction: B256) -> anyhow::Result<Option<Mined>> {
        let permit = self.shared.rounds.acquire().await;
        let _permit = permit.expect("the semaphore is never closed");
        let ask = |node: Arc<Node>| async move { receipt(&node, transaction).await };
        self.first(ask).await.map_err(anyhow::Error::msg)
    }

    /// The outcomes of these calls at the newest confirmed block.
    async fn at_confirmed(&self, calls: &[Call]) -> anyhow::Result<Vec<Outcome>> {
        let confirmed = self.shared.status.borrow().confirmed;
        let block = confirmed.ok_or_else(|| anyhow::anyhow!("no block is confirmed yet"))?;
        let ask = |node: Arc<Node>| async move {
            let at = At::block(&node, block).await?;
            let outcomes = at.call(&node, calls, HEAVY).await?;
            at.check(&node, block).await?;
            Ok(outcomes)
        };
        let answered = self.first_answer(block, ask).await;
        answered.map_err(anyhow::Error::msg)
    }

    /// The outcomes of these calls at the newest block of the most preferred node that answers.
    async fn at_latest(&self, calls: &[Call]) -> anyhow::Result<Vec<Outcome>> {
        let ask = |node: Arc<Node>| async move {
            let outcomes = At::latest(&node).await?.call(&node, calls, HEAVY).await;
            outcomes.map(Some)
        };
        let outcomes = self.first(ask).await.map_err(anyhow::Error::msg)?;
        outcomes.context("no node said anything")
    }
}

async fn receipt(node: &Node, transaction: B256) -> Result<Option<Mined>, RpcError> {
    let receipt: Option<Receipt> = node
        .call("eth_getTransactionReceipt", (transaction,))
        .await?;
    let mined = |receipt: Receipt| {
        Some(Mined {
            block: receipt.block_number?.to(),
            succeeded: receipt.status.is_none_or(|status| !status.is_zero()),
        })
    };
    Ok(receipt.and_then(mined))
}
