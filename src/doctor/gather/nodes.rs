//! Asks every node of `chain.rpc_urls`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::{Address, U64};
use futures_util::future::join_all;
use tokio::time::timeout;

use super::{DEADLINE, StoreAnswers};
use crate::abi::PERMIT2;
use crate::chain::ChainConfig;
use crate::chain::filter::{Blocks, FilterPart, LogQuery};
use crate::chain::logs::Log;
use crate::chain::node::connection::host;
use crate::chain::node::{Node, RpcError, read};
use crate::doctor::facts::{BURST, NodeAnswers, NodeFacts, NodeTrouble, OldLogs};
use crate::domain::{Checkpoint, ModuleAddress};

/// The longest wait for a rate limit.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many blocks one call for logs is tried to span.
const WIDTHS: [u64; 5] = [10_000, 2_000, 500, 100, 10];
/// How long each of these may take: some nodes do not refuse too wide a range, but hang over it.
const WIDTH_WITHIN: Duration = Duration::from_secs(3);
/// How long each other question may take that a node need not answer to be of use.
const OTHERS_WITHIN: Duration = Duration::from_secs(5);
/// Most contracts whose logs one call asks for; geth's own limit is 1,000.
const MOST_CONTRACTS: usize = 500;
/// Nodes that are right may differ for a moment about blocks that are newer than this.
const SETTLED: u64 = 16;
/// How far below the head a contract is looked for, in blocks.
const DEPTHS: [u64; 4] = [1_000_000, 100_000, 10_000, 128];

/// What the nodes said.
pub(super) struct Nodes {
    pub(super) facts: Vec<NodeFacts>,
    /// The first that works.
    pub(super) first: Option<Arc<Node>>,
    /// Recent logs that cannot be read, by who emitted them.
    pub(super) unknown: BTreeMap<Address, BTreeSet<String>>,
}

/// A connected node and its newest block.
type Connected = (Arc<Node>, Checkpoint);

pub(super) async fn ask(config: &ChainConfig, stored: &StoreAnswers) -> Nodes {
    let connecting = config.rpc_urls.iter().map(|url| {
        // On the heap: what a new connection does is large.
        Box::pin(async move {
            let connected = async {
                let node = Node::connect(url, config.chain_id, PATIENCE).await?;
                let head = read::latest(&node).await?;
                let head = head.ok_or_else(|| RpcError::unavailable("it has no newest block"))?;
                Ok::<_, RpcError>((Arc::new(node), head.checkpoint()))
            };
            in_time(connected).await
        })
    });
    let connected: Vec<Result<Connected, RpcError>> = join_all(connecting).await;
    let heads = connected.iter().flatten().map(|(_, head)| head.number);
    let compared = heads
        .min()
        .unwrap_or_default()
        .saturating_sub(config.confirmations.max(SETTLED));
    let first = connected.iter().flatten().next();
    let first = first.map(|(node, _)| Arc::clone(node));
    let questioning = config
        .rpc_urls
        .iter()
        .zip(connected)
        .map(|(url, connected)| {
            Box::pin(async move {
                let host = host(url);
                let (answers, unknown) = match connected {
                    Ok(connected) => question(config, &connected, compared, stored).await,
                    Err(RpcError::WrongChain { actual, .. }) => {
                        (Err(NodeTrouble::OtherChain(actual)), BTreeMap::new())
                    }
                    Err(error) => (
                        Err(NodeTrouble::Unusable(error.to_string())),
                        BTreeMap::new(),
                    ),
                };
                (NodeFacts { host, answers }, unknown)
            })
        });
    let mut nodes = Nodes {
        facts: Vec::new(),
        first,
        unknown: BTreeMap::new(),
    };
    for (facts, unknown) in join_all(questioning).await {
        nodes.facts.push(facts);
        for (address, events) in unknown {
            nodes.unknown.entry(address).or_default().extend(events);
        }
    }
    nodes
}

/// An answer within the time that each part has.
async fn in_time<T>(asking: impl Future<Output = Result<T, RpcError>>) -> Result<T, RpcError> {
    let late = || RpcError::unavailable("it did not answer in time");
    timeout(DEADLINE, asking)
        .await
        .unwrap_or_else(|_| Err(late()))
}

type Questioned = (
    Result<NodeAnswers, NodeTrouble>,
    BTreeMap<Address, BTreeSet<String>>,
);

async fn question(
    config: &ChainConfig,
    (node, head): &Connected,
    compared: u64,
    stored: &StoreAnswers,
) -> Questioned {
    let cursor = stored.facts.cursor.map(|cursor| cursor.number);
    let cursor = cursor.filter(|cursor| *cursor <= head.number);
    let at_cursor = async {
        match cursor {
            Some(cursor) => read::header_at(node, cursor).await,
            None => Ok(None),
        }
    };
    let same_height = read::header_at(node, compared);
    let headers = in_time(async { tokio::try_join!(same_height, at_cursor) });
    let (same_height, at_cursor) = match headers.await {
        Ok(headers) => headers,
        Err(error) => {
            let trouble = NodeTrouble::Unusable(error.to_string());
            return (Err(trouble), BTreeMap::new());
        }
    };
    let old_logs = timeout(OTHERS_WITHIN, old_logs(node, stored)).await;
    let late = |_| OldLogs::Unknown("it did not answer in time".to_owned());
    let state_depth = match needs_old_state(config, stored) {
        true => {
            let asked = timeout(OTHERS_WITHIN, state_depth(node, head.number, stored));
            Some(asked.await.unwrap_or_default())
        }
        false => None,
    };
    let (widest_range, unknown) = widest_range(config, node, head.number, stored).await;
    let answers = NodeAnswers {
        head: *head,
        compared: same_height.map(|header| header.checkpoint()),
        at_cursor: at_cursor.map(|header| header.hash),
        old_logs: old_logs.unwrap_or_else(late),
        state_depth,
        widest_range,
        refused_at_once: refused_at_once(node).await,
    };
    (Ok(answers), unknown)
}

