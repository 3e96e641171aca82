//! What merchants and managers of servers may do, between a real chain and the local Discord: the handle itself, without
//! pages, beside the follower and the roles' loop as `app` wires them.

use std::collections::BTreeSet;
use std::future::Future;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use amser_roles::amser_api::AmserApi;
use amser_roles::chain::{ChainConfig, follow};
use amser_roles::discord::{self, Channels, Discord, NoCommands, Settings};
use amser_roles::domain::{
    ChainStatus, Counts, DiscordStatus, GuildId, LOCAL_CHAIN, MembersIntent, Policy, RoleId,
    Timestamp, UserId,
};
use amser_roles::merchants::{Inputs, Merchants, OUTLOOK_KEPT};
use amser_roles::roles::{self, fallback::Fallback};
use amser_roles::sandbox::discord::{LocalDiscord, NewRole};
use amser_roles::store::Store;
use amser_roles::views::Views;
use secrecy::SecretString;
use serenity::model::Permissions;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::merchants::{no_api, no_chain};
use super::scene::patient;

/// Longer than anything here takes, so that only a hang reaches it.
pub(crate) const DEADLINE: Duration = Duration::from_secs(40);
/// What the machine's clock says.
pub(crate) const NOW: Timestamp = Timestamp(1_800_000_000);

/// What differs between stories.
pub(crate) struct Setup {
    /// The chain; by default there is none.
    pub(crate) chain: ChainConfig,
    pub(crate) factory: Option<alloy::primitives::Address>,
    pub(crate) api: AmserApi,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            chain: no_chain(),
            factory: None,
            api: no_api(),
        }
    }
}

/// The parts, running. They stop when this is dropped.
pub(crate) struct Rig {
    pub(crate) local: LocalDiscord,
    pub(crate) store: Store,
    pub(crate) discord: Discord,
    pub(crate) merchants: Merchants,
    pub(crate) chain: watch::Receiver<ChainStatus>,
    /// Told by the roles' loop.
    pub(crate) gates_changed: Arc<Notify>,
    _still: Option<watch::Sender<ChainStatus>>,
    _stop: DropGuard,
}

impl Rig {
    /// Without a chain.
    pub(crate) async fn start() -> Self {
        Self::start_with(Setup::default()).await
    }

    pub(crate) async fn start_with(setup: Setup) -> Self {
        Self::start_on(LocalDiscord::start(patient()).await.unwrap(), setup).await
    }

    /// On this Discord; returns when the gateway is connected.
    pub(crate) async fn start_on(local: LocalDiscord, setup: Setup) -> Self {
        let store = Store::in_memory().unwrap();
        let stop = CancellationToken::new();
        let settings = Settings {
            application_id: NonZeroU64::new(local.options().application_id.get()).unwrap(),
            api_url: local.base_url().parse().unwrap(),
            members_intent: MembersIntent::Used,
        };
        let (observed, observations) = mpsc::unbounded_channel();
        let (reported, reports) = mpsc::channel(1_000);
        let (questions, asked) = mpsc::channel(1_000);
        let (status, mut discord_status) = watch::channel(DiscordStatus::default());
        let channels = Channels {
            observations: observed,
            reports: reported,
            status,
        };
        let token = SecretString::from(local.options().token);
        let (discord, connection) =
            discord::connect(settings, token, channels, stop.clone()).unwrap();
        tokio::spawn(connection.run(NoCommands));
        let (shown, chain) = watch::channel(ChainStatus::default());
        let (modules, wanted) = watch::channel(BTreeSet::new());
        let views = Views::new(&setup.chain, chain.clone());
        // Without a chain its status stays as it is, for as long as the roles' loop looks at it.
        let still = match setup.chain.rpc_urls.is_empty() {
            true => Some(shown),
            false => {
                let doubts = views.doubts().clone();
                let (config, store) = (setup.chain, store.clone());
                tokio::spawn(follow(config, store, wanted, doubts, shown, stop.clone()));
                None
            }
        };
        let merchants = Merchants::new(Inputs {
            store: store.clone(),
            discord: discord.clone(),
            chain: chain.clone(),
            discord_status: discord_status.clone(),
            questions,
            views: views.clone(),
            factory: setup.factory,
            api: setup.api,
            policy: watch::channel(Policy::default()).1,
            clock: Arc::new(|| NOW),
            outlook_kept: OUTLOOK_KEPT,
        });
        let gates_changed = Arc::new(Notify::new());
        let inputs = roles::Inputs {
            chain: chain.clone(),
            discord_status: discord_status.clone(),
            observations,
            reports,
            questions: asked,
            counts: watch::Sender::new(Counts::default()),
            modules,
            gates_changed: Arc::clone(&gates_changed),
            views,
            fallback: Fallback::unheard(LOCAL_CHAIN),
            policy: Policy::default(),
        };
        tokio::spawn(roles::run(
            store.clone(),
            discord.clone(),
            inputs,
            stop.clone(),
        ));
        let connected = discord_status.wait_for(|status| status.connected);
        let connected = tokio::time::timeout(DEADLINE, connected).await;
        connected.expect("connected in time").unwrap();
        Self {
            local,
            store,
            discord,
            merchants,
            chain,
            gates_changed,
            _still: still,
            _stop: stop.drop_guard(),
        }
    }

    /// A server with the bot; its owner.
    pub(crate) fn server(&self, name: &str) -> (GuildId, UserId) {
        let guild = self.local.add_guild(name);
        (guild, self.local.owner(guild).unwrap())
    }

    /// A member with a role of their own, which carries these permissions, above all others.
    pub(crate) fn member(
        &self,
        guild: GuildId,
        name: &str,
        permissions: Permissions,
    ) -> (UserId, RoleId) {
        let user = self.local.add_user(name);
        self.local.add_member(guild, user).unwrap();
        let role = NewRole {
            permissions,
            ..NewRole::named(name)
        };
        let role = self.local.add_role_with(guild, role).unwrap();
        let bot = self.local.bot_role(guild).unwrap();
        self.local.set_role_order(guild, &[bot, role]).unwrap();
        self.local.give_role(guild, user, role).unwrap();
        (user, role)
    }

    /// Waits until the gateway has told everything that happened so far: another server, which it tells of last.
    pub(crate) async fn until_told(&self) {
        let (last, _) = self.server("Last");
        self.until_in(last).await;
    }

    /// Waits until the gateway has told that the bot is in this server.
    pub(crate) async fn until_in(&self, guild: GuildId) {
        until("the bot is in the server", async || {
            self.discord.is_in(guild) == Some(true)
        })
        .await;
    }
}

/// Waits until something holds that tells nobody when it begins to.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, holds: impl Fn() -> F) {
    let holding = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let held = tokio::time::timeout(DEADLINE, holding).await;
    held.unwrap_or_else(|_| panic!("waited in vain until {what}"));
}
