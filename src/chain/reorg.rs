//! Reorganisations: the newest followed blocks, the path from a new head down to them, and the search for the fork when
//! stored blocks are not on the node's chain any more. The only place that undoes anything.

mod fork;
mod recover;
pub(super) mod window;

use std::collections::HashMap;

use alloy::primitives::B256;
use tracing::info;

pub(super) use self::fork::contradicts;
pub(super) use self::recover::{check, is_worth_returning_to, known_header, recover};

use self::window::{Meeting, Window};
use super::error::SessionError;
use super::node::Header;
use super::node::{Node, read};

/// The path from a new head down to the followed chain.
#[derive(Debug)]
pub(super) enum Path {
    /// Everything on it is followed already.
    Known,
    /// These blocks, oldest first, on top of so many unconfirmed blocks that stay.
    Onto(usize, Vec<Header>),
    /// The node has another block at the height of a confirmed one.
    BelowConfirmed,
    /// The head is below the confirmed tip, on whatever chain.
    Lower,
}

/// Finds the path from `head` down to the followed blocks.
pub(super) async fn path(
    node: &Node,
    window: &Window,
    head: &Header,
) -> Result<Path, SessionError> {
    if window
        .at(head.number)
        .is_some_and(|at| at.hash == head.hash)
    {
        // Also a head that jumped back on the same chain: the blocks above it are most likely still to come again.
        return Ok(Path::Known);
    }
    if head.number < window.base().number {
        return Ok(Path::Lower);
    }
    let missing: Vec<u64> = (window.tip().number + 1..head.number).collect();
    let mut known: HashMap<B256, Header> = match missing.is_empty() {
        true => HashMap::new(),
        false => {
            let headers = read::headers_at(node, &missing).await?;
            let by_hash = headers.into_iter().map(|header| (header.hash, header));
            by_hash.collect()
        }
    };
    let mut path = vec![head.clone()];
    loop {
        let lowest = &path[path.len() - 1];
        let (parent, number) = (lowest.parent_hash, lowest.number.checked_sub(1));
        let Some(number) = number else {
            return Ok(Path::BelowConfirmed);
        };
        match window.meets(number, parent) {
            Meeting::At(stay) => {
                let dropped = window.unconfirmed().count() - stay;
                if dropped > 0 {
                    info!(dropped, "unconfirmed blocks were reorganised");
                }
                path.reverse();
                return Ok(Path::Onto(stay, path));
            }
            Meeting::Reorganised => return Ok(Path::BelowConfirmed),
            Meeting::Below => {}
        }
        let header = match known.remove(&parent) {
            Some(header) => Some(header),
            None => read::header_of(node, parent).await?,
        };
        match header {
            Some(header) if header.hash == parent && header.number == number => path.push(header),
            // A node behind a load balancer may not have the block yet, or not any more.
            _ => {
                return Err(SessionError::Moved(
                    "a block's parent is not to be had".into(),
                ));
            }
        }
    }
}
