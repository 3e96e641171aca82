//! The merchants' modules, as the chain, the stored events and the API tell of them.

use alloy::primitives::U256;

use crate::abi::contradiction;
use crate::amser_api::NamedPlan;
use crate::doctor::facts::{ContractFacts, Facts, ModuleFacts, PlanTrouble};
use crate::domain::{Finding, ModuleAddress, Plan, PlanId};
use crate::text::counted;

/// What to do where the ABI does not fit.
const ADD_ABI: &str =
    "add the ABI file of the deployed contract (of a proxy: of its implementation) to chain.abi";

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for module in &facts.modules {
        match &module.contract {
            Ok(contract) => of_contract(facts, module, contract, &mut findings),
            // Without a node there is nothing to say of any module: that finding is there already.
            Err(why) if facts.chain.nodes.iter().any(|node| node.answers.is_ok()) => {
                findings.push(Finding::failure(
                    "module.reach",
                    format!("{} could not be asked: {why}", module.module),
                    "run doctor again; if it stays so, use another node",
                ));
            }
            Err(_) => {}
        }
    }
    if facts.modules_left_out > 0 {
        let more = counted(facts.modules_left_out as u64, "more module");
        findings.push(Finding::warning(
            "module.reach",
            format!("there was no time to ask {more}"),
            "run doctor while the service runs: its own lines are about every module",
        ));
    }
    findings
}

fn of_contract(
    facts: &Facts,
    facts_of: &ModuleFacts,
    contract: &ContractFacts,
    findings: &mut Vec<Finding>,
) {
    let module = facts_of.module;
    if !contract.has_code {
        findings.push(Finding::failure(
            "module.code",
            format!(
                "there is no contract at {module} on chain {}",
                facts.chain.chain_id
            ),
            "copy the module's address again, and check that it is on this chain",
        ));
        return;
    }
    findings.push(Finding::ok(
        "module.code",
        format!("{module} is a contract"),
    ));
    let Some(merchant) = contract.merchant else {
        let is_processor = |other: &ModuleFacts| {
            let processor = other.contract.as_ref().ok().and_then(|one| one.processor);
            let stored = other.stored.as_ref().map(|stored| stored.processor);
            [processor, stored].contains(&Some(module.0))
        };
        let what = match facts.modules.iter().any(is_processor) {
            true => "is a payment processor, which all merchants share",
            false => "does not say who its merchant is, so it is no subscription module",
        };
        findings.push(Finding::failure(
            "module.merchant",
            format!("{module} {what}"),
            "name the address of the merchant's own module in the gate",
        ));
        return;
    };
    findings.push(Finding::ok(
        "module.merchant",
        format!("{module} belongs to {merchant}"),
    ));
    findings.push(processor(facts_of, contract));
    for plan in &facts_of.gated {
        findings.extend(of_plan(facts, facts_of, contract, *plan));
    }
    findings.push(match contract.has_is_active {
        true => Finding::ok("module.is_active", format!("{module} says who has access")),
        false => Finding::warning(
            "module.is_active",
            format!("{module} has no view isActive: removals for want of a payment cannot be confirmed by it"),
            "nothing, if your module is known to be without it; else check its address",
        ),
    });
    for event in &contract.unknown_events {
        findings.push(Finding::warning(
            "module.events",
            format!("a recent event of {module} cannot be read: {event}"),
            ADD_ABI,
        ));
    }
    findings.extend(holes(facts_of, contract));
}

fn processor(facts: &ModuleFacts, contract: &ContractFacts) -> Finding {
    let (name, module) = ("module.processor", facts.module);
    let Some(processor) = contract.processor else {
        return Finding::failure(
            name,
            format!("{module} names no payment processor, so no payment of it can be seen"),
            "check the module's address; a module that was just made gets its processor soon",
        );
    };
    if !contract.processor_has_code {
        return Finding::failure(
            name,
            format!("{module} names the payment processor {processor}, and there is no contract"),
            "check the module's address and the chain",
        );
    }
    let stored = facts.stored.as_ref().filter(|stored| stored.is_complete);
    match stored {
        Some(stored) if stored.processor != processor => Finding::warning(
            name,
            format!(
                "{module} is paid through {processor}, but the events that were read end with {}",
                stored.processor
            ),
            "if it was replaced within the last minutes, wait; else set chain.start_block so that the module is read again",
        ),
        _ => Finding::ok(name, format!("{module} is paid through {processor}")),
    }
}

