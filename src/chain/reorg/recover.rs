//! Goes back to where the node's chain and the followed one part, if the node can be believed.

use std::time::Instant;

use tracing::warn;

use super::fork::{contradicts, find_fork, is_shared};
use crate::chain::context::Context;
use crate::chain::error::SessionError;
use crate::chain::node::{Chosen, Node, RpcError, heads, read};
use crate::chain::reads::StoreReader;
use crate::chain::state::{Followed, Lost};
use crate::domain::Checkpoint;

/// Compares the newest confirmed block with the node's chain, which may have changed since the last session.
pub(crate) async fn check(
    context: &Context,
    chosen: &Chosen,
    followed: &mut Followed,
) -> Result<(), SessionError> {
    let node = &*chosen.node;
    let base = followed.window.base();
    match read::header_at(node, base.number).await? {
        Some(header) if header.hash == base.hash => return Ok(()),
        Some(_) => {}
        None => {
            // Shorter than what was followed: a lagging node, or a chain that went back. Only another block at a height
            // that both have is evidence of the latter.
            let head = heads::newest(node).await?.number;
            let passed = followed.passed.take().filter(|block| block.number <= head);
            let known = followed.window.at(head).or(passed);
            if !contradicts(node, &context.reads, known, head).await? {
                return Err(read::missing(base.number).into());
            }
        }
    }
    recover(context, chosen, followed).await
}

/// Goes back to the newest followed block that is on the node's chain; the next commit undoes what lies above it.
///
/// # Errors
/// When the node is at fault: it has none of the followed blocks, or another block than a finalized one.
async fn recover(
    context: &Context,
    chosen: &Chosen,
    followed: &mut Followed,
) -> Result<(), SessionError> {
    let node = &*chosen.node;
    // Another chain is no reorganisation: nothing is undone for it.
    node.check_chain().await?;
    let is_local = context.config.is_local();
    let from = followed.window.base();
    let finalized = followed.finalized.filter(|_| !is_local);
    if let Some(finalized) = finalized
        && !is_shared(node, &finalized).await?
    {
        return Err(RpcError::unavailable(format!(
            "it does not have block {} as it was finalized: it follows another chain, or its data is damaged",
            finalized.number
        ))
        .into());
    }
    let unsaved = followed.unsaved.headers.iter().rev();
    let unsaved = unsaved.copied().filter(|header| *header != from);
    let shared = find_fork(node, &context.reads, unsaved, from).await?;
    let fork = match shared.max(finalized) {
        // Nodes behind one address disagree, or it changed its mind while we looked.
        Some(fork) if fork == from => {
            return Err(SessionError::Moved(
                "the node is back on the followed chain",
            ));
        }
        Some(fork) => fork,
        None if is_local => start_over(node).await?,
        None => {
            return Err(RpcError::unavailable(
                "it has none of the blocks that were followed: it is a node of another chain with the same id, or its data was replaced",
            )
            .into());
        }
    };
    let depth = from.number - fork.number;
    warn!(
        fork = fork.number,
        depth, "the chain was reorganised below the confirmed tip"
    );
    followed.roll_back_to(fork);
    let by_another = chosen.place > 0 && !is_local;
    followed.lost = Some(Lost::after(followed.lost, from.number, by_another));
    context.status.send_modify(|status| {
        status.set_at_tip(false, Instant::now());
        status.reorgs += 1;
    });
    Ok(())
}

/// No stored block is on this chain: a local one was wiped. Everything is read again from block 0, by which the brake on mass
/// removals knows it.
async fn start_over(node: &Node) -> Result<Checkpoint, SessionError> {
    warn!(
        "the local chain was started over: everything is read again, and roles that it does not account for wait for approval"
    );
    Ok(read::known_header(node, 0).await?.checkpoint())
}

/// Why to go back to a preferred node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Preferred {
    /// It has the newest confirmed block, or another one there; or it is lower, and has another block than a stored one.
    Ready,
    /// It is lower, and has another block than this followed one, which the store may not have.
    Contradicts(Checkpoint),
}

/// Looks at a preferred node; `None` where it is behind, or does not answer, and is waited for. `current` is the node in use.
pub(crate) async fn look_at_preferred(
    node: &Node,
    current: &Node,
    reads: &StoreReader,
    confirmed: Option<Checkpoint>,
) -> Option<Preferred> {
    let Some(confirmed) = confirmed else {
        return Some(Preferred::Ready);
    };
    let looking = async {
        if read::header_at(node, confirmed.number).await?.is_some() {
            return Ok(Some(Preferred::Ready));
        }
        let head = heads::newest(node).await?;
        if contradicts(node, reads, None, head.number).await? {
            return Ok(Some(Preferred::Ready));
        }
        // Of what was read by range few headers are kept: the node in use tells which block is followed at that height.
        let numbers = [head.number, confirmed.number];
        let followed = read::headers_at(current, &numbers).await?;
        Ok::<_, SessionError>(match followed.as_slice() {
            [there, tip] if tip.hash == confirmed.hash && there.hash != head.hash => {
                Some(Preferred::Contradicts(there.checkpoint()))
            }
            _ => None,
        })
    };
    looking.await.unwrap_or_default()
}