/// Whether the node still has the oldest log that is known of in the store.
async fn old_logs(node: &Node, stored: &StoreAnswers) -> OldLogs {
    let created = stored.modules.values().flat_map(|module| &module.created);
    let oldest = created
        .map(|(_, event)| event)
        .min_by_key(|event| event.position);
    let Some(oldest) = oldest else {
        return OldLogs::NotAsked;
    };
    let block = oldest.position.block;
    let query = query(vec![oldest.module.0], block, block);
    let mut has_log = false;
    let mut on_log = |_: &Log<'_>| {
        has_log = true;
        ControlFlow::Continue(())
    };
    match node.logs(&query, None, &mut on_log).await {
        Ok(_) if has_log => OldLogs::Kept(block),
        Ok(_) => OldLogs::Lost(block),
        Err(error) => OldLogs::Unknown(error.to_string()),
    }
}

fn query(addresses: Vec<Address>, from: u64, to: u64) -> LogQuery {
    LogQuery {
        blocks: Blocks::Range(from, to),
        part: Arc::new(FilterPart {
            addresses,
            topic0: Vec::new(),
            topic1: Vec::new(),
        }),
    }
}

/// Whether it is still to be found out where a module begins.
fn needs_old_state(config: &ChainConfig, stored: &StoreAnswers) -> bool {
    let gated = stored.gates.iter().map(|gate| &gate.module);
    let mut modules = gated.chain(&stored.merchant_modules);
    config.start_block.is_none() && modules.any(|module| !stored.modules.contains_key(module))
}

/// The greatest depth at which the node shows a contract that is likely to be older; 0 where it shows none.
async fn state_depth(node: &Node, head: u64, stored: &StoreAnswers) -> u64 {
    // It is older than any module, so that no other is asked about where it is.
    let contracts = match read::has_code(node, PERMIT2, None).await {
        Ok(true) => vec![PERMIT2],
        _ => stored.contracts(),
    };
    for depth in DEPTHS.into_iter().filter(|depth| *depth < head) {
        for contract in &contracts {
            let code = read::has_code(node, *contract, Some(head - depth)).await;
            if code.unwrap_or(false) {
                return depth;
            }
        }
    }
    0
}

/// The widest range of those that are tried for which the node answers, and what in it cannot be read.
async fn widest_range(
    config: &ChainConfig,
    node: &Node,
    head: u64,
    stored: &StoreAnswers,
) -> (Result<u64, String>, BTreeMap<Address, BTreeSet<String>>) {
    let mut addresses = stored.contracts();
    addresses.truncate(MOST_CONTRACTS);
    if addresses.is_empty() {
        // Not everybody's logs.
        addresses.push(PERMIT2);
    }
    let modules: BTreeSet<ModuleAddress> = stored.gates.iter().map(|gate| gate.module).collect();
    let mut refused = String::new();
    for width in WIDTHS {
        let mut unknown = BTreeMap::<_, BTreeSet<_>>::new();
        let mut buffer = Vec::new();
        let mut on_log = |log: &Log<'_>| {
            let layouts = &config.layouts;
            let data = log.data(&mut buffer);
            let is_read = data.is_some_and(|data| layouts.read(log.topics(), data).is_some());
            let topic = log.topics().first().copied().unwrap_or_default();
            let is_ours = modules.contains(&ModuleAddress(log.address));
            if is_ours && !is_read && !layouts.is_unread(&topic) {
                let events = unknown.entry(log.address).or_default();
                events.insert(layouts.explain(&topic));
            }
            ControlFlow::Continue(())
        };
        // A young chain has fewer blocks than are asked for; the node is asked about no future ones.
        let from = (head + 1).saturating_sub(width);
        let query = query(addresses.clone(), from, head);
        let asked = node.logs(&query, None, &mut on_log);
        let late = |_| Err(RpcError::timed_out("eth_getLogs"));
        match timeout(WIDTH_WITHIN, asked).await.unwrap_or_else(late) {
            Ok(_) => return (Ok(width), unknown),
            // Nodes refuse too wide a range in many words, and some in none.
            Err(error) => refused = error.to_string(),
        }
    }
    (Err(refused), BTreeMap::new())
}

async fn refused_at_once(node: &Node) -> usize {
    let call = |_| timeout(OTHERS_WITHIN, node.ask::<U64>("eth_blockNumber", [(); 0]));
    let answers = join_all((0..BURST).map(call)).await.into_iter();
    let refused =
        answers.filter(|answer| matches!(answer, Err(_) | Ok(Err(RpcError::RateLimited { .. }))));
    refused.count()
}
