//! amser's API: whether it answers, in which shape, and whether the key is for this chain.

use crate::doctor::facts::{ApiAnswer, ApiFacts, Facts, KeyEnvironment, KeyFacts};
use crate::domain::Finding;

/// Base, whose keys begin with `amsr_live_`.
const BASE: u64 = 8_453;
/// Base Sepolia, whose keys begin with `amsr_test_`.
const BASE_SEPOLIA: u64 = 84_532;

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let api = &facts.api;
    let mut findings = vec![access(api)];
    findings.extend(api.key.as_ref().map(|key| of_key(api, key)));
    findings
}

fn access(api: &ApiFacts) -> Finding {
    let base = &api.base;
    let Some(answer) = &api.check else {
        return Finding::ok("api.reach", format!("there is nothing to ask {base} about"));
    };
    if let (false, Some((name, ApiAnswer::Boolean))) =
        (*answer == ApiAnswer::Boolean, &api.other_name)
    {
        return Finding::failure(
            "api.parameter",
            format!(
                "{base} does not take the wallet under the configured name, and answers to {name}"
            ),
            format!("write {name}={{address}} in amser.auth_check"),
        );
    }
    match answer {
        ApiAnswer::Boolean => Finding::ok("api.reach", format!("{base} answers access checks")),
        ApiAnswer::OtherShape => Finding::failure(
            "api.pointer",
            format!("the answer of {base} has no boolean at {}", api.pointer),
            "correct amser.active_pointer",
        ),
        ApiAnswer::Status(status) => Finding::warning(
            "api.reach",
            format!("{base} answers an access check with status {status}"),
            "check amser.api_url and amser.auth_check; roles follow the chain all the same",
        ),
        ApiAnswer::Unreachable(why) => Finding::warning(
            "api.reach",
            format!("{base} does not answer: {why}"),
            "check amser.api_url and this machine's way to the internet; roles follow the chain all the same",
        ),
    }
}

fn of_key(api: &ApiFacts, key: &KeyFacts) -> Finding {
    let name = "api.key";
    let chain = api.chain_id;
    let expected = match chain {
        BASE => Some((KeyEnvironment::Live, "amsr_live_")),
        BASE_SEPOLIA => Some((KeyEnvironment::Test, "amsr_test_")),
        _ => None,
    };
    if let Some((environment, prefix)) = expected
        && key.environment != environment
    {
        return Finding::failure(
            name,
            format!(
                "AMSER_ROLES_API_KEY is not one for chain {chain}, whose keys begin with {prefix}"
            ),
            "use the key of this environment",
        );
    }
    match (key.is_sent, key.status) {
        (false, _) => Finding::warning(
            name,
            format!(
                "AMSER_ROLES_API_KEY is not sent to {}, which is not https",
                api.base
            ),
            "correct amser.api_url",
        ),
        (true, Some(status @ (401 | 403))) => Finding::failure(
            name,
            format!("the API refuses AMSER_ROLES_API_KEY (status {status})"),
            "make a new key in amser's dashboard",
        ),
        (true, _) => Finding::ok(name, "the API key fits the chain"),
    }
}
