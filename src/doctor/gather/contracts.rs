//! Asks the modules what they say of themselves.

use std::collections::{BTreeMap, BTreeSet};

use alloy::primitives::{Address, U256};
use alloy::sol_types::SolCall;
use tokio::time::timeout;

use super::nodes::Nodes;
use super::{ALL_WITHIN, DEADLINE, StoreAnswers, answered_within};
use crate::abi::PlanAnswerError;
use crate::abi::RAIModuleFactory::moduleOfCall;
use crate::abi::SubscriptionModule::{
    getPlanCall, isActiveCall, merchantCall, paymentProcessorCall,
};
use crate::chain::ChainConfig;
use crate::chain::node::{Node, RpcError, read};
use crate::doctor::facts::{ContractFacts, ModuleFacts, PlanTrouble};
use crate::domain::{ModuleAddress, PlanId};

/// Ids that a module may have given to its first plan.
const FIRST_PLANS: [u64; 2] = [0, 1];

/// The modules, and how many more there was no time for.
pub(super) async fn ask(
    config: &ChainConfig,
    nodes: &Nodes,
    gated: &BTreeMap<ModuleAddress, BTreeSet<PlanId>>,
    stored: &StoreAnswers,
) -> (Vec<ModuleFacts>, usize) {
    let asking = gated.iter().map(|(module, plans)| {
        Box::pin(async move {
            let contract = match &nodes.first {
                None => Err("no node answers".to_owned()),
                Some(node) => {
                    let asked = timeout(DEADLINE, contract(config, node, *module, plans)).await;
                    let late = |_| RpcError::unavailable("it did not answer in time");
                    let asked = asked.map_err(late).flatten();
                    asked.map_err(|error| format!("{}: {error}", node.host()))
                }
            };
            let contract = contract.map(|contract| ContractFacts {
                unknown_events: nodes.unknown.get(&module.0).cloned().unwrap_or_default(),
                ..contract
            });
            ModuleFacts {
                module: *module,
                gated: plans.clone(),
                contract,
                stored: stored.modules.get(module).cloned(),
            }
        })
    });
    answered_within(asking.collect(), ALL_WITHIN).await
}

/// Whether the factory, if one is configured, says where merchants' modules are.
pub(super) async fn ask_factory(
    nodes: &Nodes,
    factory: Option<Address>,
) -> Option<(Address, Result<bool, String>)> {
    let (factory, node) = (factory?, nodes.first.as_ref()?);
    let asked = moduleOfCall {
        merchant: factory,
        moduleId: U256::ZERO,
    };
    let asking = timeout(DEADLINE, view(node, ModuleAddress(factory), &asked));
    let answers = match asking.await {
        Ok(Ok(answer)) => Ok(answer.is_some()),
        Ok(Err(error)) => Err(format!("{}: {error}", node.host())),
        Err(_) => Err(format!("{} did not answer in time", node.host())),
    };
    Some((factory, answers))
}

async fn contract(
    config: &ChainConfig,
    node: &Node,
    module: ModuleAddress,
    gated: &BTreeSet<PlanId>,
) -> Result<ContractFacts, RpcError> {
    let has_code = read::has_code(node, module.0, None).await?;
    let merchant = view(node, module, &merchantCall {}).await?;
    let processor = view(node, module, &paymentProcessorCall {}).await?;
    let processor_has_code = match processor {
        Some(processor) => read::has_code(node, processor, None).await?,
        None => false,
    };
    let asked = isActiveCall {
        subject: module.0,
        scope: gated.first().map_or(U256::from(1), |plan| plan.0),
    };
    let has_is_active = view(node, module, &asked).await?.is_some();
    let mut plans = BTreeMap::new();
    let mut tokens = BTreeSet::new();
    let first = FIRST_PLANS.map(PlanId::from);
    for plan in gated.iter().copied().chain(first) {
        if plans.contains_key(&plan) {
            continue;
        }
        let asked = getPlanCall { planId: plan.0 };
        let answer = read::call_view(node, module, &asked, None).await?;
        let terms = match answer.map(|answer| config.layouts.plan(&answer)) {
            Some(Ok(terms)) => Ok(terms),
            None | Some(Err(PlanAnswerError::Empty | PlanAnswerError::NoSuchPlan)) => {
                Err(PlanTrouble::Missing)
            }
            Some(Err(error)) => Err(PlanTrouble::Shape(error)),
        };
        if gated.contains(&plan) {
            tokens.extend(terms.iter().map(|terms| terms.token));
        }
        plans.insert(plan, terms);
    }
    let mut codeless_tokens = BTreeSet::new();
    for token in tokens {
        if !read::has_code(node, token, None).await? {
            codeless_tokens.insert(token);
        }
    }
    Ok(ContractFacts {
        has_code,
        merchant: merchant.filter(|merchant: &Address| !merchant.is_zero()),
        processor: processor.filter(|processor: &Address| !processor.is_zero()),
        processor_has_code,
        plans,
        codeless_tokens,
        has_is_active,
        unknown_events: BTreeSet::new(),
    })
}

/// What a view answers, if that is a value of its type.
async fn view<C: SolCall>(
    node: &Node,
    module: ModuleAddress,
    call: &C,
) -> Result<Option<C::Return>, RpcError> {
    let answer = read::call_view(node, module, call, None).await?;
    Ok(answer.and_then(|answer| C::abi_decode_returns_validate(&answer).ok()))
}
