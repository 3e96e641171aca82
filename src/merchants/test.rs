//! Gives the roles of a gate to the caller and takes them again, to see what Discord answers.

use super::{Manager, Merchants, Refusal};
use crate::discord::{Failure, Reason};
use crate::domain::{Act, ActEntry, Gate, GateId, GuildId, Question, RoleAction, RoleId, UserId};
use crate::text;

/// What Discord answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TestOutcome {
    /// Each role of the gate.
    pub roles: Vec<TestedRole>,
}

/// One role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestedRole {
    /// The role.
    pub role: RoleId,
    /// Its name; its id where that is not known.
    pub name: String,
    /// Whether it was given; else what Discord answered, in one sentence that says what to do.
    pub given: Result<(), String>,
    /// Whether it was taken again; `None`: it was left with the caller, who is entitled to it or held it before, or it was
    /// not given.
    pub taken: Option<Result<(), String>>,
}

impl TestOutcome {
    /// Whether Discord did all that it was asked for.
    pub fn is_fine(&self) -> bool {
        let is_fine =
            |role: &TestedRole| role.given.is_ok() && role.taken.as_ref().is_none_or(Result::is_ok);
        self.roles.iter().all(is_fine)
    }
}

impl Merchants {
    /// Gives each role of a gate to the caller and takes it again.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] for a gate that is not there; [`Refusal::NeedsManageRoles`] and [`Refusal::AboveYou`] as for
    /// making the gate; [`Refusal::DiscordUnavailable`] where the caller's own roles cannot be read.
    pub async fn test(&self, manager: &Manager, gate: GateId) -> Result<TestOutcome, Refusal> {
        let (guild, user) = (manager.guild, manager.user);
        let gates = self.gates(guild).await?;
        let mut gates = gates.into_iter();
        let tested = gates.find(|one| one.id == gate).ok_or(Refusal::NotFound)?;
        self.above(manager, &tested.roles).await?;
        let standing = self
            .ask(|answer| Question::Standing { user, answer })
            .await?;
        let entitling = standing.gates.iter();
        let entitling = entitling.filter(|one| one.guild == guild && one.entitled);
        let deserved: Vec<_> = entitling
            .flat_map(|one| one.roles.iter().map(|role| role.role))
            .collect();
        let mut kept = self.roles_now(guild, user).await?;
        kept.extend(deserved);
        // Whoever asked may go away meanwhile: a role that was given for a test is taken all the same.
        let testing = tokio::spawn(self.clone().give_and_take(guild, user, tested, kept));
        testing
            .await
            .map_err(|error| Refusal::Internal(error.into()))?
    }

    /// Gives the gate's roles, takes those that are not kept, and journals the test.
    async fn give_and_take(
        self,
        guild: GuildId,
        user: UserId,
        tested: Gate,
        kept: Vec<RoleId>,
    ) -> Result<TestOutcome, Refusal> {
        let gate = tested.id;
        let mut outcome = TestOutcome::default();
        for role in tested.roles {
            let stays = kept.contains(&role);
            let given = self.change(guild, user, role, RoleAction::Grant).await;
            let taken = match given.is_ok() && !stays {
                true => Some(self.change(guild, user, role, RoleAction::Revoke).await),
                false => None,
            };
            let name = self.inputs().discord.role_name(guild, role);
            outcome.roles.push(TestedRole {
                role,
                name: name.unwrap_or_else(|| role.to_string()),
                given,
                taken,
            });
        }
        let entry = ActEntry {
            at: self.now(),
            guild,
            by: Some(user),
            act: Act::Tested { gate },
        };
        self.with_store(move |store| store.note_act(&entry)).await?;
        Ok(outcome)
    }

    /// Whether the manager stands above these roles. One that is gone is no secret: Discord says so when it is tried.
    async fn above(
        &self,
        manager: &Manager,
        roles: impl IntoIterator<Item = &RoleId>,
    ) -> Result<(), Refusal> {
        manager.manages_roles()?;
        let known = self.roles(manager.guild).await?;
        for role in roles {
            if let Some(row) = known.iter().find(|row| row.role == *role) {
                super::raises_its_maker(manager, &row.name, row.position)?;
            }
        }
        Ok(())
    }

    /// The roles that the manager holds this moment.
    async fn roles_now(&self, guild: GuildId, user: UserId) -> Result<Vec<RoleId>, Refusal> {
        let read = self.inputs().discord.members(guild, &[user]).await;
        let members = read.map_err(|error| {
            let failure = error.downcast::<Failure>();
            Refusal::from(failure.unwrap_or_else(|error| Failure::Transient(format!("{error:#}"))))
        })?;
        let member = members.into_iter().find_map(|(_, seen)| seen);
        Ok(member.ok_or(Refusal::NotFound)?.roles)
    }

    /// Changes a role at once; what Discord answered, in one sentence.
    async fn change(
        &self,
        guild: GuildId,
        user: UserId,
        role: RoleId,
        action: RoleAction,
    ) -> Result<(), String> {
        let discord = &self.inputs().discord;
        let name = discord.guild_name(guild);
        // A hopeless request is not sent: Discord counts refusals.
        if let Some(obstacle) = discord.obstacle(guild, role) {
            return Err(text::obstacle(&name, role, &obstacle));
        }
        let changed = discord.change_now(guild, user, role, action, "test by a manager");
        changed.await.map_err(|failure| match failure {
            Failure::Refused(refusal) if refusal.reason != Reason::Member => {
                text::refusal(&name, Some(role), &refusal)
            }
            Failure::Refused(_) => "Discord says that you are not in this server.".to_owned(),
            other => Refusal::from(other).to_string(),
        })
    }
}
