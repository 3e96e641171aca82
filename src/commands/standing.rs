//! `/status`: asks the reconcile loop where the member stands, and the chain what is not confirmed yet.

use anyhow::Context as _;
use tokio::sync::oneshot;

use super::answer::Answer;
use super::{Asked, Commands, Data, pending};
use crate::domain::{MemberStanding, Question, UserId};
use crate::text;

impl Commands {
    /// Where a member stands, what was linked or paid a moment ago included.
    pub(super) async fn standing(&self, user: UserId) -> anyhow::Result<MemberStanding> {
        let (answer, answered) = oneshot::channel();
        let question = Question::Standing { user, answer };
        let stopping = "the service is stopping";
        let asked = self.services.questions.send(question).await;
        asked.ok().context(stopping)?;
        answered.await.context(stopping)
    }
}

pub(super) async fn status(commands: Data, asked: Asked) -> anyhow::Result<Answer> {
    let mut standing = commands.standing(asked.user).await?;
    // The server that was asked in comes first.
    standing
        .gates
        .sort_by_key(|gate| (gate.guild != asked.guild, gate.guild, gate.gate));
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
    let status = text::Status {
        standing: &standing,
        pending: &pending,
        chain: &chain,
        // Whoever asks here is a member here.
        unread: standing.leaves_out(asked.guild, &gates),
        guild_name: &guild_name,
        checkout_url: &commands.services.checkout_url,
    };
    Ok(Answer::text(text::status(&status)))
}
