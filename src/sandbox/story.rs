//! `sandbox --once`: a subscriber's life and a merchant's, each step checked and timed.
mod merchant;

use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::world::World;
use crate::terminal::print_line;

/// How long Discord may take to show what happened on the chain.
const DEADLINE: Duration = Duration::from_secs(20);

/// Plays both lives; every step must hold.
pub(super) async fn play(world: &World) -> anyhow::Result<()> {
    let member = world.members[0];
    let name = world.discord.user_name(member);
    let started = Instant::now();
    let mut last = started;
    let mut told = |what: &str| {
        let now = Instant::now();
        let (since_start, since_last) = (now - started, now - last);
        last = now;
        print_line(format!(
            "{:7.3} s  (+{:.3} s)  {what}",
            since_start.as_secs_f64(),
            since_last.as_secs_f64()
        ))?;
        anyhow::Ok(())
    };

    world.link(member).await?;
    told(&format!("{name} linked a wallet"))?;

    let subscription = world.subscribe(member).await?;
    world.chain.execute(world.module, subscription).await?;
    world.confirm().await?;
    world
        .wait_for_role(member, true, DEADLINE)
        .await
        .context("after the payment")?;
    told("paid → role granted")?;

    world
        .chain
        .fail_when_due(world.module, subscription)
        .await?;
    world.confirm().await?;
    world
        .wait_for_role(member, false, DEADLINE)
        .await
        .context("after the failed payment")?;
    told("payment failed → role revoked")?;

    world.chain.pay_when_due(world.module, subscription).await?;
    world.confirm().await?;
    world
        .wait_for_role(member, true, DEADLINE)
        .await
        .context("after the second payment")?;
    told("paid again → role granted")?;

    world.chain.let_lapse(world.module, subscription).await?;
    world.confirm().await?;
    world
        .wait_for_role(member, false, DEADLINE)
        .await
        .context("after the paid window and its grace")?;
    told("no payment, no event: the paid window passed → role revoked")?;

    anyhow::ensure!(
        !world
            .chain
            .is_active(world.module, world.wallet(member).address(), world.plan)
            .await?,
        "the contract still calls the subscription active"
    );
    merchant::play(world, DEADLINE, &mut told)
        .await
        .context("in the merchant's life")?;

    let violations = world.discord.violations();
    anyhow::ensure!(
        violations.is_empty(),
        "the local Discord was misused: {violations:?}"
    );
    told("every step held")?;
    Ok(())
}
