//! What a gate would change, before it is made.

use super::{Manager, Merchants, Refusal, unbuilt};
use crate::domain::{GateDraft, GateId, Preview};

impl Merchants {
    /// What would change if this gate were made, or replaced the one named. Changes nothing.
    ///
    /// # Errors
    /// As [`Merchants::put_gate`], but for dangerous roles; [`Refusal::NotRead`] while the server or the module's history is
    /// still being read.
    pub async fn preview(
        &self,
        manager: &Manager,
        draft: &GateDraft,
        replaces: Option<GateId>,
    ) -> Result<Preview, Refusal> {
        let _ = (manager, draft, replaces);
        Err(unbuilt())
    }
}
