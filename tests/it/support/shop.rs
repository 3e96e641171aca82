//! A merchant's service with everything real: chain, local Discord, store, and the pages on a port of this machine.

use std::time::Duration;

use alloy::primitives::{Address, U256};
use alloy::signers::local::PrivateKeySigner;
use amser_roles::app;
use amser_roles::config::{Config, Secrets};
use amser_roles::domain::{GuildId, Link, RoleId, Timestamp, UserId, Wallet};
use amser_roles::sandbox::chain::{ChainOptions, LocalChain, wallet};
use amser_roles::sandbox::discord::{LocalDiscord, Options};
use amser_roles::store::Store;
use reqwest::Method;
use serde_json::{Value, json};
use serenity::model::Permissions;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;

use super::scene::{TERMS, new_module, patient};
use super::stage::new_guild;
use super::until_ready;
use crate::verify::visitor::{Answer, Browser, answer, location, sign};

/// Longer than anything here takes, so that only a hang reaches it.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// The running service and everything around it.
pub(crate) struct Shop {
    pub(crate) chain: LocalChain,
    pub(crate) discord: LocalDiscord,
    pub(crate) store: Store,
    pub(crate) url: Url,
    /// The merchant's server, with the bot and the roles Gold and Silver below it.
    pub(crate) guild: GuildId,
    pub(crate) roles: Vec<RoleId>,
    /// Owns the server and, with `merchant_key`, the module.
    pub(crate) merchant: UserId,
    pub(crate) merchant_key: PrivateKeySigner,
    pub(crate) module: Address,
    pub(crate) plan: U256,
    pub(crate) stop: CancellationToken,
    _stop: DropGuard,
    _folder: tempfile::TempDir,
}

/// How a shop differs from the usual one.
pub(crate) struct Opening<'a> {
    /// More lines of `[web]`.
    pub(crate) web: &'a str,
    /// The server's name.
    pub(crate) server: &'a str,
    /// The names of its two roles, the lower one first.
    pub(crate) roles: [&'a str; 2],
    /// Where amser's API is.
    pub(crate) api_url: &'a str,
}

impl Default for Opening<'_> {
    fn default() -> Self {
        Self {
            web: "",
            server: "Café Club",
            roles: ["Silver", "Gold"],
            // Nobody answers there.
            api_url: "http://127.0.0.1:9",
        }
    }
}

impl Shop {
    pub(crate) async fn open() -> Self {
        Self::open_as(Opening::default()).await
    }

    /// The same with more lines of `[web]`.
    pub(crate) async fn open_with(web: &str) -> Self {
        let opening = Opening {
            web,
            ..Opening::default()
        };
        Self::open_as(opening).await
    }

    pub(crate) async fn open_as(opening: Opening<'_>) -> Self {
        let Opening {
            web,
            server,
            roles: [silver, gold],
            api_url,
        } = opening;
        let chain = LocalChain::start(ChainOptions::default()).await.unwrap();
        let (module, plan) = new_module(&chain, "the merchant").await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let options = Options {
            redirect_uris: vec![url.join("/oauth/callback").unwrap().into()],
            ..patient()
        };
        let discord = LocalDiscord::start(options.clone()).await.unwrap();
        let (guild, roles) = new_guild(&discord, server, &[silver, gold]);
        let merchant = discord.add_user("mia");
        let managers = make_manager(&discord, guild, merchant);
        let bot = discord.bot_role(guild).unwrap();
        let order = [roles[0], roles[1], managers, bot];
        discord.set_role_order(guild, &order).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let config = format!(
            "[chain]\nrpc_urls = [{:?}]\nchain_id = {}\nconfirmations = 0\n\
             [amser]\napi_url = \"{api_url}\"\nfactory = \"{}\"\n\
             [discord]\napplication_id = \"{}\"\napi_url = {:?}\n\
             [web]\nlisten = \"{}\"\npublic_url = \"{}\"\nrate_limit_per_minute = 100000\n{web}\
             [store]\npath = {:?}\n",
            chain.ws_url(),
            chain.chain_id,
            chain.factory,
            options.application_id,
            discord.base_url(),
            listener.local_addr().unwrap(),
            url.origin().ascii_serialization(),
            folder.path().join("shop.redb").display().to_string(),
        );
        let config = Config::parse(&config, "the shop's configuration", []).unwrap();
        let secrets = Secrets {
            discord_token: Some(options.token.into()),
            discord_client_secret: Some(options.client_secret.into()),
            ..Secrets::default()
        };
        let store = Store::in_memory().unwrap();
        store.bind_chain(chain.chain_id).unwrap();
        let stop = CancellationToken::new();
        // What wallets have changes at once here.
        let timing = app::Timing {
            outlook_kept: Duration::ZERO,
            ..app::Timing::default()
        };
        let (kept, ended) = (store.clone(), stop.clone());
        let running = async move {
            let service = app::start(config, secrets, kept, listener, ended, timing);
            service.await?.until_stopped().await
        };
        tokio::spawn(async move { running.await.unwrap() });
        until_ready(&url).await;
        Self {
            chain,
            discord,
            store,
            url,
            guild,
            roles,
            merchant,
            merchant_key: wallet("the merchant"),
            module,
            plan,
            _stop: stop.clone().drop_guard(),
            stop,
            _folder: folder,
        }
    }

