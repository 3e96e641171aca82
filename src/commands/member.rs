//! What any member may ask about themselves.

use serenity::all as serenity;

use super::answer::{Answer, Button};
use super::ids::{self, UNLINK, UNLINK_ALL};
use super::running::{Asked, Context, Data, answer, answer_anywhere};
use super::{plans, privacy, receipt, standing};
use crate::domain::{GuildId, RoleId, UserId, Wallet};
use crate::text;

/// What stands for "every wallet".
const ALL: &str = "all";

/// Link a wallet to your Discord account
#[poise::command(slash_command, guild_only, ephemeral)]
pub(super) async fn verify(context: Context<'_>) -> anyhow::Result<()> {
    answer(context, verification).await
}

/// Your subscriptions, how long they are paid, and the roles they give you
#[poise::command(slash_command, interaction_context = "Guild|BotDm", ephemeral)]
pub(super) async fn status(context: Context<'_>) -> anyhow::Result<()> {
    answer_anywhere(context, standing::status).await
}

/// The wallets that are linked to your Discord account
#[poise::command(slash_command, interaction_context = "Guild|BotDm", ephemeral)]
pub(super) async fn wallets(context: Context<'_>) -> anyhow::Result<()> {
    answer_anywhere(context, linked).await
}

/// Unlink a wallet, or all of them; you lose the roles they paid for
#[poise::command(slash_command, interaction_context = "Guild|BotDm", ephemeral)]
pub(super) async fn unlink(
    context: Context<'_>,
    #[description = "The wallet's address, or \"all\"; leave it out to choose"]
    #[max_length = 100]
    wallet: Option<String>,
) -> anyhow::Result<()> {
    answer_anywhere(context, move |commands, asked| async move {
        match wallet {
            Some(which) => unlinked(commands, asked.user, which).await,
            None => choose(commands, asked.user).await,
        }
    })
    .await
}

/// Why you have a role, or do not
#[poise::command(slash_command, guild_only, ephemeral)]
pub(super) async fn why(
    context: Context<'_>,
    #[description = "The role"] role: serenity::Role,
) -> anyhow::Result<()> {
    answer(context, move |commands, asked| async move {
        receipt::why(commands, asked, RoleId(role.id.get()), &role.name, false).await
    })
    .await
}

/// What this server's roles cost, and where to subscribe
#[poise::command(slash_command, guild_only, ephemeral)]
pub(super) async fn plans(context: Context<'_>) -> anyhow::Result<()> {
    answer(context, plans::offered).await
}

/// What is stored about you
#[poise::command(
    slash_command,
    interaction_context = "Guild|BotDm",
    ephemeral,
    subcommands("export", "delete"),
    subcommand_required
)]
pub(super) async fn privacy(_: Context<'_>) -> anyhow::Result<()> {
    Ok(())
}

/// Everything that is stored about you, as one file
#[poise::command(slash_command, ephemeral)]
async fn export(context: Context<'_>) -> anyhow::Result<()> {
    answer_anywhere(context, |commands, asked| {
        privacy::export(commands, asked.user)
    })
    .await
}

/// Delete everything that is stored about you; you lose the roles from your subscriptions
#[poise::command(slash_command, ephemeral)]
async fn delete(context: Context<'_>) -> anyhow::Result<()> {
    answer_anywhere(context, async |_, _| {
        let label = text::forget_button();
        let button = ids::press(label, ids::FORGET.to_owned(), true);
        Ok(Answer::text(text::forget_question()).with([button]))
    })
    .await
}

/// `/verify`, and the button of the permanent message.
pub(super) async fn verification(commands: Data, asked: Asked) -> anyhow::Result<Answer> {
    let new_link = std::sync::Arc::clone(&commands.services.new_link);
    let (user, guild) = (asked.user, asked.guild);
    let url = tokio::task::spawn_blocking(move || new_link(user, guild)).await??;
    let open = Button::Open {
        label: text::verify_button(),
        url: url.into(),
    };
    Ok(Answer::text(text::verify()).with([open]))
}

async fn linked(commands: Data, asked: Asked<Option<GuildId>>) -> anyhow::Result<Answer> {
    let user = asked.user;
    let links = commands
        .with_store(move |store| store.links_of(user))
        .await?;
    Ok(Answer::text(text::wallets(&links)))
}

/// Buttons for each wallet and for all.
async fn choose(commands: Data, user: UserId) -> anyhow::Result<Answer> {
    let wallets = commands
        .with_store(move |store| store.wallets_of(user))
        .await?;
    if wallets.is_empty() {
        return Ok(Answer::text(text::no_wallet()));
    }
    // "All" comes first, so that it is there however many wallets there are.
    let all = ids::press(text::unlink_all_button(), UNLINK_ALL.to_owned(), true);
    let each = wallets.iter().map(|wallet| {
        ids::press(
            text::short_wallet(*wallet),
            format!("{UNLINK}{wallet}"),
            false,
        )
    });
    let buttons = std::iter::once(all).chain(each);
    Ok(Answer::text(text::unlink_question()).with(buttons))
}

/// Unlinks one wallet or all.
pub(super) async fn unlinked(
    commands: Data,
    user: UserId,
    which: String,
) -> anyhow::Result<Answer> {
    let which = which.trim().to_owned();
    if which.eq_ignore_ascii_case(ALL) {
        let gone = commands
            .with_store(move |store| {
                let mut gone = Vec::new();
                for wallet in store.wallets_of(user)? {
                    if store.unlink(user, wallet)? {
                        gone.push(wallet);
                    }
                }
                Ok(gone)
            })
            .await?;
        return Ok(Answer::text(text::unlinked(&gone)));
    }
    let Ok(wallet) = which.parse::<Wallet>() else {
        return Ok(Answer::text(text::not_a_wallet()));
    };
    let gone = commands
        .with_store(move |store| store.unlink(user, wallet))
        .await?;
    Ok(Answer::text(if gone {
        text::unlinked(&[wallet])
    } else {
        text::not_your_wallet(wallet)
    }))
}
