//! Real servers at Discord's own limits: half a million members of whom a few are linked, thousands of servers, and a member
//! who pays behind a long queue.

mod start;

use std::time::{Duration, Instant};

use alloy::primitives::{Address, B256, U256};
use amser_roles::discord::{self, Channels, NoCommands, Settings};
use amser_roles::domain::{
    AppliedState, Cause, DiscordStatus, Gate, GateId, GateMatch, GateOrigin, GuildId, Intent,
    MembersIntent, ModuleAddress, Plan, PlanId, Policy, RoleAction, RoleChange, RoleId,
    Subscription, SubscriptionId, Timestamp, UserId, Wallet,
};
use amser_roles::roles::people::People;
use amser_roles::roles::plan::plan;
use amser_roles::sandbox::discord::{LocalDiscord, Options, RateLimits, Route};
use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::large::LARGE;
use crate::process;
use crate::scene::{Scene, Setup};
use crate::table::{Table, median};

const CROWD: u64 = 500_000;
const LINKED: u64 = 3_000;
const EDITS: u64 = 100;
const DEADLINE: Duration = Duration::from_secs(120);
const PLAN: PlanId = PlanId(U256::ONE);
const NOW: Timestamp = Timestamp(1_000);
const ROUNDS: usize = 11;

pub(crate) async fn people(table: &mut Table) -> anyhow::Result<()> {
    crowd(table).await?;
    let small = picture(1, LINKED).await?;
    table.row(
        &format!("the picture of {LINKED} linked members in one server"),
        format!("{:.1} MB", small.megabytes),
        "10 MB",
        small.megabytes <= 10.0,
    );
    let large = picture(2_500, 200_000).await?;
    table.row(
        "a pass over 200,000 linked members of 2,500 servers, nothing to do",
        format!("{:.0} ms", large.millis),
        "300 ms",
        large.millis <= 300.0,
    );
    table.row(
        "the picture of them",
        format!("{:.0} MB", large.megabytes),
        "600 MB",
        large.megabytes <= 600.0,
    );
    behind_a_queue(table).await?;
    if std::env::var_os(LARGE).is_some() {
        start::start(table).await?;
    }
    Ok(())
}

/// A start in a large server, and edits of its roles.
async fn crowd(table: &mut Table) -> anyhow::Result<()> {
    let setup = Setup {
        members: 1,
        linked: true,
        paid: true,
        others: LINKED,
        crowd: CROWD,
        realistic: true,
        ..Setup::default()
    };
    let scene = Scene::build(setup, |chain| chain.ws_url()).await?;
    let (user, _) = *scene.members.first().context("there is a member")?;
    let first = scene.request_after(user, scene.started).await? / 1e3;
    let discord = &scene.discord;
    discord
        .wait_until("everyone linked is read", DEADLINE, |discord| {
            discord.member_requests() >= (LINKED + 1).div_ceil(100)
        })
        .await?;
    let requests = reads(discord);
    let roles_read = discord.count(Route::GetGuild);
    for number in 0..EDITS {
        discord.rename_role(scene.guild, scene.role, &format!("Rainbow {number}"))?;
    }
    discord
        .wait_until("the roles are read again", DEADLINE, |discord| {
            discord.count(Route::GetGuild) > roles_read
        })
        .await?;
    let after = reads(discord) - requests;
    scene.end().await?;
    table.row(
        &format!("from the start to the first grant in a server of {CROWD} with {LINKED} linked"),
        format!("{first:.1} s"),
        "10 s",
        first <= 10.0,
    );
    table.row(
        "requests for the first picture of it",
        requests,
        "40",
        requests <= 40,
    );
    table.row(
        &format!("member reads after {EDITS} edits of a role there"),
        after,
        "0",
        after == 0,
    );
    Ok(())
}

/// Requests that read members. What the bot asks about itself belongs to the server's roles.
fn reads(discord: &LocalDiscord) -> u64 {
    let bot = format!("/members/{}", discord.options().application_id);
    let requests = discord.requests();
    let by_rest = requests.iter().filter(|request| {
        let is_read = matches!(request.route, Some(Route::GetMember | Route::ListMembers));
        is_read && !request.path.ends_with(&bot)
    });
    by_rest.count() as u64 + discord.member_requests()
}

#[derive(Serialize, Deserialize)]
struct Size {
    servers: u64,
    members: u64,
}

/// What a picture costs.
#[derive(Serialize, Deserialize)]
struct Cost {
    megabytes: f64,
    millis: f64,
}

async fn picture(servers: u64, members: u64) -> anyhow::Result<Cost> {
    process::run("picture", &Size { servers, members }).await
}

