//! From the start to a full picture of thousands of servers, at the pace that Discord allows: some eight minutes, so only
//! with `AMSER_ROLES_BENCH_LARGE`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use alloy::primitives::{Address, B256};
use amser_roles::chain::{self, ChainConfig};
use amser_roles::discord::{self, Channels, NoCommands, Settings};
use amser_roles::domain::{
    Cause, ChainStatus, Checkpoint, Counts, DiscordStatus, Gate, GateId, GateMatch, GateOrigin,
    GuildId, Link, MembersIntent, ModuleAddress, Policy, ReadingState, RoleAction, RoleChange,
    Timestamp, Wallet,
};
use amser_roles::roles;
use amser_roles::sandbox::discord::{LocalDiscord, Options, RateLimits};
use amser_roles::store::Store;
use amser_roles::views::Views;
use anyhow::Context as _;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::PLAN;
use crate::table::Table;

const SERVERS: u64 = 2_500;
const MEMBERS_EACH: u64 = 80;
/// Milliseconds since Discord's epoch in the first server's id.
const FIRST_SERVER: u64 = 200_000_000_000;
/// What Discord recommends for so many servers.
const SHARDS: u32 = 3;
const BOUND: Duration = Duration::from_secs(600);

/// Measures it. The chain is not at its tip yet, so nothing is planned meanwhile.
pub(crate) async fn start(table: &mut Table) -> anyhow::Result<()> {
    let options = Options {
        rate_limits: RateLimits::realistic(),
        ..Options::default()
    };
    let (token, application) = (options.token.clone(), options.application_id.get());
    let local = LocalDiscord::start(options).await?;
    local.set_recommended_shards(SHARDS);
    let store = Store::in_memory()?;
    fill(&local, &store)?;
    let stop = CancellationToken::new();
    let (observed, observations) = mpsc::unbounded_channel();
    let (reported, reports) = mpsc::channel(1_000);
    let (_ask, questions) = mpsc::channel(1);
    let (status, mut shown) = watch::channel(DiscordStatus::default());
    // Before the tip nobody is read.
    let tip = Some(Checkpoint {
        number: 1,
        hash: B256::ZERO,
        timestamp: Timestamp(1),
    });
    let (_chain, chain) = watch::channel(ChainStatus {
        head: tip,
        confirmed: tip,
        at_tip: true,
        ..ChainStatus::default()
    });
    let settings = Settings {
        application_id: application.try_into()?,
        api_url: local.base_url().parse()?,
        members_intent: MembersIntent::Used,
    };
    let channels = Channels {
        observations: observed,
        reports: reported,
        status,
    };
    let started = Instant::now();
    let (discord, connection) = discord::connect(settings, token.into(), channels, stop.clone())?;
    let connection = tokio::spawn(connection.run(NoCommands));
    let inputs = roles::Inputs {
        chain: chain.clone(),
        discord_status: shown.clone(),
        observations,
        reports,
        questions,
        counts: watch::Sender::new(Counts::default()),
        modules: watch::Sender::new(BTreeSet::new()),
        gates_changed: Arc::default(),
        views: Views::new(&ChainConfig::new(Vec::new(), chain::LOCAL_CHAIN), chain),
        fallback: roles::fallback::Fallback::unheard(chain::LOCAL_CHAIN),
        policy: Policy::default(),
    };
    let keeping = roles::run(store, discord, inputs, stop.clone());
    let keeping = tokio::spawn(keeping);
    let is_full = |status: &DiscordStatus| {
        let servers = status.servers.values();
        let read = servers.filter(|server| server.reading == ReadingState::Done);
        read.count() as u64 == SERVERS
    };
    let full = tokio::time::timeout(2 * BOUND, shown.wait_for(is_full)).await;
    let took = started.elapsed();
    let is_full = full.is_ok_and(|full| full.is_ok());
    stop.cancel();
    connection.await??;
    keeping.await??;
    table.row(
        &format!(
            "from the start to a full picture of {SERVERS} servers with {} linked, {SHARDS} shards, at Discord's limits",
            SERVERS * MEMBERS_EACH
        ),
        format!("{:.1} min", took.as_secs_f64() / 60.0),
        "10 min",
        is_full && took <= BOUND,
    );
    Ok(())
}

/// Every server has a gate, and so many members who linked a wallet and hold its role.
fn fill(local: &LocalDiscord, store: &Store) -> anyhow::Result<()> {
    let mut gates = Vec::new();
    for number in 1..=SERVERS {
        // As snowflakes of servers that were made at different times: those of one millisecond have the same shard.
        let guild = GuildId((FIRST_SERVER + number) << 22);
        local.add_guild_with_id(guild, &format!("Server {number}"));
        let role = local.add_role(guild, "Subscriber")?;
        let bot = local.bot_role(guild).context("the bot's role")?;
        local.set_role_order(guild, &[role, bot])?;
        let module = ModuleAddress(Address::left_padding_from(&number.to_be_bytes()));
        let users = local.add_members(guild, MEMBERS_EACH)?;
        let grant = |user| RoleChange {
            action: RoleAction::Grant,
            guild,
            user,
            role,
            cause: Cause::NoSubscription,
        };
        let grants: Vec<_> = users.iter().map(|user| grant(*user)).collect();
        store.adopt(&grants, 1)?;
        for user in users {
            let link = Link {
                user,
                wallet: Wallet(Address::left_padding_from(&user.0.to_be_bytes())),
                linked_at: Timestamp(1),
                proof: None,
            };
            store.link(&link, 1)?;
        }
        gates.push(Gate {
            id: GateId(number),
            guild,
            module,
            plans: [PLAN].into(),
            matching: GateMatch::Any,
            roles: [role].into(),
            origin: GateOrigin::Config,
        });
    }
    store.set_config(&gates, &BTreeMap::new(), Timestamp(1))
}