    /// A browser in which this user is signed in as a merchant.
    pub(crate) async fn signed_in(&self, user: UserId) -> Browser {
        let mut browser = Browser::new(&self.url);
        let away = browser.get("/oauth/login?next=/dashboard").await;
        let back = browser.visit_discord(&location(&away), user).await;
        let end = browser.get(&back).await;
        assert!(location(&end).ends_with("/dashboard"), "{end:?}");
        browser
    }

    /// The merchant's browser: signed in, the server connected.
    pub(crate) async fn connected(&self) -> Browser {
        let mut browser = self.signed_in(self.merchant).await;
        let away = browser
            .get(&format!("/connect?guild_id={}", self.guild))
            .await;
        let back = browser.visit_discord(&location(&away), self.merchant).await;
        let end = location(&browser.get(&back).await);
        assert!(
            end.ends_with(&format!("/dashboard/{}", self.guild)),
            "{end}"
        );
        browser
    }

    /// The same with the wallet shown.
    pub(crate) async fn merchant(&self) -> Browser {
        let mut browser = self.connected().await;
        self.show_wallet(&mut browser, &self.merchant_key).await;
        browser
    }

    /// Signs as a merchant's wallet; the modules that are its.
    pub(crate) async fn show_wallet(&self, browser: &mut Browser, key: &PrivateKeySigner) -> Value {
        let body = json!({ "address": key.address().to_string() });
        let (status, said) = browser.post("/api/v1/me/wallet/challenge", &body).await;
        assert_eq!(status, 200, "{said}");
        let message = said["message"].as_str().unwrap();
        let signature = format!("0x{}", hex::encode(sign(key, message)));
        let body = json!({ "message": message, "signature": signature });
        let (status, said) = browser.post("/api/v1/me/wallet/signature", &body).await;
        assert_eq!(status, 200, "{said}");
        said
    }

    /// A route of the merchant's server.
    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/api/v1/guilds/{}{rest}", self.guild)
    }

    /// What a gate of the merchant's plan with these roles is asked for by.
    pub(crate) fn draft(&self, roles: &[RoleId]) -> Value {
        json!({
            "module": self.module.to_string(),
            "plan_ids": [self.plan.to_string()],
            "match": "any",
            "role_ids": roles,
        })
    }

    /// A new member of the server who linked a wallet, subscribed and paid.
    pub(crate) async fn subscriber(&self, name: &str) -> UserId {
        let user = self.stranger(name).await;
        self.discord.add_member(self.guild, user).unwrap();
        user
    }

    /// The same, who is not in the server.
    pub(crate) async fn stranger(&self, name: &str) -> UserId {
        let user = self.discord.add_user(name);
        let address = wallet(name).address();
        let link = Link {
            user,
            wallet: Wallet(address),
            linked_at: Timestamp(0),
            proof: None,
        };
        self.store.link(&link, 5).unwrap();
        self.pay(address).await;
        user
    }

    /// This wallet subscribes to the plan and pays.
    pub(crate) async fn pay(&self, address: Address) {
        self.chain.fund(address, 1_000).await.unwrap();
        let chain = &self.chain;
        let subscription = chain
            .subscribe(self.module, address, self.plan)
            .await
            .unwrap();
        assert_eq!(
            chain
                .execute(self.module, subscription)
                .await
                .unwrap()
                .reason,
            0
        );
    }

    /// Waits until a member holds a role, or does not.
    pub(crate) async fn until(&self, user: UserId, role: RoleId, held: bool) {
        let guild = self.guild;
        let there = move |discord: &LocalDiscord| discord.has_role(guild, user, role) == held;
        let waited = self.discord.wait_until("the role changes", DEADLINE, there);
        waited.await.unwrap();
    }

    /// One more plan on the merchant's module.
    pub(crate) async fn new_plan(&self) -> U256 {
        self.chain.create_plan(self.module, TERMS).await.unwrap()
    }
}

/// Makes a member of a user, with a role that may manage the server and its roles; that role.
pub(crate) fn make_manager(discord: &LocalDiscord, guild: GuildId, user: UserId) -> RoleId {
    use amser_roles::sandbox::discord::NewRole;
    discord.add_member(guild, user).unwrap();
    let role = NewRole {
        permissions: Permissions::MANAGE_GUILD | Permissions::MANAGE_ROLES,
        ..NewRole::named("Manager")
    };
    let role = discord.add_role_with(guild, role).unwrap();
    discord.give_role(guild, user, role).unwrap();
    role
}

/// Asks a route of the JSON as a script of the signed-in user does.
pub(crate) async fn ask(
    browser: &mut Browser,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Answer {
    let origin = browser.base.origin().ascii_serialization();
    let mut request = browser.request_with(method, path).header("origin", origin);
    if let Some(body) = body {
        request = request.json(body);
    }
    answer(browser.send(request).await).await
}

/// The same for a `GET`.
pub(crate) async fn read(browser: &mut Browser, path: &str) -> Value {
    let (status, body) = ask(browser, Method::GET, path, None).await;
    assert_eq!(status, 200, "{path}: {body}");
    body
}
