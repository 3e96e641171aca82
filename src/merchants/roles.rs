//! The roles of a server: which can be given, why the others cannot, and a new one.

use std::cmp::Reverse;
use std::sync::Arc;

use super::{Manager, Merchants, Refusal};
use crate::discord::hierarchy::GuildRoles;
use crate::discord::{Failure, Reason};
use crate::domain::{Act, ActEntry, GuildId, RoleId};
use crate::text;

/// Characters of a role's name that Discord takes.
const LONGEST_NAME: usize = 100;
/// Discord's error code for a server with as many roles as it may have.
const TOO_MANY_ROLES: u32 = 30005;

/// Line breaks and other control characters, and marks that turn the direction of what follows: they make a name look like
/// another one.
fn is_unseen(letter: char) -> bool {
    letter.is_control() || matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A role as a merchant chooses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleRow {
    /// Its id.
    pub role: RoleId,
    /// Its name.
    pub name: String,
    /// `0xRRGGBB`; 0 for none.
    pub color: u32,
    /// Its place; a role outranks those at lower positions.
    pub position: i64,
    /// Discord's permission bits.
    pub permissions: u64,
    /// Whether the bot can give and take it.
    pub manageable: bool,
    /// Why not, in one sentence.
    pub why_not: Option<String>,
}

/// The roles of a server, highest first.
fn rows(guild: GuildId, server: &GuildRoles) -> Vec<RoleRow> {
    let row = |(id, role): (&RoleId, &crate::discord::hierarchy::Role)| {
        let obstacle = server.obstacle(guild, *id);
        RoleRow {
            role: *id,
            name: role.name.clone(),
            color: role.color,
            position: role.position,
            permissions: role.permissions,
            manageable: obstacle.is_none(),
            why_not: obstacle.map(|obstacle| text::why_not(*id, &obstacle)),
        }
    };
    let mut rows: Vec<_> = server.roles.iter().map(row).collect();
    // Of equal positions the older role stands higher.
    rows.sort_by_key(|row| (Reverse(row.position), row.role));
    rows
}

impl Merchants {
    /// A role's name, as the server's roles were last read.
    pub fn role_name(&self, guild: GuildId, role: RoleId) -> Option<String> {
        self.inputs().discord.role_name(guild, role)
    }

    /// The roles of a server, highest first; `@everyone` is the last.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] where the bot is not in it, [`Refusal::DiscordUnavailable`] where they cannot be read.
    pub async fn roles(&self, guild: GuildId) -> Result<Vec<RoleRow>, Refusal> {
        Ok(rows(guild, &*self.server(guild).await?))
    }

    async fn server(&self, guild: GuildId) -> Result<Arc<GuildRoles>, Refusal> {
        let server = self.inputs().discord.server(guild).await?;
        server.ok_or(Refusal::NotFound)
    }

    /// Makes a role without permissions. Discord puts a new role at the bottom, where the bot can give it.
    ///
    /// # Errors
    /// [`Refusal::NeedsManageRoles`] of the caller, [`Refusal::Invalid`] for a name that Discord does not take or a server
    /// that is full, [`Refusal::NotManageable`] where the bot could not give it, [`Refusal::DiscordUnavailable`].
    pub async fn create_role(&self, manager: &Manager, name: &str) -> Result<RoleId, Refusal> {
        manager.manages_roles()?;
        let name = name.trim();
        if name.is_empty() || name.chars().count() > LONGEST_NAME {
            return Err(Refusal::Invalid(format!(
                "A role's name has 1 to {LONGEST_NAME} characters."
            )));
        }
        if name.chars().any(is_unseen) {
            let message = "A role's name is one line, without control characters.";
            return Err(Refusal::Invalid(message.to_owned()));
        }
        let guild = manager.guild;
        let discord = &self.inputs().discord;
        let reason = format!("amser: role for a plan, asked for by user {}", manager.user);
        let made = discord.create_role(guild, name, &reason).await;
        let role = made.map_err(|failure| not_made(name, failure))?;
        // What is known of the server's roles lacks this one.
        discord.look_again(guild);
        let roles = self.roles(guild).await?;
        let why_not = roles
            .into_iter()
            .find(|row| row.role == role)
            .and_then(|row| row.why_not);
        match why_not {
            None => {
                self.note_made(manager, role, name).await?;
                Ok(role)
            }
            Some(why) => Err(Refusal::NotManageable {
                role: name.to_owned(),
                why,
            }),
        }
    }
}

impl Merchants {
    async fn note_made(&self, manager: &Manager, role: RoleId, name: &str) -> Result<(), Refusal> {
        let entry = ActEntry {
            at: self.now(),
            guild: manager.guild,
            by: Some(manager.user),
            act: Act::RoleMade {
                role,
                name: name.to_owned(),
            },
        };
        self.with_store(move |store| store.note_act(&entry)).await
    }
}

fn not_made(name: &str, failure: Failure) -> Refusal {
    match failure {
        Failure::Refused(refusal) if refusal.code == TOO_MANY_ROLES => Refusal::Invalid(
            "This server has as many roles as Discord allows. Delete one first.".to_owned(),
        ),
        Failure::Refused(refusal) if refusal.reason == Reason::Permissions => Refusal::NotManageable {
            role: name.to_owned(),
            why: "The bot needs the permission \"Manage Roles\": grant it to the bot's role in Server Settings > Roles."
                .to_owned(),
        },
        failure => failure.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::discord::hierarchy::{Giver, MANAGE_ROLES, Role};
    use crate::domain::UserId;

    const GUILD: GuildId = GuildId(1);
    const BOT: RoleId = RoleId(10);

    #[test]
    fn roles_stand_in_their_order_and_those_that_cannot_be_given_carry_the_reason_by_name() {
        let role = |name: &str, position, given_by| Role {
            name: name.to_owned(),
            color: 0xff_00_00,
            position,
            permissions: if name == "Bot" { MANAGE_ROLES } else { 0 },
            given_by,
        };
        let server = GuildRoles {
            name: "Café".to_owned(),
            owner: UserId(5),
            roles: BTreeMap::from([
                (RoleId(GUILD.0), role("@everyone", 0, None)),
                (BOT, role("Bot", 5, Some(Giver::Integration))),
                (RoleId(20), role("Gold", 4, None)),
                (RoleId(19), role("Older", 4, None)),
                (RoleId(30), role("Boosters", 3, Some(Giver::Boosts))),
                (RoleId(40), role("Admins", 9, None)),
            ]),
            held: vec![BOT],
            owned: false,
        };
        let rows = rows(GUILD, &server);
        let names: Vec<_> = rows.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(
            names,
            ["Admins", "Bot", "Older", "Gold", "Boosters", "@everyone"]
        );
        let can: Vec<_> = rows.iter().filter(|row| row.manageable).collect();
        assert_eq!(can.len(), 2);
        assert!(
            can.iter()
                .all(|row| row.why_not.is_none() && row.color == 0xff_00_00)
        );
        let why = |name| {
            let row = rows.iter().find(|row| row.name == name).unwrap();
            row.why_not.clone().unwrap()
        };
        assert!(why("Admins").contains("\"Admins\"") && why("Admins").contains("\"Bot\""));
        assert!(why("Boosters").contains("boosting"));
        assert!(why("@everyone").contains("@everyone"));
        assert!(why("Bot").contains("integration"));
    }
}
