//! The sandbox page's buttons: what each does to the chain, and what the page shows of it.
use std::time::Duration;

use alloy::primitives::U256;
use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use super::chain::{Execution, Reverted};
use super::discord::Happening;
use super::page::action::{Action, Done};
use super::picture::Painter;
use super::timeline::{Links, TimeLine, reorganised};
use super::words::{failure, moment, reverted, span};
use super::world::{OWN_INSTALLATION, World};
use crate::domain::{FailureReason, UserId};
use crate::terminal::print_line;

/// How often the page's picture is brought up to date.
const REFRESH: Duration = Duration::from_millis(500);

/// Serves the page's buttons until `stop`.
pub(super) async fn serve(world: &World, stop: &CancellationToken) -> anyhow::Result<()> {
    let (discord, service) = (world.discord.base_url(), world.public_url());
    let chain = world.chain.http_url();
    print_line(format!(
        "The sandbox is running. Open one of these and follow the steps:\n\n  \
         Be a member      {discord}/member\n  \
         Be the merchant  {discord}/merchant\n\n  \
         everyone at once            {discord}\n  \
         the service's own pages     {service}\n  \
         the chain                   {chain}\n\n\
         An installation of your own on the same chain and Discord:\n\n  \
         {}\n\n\
         Ctrl-C stops all of it.",
        own_installation(world)
    ))?;
    keep(world, stop).await
}

/// What sets an installation up that is on this chain and this Discord, with the secrets that it asks for.
fn own_installation(world: &World) -> String {
    let options = world.discord.options();
    format!(
        "amser-roles init --discord-api-url {} --rpc-url {} --module {} --plan {} --guild {} --role {} --public-url {OWN_INSTALLATION}\n  \
         its bot token is            {}\n  \
         its client secret is        {}",
        world.discord.base_url(),
        world.chain.ws_url(),
        world.module,
        world.plan,
        world.guild,
        world.role,
        options.token,
        options.client_secret,
    )
}

/// Answers the page's buttons and keeps its picture until `stop`.
///
/// # Errors
/// When chain or store fail.
pub async fn keep(world: &World, stop: &CancellationToken) -> anyhow::Result<()> {
    let mut requests = world.discord.take_actions();
    let mut refresh = tokio::time::interval(REFRESH);
    refresh.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut time_line = TimeLine::from(world.chain.head().await?);
    let mut painter = Painter::default();
    let mut links = Links::default();
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            _ = refresh.tick() => {}
            Some(request) = requests.recv() => {
                let answer = perform(world, &request.action).await;
                let answer = answer.map_err(|error| told(world, &request.action, &error));
                // The page may have been closed meanwhile.
                let _gone = request.answer.send(answer);
            }
        }
        let head = world.chain.head().await?;
        links.read(world).await?;
        time_line.read(world, head).await?;
        let picture = painter.paint(world, head).await?;
        world.discord.set_picture(picture);
    }
}

/// Why an action did not work, in a sentence.
fn told(world: &World, action: &Action, error: &anyhow::Error) -> String {
    let who = action.user().map(|user| world.discord.user_name(user));
    match error.downcast_ref::<Reverted>() {
        Some(Reverted(name)) => reverted(name, who.as_deref().unwrap_or("The caller")),
        None => format!("{error:#}"),
    }
}

