//! The nodes: which chain, how new, how far back, and what they limit.

use crate::chain::LOCAL_CHAIN;
use crate::doctor::facts::{BURST, ChainFacts, Facts, NodeAnswers, NodeTrouble, OldLogs};
use crate::domain::{Checkpoint, Finding};
use crate::text::counted;

/// A newest block that is older than this is too old, in seconds.
const OLDEST_BLOCK: u64 = 120;
/// A newest block that is further ahead of this machine's clock is odd, in seconds.
const AHEAD: u64 = 60;
/// With narrower ranges, reading a year of Base takes more than 30,000 calls.
const NARROW: u64 = 500;
/// Base makes as many blocks in ten minutes.
const MANY: u64 = 300;
/// A chain that is younger than this may have no contract that is older.
const YOUNG: u64 = 10_000;

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let chain = &facts.chain;
    let mut findings = Vec::new();
    let usable = |answers: &Result<NodeAnswers, NodeTrouble>| answers.is_ok();
    let has_usable = chain.nodes.iter().any(|node| usable(&node.answers));
    let mut first: Option<(&str, Checkpoint)> = None;
    for node in &chain.nodes {
        let host = &node.host;
        match &node.answers {
            Err(trouble) => findings.push(unusable(chain, host, trouble, has_usable)),
            Ok(answers) => {
                findings.push(Finding::ok(
                    "node.chain_id",
                    format!("{host} is on chain {}", chain.chain_id),
                ));
                findings.push(head(facts, host, answers));
                findings.push(same_chain(host, answers, &mut first));
                findings.extend(stored_chain(facts, host, answers));
                findings.extend(old_logs(host, &answers.old_logs));
                findings.extend(old_state(host, answers));
                findings.push(range(host, answers));
                findings.push(rate(host, answers.refused_at_once));
            }
        }
    }
    findings.push(confirmations(chain));
    let heads = chain
        .nodes
        .iter()
        .filter_map(|node| node.answers.as_ref().ok());
    let newest = heads.map(|answers| answers.head.number).max();
    findings.extend(start(chain, newest));
    findings.extend(factory(chain));
    findings
}

/// With a start beyond the newest block no module is followed.
fn start(chain: &ChainFacts, newest: Option<u64>) -> Option<Finding> {
    let (start, newest) = (chain.start_block?, newest?);
    (start > newest).then(|| {
        Finding::failure(
            "chain.start_block",
            format!("chain.start_block is {start}, and the newest block is {newest}: no module is followed"),
            "set it to a block before the module's first event, or leave it out",
        )
    })
}

fn factory(chain: &ChainFacts) -> Option<Finding> {
    let name = "chain.factory";
    let (factory, answers) = chain.factory.as_ref()?;
    Some(match answers {
        Ok(true) => Finding::ok(name, format!("{factory} says where merchants' modules are")),
        Ok(false) => Finding::failure(
            name,
            format!(
                "{factory} (amser.factory) is no factory on chain {}: it does not say where merchants' modules are",
                chain.chain_id
            ),
            "correct amser.factory, or leave it out: merchants then paste their module's address",
        ),
        Err(why) => Finding::warning(
            name,
            format!("it is not known whether {factory} is a factory: {why}"),
            "run doctor again",
        ),
    })
}

fn unusable(chain: &ChainFacts, host: &str, trouble: &NodeTrouble, has_usable: bool) -> Finding {
    match trouble {
        NodeTrouble::OtherChain(actual) => Finding::failure(
            "node.chain_id",
            format!(
                "{host} is on chain {actual}, but chain.chain_id is {}",
                chain.chain_id
            ),
            "correct chain.rpc_urls or chain.chain_id",
        ),
        NodeTrouble::Unusable(why) => {
            let sentence = format!("{host} cannot be used: {why}");
            let what_to_do = "check its address and key in chain.rpc_urls, and that it runs";
            match has_usable {
                true => Finding::warning("node.reach", sentence, what_to_do),
                false => Finding::failure("node.reach", sentence, what_to_do),
            }
        }
    }
}

fn head(facts: &Facts, host: &str, answers: &NodeAnswers) -> Finding {
    let number = answers.head.number;
    if facts.chain.chain_id == LOCAL_CHAIN {
        return Finding::ok("node.head", format!("{host}: newest block {number}"));
    }
    let (now, block) = (facts.now.0, answers.head.timestamp.0);
    let age = now.saturating_sub(block);
    if age > OLDEST_BLOCK {
        Finding::failure(
            "node.head",
            format!(
                "{host}: newest block {number} is {} old",
                counted(age, "second")
            ),
            "wait until the node has caught up, or name another node first in chain.rpc_urls",
        )
    } else if block > now + AHEAD {
        Finding::failure(
            "node.head",
            format!(
                "{host}: newest block {number} is {} in the future",
                counted(block - now, "second")
            ),
            "check this machine's clock; if it is right, use another node",
        )
    } else {
        Finding::ok(
            "node.head",
            format!(
                "{host}: newest block {number} is {} old",
                counted(age, "second")
            ),
        )
    }
}

