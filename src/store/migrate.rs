//! Files that an older version of this program laid out.

use alloy::primitives::Address;
use redb::{ReadableTable as _, TableDefinition, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::acts;
use super::codec::{decode, encode, read};
use super::ingest::thin;
use super::tables::{
    CHALLENGES, HEADERS, JOURNAL, LINK_REQUESTS, META, META_CURSOR, META_SEQUENCE, MODULES,
    SERVER_JOURNAL,
};
use super::verify::{Challenge, LinkRequest, RequestState};
use crate::domain::{
    Act, ActEntry, Checkpoint, GuildId, JournalEntry, ModuleRecord, Position, RoleId, Synced,
    Timestamp, UserId, Wallet,
};

/// Version 1: nonce → postcard [`ChallengeV1`].
const CHALLENGES_V1: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("challenges_v1");

/// A challenge that did not say whose it is.
#[derive(Serialize, Deserialize)]
struct ChallengeV1 {
    request: [u8; 32],
    nonce: String,
    wallet: Wallet,
    message: String,
    expires_at: Timestamp,
    state: RequestState,
}

/// From version 1: each challenge learns from its link whose it is; one whose link is gone already goes as well.
pub(super) fn from_version_1(transaction: &WriteTransaction) -> anyhow::Result<()> {
    {
        let requests = transaction.open_table(LINK_REQUESTS)?;
        let mut challenges = transaction.open_table(CHALLENGES)?;
        for row in transaction.open_table(CHALLENGES_V1)?.iter()? {
            let old: ChallengeV1 = decode(row?.1.value())?;
            let Some(request) = requests.get(&old.request)? else {
                continue;
            };
            let challenge = Challenge {
                request: old.request,
                user: decode::<LinkRequest>(request.value())?.user,
                nonce: old.nonce,
                wallet: old.wallet,
                message: old.message,
                expires_at: old.expires_at,
                state: old.state,
            };
            challenges.insert(challenge.nonce.as_str(), encode(&challenge).as_slice())?;
        }
    }
    transaction.delete_table(CHALLENGES_V1)?;
    Ok(())
}

/// Versions 1 and 2: module address → postcard [`ModuleRecordV1`].
const MODULES_V1: TableDefinition<'_, &[u8; 20], &[u8]> = TableDefinition::new("modules_v1");
/// Versions 1 and 2: the folds of events, without the update of the expiry that ended a subscription.
const SUBSCRIPTIONS_V1: TableDefinition<'_, &[u8; 52], &[u8]> =
    TableDefinition::new("subscriptions_v1");
/// Versions 1 and 2: the folds of events, which did not say whether the creation was seen.
const PLANS_V1: TableDefinition<'_, &[u8; 52], &[u8]> = TableDefinition::new("plans_v1");
/// Versions 1 and 2, in `META`: blocks that were to be looked at once more.
const META_UNSURE: &str = "unsure";

/// A module's record that was written with each batch.
#[derive(Serialize, Deserialize)]
struct ModuleRecordV1 {
    start_block: u64,
    synced_to: Option<u64>,
    initial_processor: Address,
    processor_updates: Vec<(Position, Address)>,
}

/// From version 2: modules say whether they are at the cursor; the folds are made again when the store is opened.
pub(super) fn from_version_2(transaction: &WriteTransaction) -> anyhow::Result<()> {
    let mut meta = transaction.open_table(META)?;
    meta.remove(META_UNSURE)?;
    let cursor: Option<Checkpoint> = read(meta.get(META_CURSOR)?)?;
    let cursor = cursor.map(|cursor| cursor.number);
    {
        let mut modules = transaction.open_table(MODULES)?;
        for row in transaction.open_table(MODULES_V1)?.iter()? {
            let (module, row) = row?;
            let old: ModuleRecordV1 = decode(row.value())?;
            let is_complete = old.synced_to.is_some() && old.synced_to >= cursor;
            let record = ModuleRecord {
                start_block: old.start_block,
                synced: match is_complete {
                    true => Synced::ToCursor,
                    false => Synced::To(old.synced_to),
                },
                initial_processor: old.initial_processor,
                processor_updates: old.processor_updates,
            };
            modules.insert(module.value(), encode(&record).as_slice())?;
        }
        let mut headers = transaction.open_table(HEADERS)?;
        thin(&mut headers, 0, cursor.unwrap_or(0))?;
    }
    transaction.delete_table(MODULES_V1)?;
    transaction.delete_table(SUBSCRIPTIONS_V1)?;
    transaction.delete_table(PLANS_V1)?;
    Ok(())
}

/// Versions 1 to 3: sequence → postcard [`ApprovalV1`].
const APPROVALS_V1: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("approvals_v1");

/// A mass removal that a manager let through.
#[derive(Serialize, Deserialize)]
struct ApprovalV1 {
    at: Timestamp,
    guild: GuildId,
    role: RoleId,
    by: UserId,
    removals: u64,
}

/// From version 3: the journal is found by server, and approvals are acts among others.
pub(super) fn from_version_3(transaction: &WriteTransaction) -> anyhow::Result<()> {
    {
        let journal = transaction.open_table(JOURNAL)?;
        let mut by_server = transaction.open_table(SERVER_JOURNAL)?;
        let mut next = 0;
        for row in journal.iter()? {
            let (sequence, entry) = row?;
            let entry: JournalEntry = decode(entry.value())?;
            by_server.insert((entry.change.guild.0, sequence.value()), ())?;
            next = sequence.value() + 1;
        }
        let mut meta = transaction.open_table(META)?;
        meta.insert(META_SEQUENCE, u64::to_le_bytes(next).as_slice())?;
    }
    for row in transaction.open_table(APPROVALS_V1)?.iter()? {
        let old: ApprovalV1 = decode(row?.1.value())?;
        let entry = ActEntry {
            at: old.at,
            guild: old.guild,
            by: Some(old.by),
            act: Act::Approved {
                role: old.role,
                removals: old.removals,
            },
        };
        acts::append(transaction, &entry)?;
    }
    transaction.delete_table(APPROVALS_V1)?;
    Ok(())
}

#[cfg(test)]
mod tests;
