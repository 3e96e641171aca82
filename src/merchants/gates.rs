//! Gates that merchants make, change and delete.

use super::{Manager, Merchants, Refusal, dangerous, raises_its_maker};
use crate::domain::{Gate, GateDraft, GateId, GateOrigin, GuildId, RoleId, ServerSettings};
use crate::store::GateRefusal;

/// Gates of one server, and roles and plans of one gate. More than anybody needs, and what a page can show.
const MOST_GATES: usize = 200;
const MOST_ROLES: usize = 25;
const MOST_PLANS: usize = 100;

impl From<GateRefusal> for Refusal {
    fn from(refusal: GateRefusal) -> Self {
        match refusal {
            GateRefusal::NoSuchGate => Self::NotFound,
            GateRefusal::FromConfig => Self::FromConfig,
            GateRefusal::NothingToUndo => Self::NothingToUndo,
        }
    }
}

impl Merchants {
    /// The gates of a server, those of config.toml too, in the order of their ids.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn gates(&self, guild: GuildId) -> Result<Vec<Gate>, Refusal> {
        self.with_store(move |store| store.gates_of(guild)).await
    }

    /// Makes a gate, or changes the one that it `replaces`, which keeps its id. `confirm`: roles with dangerous permissions
    /// are meant. A gate that is there already is not made twice.
    ///
    /// # Errors
    /// What [`Merchants::owns`] says; [`Refusal::NotFound`] for a gate to replace that is not there,
    /// [`Refusal::FromConfig`], [`Refusal::NotManageable`], [`Refusal::NeedsManageRoles`], [`Refusal::AboveYou`],
    /// [`Refusal::Dangerous`], [`Refusal::Invalid`] for a plan that the module does not have, [`Refusal::NotRead`] while the
    /// module's plans are still being read.
    pub async fn put_gate(
        &self,
        manager: &Manager,
        draft: GateDraft,
        replaces: Option<GateId>,
        confirm: bool,
    ) -> Result<GateId, Refusal> {
        self.check(manager, &draft, replaces, confirm).await?;
        self.make_gate(manager, draft, replaces).await
    }

    /// As [`Merchants::put_gate`], with answers to the server's own questions. They are in force before the gate is: the first pass
    /// that knows the gate decides by them. A gate that is refused changes no settings.
    ///
    /// # Errors
    /// As [`Merchants::put_gate`] and [`Merchants::set_settings`].
    pub async fn put_gate_with_settings(
        &self,
        manager: &Manager,
        draft: GateDraft,
        replaces: Option<GateId>,
        confirm: bool,
        settings: ServerSettings,
    ) -> Result<GateId, Refusal> {
        self.check(manager, &draft, replaces, confirm).await?;
        self.set_settings(manager, settings).await?;
        self.make_gate(manager, draft, replaces).await
    }

    /// Makes a gate that was checked.
    async fn make_gate(
        &self,
        manager: &Manager,
        draft: GateDraft,
        replaces: Option<GateId>,
    ) -> Result<GateId, Refusal> {
        let (guild, by, at) = (manager.guild, manager.user, self.now());
        let made = self
            .with_store(move |store| store.make_gate(guild, draft, replaces, by, at))
            .await??;
        tracing::info!(%guild, %by, gate = %made, is_new = replaces.is_none(), "a gate was made or changed");
        Ok(made)
    }

    /// Deletes a gate. The brake does not stop the removals that follow.
    ///
    /// # Errors
    /// [`Refusal::NotFound`], [`Refusal::FromConfig`].
    pub async fn delete_gate(&self, manager: &Manager, gate: GateId) -> Result<(), Refusal> {
        let (guild, by, at) = (manager.guild, manager.user, self.now());
        self.with_store(move |store| store.delete_gate(guild, gate, by, at))
            .await??;
        tracing::info!(%guild, %by, %gate, "a gate was deleted");
        Ok(())
    }

    /// Whether there is a change of gates that [`Merchants::undo`] takes back.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn can_undo(&self, guild: GuildId) -> Result<bool, Refusal> {
        self.with_store(move |store| store.can_undo(guild)).await
    }

    /// Takes the last change of gates back, once. The brake does not stop the removals that follow.
    ///
    /// # Errors
    /// [`Refusal::NothingToUndo`].
    pub async fn undo(&self, manager: &Manager) -> Result<(), Refusal> {
        let (guild, by, at) = (manager.guild, manager.user, self.now());
        self.with_store(move |store| store.undo_gate(guild, by, at))
            .await??;
        tracing::info!(%guild, %by, "a change of gates was taken back");
        Ok(())
    }

    /// Whether this manager may make this gate, or put it in the place of another one. `confirm`: as for
    /// [`Merchants::put_gate`].
    pub(super) async fn check(
        &self,
        manager: &Manager,
        draft: &GateDraft,
        replaces: Option<GateId>,
        confirm: bool,
    ) -> Result<(), Refusal> {
        is_sensible(draft).map_err(|sentence| Refusal::Invalid(sentence.to_owned()))?;
        let gates = self.gates(manager.guild).await?;
        match replaces {
            Some(id) => {
                let replaced = gates.iter().find(|gate| gate.id == id);
                if replaced.ok_or(Refusal::NotFound)?.origin == GateOrigin::Config {
                    return Err(Refusal::FromConfig);
                }
            }
            None if gates.len() >= MOST_GATES => {
                let sentence = format!("A server can have {MOST_GATES} gates. Delete one first.");
                return Err(Refusal::Invalid(sentence));
            }
            None => {}
        }
        manager.manages_roles()?;
        self.owns(manager.user, draft.module).await?;
        self.has_plans(draft).await?;
        self.may_give(manager, &draft.roles, confirm).await
    }

    /// Whether the module has the draft's plans.
    async fn has_plans(&self, draft: &GateDraft) -> Result<(), Refusal> {
        let module = draft.module;
        // First: what is read after it has at least the plans that make the module complete.
        let is_read = self
            .with_store(move |store| Ok(store.complete_modules()?.contains(&module)))
            .await?;
        let known = self.plans(&[module]).await?;
        let is_known = |plan| known.iter().any(|row| row.plan == plan);
        let Some(unknown) = draft.plans.iter().find(|plan| !is_known(**plan)) else {
            return Ok(());
        };
        Err(match is_read {
            true => Refusal::Invalid(format!("This module has no plan {unknown}.")),
            false => Refusal::NotRead(
                "This module's plans are still being read from the chain. Try again in a moment."
                    .to_owned(),
            ),
        })
    }

    /// Whether the bot can give these roles, and this manager could.
    pub(super) async fn may_give(
        &self,
        manager: &Manager,
        roles: impl IntoIterator<Item = &RoleId>,
        confirm: bool,
    ) -> Result<(), Refusal> {
        let known = self.roles(manager.guild).await?;
        for role in roles {
            let Some(row) = known.iter().find(|row| row.role == *role) else {
                return Err(Refusal::NotManageable {
                    role: role.to_string(),
                    why: "There is no such role in this server.".to_owned(),
                });
            };
            if let Some(why) = &row.why_not {
                return Err(Refusal::NotManageable {
                    role: row.name.clone(),
                    why: why.clone(),
                });
            }
            raises_its_maker(manager, &row.name, row.position)?;
            let permissions = dangerous(row.permissions);
            if !confirm && !permissions.is_empty() {
                return Err(Refusal::Dangerous {
                    role: row.name.clone(),
                    permissions,
                });
            }
        }
        Ok(())
    }
}

/// What is wrong with a draft by itself, in one sentence.
fn is_sensible(draft: &GateDraft) -> Result<(), &'static str> {
    let (plans, roles) = (draft.plans.len(), draft.roles.len());
    match (plans, roles) {
        (0, _) => Err("Choose at least one plan."),
        (_, 0) => Err("Choose at least one role."),
        (1..=MOST_PLANS, 1..=MOST_ROLES) => Ok(()),
        _ => Err("A gate can have 100 plans and 25 roles."),
    }
}
