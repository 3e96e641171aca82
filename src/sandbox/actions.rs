//! The sandbox page's buttons: what each does to the chain, and what the page shows of it.

use std::time::Duration;

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use super::discord::Happening;
use super::page::action::Action;
use super::world::World;
use crate::domain::{ModuleAddress, Subject, SubscriptionId, Timestamp, UserId, Wallet};
use crate::terminal::print_line;

/// How often the page's facts are brought up to date.
const REFRESH: Duration = Duration::from_millis(1_000);

/// Serves the page's buttons until `stop`.
pub(super) async fn serve(world: &World, stop: &CancellationToken) -> anyhow::Result<()> {
    let (discord, service) = (world.discord.base_url(), world.public_url());
    let chain = world.chain.http_url();
    print_line(format!(
        "The sandbox is running.\n\n  \
         Discord, its members and a subscriber's buttons   {discord}\n  \
         the service: wallet page, health, metrics         {service}\n  \
         the chain                                         {chain}\n\n\
         Ctrl-C stops all of it."
    ))?;
    let mut requests = world.discord.take_actions();
    let mut refresh = tokio::time::interval(REFRESH);
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            _ = refresh.tick() => show(world).await?,
            Some(request) = requests.recv() => {
                let answer = perform(world, request.action).await.map_err(|error| format!("{error:#}"));
                if let Ok(sentence) = &answer {
                    world.discord.happened(Happening::Chain, sentence);
                }
                // The page may have been closed meanwhile.
                let _gone = request.answer.send(answer);
            }
        }
    }
}

async fn perform(world: &World, action: Action) -> anyhow::Result<String> {
    let chain = &world.chain;
    let module = world.module;
    let name = |user| world.discord.user_name(user);
    Ok(match action {
        Action::LinkWallet { user_id } => {
            world.link(user_id).await?;
            format!(
                "{} linked {}.",
                name(user_id),
                world.wallet(user_id).address()
            )
        }
        Action::UnlinkWallet { user_id } => {
            let store = world.store.clone();
            let wallet = Wallet(world.wallet(user_id).address());
            let removed =
                tokio::task::spawn_blocking(move || store.unlink(user_id, wallet)).await??;
            anyhow::ensure!(removed, "no wallet is linked");
            format!("{} unlinked the wallet.", name(user_id))
        }
        Action::Subscribe { user_id } => {
            let id = world.subscribe(user_id).await?;
            format!(
                "{} subscribed (subscription {id}); nothing is paid yet.",
                name(user_id)
            )
        }
        Action::Pay { user_id } => {
            let id = world.subscription(user_id)?;
            chain.pay_when_due(module, id).await?;
            format!("{} paid.", name(user_id))
        }
        Action::FailPayment { user_id } => {
            let failed = chain
                .fail_when_due(module, world.subscription(user_id)?)
                .await?;
            format!(
                "{}'s payment failed (reason {}).",
                name(user_id),
                failed.reason
            )
        }
        Action::Pause { user_id } => {
            chain.pause(module, world.subscription(user_id)?).await?;
            format!("{} paused.", name(user_id))
        }
        Action::Resume { user_id } => {
            chain.resume(module, world.subscription(user_id)?).await?;
            format!("{} resumed.", name(user_id))
        }
        Action::Cancel { user_id } => {
            chain.cancel(module, world.subscription(user_id)?).await?;
            format!("{} cancelled.", name(user_id))
        }
        Action::PassTime { seconds } => {
            let head = chain.advance_time(seconds).await?;
            format!(
                "The chain's clock moved on to {}.",
                Timestamp(head.timestamp)
            )
        }
        Action::Reorganise { depth } => {
            let head = chain.head().await?.number;
            let depth = depth.min(head.saturating_sub(chain.factory_block));
            chain.reorg(depth, Vec::new()).await?;
            format!("The newest {depth} blocks were replaced; what happened in them did not.")
        }
    })
}

/// Brings the page's facts and each member's notes up to date.
async fn show(world: &World) -> anyhow::Result<()> {
    let head = world.chain.head().await?;
    world.discord.set_facts(&[
        ("Block", head.number.to_string()),
        ("Chain time", Timestamp(head.timestamp).to_string()),
    ]);
    for user in &world.members {
        let notes = notes(world, *user).await?;
        world.discord.set_notes(*user, &notes);
    }
    Ok(())
}

async fn notes(world: &World, user: UserId) -> anyhow::Result<Vec<String>> {
    let wallet = Wallet(world.wallet(user).address());
    let subscription = world.subscription(user).ok();
    let (store, module) = (world.store.clone(), ModuleAddress(world.module));
    tokio::task::spawn_blocking(move || {
        let mut notes = vec![match store.link_of(wallet)? {
            Some(link) if link.user == user => format!("wallet {wallet}"),
            _ => "no wallet linked".to_owned(),
        }];
        if let Some(id) = subscription {
            let id = SubscriptionId(id);
            let events = store.events_of(module, Subject::Subscription(id))?.len();
            let state = store.subscription(module, id)?.unwrap_or_default();
            notes.push(match state.last_paid_at {
                Some(at) => format!("subscription {id}: {events} events, last paid {at}"),
                None => format!("subscription {id}: {events} events, never paid"),
            });
        }
        Ok(notes)
    })
    .await
    .context("reading the store failed")?
}
