//! Plans as a merchant chooses them: from the chain, named by amser's API where it answers.

use super::{Merchants, Refusal};
use crate::domain::{ModuleAddress, PlanRow};

impl Merchants {
    /// The plans of these modules, by module and id.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn plans(&self, modules: &[ModuleAddress]) -> Result<Vec<PlanRow>, Refusal> {
        let _ = (modules, &self.inputs().api);
        Err(super::unbuilt())
    }
}
