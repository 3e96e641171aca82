//! `/status`: asks the loop that decides about roles where the member stands, and the chain what is not confirmed yet.

use std::time::Duration;

use super::answer::Answer;
use super::pending;
use super::running::{Asked, Commands, Data};
use crate::domain::{Gate, GuildId, MemberStanding, Question, ReadingState, UserId};
use crate::text;

impl Commands {
    /// Where a member stands, what was linked or paid a moment ago included.
    pub(super) async fn standing(&self, user: UserId) -> anyhow::Result<MemberStanding> {
        self.ask(|answer| Question::Standing { user, answer }).await
    }

    /// Whether a member's standing leaves out a server with gates in which they are, and why.
    pub(super) fn unread(
        &self,
        standing: &MemberStanding,
        guild: GuildId,
        gates: &[Gate],
    ) -> Option<text::Unread> {
        if !standing.leaves_out(guild, gates) {
            return None;
        }
        let status = self.services.discord.borrow();
        let server = status.servers.get(&guild);
        Some(match server.map(|server| &server.reading) {
            Some(ReadingState::Failed(_)) => text::Unread::Failed,
            None | Some(ReadingState::NotYet | ReadingState::Done) => text::Unread::NotYet,
        })
    }
}

pub(super) async fn status(
    commands: Data,
    asked: Asked<Option<GuildId>>,
) -> anyhow::Result<Answer> {
    let mut standing = commands.standing(asked.user).await?;
    // The server that was asked in comes first.
    standing
        .gates
        .sort_by_key(|gate| (asked.guild != Some(gate.guild), gate.guild, gate.gate));
    let chain = commands.services.chain.borrow().clone();
    let confirmations = commands.services.confirmations;
    let wallets = standing.wallets.clone();
    let news = chain.clone();
    let (pending, gates) = commands
        .with_store(move |store| {
            let pending = pending::of(store, &wallets, &news, confirmations)?;
            Ok((pending, store.gates()?))
        })
        .await?;
    let guild_name = |guild| commands.discord.guild_name(guild);
    let queue_wait = |guild| {
        let status = commands.services.discord.borrow();
        let server = status.servers.get(&guild);
        server.map_or(Duration::ZERO, |server| server.queue_wait)
    };
    let status = text::Status {
        standing: &standing,
        pending: &pending,
        chain: &chain,
        // Whoever asks in a server is a member there.
        unread: asked
            .guild
            .and_then(|guild| commands.unread(&standing, guild, &gates)),
        queue_wait: &queue_wait,
        guild_name: &guild_name,
        checkout_url: &commands.services.checkout_url,
    };
    Ok(Answer::text(text::status(&status)))
}