/// Whether the node has the block that the first one has at the same height.
fn same_chain<'a>(
    host: &'a str,
    answers: &NodeAnswers,
    first: &mut Option<(&'a str, Checkpoint)>,
) -> Finding {
    let name = "node.same_chain";
    let Some(block) = answers.compared else {
        return Finding::warning(
            name,
            format!("{host} does not have a block that another node has confirmed"),
            "a load balancer may lead to nodes of different heights; use an address that leads to one node",
        );
    };
    match first {
        None => {
            *first = Some((host, block));
            Finding::ok(name, format!("{host} has block {}", block.number))
        }
        Some((other, expected)) if expected.hash != block.hash => Finding::failure(
            name,
            format!(
                "{host} has another block {} than {other}: one of them is on a fork, or on another chain with the same id",
                block.number
            ),
            "remove the wrong one from chain.rpc_urls",
        ),
        Some((other, _)) => Finding::ok(
            name,
            format!("{host} has the same block {} as {other}", block.number),
        ),
    }
}

/// Whether the node has the block that was read last.
fn stored_chain(facts: &Facts, host: &str, answers: &NodeAnswers) -> Option<Finding> {
    let name = "node.stored_chain";
    let (cursor, seen) = (facts.store.cursor?, answers.at_cursor?);
    let number = cursor.number;
    // Above the confirmations, a reorganisation is what a node may well have seen before us.
    let is_final = number + facts.chain.confirmations < answers.head.number;
    Some(if seen == cursor.hash || !is_final {
        Finding::ok(name, format!("{host} has the stored block {number}"))
    } else {
        Finding::failure(
            name,
            format!("{host} has another block {number} than the one that was read before"),
            "check that chain.rpc_urls names the right chain; a test net that was wiped needs another store.path",
        )
    })
}

fn old_logs(host: &str, old_logs: &OldLogs) -> Option<Finding> {
    let name = "node.old_logs";
    match old_logs {
        OldLogs::NotAsked => None,
        OldLogs::Kept(block) => Some(Finding::ok(
            name,
            format!("{host} has logs back to block {block}, the first that is needed"),
        )),
        OldLogs::Lost(block) => Some(Finding::failure(
            name,
            format!(
                "{host} answers that block {block} has no logs, and it has: the node dropped old receipts"
            ),
            "use an archive node that keeps old receipts",
        )),
        OldLogs::Unknown(why) => Some(Finding::warning(
            name,
            format!("{host} does not show old logs: {why}"),
            "use an archive node, or set chain.start_block to a later block",
        )),
    }
}

/// Old state is needed once, to find where a new module begins.
fn old_state(host: &str, answers: &NodeAnswers) -> Option<Finding> {
    let name = "node.old_state";
    let is_young = answers.head.number < YOUNG;
    let depth = answers.state_depth.filter(|_| !is_young)?;
    let blocks = counted(depth, "block");
    Some(match depth >= YOUNG {
        true => Finding::ok(name, format!("{host} shows the state of {blocks} ago")),
        false => Finding::warning(
            name,
            format!(
                "{host} shows no state older than {blocks}, so it cannot be found out where a module begins"
            ),
            "set chain.start_block to a block before your module's first event, or use an archive node",
        ),
    })
}

fn range(host: &str, answers: &NodeAnswers) -> Finding {
    let name = "node.range";
    match &answers.widest_range {
        Ok(blocks) if *blocks >= NARROW => Finding::ok(
            name,
            format!(
                "{host} answers for logs of {} at once",
                counted(*blocks, "block")
            ),
        ),
        Ok(blocks) => Finding::warning(
            name,
            format!(
                "{host} answers for logs of {} at once: reading a long history takes hours",
                counted(*blocks, "block")
            ),
            "use a node or a plan with wider ranges, at least for the first start",
        ),
        Err(why) => Finding::failure(
            name,
            format!("{host} does not answer for logs: {why}"),
            "use a node that serves eth_getLogs to you",
        ),
    }
}

fn rate(host: &str, refused: usize) -> Finding {
    let name = "node.rate";
    match refused {
        0 => Finding::ok(name, format!("{host} answers {BURST} calls at once")),
        refused => Finding::warning(
            name,
            format!("{host} refused {refused} of {BURST} calls at once as too many"),
            "it works, but roles may come late; use a plan with more calls a second, or name a second node",
        ),
    }
}

fn confirmations(chain: &ChainFacts) -> Finding {
    let name = "chain.confirmations";
    match chain.confirmations {
        0 if chain.chain_id != LOCAL_CHAIN => Finding::warning(
            name,
            "chain.confirmations is 0: a block that is replaced takes roles back that it gave",
            "set chain.confirmations to 2 or more",
        ),
        confirmations if confirmations > MANY => Finding::warning(
            name,
            format!(
                "chain.confirmations is {confirmations}: a payment gives its role that many blocks later"
            ),
            "2 to 30 are usual: set chain.confirmations to fewer",
        ),
        confirmations => Finding::ok(name, format!("blocks count after {confirmations} more")),
    }
}
