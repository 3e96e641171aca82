//! Signatures that the followed events may have in contracts whose ABI is not known, to name an unknown topic.

use alloy::primitives::{B256, keccak256};
use rustc_hash::FxHashMap;

use super::wanted::{Field, Kind, WANTED};

/// By topic. Each event with any of its parameters left out, and each integer of 64 or 256 bits.
pub(super) fn signatures() -> FxHashMap<B256, String> {
    let mut signatures = FxHashMap::default();
    for row in &WANTED {
        // Kept in contracts, though nothing is read from them here.
        let others: &[Kind] = match row.name() {
            "ExecutionExecuted" => &[
                Kind::Address,
                Kind::Uint,
                Kind::Address,
                Kind::Address,
                Kind::Uint,
                Kind::Uint,
                Kind::Address,
                Kind::Uint,
                Kind::Uint,
            ],
            "ExecutionFailed" => &[Kind::Address, Kind::Uint, Kind::Other],
            "SubscriptionPaused" | "SubscriptionResumed" | "SubscriptionCancelled" => {
                &[Kind::Uint, Kind::Address]
            }
            _ => &[],
        };
        let fields = row.fields.iter().chain(row.optional);
        let kinds: Vec<Kind> = match others {
            [] => fields.copied().map(Field::kind).collect(),
            others => others.to_vec(),
        };
        let mut lists = vec![Vec::new()];
        for kind in kinds {
            let types: &[&str] = match kind {
                Kind::Uint => &["uint256", "uint64"],
                Kind::Address => &["address"],
                Kind::Bool => &["bool"],
                Kind::Other => &["uint8", "uint256", "bytes32", "string"],
            };
            for index in 0..lists.len() {
                let list: Vec<&str> = lists[index].clone();
                lists.extend(types.iter().map(|ty| [list.as_slice(), &[*ty]].concat()));
            }
        }
        for name in row.names {
            signatures.extend(lists.iter().map(|list| {
                let signature = format!("{name}({})", list.join(","));
                (keccak256(&signature), signature)
            }));
        }
    }
    signatures
}
