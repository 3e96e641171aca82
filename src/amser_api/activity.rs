//! `GET activity/{merchant}`: the payments and failures that amser's indexer has seen, each with its transaction. Opened by
//! the merchant's key.

use alloy::primitives::B256;
use anyhow::{Context as _, ensure};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{AmserApi, body};
use crate::domain::{ModuleAddress, Timestamp, Wallet};

/// Entries of one answer.
const LIMIT: usize = 1_000;

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActivityPage {
    /// What it lists, oldest first.
    pub entries: Vec<Activity>,
    /// Whether it lists as many as an answer may, so that more may have happened since.
    pub is_full: bool,
    /// Whether it lists the newest first: what a full answer leaves out is older than what it lists.
    pub is_newest_first: bool,
}

/// One payment or failure.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Activity {
    /// The merchant's module.
    pub module: ModuleAddress,
    /// The block.
    pub block: u64,
    /// The transaction.
    pub transaction: B256,
    /// When, by the indexer.
    pub at: Timestamp,
}

impl AmserApi {
    /// What happened to a merchant's modules since then; at most a thousand entries.
    ///
    /// # Errors
    /// When it does not answer, refuses the key, or answers in another shape.
    pub async fn activity(
        &self,
        merchant: Wallet,
        since: Timestamp,
    ) -> anyhow::Result<ActivityPage> {
        let chain_id = self.shared.chain_id;
        let path =
            format!("/v0/activity/{merchant}?since={since}&limit={LIMIT}&chain_id={chain_id}");
        let response = self
            .get(&path)?
            .send()
            .await
            .map_err(reqwest::Error::without_url)?;
        let status = response.status();
        ensure!(status.is_success(), "it answered with {status}");
        read(&body(response).await?)
    }
}

/// The entries of an answer: a list, or an object that holds one. What has no transaction and block is left out.
fn read(body: &[u8]) -> anyhow::Result<ActivityPage> {
    let answer: Value = serde_json::from_slice(body)?;
    let list = match &answer {
        Value::Array(list) => Some(list),
        answer => ["activity", "events", "data"]
            .iter()
            .find_map(|name| answer.get(*name)?.as_array()),
    };
    let list = list.context("its answer holds no list of activity")?;
    let mut entries: Vec<_> = list.iter().filter_map(entry).collect();
    let ends = entries.first().zip(entries.last());
    let is_newest_first = ends.is_some_and(|(first, last)| first.at > last.at);
    entries.sort_unstable_by_key(|one| (one.at, one.block));
    Ok(ActivityPage {
        entries,
        is_full: list.len() >= LIMIT,
        is_newest_first,
    })
}

fn entry(entry: &Value) -> Option<Activity> {
    let text = |name: &str| entry.get(name)?.as_str();
    let block = entry.get("block_number")?;
    let block = block
        .as_u64()
        .or_else(|| block.as_str().and_then(|text| text.parse().ok()))?;
    let at = OffsetDateTime::parse(text("timestamp")?, &Rfc3339).ok()?;
    Some(Activity {
        module: text("module_address")?.parse().ok()?,
        block,
        transaction: text("tx_hash")?.parse().ok()?,
        at: Timestamp(at.unix_timestamp().try_into().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use alloy::primitives::Address;
    use serde_json::json;

    use super::*;

    #[test]
    fn activity_is_read_oldest_first_and_what_has_no_transaction_is_left_out() {
        let module = Address::repeat_byte(7);
        let transaction = B256::repeat_byte(9);
        let one = |block: Value, at: &str| {
            json!({
                "event_id": "x", "module_address": module, "tx_hash": transaction, "block_number": block,
                "type": "CHARGE", "amount_charged": "5", "timestamp": at,
            })
        };
        let list = json!([
            one(json!("12"), "2026-11-27T02:00:10.123Z"),
            one(json!(11), "2026-11-27T02:00:00Z"),
            { "type": "CHARGE" },
            one(json!(13), "yesterday"),
        ]);
        for answer in [list.clone(), json!({ "data": list })] {
            let page = read(answer.to_string().as_bytes()).unwrap();
            assert!(!page.is_full && page.is_newest_first);
            let all = page.entries;
            assert_eq!(
                all.iter().map(|one| one.block).collect::<Vec<_>>(),
                [11, 12]
            );
            assert_eq!(all[1].at.0 - all[0].at.0, 10);
            assert_eq!(all[0].module, ModuleAddress(module));
        }
        assert!(read(b"{}").is_err());
    }
}
