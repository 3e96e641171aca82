//! How a server stands: the chain, the queue, and everything that is wrong.

use std::collections::BTreeSet;

use serde::Serialize;

use super::super::Site;
use super::super::ready::STANDS_STILL;
use super::Failure;
use crate::domain::{ChainStatus, Gate, GuildId, ModuleAddress, ReadingState, RoleId, Timestamp};

/// A server's status, of what belongs to it alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(in crate::web) struct Status {
    pub(in crate::web) chain: Chain,
    pub(in crate::web) discord: Discord,
    /// The newest event of the server's modules.
    pub(in crate::web) last_event: Option<LastEvent>,
    /// Events of the server's modules that wait for confirmations.
    pub(in crate::web) pending_confirmations: usize,
    pub(in crate::web) queue: Queue,
    /// What does not work, each with what to do.
    pub(in crate::web) failing: Vec<Failing>,
    /// Removals that wait for an approval.
    pub(in crate::web) held_back: Vec<Stopped>,
    /// How often a contract contradicted the followed events, since the start.
    pub(in crate::web) disagreements: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(in crate::web) struct Chain {
    pub(in crate::web) head: Option<u64>,
    pub(in crate::web) confirmed: Option<u64>,
    /// The age of the newest block, seconds.
    pub(in crate::web) lag_seconds: Option<u64>,
    /// Whether everything up to the newest confirmed block is read. Before that, no role is taken.
    pub(in crate::web) at_tip: bool,
    pub(in crate::web) trouble: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(in crate::web) struct Discord {
    pub(in crate::web) connected: bool,
    /// Whether the server's members were read since the start; `null` where nothing asks for them yet.
    pub(in crate::web) members_read: Option<bool>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(in crate::web) struct LastEvent {
    pub(in crate::web) block: u64,
    pub(in crate::web) time: Option<Timestamp>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(in crate::web) struct Queue {
    /// Role changes decided and not acknowledged.
    pub(in crate::web) changes: usize,
    /// How long the last of them will wait.
    pub(in crate::web) wait_seconds: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(in crate::web) struct Failing {
    /// `null`: the whole server.
    pub(in crate::web) role_id: Option<RoleId>,
    pub(in crate::web) message: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(in crate::web) struct Stopped {
    pub(in crate::web) role_id: RoleId,
    pub(in crate::web) removals: usize,
    pub(in crate::web) holders: usize,
    pub(in crate::web) since: Timestamp,
}

/// The status of a server with these gates.
pub(in crate::web) async fn of(
    site: &Site,
    guild: GuildId,
    gates: &[Gate],
) -> Result<Status, Failure> {
    let modules: BTreeSet<ModuleAddress> = gates.iter().map(|gate| gate.module).collect();
    let followed = modules.clone();
    let last_event = site
        .with_store(move |store| store.last_event(&followed))
        .await?;
    let last_event = last_event.map(|(block, time)| LastEvent { block, time });
    let chain = site.state.chain.borrow().clone();
    let failing = failing(site, guild, gates);
    let discord = site.state.discord.borrow();
    let server = discord.servers.get(&guild);
    let held_back = server.iter().flat_map(|server| {
        server.held_back.iter().map(|(role_id, held)| Stopped {
            role_id: *role_id,
            removals: held.removals,
            holders: held.holders,
            since: held.since,
        })
    });
    let pending = chain.pending.iter();
    let trouble = trouble(&chain, site.settings().chain_id, site.now());
    Ok(Status {
        discord: Discord {
            connected: discord.connected,
            members_read: server.map(|server| server.reading == ReadingState::Done),
        },
        last_event,
        pending_confirmations: pending
            .filter(|event| modules.contains(&event.module))
            .count(),
        queue: server.map_or_else(Queue::default, |server| Queue {
            changes: server.queued,
            wait_seconds: server.queue_wait.as_secs(),
        }),
        failing,
        held_back: held_back.collect(),
        disagreements: chain.disagreements,
        chain: Chain {
            head: chain.head.map(|block| block.number),
            confirmed: chain.confirmed.map(|block| block.number),
            lag_seconds: chain.age_of_newest(site.now()),
            at_tip: chain.at_tip && trouble.is_none(),
            trouble: trouble.map(str::to_owned),
        },
    })
}

/// Why the chain is not followed at present, or has nothing new. Never more than a fixed sentence: the follower's own words may
/// name a host, which is no business of a merchant's.
fn trouble(chain: &ChainStatus, chain_id: u64, now: Timestamp) -> Option<&'static str> {
    if chain.trouble.is_some() {
        Some("The chain cannot be read at the moment: no node answers as it should.")
    } else if chain.stands_still(chain_id, now) {
        Some(STANDS_STILL)
    } else {
        None
    }
}

/// How much is wrong in a server and waits for somebody.
pub(in crate::web) fn problems(site: &Site, guild: GuildId, gates: &[Gate]) -> usize {
    let discord = site.state.discord.borrow();
    let server = discord.servers.get(&guild);
    let held_back = server.map_or(0, |server| server.held_back.len());
    drop(discord);
    failing(site, guild, gates).len() + held_back
}

/// What does not work in a server with these gates.
fn failing(site: &Site, guild: GuildId, gates: &[Gate]) -> Vec<Failing> {
    let chain = site.state.chain.borrow();
    let discord = site.state.discord.borrow();
    let server = discord.servers.get(&guild);
    let mut failing: Vec<_> = discord
        .troubles_of(guild)
        .into_iter()
        .map(|(role_id, message)| Failing { role_id, message })
        .collect();
    if let Some(ReadingState::Failed(message)) = server.map(|server| &server.reading) {
        failing.push(Failing {
            role_id: None,
            message: message.clone(),
        });
    }
    let refused = discord.channels_refused.iter();
    failing.extend(
        refused
            .filter(|((of, _), _)| *of == guild)
            .map(|(_, message)| Failing {
                role_id: None,
                message: message.clone(),
            }),
    );
    let found = site.state.gate_troubles.borrow().clone();
    for gate in gates {
        for message in chain.troubles_of(gate, &found) {
            failing.extend(gate.roles.iter().map(|role| Failing {
                role_id: Some(*role),
                message: message.clone(),
            }));
        }
    }
    failing.dedup();
    failing
}

#[cfg(test)]
mod tests {
    use alloy::primitives::B256;

    use super::*;
    use crate::domain::Checkpoint;

    #[test]
    fn a_chain_that_stands_still_is_trouble_and_no_host_is_named() {
        let head = Checkpoint {
            number: 9,
            hash: B256::ZERO,
            timestamp: Timestamp(1_800_000_000),
        };
        let mut chain = ChainStatus {
            head: Some(head),
            confirmed: Some(head),
            at_tip: true,
            reached_tip: true,
            ..ChainStatus::default()
        };
        let after =
            |chain: &ChainStatus, seconds| trouble(chain, 8_453, head.timestamp.plus(seconds));
        assert_eq!(after(&chain, 5), None);
        let sentence = after(&chain, 3_600).unwrap();
        assert!(sentence.contains("stands still"), "{sentence}");
        chain.trouble = Some("rpc.example.org: 401".to_owned());
        let sentence = after(&chain, 5).unwrap();
        assert!(!sentence.contains("example"), "{sentence}");
    }
}
