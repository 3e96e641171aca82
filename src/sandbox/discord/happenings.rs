//! What is written on the board.
use time::OffsetDateTime;

use super::board::{Happening, Line};
use super::handle::LocalDiscord;
use super::shape;
use super::world::World;
use crate::domain::{GuildId, RoleId, UserId};

/// Lines kept.
const LINES: usize = 200;

impl World {
    pub(crate) fn happened(&mut self, kind: Happening, text: impl Into<String>) {
        self.board.lines.truncate(LINES - 1);
        let line = Line {
            at: OffsetDateTime::now_utc(),
            kind,
            text: text.into(),
        };
        self.board.lines.push_front(line);
    }

    /// Notes that the bot gave or took a role, with the reason that it told the audit log.
    pub(crate) fn role_happened(
        &mut self,
        guild: GuildId,
        user: UserId,
        role: RoleId,
        given: bool,
        reason: Option<&str>,
    ) {
        let name = shape::user_name(self, user);
        let guild = self.guilds.get(&guild);
        let role = guild
            .and_then(|guild| guild.roles.get(&role))
            .map_or("?", |role| &role.name);
        let because = reason
            .map(|reason| format!(": {reason}"))
            .unwrap_or_default();
        let (kind, text) = if given {
            (
                Happening::Granted,
                format!("The bot gave {name} the role {role}{because}"),
            )
        } else {
            (
                Happening::Revoked,
                format!("The bot took the role {role} from {name}{because}"),
            )
        };
        self.happened(kind, text);
    }
}

impl LocalDiscord {
    /// Adds a line to the page's log.
    pub fn happened(&self, kind: Happening, text: impl Into<String>) {
        self.shared.change(|world| world.happened(kind, text));
    }

    /// Sets the facts in the page's header, in order: label and value. The same facts again wake nobody.
    pub fn set_facts(&self, facts: &[(&str, String)]) {
        let facts: Vec<_> = facts
            .iter()
            .map(|(label, value)| ((*label).to_owned(), value.clone()))
            .collect();
        if self.shared.read(|world| world.board.facts != facts) {
            self.shared.change(|world| world.board.facts = facts);
        }
    }

    /// Sets the lines under a member's name on the page (wallet, paid until…). The same lines again wake nobody.
    pub fn set_notes(&self, user: UserId, lines: &[String]) {
        if self
            .shared
            .read(|world| world.board.notes.get(&user).map(Vec::as_slice) != Some(lines))
        {
            self.shared
                .change(|world| world.board.notes.insert(user, lines.to_vec()));
        }
    }
}
