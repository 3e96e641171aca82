//! What a gate would change, before it is made.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::timeout;

use super::{Manager, Merchants, Refusal};
use crate::domain::{
    GateDraft, GateId, GuildId, MembersIntent, Preview, PreviewQuestion, Question, RoleId, UserId,
};

/// How long somebody waits for what is still being read.
const PATIENCE: Duration = Duration::from_secs(20);
/// Pages of a server's member list that are read to count the holders of a role; one has 1,000 members.
const MOST_PAGES: usize = 20;

/// The members who hold one of some roles, with all their roles.
type Holders = BTreeMap<UserId, Vec<RoleId>>;

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
        self.check(manager, draft, replaces, true).await?;
        let guild = manager.guild;
        // No gate has the id 0.
        let id = replaces.unwrap_or(GateId(0));
        let mut gates = self.gates(guild).await?;
        gates.retain(|gate| gate.id != id);
        gates.push(draft.clone().into_gate(id, guild));
        let looked = async {
            let (holders, uncounted) = self.holders(guild, draft).await?;
            let preview = self.ask(|answer| {
                Question::Preview(PreviewQuestion {
                    guild,
                    gates,
                    draft: id,
                    holders,
                    answer,
                })
            });
            let preview = preview.await?.map_err(Refusal::NotRead)?;
            Ok(Preview {
                uncounted,
                ..preview
            })
        };
        let in_time = timeout(PATIENCE, looked).await;
        in_time.unwrap_or_else(|_| {
            let sentence =
                "The members or the module's history are still being read. Try again in a minute.";
            Err(Refusal::NotRead(sentence.to_owned()))
        })
    }

    /// Who holds a role of the draft, by the server's member list; `None` where Discord does not show it. And why not all of
    /// them are known.
    async fn holders(
        &self,
        guild: GuildId,
        draft: &GateDraft,
    ) -> Result<(Option<Holders>, Option<String>), Refusal> {
        let inputs = self.inputs();
        let unlisted = || {
            let sentence = "Discord doesn't let the bot list this server's members, so only linked members are counted.";
            Ok((None, Some(sentence.to_owned())))
        };
        if inputs.discord_status.borrow().members_intent != MembersIntent::Used {
            return unlisted();
        }
        let mut holders = Holders::new();
        let mut after = UserId(0);
        for _ in 0..MOST_PAGES {
            let page = match inputs.discord.page_of_members(guild, after).await {
                Ok((page, is_full)) => (page, is_full),
                Err(error) => {
                    tracing::debug!(%guild, error = format!("{error:#}"), "a server's members cannot be listed");
                    return unlisted();
                }
            };
            let (page, is_full) = page;
            let last = page.last().map(|member| member.user);
            for member in page {
                if member.roles.iter().any(|role| draft.roles.contains(role)) {
                    holders.insert(member.user, member.roles);
                }
            }
            match last.filter(|_| is_full) {
                Some(last) => after = last,
                None => return Ok((Some(holders), None)),
            }
        }
        let sentence = format!(
            "This server is large: only its first {} members were counted.",
            MOST_PAGES * 1_000
        );
        Ok((Some(holders), Some(sentence)))
    }
}
