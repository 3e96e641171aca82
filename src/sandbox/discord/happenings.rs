//! What is written on the board.
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::board::{Happening, InBlock, Line, Picture};
use super::handle::LocalDiscord;
use super::shape;
use super::world::World;
use crate::domain::{GuildId, RoleId, UserId};

/// Lines kept.
const LINES: usize = 200;

impl World {
    pub(crate) fn happened(&mut self, kind: Happening, text: impl Into<String>) {
        self.add_line(kind, text.into(), None);
    }

    fn add_line(&mut self, kind: Happening, text: String, block: Option<InBlock>) {
        self.board.lines.truncate(LINES - 1);
        let line = Line {
            at: OffsetDateTime::now_utc(),
            kind,
            text,
            block,
            undone: false,
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
        let server = guild.map(|guild| guild.name.as_str()).unwrap_or_default();
        let role = guild
            .and_then(|guild| guild.roles.get(&role))
            .map_or("?", |role| &role.name);
        let because = reason
            .map(|reason| format!(": {}", for_people(reason)))
            .unwrap_or_default();
        let (kind, text) = if given {
            let text = format!("The bot gave **{name}** the role **{role}** in {server}{because}");
            (Happening::Granted, text)
        } else {
            let text =
                format!("The bot took the role **{role}** from **{name}** in {server}{because}");
            (Happening::Revoked, text)
        };
        self.happened(kind, text);
    }
}

/// The audit log's reason as the page shows it: without the prefix of the bot, and times for the reader's own clock.
fn for_people(reason: &str) -> String {
    let words = reason.trim_start_matches("amser: ").split(' ');
    let words = words.map(|word| match OffsetDateTime::parse(word, &Rfc3339) {
        Ok(time) => format!("<t:{}:f>", time.unix_timestamp()),
        Err(_) => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

impl LocalDiscord {
    /// Adds a line to the page's time line.
    pub fn happened(&self, kind: Happening, text: impl Into<String>) {
        self.shared.change(|world| world.happened(kind, text));
    }

    /// Adds what a contract logged in a block.
    pub fn happened_in(&self, block: InBlock, text: impl Into<String>) {
        self.shared
            .change(|world| world.add_line(Happening::Chain, text.into(), Some(block)));
    }

    /// The blocks above a number that the time line names.
    pub fn blocks_above(&self, number: u64) -> Vec<InBlock> {
        self.shared.read(|world| {
            let named = world.board.lines.iter().filter(|line| !line.undone);
            let mut blocks: Vec<_> = named
                .filter_map(|line| line.block)
                .filter(|block| block.number > number)
                .collect();
            blocks.sort_unstable();
            blocks.dedup();
            blocks
        })
    }

    /// A block is not on the chain any more: what it held did not happen.
    pub fn undo(&self, block: InBlock) {
        self.shared.change(|world| {
            let lines = world.board.lines.iter_mut();
            for line in lines.filter(|line| line.block == Some(block)) {
                line.undone = true;
            }
        });
    }

    /// Sets what the page shows of the chain. The same again wakes nobody.
    pub fn set_picture(&self, picture: Picture) {
        if self.shared.read(|world| world.board.picture != picture) {
            self.shared.change(|world| world.board.picture = picture);
        }
    }

    /// Whether a user has typed a command on the page.
    pub fn has_typed(&self, user: UserId, command: &str) -> bool {
        let typed = (user, command.to_owned());
        self.shared.read(|world| world.board.typed.contains(&typed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_shown_with_times_for_the_readers_clock() {
        assert_eq!(
            for_people("amser: plan 1 paid until 1970-01-02T00:16:40Z"),
            "plan 1 paid until <t:87400:f>"
        );
        assert_eq!(for_people("given by hand"), "given by hand");
    }
}
