//! What the protocol's contracts log, as entries of the time line: whoever caused it, and marked when a reorganisation
//! takes it back.
use std::collections::{BTreeMap, BTreeSet};

use alloy::primitives::{Address, U256};
use alloy::providers::Provider as _;
use alloy::rpc::types::{Filter, Log};
use alloy::sol_types::SolEventInterface as _;
use anyhow::Context as _;

use super::chain::Head;
use super::discord::{Happening, InBlock};
use super::words::{amount, count, failure};
use super::world::World;
use crate::abi::PaymentProcessor::PaymentProcessorEvents;
use crate::abi::SubscriptionModule::SubscriptionModuleEvents;
use crate::domain::{FailureReason, Wallet};

/// Heads whose hashes are kept, to find where a reorganisation began.
const KEPT: usize = 256;

/// How far the logs are read.
#[derive(Debug)]
pub(super) struct TimeLine {
    /// Hashes of heads that were seen, by number.
    seen: BTreeMap<u64, [u8; 32]>,
    /// Logs that are on the time line: block hash and index.
    told: BTreeSet<([u8; 32], u64)>,
}

impl TimeLine {
    /// A time line that begins at this head.
    pub(super) fn from(head: Head) -> Self {
        Self {
            seen: BTreeMap::from([(head.number, head.hash.0)]),
            told: BTreeSet::new(),
        }
    }

    /// Reads on to the head, and takes back what is not on the chain any more.
    pub(super) async fn read(&mut self, world: &World, head: Head) -> anyhow::Result<()> {
        let kept = self.common(world, head).await?;
        let replaced = self.seen.split_off(&(kept + 1));
        if let Some(last) = replaced.keys().next_back() {
            self.take_back(world, kept, *last).await?;
        }
        let filter = Filter::new()
            .address(vec![world.module, world.chain.processor])
            .from_block(kept + 1)
            .to_block(head.number);
        let logs = if head.number > kept {
            let logs = world.chain.provider().get_logs(&filter).await;
            logs.context("read the logs for the time line")?
        } else {
            Vec::new()
        };
        for log in logs {
            self.tell(world, &log).await?;
        }
        self.seen.insert(head.number, head.hash.0);
        while self.seen.len() > KEPT {
            self.seen.pop_first();
        }
        Ok(())
    }

    /// The highest head that was seen and is on the chain still.
    async fn common(&self, world: &World, head: Head) -> anyhow::Result<u64> {
        for (number, hash) in self.seen.iter().rev() {
            if *number <= head.number && world.chain.block(*number).await?.hash.0 == *hash {
                return Ok(*number);
            }
        }
        Ok(world.chain.factory_block)
    }

    async fn take_back(&mut self, world: &World, kept: u64, last: u64) -> anyhow::Result<()> {
        for block in world.discord.blocks_above(kept) {
            let present = world.chain.block(block.number).await;
            if present.is_ok_and(|present| present.hash.0 == block.hash) {
                continue;
            }
            world.discord.undo(block);
            self.told.retain(|(hash, _)| *hash != block.hash);
        }
        tracing::debug!(kept, last, "the sandbox's chain was reorganised");
        Ok(())
    }

    async fn tell(&mut self, world: &World, log: &Log) -> anyhow::Result<()> {
        let (Some(number), Some(hash), Some(index)) =
            (log.block_number, log.block_hash, log.log_index)
        else {
            return Ok(());
        };
        if !self.told.insert((hash.0, index)) {
            return Ok(());
        }
        if let Some(text) = sentence(world, log).await? {
            let block = InBlock {
                number,
                hash: hash.0,
            };
            world.discord.happened_in(block, text);
        }
        Ok(())
    }
}