async fn perform(world: &World, action: &Action) -> anyhow::Result<Done> {
    let chain = &world.chain;
    let module = world.module;
    let name = |user: &UserId| world.discord.user_name(*user);
    let text = match action {
        Action::LinkWallet { user_id } => {
            world.link(*user_id).await?;
            format!(
                "{} linked {}.",
                name(user_id),
                world.wallet(*user_id).address()
            )
        }
        Action::UnlinkWallet { user_id } => {
            let (store, user) = (world.store.clone(), *user_id);
            let removed = tokio::task::spawn_blocking(move || {
                let wallets = store.wallets_of(user)?;
                for wallet in &wallets {
                    store.unlink(user, *wallet)?;
                }
                anyhow::Ok(wallets.len())
            })
            .await??;
            anyhow::ensure!(removed > 0, "{} has linked no wallet.", name(user_id));
            format!("{} unlinked the wallet.", name(user_id))
        }
        Action::Subscribe { user_id } => {
            world.subscribe(*user_id).await?;
            format!("{} subscribed; nothing is paid yet.", name(user_id))
        }
        Action::Checkout {
            user_id,
            module,
            plan_id,
        } => {
            let id = world.subscribe_to(*user_id, *module, *plan_id).await?;
            let execution = chain.pay(*module, id).await?;
            let payment = Some((id, execution.receipt.transaction_hash));
            let text = paid(execution, &name(user_id))?;
            return Ok(Done { text, payment });
        }
        Action::Pay { user_id } => {
            let id = due(world, *user_id).await?;
            paid(chain.pay(module, id).await?, &name(user_id))?
        }
        Action::FailPayment { user_id } => {
            let id = due(world, *user_id).await?;
            let failed = chain.fail(module, id).await?;
            anyhow::ensure!(
                failed.reason != 0,
                "The payment went through without an allowance."
            );
            let why = failure(FailureReason(failed.reason));
            format!("{}'s payment failed: {why}.", name(user_id))
        }
        Action::Pause { user_id } => {
            chain
                .pause(module, subscription(world, *user_id).await?)
                .await?;
            format!("{} paused.", name(user_id))
        }
        Action::Resume { user_id } => {
            chain
                .resume(module, subscription(world, *user_id).await?)
                .await?;
            format!("{} resumed.", name(user_id))
        }
        Action::Cancel { user_id } => {
            chain
                .cancel(module, subscription(world, *user_id).await?)
                .await?;
            format!("{} cancelled.", name(user_id))
        }
        Action::PassUntilDue { user_id } => {
            let id = subscription(world, *user_id).await?;
            let before = chain.head().await?.timestamp;
            chain.wait_until_due(module, id).await?;
            passed(world, before).await?
        }
        Action::PassUntilLapsed { user_id } => {
            let id = subscription(world, *user_id).await?;
            let before = chain.head().await?.timestamp;
            chain.let_lapse(module, id).await?;
            passed(world, before).await?
        }
        Action::PassTime { seconds } => {
            let before = chain.head().await?.timestamp;
            chain.advance_time(*seconds).await?;
            passed(world, before).await?
        }
        Action::Reorganise { depth } => reorganise(world, *depth).await?,
    };
    Ok(text.into())
}

async fn subscription(world: &World, user: UserId) -> anyhow::Result<U256> {
    let found = world.subscription(user).await?;
    found.with_context(|| {
        let name = world.discord.user_name(user);
        format!("{name} has no subscription yet; subscribe first.")
    })
}

/// The user's subscription, when a payment is due: nothing here moves the clock unasked.
async fn due(world: &World, user: UserId) -> anyhow::Result<U256> {
    let id = subscription(world, user).await?;
    let state = world.chain.subscription(world.module, id).await?;
    let now = world.chain.head().await?.timestamp;
    let name = world.discord.user_name(user);
    anyhow::ensure!(
        now >= state.nextChargeAt,
        "{name}'s next payment is due in {}. Let that time pass first.",
        span(state.nextChargeAt - now)
    );
    Ok(id)
}

/// What came of a payment that was meant to succeed.
fn paid(execution: Execution, name: &str) -> anyhow::Result<String> {
    let why = failure(FailureReason(execution.reason));
    anyhow::ensure!(execution.reason == 0, "{name}'s payment failed: {why}.");
    Ok(format!("{name} paid."))
}

async fn passed(world: &World, before: u64) -> anyhow::Result<String> {
    let now = world.chain.head().await?.timestamp;
    anyhow::ensure!(
        now > before,
        "That time has come already; the clock stays where it is."
    );
    let text = format!(
        "{} passed on the chain; its clock says {}.",
        span(now - before),
        moment(now)
    );
    world.discord.happened(Happening::Chain, text.clone());
    Ok(text)
}

/// Replaces the newest blocks by others, which are not the same even when nothing was in them.
async fn reorganise(world: &World, depth: u64) -> anyhow::Result<String> {
    let chain = &world.chain;
    let head = chain.head().await?;
    let depth = depth.min(head.number.saturating_sub(chain.factory_block));
    let first = head.number - depth + 1;
    let before = chain.block(first).await?.hash;
    let events = world.discord.blocks_above(head.number - depth).len();
    chain.reorg_to_others(depth).await?;
    let changed = chain.block(first).await?.hash != before;
    anyhow::ensure!(
        changed,
        "The chain did not change: its new blocks are the same as the old ones."
    );
    let text = reorganised(depth, events);
    world.discord.happened(Happening::Chain, text.clone());
    Ok(text)
}