/// Builds a picture in a process of its own and plans for everyone.
pub(crate) fn task(arguments: &[String]) -> anyhow::Result<()> {
    let size: Size = process::options(arguments)?;
    // The allocator and the code come into memory first.
    drop(full(&Size {
        servers: 10,
        members: 1_000,
    }));
    let before = resident()?;
    let people = full(&size);
    let megabytes = resident()?.saturating_sub(before) as f64 / 1e6;
    let mut passes = Vec::new();
    for _ in 0..ROUNDS {
        let started = Instant::now();
        let everyone = people.everyone().map(|user| (user, false));
        let found = plan(&people, everyone, NOW);
        passes.push(started.elapsed().as_secs_f64() * 1e3);
        anyhow::ensure!(found == Default::default(), "nothing was to be done");
    }
    let millis = median(&passes);
    println!("{}", serde_json::to_string(&Cost { megabytes, millis })?);
    Ok(())
}

/// Everyone has a subscription to the plan of one server's own module, and the role there.
fn full(size: &Size) -> People {
    let module = |server: u64| ModuleAddress(Address::from_word(B256::from(U256::from(server))));
    let mut people = People::new(Policy::default());
    let gate = |server| Gate {
        id: GateId(server),
        guild: GuildId(server),
        module: module(server),
        plans: [PLAN].into(),
        matching: GateMatch::Any,
        roles: [RoleId(server)].into(),
        origin: GateOrigin::Config,
    };
    for server in 1..=size.servers {
        let terms = Plan {
            token: Address::ZERO,
            price: U256::ONE,
            interval: 100_000,
            grace_period: 0,
            active: true,
        };
        people.set_plans([((module(server), PLAN), Some(terms))]);
    }
    people.set_gates((1..=size.servers).map(gate).collect());
    people.set_complete((1..=size.servers).map(module).collect());
    for user in 1..=size.members {
        let wallet = Wallet(Address::from_word(B256::from(U256::from(user))));
        let server = user % size.servers + 1;
        people.set_wallets(UserId(user), vec![wallet]);
        let paid = Subscription {
            subscriber: Some((wallet, PLAN)),
            last_paid_at: Some(NOW),
            ..Subscription::default()
        };
        people.set_subscription(module(server), SubscriptionId::from(user), Some(&paid));
        let (guild, role) = (GuildId(server), RoleId(server));
        people.set_applied((guild, UserId(user), role), Some(AppliedState::Granted));
        people.see(guild, UserId(user), &[role], false);
    }
    drop(people.take_dirty(NOW));
    drop(people.take_unread());
    people
}

/// Bytes of memory that this process holds.
fn resident() -> anyhow::Result<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages = statm.split(' ').nth(1).context("no resident pages")?;
    Ok(pages.parse::<u64>()? * 4_096)
}

/// A member pays while 3,000 others wait for a role, at Discord's limits.
async fn behind_a_queue(table: &mut Table) -> anyhow::Result<()> {
    let options = Options {
        rate_limits: RateLimits::realistic(),
        ..Options::default()
    };
    let (token, application) = (options.token.clone(), options.application_id.get());
    let local = LocalDiscord::start(options).await?;
    let guild = local.add_guild("Bench");
    let role = local.add_role(guild, "Subscriber")?;
    let bot = local.bot_role(guild).context("the bot's role")?;
    local.set_role_order(guild, &[role, bot])?;
    let users = local.add_members(guild, LINKED + 1)?;
    let settings = Settings {
        application_id: application.try_into()?,
        api_url: local.base_url().parse()?,
        members_intent: MembersIntent::Used,
    };
    let stop = CancellationToken::new();
    // Room for all there will be.
    let (observations, _unheard) = mpsc::unbounded_channel();
    let (reports, _unread) = mpsc::channel(10_000);
    let channels = Channels {
        observations,
        reports,
        status: watch::Sender::new(DiscordStatus::default()),
    };
    let (discord, connection) = discord::connect(settings, token.into(), channels, stop.clone())?;
    let connection = tokio::spawn(connection.run(NoCommands));
    let intent = |user: UserId, just_now| Intent {
        change: RoleChange {
            action: RoleAction::Grant,
            guild,
            user,
            role,
            cause: Cause::Drift,
        },
        block: 1,
        just_now,
    };
    let (payer, crowd) = users.split_last().context("there are members")?;
    discord.send(crowd.iter().map(|user| intent(*user, false)));
    local
        .wait_until("some have the role", DEADLINE, |local| {
            local.members_with(guild, role).len() >= 8
        })
        .await?;
    let started = Instant::now();
    discord.send([intent(*payer, true)]);
    let payer = *payer;
    local
        .wait_until("the payer has the role", DEADLINE, |local| {
            local.has_role(guild, payer, role)
        })
        .await?;
    let seconds = started.elapsed().as_secs_f64();
    stop.cancel();
    connection.await??;
    table.row(
        &format!("a member who pays behind a queue of {LINKED}, at Discord's limits"),
        format!("{seconds:.1} s"),
        "5 s",
        seconds <= 5.0,
    );
    Ok(())
}
