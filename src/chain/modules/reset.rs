//! Reads a module again that was read with the wrong processor.

use alloy::primitives::Address;
use tracing::warn;

use crate::chain::error::SessionError;
use crate::chain::state::{Context, Followed};
use crate::domain::ModuleAddress;

/// A module had another processor than was thought when it was first read: everything about it is read again.
pub(in crate::chain) async fn read_again(
    context: &Context,
    followed: &mut Followed,
    module: ModuleAddress,
    actual: Address,
) -> Result<(), SessionError> {
    warn!(%module, processor = %actual, "the module had another payment processor before; reading it again");
    followed.drop_module(module);
    followed.unsaved.next.left.retain(|left| *left != module);
    context.plans.forget(module);
    let reset = context.writer.submit(move |store| {
        let record = store.modules()?.remove(&module);
        let start = record.map_or(0, |record| record.start_block);
        store.reset_module(module, start, actual)
    });
    reset.await
}
