//! Reorganisations: the newest followed blocks, the path from a new head down to them, and the search for the fork when
//! stored blocks are not on the node's chain any more. The only place that undoes anything.

mod fork;
mod recover;
pub(super) mod window;

use std::collections::HashMap;

use alloy::primitives::B256;
use tracing::info;

pub(super) use self::recover::{Preferred, check, look_at_preferred};

use self::fork::contradicts;
use self::window::{Meeting, Window};
use super::error::SessionError;
use super::node::{Header, Node, read};
use super::reads::StoreReader;

/// The path from the followed chain up to a new head: how many unconfirmed blocks stay, and the blocks on top of them, oldest
/// first.
///
/// # Errors
/// When confirmed blocks are not on the node's chain any more: the next session begins by finding the fork.
pub(super) async fn path(
    node: &Node,
    reads: &StoreReader,
    window: &Window,
    head: &Header,
) -> Result<(usize, Vec<Header>), SessionError> {
    let reorganised = || SessionError::Moved("confirmed blocks were reorganised");
    let nothing_new = (window.unconfirmed().count(), Vec::new());
    let known = window.at(head.number);
    // Also a head that jumped back on the same chain: the blocks above it are most likely still to come again.
    if known.is_some_and(|known| known.hash == head.hash) {
        return Ok(nothing_new);
    }
    if head.number < window.base().number {
        return match contradicts(node, reads, known, head.number).await? {
            true => Err(reorganised()),
            false => Ok(nothing_new),
        };
    }
    let missing: Vec<u64> = (window.tip().number + 1..head.number).collect();
    let missing = read::headers_at(node, &missing).await?;
    let missing = missing.into_iter().map(|header| (header.hash, header));
    let mut missing: HashMap<B256, Header> = missing.collect();
    let mut path = vec![head.clone()];
    loop {
        let lowest = &path[path.len() - 1];
        let (parent, number) = (lowest.parent_hash, lowest.number.checked_sub(1));
        let Some(number) = number else {
            return Err(reorganised());
        };
        match window.meets(number, parent) {
            Meeting::At(stay) => {
                let dropped = window.unconfirmed().count() - stay;
                if dropped > 0 {
                    info!(dropped, "unconfirmed blocks were reorganised");
                }
                path.reverse();
                return Ok((stay, path));
            }
            Meeting::Reorganised => return Err(reorganised()),
            Meeting::Below => {}
        }
        let header = match missing.remove(&parent) {
            Some(header) => Some(header),
            None => read::header_of(node, parent).await?,
        };
        match header {
            Some(header) if header.hash == parent && header.number == number => path.push(header),
            // A node behind a load balancer may not have the block yet, or not any more.
            _ => return Err(SessionError::Moved("a block's parent is not to be had")),
        }
    }
}