/// What a log says, for people; `None` for what nobody needs to read.
async fn sentence(world: &World, log: &Log) -> anyhow::Result<Option<String>> {
    use PaymentProcessorEvents as Processor;
    use SubscriptionModuleEvents as Module;
    if log.address() == world.module {
        let Ok(event) = Module::decode_log(&log.inner) else {
            return Ok(None);
        };
        let text = match &event.data {
            Module::PlanCreated(one) => format!("The merchant made plan {}.", one.planId),
            Module::PlanStatusChanged(one) if one.active => format!("Plan {} is open.", one.planId),
            Module::PlanStatusChanged(one) => format!("Plan {} is closed.", one.planId),
            Module::SubscriptionCreated(one) => {
                let who = name(world, one.subscriber).await?;
                format!(
                    "**{who}** subscribed to plan {}; nothing is paid yet.",
                    one.planId
                )
            }
            Module::SubscriptionPaused(one) => {
                format!(
                    "**{}** paused the subscription.",
                    name(world, one.subscriber).await?
                )
            }
            Module::SubscriptionResumed(one) => {
                format!(
                    "**{}** resumed the subscription.",
                    name(world, one.subscriber).await?
                )
            }
            Module::SubscriptionCancelled(one) => {
                format!(
                    "**{}** cancelled the subscription.",
                    name(world, one.subscriber).await?
                )
            }
            Module::SubscriberBlocked(one) => {
                format!(
                    "The merchant blocked **{}**.",
                    name(world, one.subscriber).await?
                )
            }
            Module::SubscriberUnblocked(one) => {
                format!(
                    "The merchant unblocked **{}**.",
                    name(world, one.subscriber).await?
                )
            }
            _ => return Ok(None),
        };
        return Ok(Some(text));
    }
    let Ok(event) = Processor::decode_log(&log.inner) else {
        return Ok(None);
    };
    Ok(Some(match &event.data {
        Processor::ExecutionExecuted(one) => {
            let who = name(world, one.payer).await?;
            let paid = amount(one.amount.try_into().unwrap_or(u128::MAX));
            format!("**{who}** paid {paid}.")
        }
        Processor::ExecutionFailed(one) => {
            let who = subscriber(world, one.id).await?;
            let why = failure(FailureReason(one.reason));
            format!("**{who}**'s payment failed: {why}.")
        }
    }))
}

async fn subscriber(world: &World, subscription: U256) -> anyhow::Result<String> {
    let state = world.chain.subscription(world.module, subscription).await?;
    name(world, state.subscriber).await
}

/// Whose wallet this is: the member who linked it, or whom the sandbox gave it to, else its address.
async fn name(world: &World, wallet: Address) -> anyhow::Result<String> {
    let store = world.store.clone();
    let link = tokio::task::spawn_blocking(move || store.link_of(Wallet(wallet))).await??;
    let given = || {
        let all = world.members.iter().chain([&world.merchant]);
        all.copied()
            .find(|user| world.wallet(*user).address() == wallet)
    };
    let user = link.map(|link| link.user).or_else(given);
    Ok(user.map_or_else(|| wallet.to_string(), |user| world.discord.user_name(user)))
}

/// Tells of wallets that were linked or unlinked since the last look, by any way.
#[derive(Debug, Default)]
pub(super) struct Links(BTreeMap<Wallet, crate::domain::UserId>);

impl Links {
    pub(super) async fn read(&mut self, world: &World) -> anyhow::Result<()> {
        let store = world.store.clone();
        let now = tokio::task::spawn_blocking(move || {
            let mut links = BTreeMap::new();
            store.for_each_link(|user, wallet| {
                links.insert(wallet, user);
            })?;
            anyhow::Ok(links)
        })
        .await??;
        let name = |user| world.discord.user_name(user);
        for (wallet, user) in &now {
            if self.0.get(wallet) != Some(user) {
                let text = format!("**{}** linked the wallet {}.", name(*user), short(wallet));
                world.discord.happened(Happening::Person, text);
            }
        }
        for (wallet, user) in &self.0 {
            if !now.contains_key(wallet) {
                let text = format!(
                    "The wallet `{wallet}` is not **{}**'s any more.",
                    name(*user)
                );
                world.discord.happened(Happening::Person, text);
            }
        }
        self.0 = now;
        Ok(())
    }
}

/// A wallet's address, as much of it as is needed to know it again.
fn short(wallet: &Wallet) -> String {
    let address = wallet.to_string();
    format!("`{}…{}`", &address[..6], &address[address.len() - 4..])
}

/// "The newest 5 blocks were replaced…", or that there was nothing in them.
pub(super) fn reorganised(depth: u64, undone: usize) -> String {
    let blocks = count(depth, "block");
    if undone == 0 {
        return format!(
            "The newest {blocks} made way for others. Nothing of the protocol was in them, so no role changes."
        );
    }
    let what = count(u64::try_from(undone).unwrap_or(u64::MAX), "event");
    format!("The newest {blocks} made way for others: {what} never happened after all.")
}
