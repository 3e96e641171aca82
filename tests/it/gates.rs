//! Merchants make gates themselves: what is given and taken, what is refused, and what managers see of it.

mod brake;
mod members;
mod preview;
mod refused;
mod settings;
mod test;
mod unread;

use alloy::primitives::{Address, U256};
use amser_roles::domain::{
    GateDraft, GateId, GateMatch, GuildId, ModuleAddress, PlanId, RoleId, UserId, Wallet,
};
use amser_roles::merchants::{Manager, Merchants};
use amser_roles::sandbox::chain::wallet;

use crate::support::stage::{Person, Stage, new_guild};

/// A merchant with a server of their own, beside the stage's.
pub(crate) struct Shop {
    pub(crate) stage: Stage,
    pub(crate) merchants: Merchants,
    pub(crate) guild: GuildId,
    pub(crate) owner: UserId,
    /// Below the bot's.
    pub(crate) roles: Vec<RoleId>,
}

impl Shop {
    pub(crate) async fn open(roles: &[&str]) -> Self {
        Self::on(Box::pin(Stage::open()).await, roles).await
    }

    pub(crate) async fn on(stage: Stage, roles: &[&str]) -> Self {
        let (guild, roles) = new_guild(&stage.discord, "Shop", roles);
        let owner = stage.discord.owner(guild).unwrap();
        let merchants = stage.merchants().await;
        // The chain is followed, so that contracts can be asked.
        stage.barrier().await;
        let own = Wallet(wallet("merchant").address());
        let proof = (String::new(), Vec::new());
        let modules = merchants.set_wallet(owner, own, proof).await.unwrap();
        assert_eq!(modules, [ModuleAddress(stage.module)]);
        Self {
            stage,
            merchants,
            guild,
            owner,
            roles,
        }
    }

    pub(crate) async fn manager(&self) -> Manager {
        self.merchants
            .manager(self.guild, self.owner)
            .await
            .unwrap()
    }

    /// This plan of the merchant's module gives these roles.
    pub(crate) fn draft(&self, plan: U256, roles: &[RoleId]) -> GateDraft {
        draft(self.stage.module, plan, roles)
    }

    /// Makes such a gate for the stage's plan and the first role.
    pub(crate) async fn make(&self) -> GateId {
        let draft = self.draft(self.stage.plan, &self.roles[..1]);
        self.put(draft, None).await
    }

    pub(crate) async fn put(&self, draft: GateDraft, replaces: Option<GateId>) -> GateId {
        let manager = self.manager().await;
        let made = self.merchants.put_gate(&manager, draft, replaces, false);
        made.await.unwrap()
    }

    /// New members of both servers who paid for the stage's plan, and have the stage's role.
    pub(crate) async fn subscribers(&self, count: usize) -> Vec<Person> {
        let mut people = Vec::new();
        for number in 0..count {
            let (person, _) = self.stage.subscriber(&format!("subscriber {number}")).await;
            self.stage
                .discord
                .add_member(self.guild, person.user)
                .unwrap();
            people.push(person);
        }
        people
    }

    /// Waits until all of them hold the role in the shop, or none does.
    pub(crate) async fn until_all(&self, people: &[Person], role: RoleId, held: bool) {
        for person in people {
            self.stage.until(*person, self.guild, role, held).await;
        }
    }
}

pub(crate) fn draft(module: Address, plan: U256, roles: &[RoleId]) -> GateDraft {
    GateDraft {
        module: ModuleAddress(module),
        plans: [PlanId(plan)].into(),
        matching: GateMatch::Any,
        roles: roles.iter().copied().collect(),
    }
}
