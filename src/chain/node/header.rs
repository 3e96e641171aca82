//! A block header, as far as following needs it.

use alloy::primitives::{B256, Bloom, U64};
use serde::Deserialize;

use super::error::RpcError;
use crate::domain::{Checkpoint, Timestamp};

/// The parts of a block header that following needs; chains differ in the others.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RawHeader")]
pub struct Header {
    /// Block number.
    pub number: u64,
    /// Block hash.
    pub hash: B256,
    /// The hash of the block before.
    pub parent_hash: B256,
    /// The block's time; never zero, except in block 0.
    pub timestamp: Timestamp,
    /// The bloom of the block's logs, where the chain fills it in.
    pub logs_bloom: Option<Bloom>,
    /// The root of the block's transactions, where the node sends it.
    pub transactions_root: Option<B256>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawHeader {
    number: U64,
    hash: B256,
    parent_hash: B256,
    timestamp: U64,
    logs_bloom: Option<Bloom>,
    transactions_root: Option<B256>,
}

impl TryFrom<RawHeader> for Header {
    type Error = &'static str;

    fn try_from(raw: RawHeader) -> Result<Self, Self::Error> {
        // Whether a due payment failed is decided by this time: none is better than a wrong one.
        if raw.timestamp.is_zero() && !raw.number.is_zero() {
            return Err("a header without a time");
        }
        Ok(Self {
            number: raw.number.to(),
            hash: raw.hash,
            parent_hash: raw.parent_hash,
            timestamp: Timestamp(raw.timestamp.to()),
            logs_bloom: raw.logs_bloom,
            transactions_root: raw.transactions_root,
        })
    }
}

impl Header {
    /// The block's place, for the store.
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            number: self.number,
            hash: self.hash,
            timestamp: self.timestamp,
        }
    }
}

/// The header that a node answered, if it is the one that was asked for.
pub(super) fn expect_number(
    header: Option<Header>,
    number: u64,
) -> Result<Option<Header>, RpcError> {
    match &header {
        Some(header) if header.number != number => Err(RpcError::unavailable(format!(
            "it answered with block {} when it was asked for block {number}",
            header.number
        ))),
        _ => Ok(header),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(number: u64, timestamp: u64) -> serde_json::Result<Header> {
        serde_json::from_value(serde_json::json!({
            "number": U64::from(number), "timestamp": U64::from(timestamp),
            "hash": B256::repeat_byte(1), "parentHash": B256::repeat_byte(2),
        }))
    }

    #[test]
    fn a_time_of_zero_is_no_time_except_in_the_first_block() {
        assert_eq!(header(0, 0).unwrap().timestamp, Timestamp(0));
        assert_eq!(header(7, 9).unwrap().timestamp, Timestamp(9));
        assert!(header(7, 0).is_err());
    }
}
