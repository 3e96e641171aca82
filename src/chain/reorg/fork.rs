//! Where the node's chain left the followed one, however deep.

use crate::chain::error::SessionError;
use crate::chain::node::{Node, read};
use crate::chain::reads::StoreReader;
use crate::domain::Checkpoint;

/// How many stored headers the search reads first, how that grows, and up to what.
const FIRST_PAGE: usize = 8;
const GROWTH: usize = 8;
const LARGEST_PAGE: usize = 4_096;

/// Whether the node's chain differs from the followed one at a height that both have: being shorter proves nothing. `known`
/// is the newest followed block up to the node's head, if it is not in the store yet.
pub(super) async fn contradicts(
    node: &Node,
    reads: &StoreReader,
    known: Option<Checkpoint>,
    head: u64,
) -> Result<bool, SessionError> {
    let known = match known {
        Some(known) => Some(known),
        None => reads
            .read(move |store| store.headers_below(head, 1))
            .await?
            .pop(),
    };
    let Some(known) = known else {
        return Ok(false);
    };
    let header = read::header_at(node, known.number).await?;
    Ok(header.is_some_and(|header| header.hash != known.hash))
}

/// The newest followed block that the node's chain has too, at `from` or below; `None` when it has not one of them.
/// `unsaved` are followed blocks that are not stored yet, newest first. A node that has a block has all below it: so the
/// oldest block of a page says whether the fork is in that page.
pub(super) async fn find_fork(
    node: &Node,
    reads: &StoreReader,
    unsaved: impl IntoIterator<Item = Checkpoint>,
    from: Checkpoint,
) -> Result<Option<Checkpoint>, SessionError> {
    let mut page: Vec<Checkpoint> = [from].into_iter().chain(unsaved).collect();
    let mut size = FIRST_PAGE;
    while let Some(oldest) = page.last() {
        let oldest = *oldest;
        if is_shared(node, &oldest).await? {
            let (mut low, mut high) = (0, page.len() - 1);
            while low < high {
                let middle = low + (high - low) / 2;
                match is_shared(node, &page[middle]).await? {
                    true => high = middle,
                    false => low = middle + 1,
                }
            }
            return Ok(Some(page[high]));
        }
        let Some(below) = oldest.number.checked_sub(1) else {
            break;
        };
        page = reads
            .read(move |store| store.headers_below(below, size))
            .await?;
        size = size.saturating_mul(GROWTH).min(LARGEST_PAGE);
    }
    Ok(None)
}

/// Whether the node has this followed block.
pub(super) async fn is_shared(node: &Node, known: &Checkpoint) -> Result<bool, SessionError> {
    let header = read::header_at(node, known.number).await?;
    Ok(header.is_some_and(|header| header.hash == known.hash))
}
