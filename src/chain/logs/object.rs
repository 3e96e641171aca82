//! One log object: the fields that are needed, decoded from the text as they come.

use alloy::primitives::{Address, B256, hex};

use super::scan::{Cursor, Stop};

/// One log. Its data borrows from the answer; all else is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log<'a> {
    /// Who emitted it.
    pub address: Address,
    topics: [B256; 4],
    topic_count: u8,
    /// Hex digits, without `0x`.
    data: &'a [u8],
    /// Block number.
    pub block_number: u64,
    /// Block hash.
    pub block_hash: B256,
    /// The block's timestamp (Unix seconds), where the node sends it along.
    pub block_timestamp: Option<u64>,
    /// Transaction hash.
    pub transaction_hash: B256,
    /// Index within the block.
    pub log_index: u32,
    /// Whether the node takes it back because of a reorganisation.
    pub removed: bool,
}

impl Log<'_> {
    /// The topics, the event's signature hash first.
    pub fn topics(&self) -> &[B256] {
        &self.topics[..usize::from(self.topic_count)]
    }

    /// What was not indexed, decoded into `buffer`; `None` where the text is not hex.
    pub fn data<'b>(&self, buffer: &'b mut Vec<u8>) -> Option<&'b [u8]> {
        buffer.resize(self.data.len() / 2, 0);
        hex::decode_to_slice(self.data, buffer).ok()?;
        Some(buffer)
    }
}

const NOT_HEX: Stop = Stop::Malformed("a hex string holds something else");

#[inline]
fn word(cursor: &mut Cursor<'_>) -> Result<B256, Stop> {
    let digits = cursor.hex::<64>()?;
    hex::decode_to_array(digits)
        .map(B256::new)
        .map_err(|_| NOT_HEX)
}

/// Reads a log object at the cursor.
#[inline]
pub(super) fn log<'a>(cursor: &mut Cursor<'a>) -> Result<Log<'a>, Stop> {
    if cursor.peek_token()? != b'{' {
        return Err(Stop::Malformed("a log is not an object"));
    }
    cursor.advance();
    let mut log = Log {
        address: Address::ZERO,
        topics: [B256::ZERO; 4],
        topic_count: 0,
        data: &[],
        block_number: 0,
        block_hash: B256::ZERO,
        block_timestamp: None,
        transaction_hash: B256::ZERO,
        log_index: 0,
        removed: false,
    };
    let mut seen = 0_u8;
    loop {
        match cursor.peek_token()? {
            b',' => {
                cursor.advance();
                continue;
            }
            b'}' => {
                cursor.advance();
                break;
            }
            _ => {}
        }
        match cursor.key()? {
            b"address" => {
                let digits = cursor.hex::<40>()?;
                log.address = hex::decode_to_array(digits)
                    .map(Address::new)
                    .map_err(|_| NOT_HEX)?;
                seen |= 1;
            }
            b"topics" => {
                log.topic_count = topics(cursor, &mut log.topics)?;
                seen |= 1 << 1;
            }
            b"data" => {
                let text = cursor.plain_string()?;
                log.data = text.strip_prefix(b"0x").unwrap_or(text);
                seen |= 1 << 2;
            }
            b"blockNumber" => {
                log.block_number = cursor.quantity()?;
                seen |= 1 << 3;
            }
            b"blockHash" => {
                log.block_hash = word(cursor)?;
                seen |= 1 << 4;
            }
            b"transactionHash" => {
                log.transaction_hash = word(cursor)?;
                seen |= 1 << 5;
            }
            b"logIndex" => {
                log.log_index = u32::try_from(cursor.quantity()?)
                    .map_err(|_| Stop::Malformed("a log index is beyond 32 bits"))?;
                seen |= 1 << 6;
            }
            b"blockTimestamp" => {
                // Optional and often null; a node that sends nonsense here is treated like one that sends nothing.
                // Some nodes send zero in every log: that is no time either.
                log.block_timestamp = match cursor.quantity() {
                    Err(Stop::NeedMore) => return Err(Stop::NeedMore),
                    quantity => quantity.ok().filter(|at| *at > 0),
                };
            }
            b"removed" => log.removed = cursor.value()? == b"true",
            _ => {
                cursor.value()?;
            }
        }
    }
    if seen == 0x7f {
        Ok(log)
    } else {
        Err(Stop::Malformed("a log lacks a field"))
    }
}

fn topics(cursor: &mut Cursor<'_>, topics: &mut [B256; 4]) -> Result<u8, Stop> {
    if cursor.peek_token()? != b'[' {
        return Err(Stop::Malformed("topics are not a list"));
    }
    cursor.advance();
    let mut count = 0;
    loop {
        match cursor.peek_token()? {
            b',' => cursor.advance(),
            b']' => {
                cursor.advance();
                return Ok(count);
            }
            _ => {
                *topics
                    .get_mut(usize::from(count))
                    .ok_or(Stop::Malformed("a log has more than four topics"))? = word(cursor)?;
                count += 1;
            }
        }
    }
}
