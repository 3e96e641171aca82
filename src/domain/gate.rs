//! Gates: which plans open which roles, and the policy around them.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use url::Url;

use super::{GateId, GuildId, ModuleAddress, PlanId, RoleId};

/// One rule of a merchant: whoever holds these plans of this module holds these roles in this server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Gate {
    /// Stable identity.
    pub id: GateId,
    /// The server.
    pub guild: GuildId,
    /// The merchant's module.
    pub module: ModuleAddress,
    /// The plans; never empty.
    pub plans: BTreeSet<PlanId>,
    /// How many of the plans are needed.
    pub matching: GateMatch,
    /// The roles to hold; never empty.
    pub roles: BTreeSet<RoleId>,
    /// Where the gate was made.
    pub origin: GateOrigin,
}

impl Gate {
    /// Whether the draft asks for the same and gives the same.
    pub fn says(&self, draft: &GateDraft) -> bool {
        (self.module, self.matching) == (draft.module, draft.matching)
            && (&self.plans, &self.roles) == (&draft.plans, &draft.roles)
    }
}

impl GateId {
    /// The ids of config.toml's gates begin here; those of the dashboard are below.
    pub const FIRST_OF_CONFIG: u64 = 1 << 63;
}

/// A gate that somebody is about to make or change.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GateDraft {
    /// The merchant's module.
    pub module: ModuleAddress,
    /// The plans.
    pub plans: BTreeSet<PlanId>,
    /// How many of the plans are needed.
    pub matching: GateMatch,
    /// The roles to hold.
    pub roles: BTreeSet<RoleId>,
}

impl GateDraft {
    /// The gate of the dashboard with this id.
    pub fn into_gate(self, id: GateId, guild: GuildId) -> Gate {
        Gate {
            id,
            guild,
            module: self.module,
            plans: self.plans,
            matching: self.matching,
            roles: self.roles,
            origin: GateOrigin::Dashboard,
        }
    }
}

/// Where to subscribe to a plan: the merchant's checkout, with `{module}` and `{plan_id}` filled in. `back`: where it leads after
/// the payment.
pub fn checkout(
    template: &str,
    module: ModuleAddress,
    plan: &PlanId,
    back: Option<&Url>,
) -> String {
    let url = template
        .replace("{module}", &module.to_string())
        .replace("{plan_id}", &plan.to_string());
    match (back, Url::parse(&url)) {
        (Some(back), Ok(mut parsed)) => {
            parsed
                .query_pairs_mut()
                .append_pair("redirect", back.as_str());
            parsed.into()
        }
        _ => url,
    }
}

/// How many of a gate's plans a member needs.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum GateMatch {
    /// At least one of them.
    #[default]
    Any,
    /// Every one of them; over all wallets of the member together.
    All,
}

/// Where a gate was made, and so who may change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum GateOrigin {
    /// In `config.toml`: follows the file at every start.
    Config,
    /// In the dashboard: lives in the store alone.
    Dashboard,
}

/// What a failed payment, a pause or a cancellation does to a role.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum OnLapse {
    /// The role goes at once.
    #[default]
    Revoke,
    /// The role stays until the paid window and its grace end.
    KeepUntilExpiry,
}

/// What to do with a gate's role that a member was given by hand.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum ManualRoles {
    /// From the moment the member is entitled to it, it is ours as if we had given it: it goes with the subscription.
    #[default]
    Adopt,
    /// Leave it: only roles that this program granted are removed.
    Leave,
    /// The gate owns its roles: they are removed from whoever is not entitled, too.
    Claim,
}

/// `[policy]` of config.toml.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// On a failed payment.
    pub payment_failed: OnLapse,
    /// On a pause.
    pub paused: OnLapse,
    /// On a cancellation.
    pub cancelled: OnLapse,
    /// Largest share (0 to 1) of a role's holders that may lose it within an hour for want of something.
    pub max_revoke_share: f64,
    /// Fewer removals than this are never held back.
    pub max_revoke_floor: u32,
    /// Roles given by hand.
    pub manual_roles: ManualRoles,
    /// Seconds that a role is kept beyond the end of grace, for keepers that come late.
    pub expiry_leeway: u64,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            payment_failed: OnLapse::default(),
            paused: OnLapse::default(),
            cancelled: OnLapse::default(),
            max_revoke_share: 0.2,
            max_revoke_floor: 5,
            manual_roles: ManualRoles::default(),
            expiry_leeway: 0,
        }
    }
}