fn of_plan(
    facts: &Facts,
    module: &ModuleFacts,
    contract: &ContractFacts,
    id: PlanId,
) -> Vec<Finding> {
    let address = module.module;
    let plan = match contract.plans.get(&id) {
        Some(Ok(plan)) => plan,
        Some(Err(PlanTrouble::Shape(error))) => {
            let sentence = format!("getPlan({id}) of {address} {error}");
            return vec![Finding::failure("module.abi", sentence, ADD_ABI)];
        }
        Some(Err(PlanTrouble::Missing)) | None => {
            let others: Vec<_> = contract
                .plans
                .iter()
                .filter(|(_, plan)| plan.is_ok())
                .collect();
            let known = others.iter().map(|(id, _)| id.to_string());
            let known: Vec<_> = known.collect();
            let known = match known.as_slice() {
                [] => "no plan of the ids 0 and 1 is there either".to_owned(),
                known => format!("it has plan {}", known.join(", ")),
            };
            return vec![Finding::failure(
                "module.plan",
                format!("a gate asks for plan {id} of {address}, which does not exist ({known})"),
                "correct plan_ids of the gate",
            )];
        }
    };
    let state = if plan.active {
        ""
    } else {
        ", closed to new subscribers"
    };
    let mut findings = vec![Finding::ok(
        "module.plan",
        format!(
            "plan {id} of {address}: {} of {} every {} seconds{state}",
            plan.price, plan.token, plan.interval
        ),
    )];
    let created = module
        .stored
        .as_ref()
        .and_then(|stored| stored.created.get(&id));
    if let Some(created) = created {
        findings.push(match contradiction(plan, &created.kind) {
            None => Finding::ok(
                "module.abi",
                format!("getPlan({id}) and PlanCreated of {address} agree"),
            ),
            Some(contradiction) => Finding::failure(
                "module.abi",
                format!("plan {id} of {address}: {contradiction}"),
                ADD_ABI,
            ),
        });
    }
    if contract.codeless_tokens.contains(&plan.token) {
        findings.push(Finding::failure(
            "module.token",
            format!(
                "plan {id} of {address} is paid in {}, which is no contract: getPlan is probably read wrongly",
                plan.token
            ),
            ADD_ABI,
        ));
    }
    findings.push(api_terms(facts, address, id, plan));
    findings
}

/// Whether the API tells of the same terms.
fn api_terms(facts: &Facts, module: ModuleAddress, id: PlanId, plan: &Plan) -> Finding {
    let name = "module.api_terms";
    let Some(told) = facts.api.plans.get(&(module, id)) else {
        return Finding::ok(
            name,
            format!(
                "the API told nothing of plan {id} of {module}, so its terms were not compared"
            ),
        );
    };
    let told_interval = told.interval.as_ref();
    let interval = told_interval.and_then(|seconds| seconds.parse::<u64>().ok());
    let what = if is_other_price(told, plan.price) {
        format!(
            "costs {} by the API and {} by the chain",
            told.price.as_deref().unwrap_or_default(),
            plan.price
        )
    } else if let Some(interval) = interval.filter(|interval| *interval != plan.interval) {
        format!(
            "is due every {interval} seconds by the API and every {} by the chain",
            plan.interval
        )
    } else {
        return Finding::ok(
            name,
            format!("the API tells the same of plan {id} of {module}"),
        );
    };
    Finding::warning(
        name,
        format!("plan {id} of {module} {what}: getPlan may be read wrongly"),
        ADD_ABI,
    )
}

/// Whether the API's price is certainly another: it may be written in the token's smallest unit or in the token.
fn is_other_price(told: &NamedPlan, price: U256) -> bool {
    let Some(text) = told.price.as_deref() else {
        return false;
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let fraction = fraction.trim_end_matches('0');
    let is_number = |digits: &str| digits.bytes().all(|digit| digit.is_ascii_digit());
    if whole.is_empty() || !is_number(whole) || !is_number(fraction) {
        return false;
    }
    let in_units: Option<U256> = whole.parse().ok().filter(|_| fraction.is_empty());
    let in_token = told.decimals.map(usize::from).and_then(|decimals| {
        let missing = decimals.checked_sub(fraction.len())?;
        format!("{whole}{fraction}{}", "0".repeat(missing))
            .parse::<U256>()
            .ok()
    });
    ![in_units, in_token].contains(&Some(price))
}

/// A module with a plan, of which nothing was read.
fn holes(facts: &ModuleFacts, contract: &ContractFacts) -> Option<Finding> {
    let (name, module) = ("module.history", facts.module);
    let stored = facts.stored.as_ref().filter(|stored| stored.is_complete)?;
    let has_plan = contract.plans.values().any(Result::is_ok);
    Some(match has_plan && !stored.has_events {
        true => Finding::failure(
            name,
            format!("{module} has a plan, but no event of it was read"),
            "use an archive node that keeps old receipts, or set chain.start_block to a block before the module's first event",
        ),
        false => Finding::ok(name, format!("the events of {module} are read")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_may_be_written_in_the_token_or_in_its_smallest_unit() {
        let is_other = |price: &str, decimals| {
            let told = NamedPlan {
                plan: PlanId::from(1),
                name: None,
                price: Some(price.to_owned()),
                interval: None,
                decimals,
                symbol: None,
            };
            is_other_price(&told, U256::from(9_990_000))
        };
        for (price, decimals) in [
            ("9990000", None),
            ("9990000", Some(6)),
            ("9.99", Some(6)),
            ("9.990", Some(6)),
            ("free", Some(6)),
            ("", None),
        ] {
            assert!(!is_other(price, decimals), "{price}");
        }
        for (price, decimals) in [
            ("9.98", Some(6)),
            ("10", Some(6)),
            ("9990001", Some(6)),
            ("9.99", Some(18)),
        ] {
            assert!(is_other(price, decimals), "{price}");
        }
    }
}
