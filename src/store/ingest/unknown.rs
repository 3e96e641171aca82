//! Counts of logs that could not be decoded.

use redb::{ReadableTable as _, WriteTransaction};

use crate::domain::UnknownLogs;
use crate::store::tables::UNKNOWN_LOGS;

/// Topics of one address that are counted apart.
const MOST_TOPICS: usize = 32;

/// Where further topics of an address are counted together.
const FURTHER: [u8; 32] = [0xff; 32];

/// Adds to the counts. An address with more topics than [`MOST_TOPICS`] cannot fill the store: further ones share a row.
pub(super) fn store(transaction: &WriteTransaction, logs: &[UnknownLogs]) -> anyhow::Result<()> {
    if logs.is_empty() {
        return Ok(());
    }
    let mut table = transaction.open_table(UNKNOWN_LOGS)?;
    for unknown in logs {
        let address = &unknown.address.0.0;
        let mut topic = &unknown.topic.0;
        if table.get((address, topic))?.is_none() {
            let apart = table
                .range((address, &[0; 32])..(address, &FURTHER))?
                .count();
            if apart >= MOST_TOPICS {
                topic = &FURTHER;
            }
        }
        let before = table
            .get((address, topic))?
            .map_or(0, |count| count.value());
        table.insert((address, topic), before.saturating_add(unknown.count))?;
    }
    Ok(())
}
