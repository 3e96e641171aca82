//! The wallet page in real headless browsers: every scene of `tests/browser/verify.mjs`, and what came of it. Each state of
//! the page that a scene looks at is judged by axe-core, in light and dark, at 360 px and at 1440 px.
//!
//! `AMSER_ROLES_TEST_SHOTS=FOLDER` keeps screenshots of all that.

mod elsewhere;
mod firefox;
mod play;

use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::Duration;

use alloy::primitives::Address;
use alloy::providers::Provider as _;
use amser_roles::domain::{UserId, Wallet};
use amser_roles::sandbox::chain::{ChainOptions, LocalChain};
use amser_roles::sandbox::world::{Pace, World};
use amser_roles::web::{LINK_SECONDS, ROLES_WITHIN, WalletConnect, machine_clock, new_link};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use url::Url;

pub(crate) use self::play::{Kind, run};
use self::play::{Scene, play, text};
use crate::support::relay;
use crate::support::until_ready;
use crate::verify::site::{Running, Setup, start};

struct Stage {
    browser: Kind,
    relay: Option<Url>,
    chain: LocalChain,
    account: Address,
    site: Running,
    user: UserId,
}

impl Stage {
    async fn new(sign_in: bool) -> Self {
        Self::with_relay(sign_in, None, relay::PROJECT).await
    }

    async fn with_relay(sign_in: bool, relay: Option<Url>, project: &str) -> Self {
        let wallet_connect = relay.clone().map(|relay_url| WalletConnect {
            project_id: project.to_owned(),
            relay_url,
        });
        let setup = Setup {
            sign_in,
            wallet_connect,
            ..Setup::default()
        };
        Self {
            relay,
            ..Self::set_up(setup).await
        }
    }

    async fn set_up(setup: Setup) -> Self {
        let chain = LocalChain::start(ChainOptions::default()).await.unwrap();
        // The one key that the chain itself holds.
        let account = chain.provider().get_accounts().await.unwrap()[0];
        let provider = Some(chain.provider().clone());
        let setup = Setup {
            provider,
            // As in production: the page itself asks again.
            roles_within: ROLES_WITHIN,
            ..setup
        };
        let site = start(setup).await;
        let user = site.discord.add_user("ada");
        site.discord.add_member(site.guild, user).unwrap();
        Self {
            browser: Kind::Chromium,
            relay: None,
            chain,
            account,
            site,
            user,
        }
    }

    async fn play(&self, scene: &str, visitor: &str, link: &str) -> Value {
        play(Scene {
            browser: self.browser,
            scene,
            link: self.site.url.join(link).unwrap(),
            visitor,
            visitor_id: self.user,
            discord: self.site.discord.base_url(),
            rpc: self.chain.http_url(),
            account: self.account,
            relay: self.relay.clone(),
        })
        .await
    }
}

#[tokio::test]
async fn a_member_signs_in_connects_signs_and_holds_the_role() {
    let stage = Stage::new(true).await;
    stage.site.subscribe(stage.account);
    stage.site.world.slow.store(true, Ordering::Relaxed);
    let link = stage.site.verify(stage.user);
    let seen = stage.play("member", "ada", &link).await;
    assert!(text(&seen, "message").contains("wants you to sign in with your Ethereum account"));
    assert_eq!(text(&seen, "address"), stage.account.to_string());
    assert_eq!(text(&seen, "focused"), "done-title");
    assert_eq!(text(&seen, "title"), "Wallet linked");
    assert!(text(&seen, "valid").contains("Sign it before"));
    assert!(
        !text(&seen, "until").contains("UTC"),
        "the visitor's own time"
    );
    assert!(text(&seen, "outcome").contains("You hold this role now"));
    let stored = stage.site.store.link_of(Wallet(stage.account)).unwrap();
    assert_eq!(stored.unwrap().user, stage.user);
}

#[tokio::test]
async fn a_wallet_without_a_subscription_is_shown_where_to_subscribe() {
    let stage = Stage::new(true).await;
    let link = stage.site.verify(stage.user);
    let seen = stage.play("unpaid", "ada", &link).await;
    assert!(text(&seen, "outcome").contains("no active subscription"));
    let mut checkout = format!("https://app.amser.io/subscribe/{}/7", stage.site.module)
        .parse::<Url>()
        .unwrap();
    let token = link.rsplit('/').next().unwrap();
    let back = format!("/paid/{}?link={token}", stage.site.guild);
    let back = stage.site.url.join(&back).unwrap();
    checkout
        .query_pairs_mut()
        .append_pair("redirect", back.as_str());
    assert_eq!(text(&seen, "subscribe"), checkout.as_str());
}

#[tokio::test]
async fn nothing_moves_away_under_the_hand_when_news_comes() {
    let stage = Stage::new(true).await;
    let link = stage.site.verify(stage.user);
    let seen = stage.play("still", "ada", &link).await;
    for news in ["late", "outcome"] {
        assert!(seen[news]["before"]["y"].is_number(), "{seen}");
        assert_eq!(seen[news]["before"], seen[news]["after"], "{news}");
    }
}

#[tokio::test]
async fn a_server_that_is_still_being_read_is_not_told_to_be_without_roles() {
    let stage = Stage::new(true).await;
    stage.site.add_gate();
    stage.site.world.unread.store(true, Ordering::Relaxed);
    let link = stage.site.verify(stage.user);
    let seen = stage.play("unread", "ada", &link).await;
    assert!(text(&seen, "outcome").contains("are still being read"));
    assert!(!text(&seen, "outcome").contains("can be subscribed to"));
}

#[tokio::test]
async fn a_role_that_cannot_come_at_present_is_not_waited_for() {
    let stage = Stage::new(true).await;
    stage.site.subscribe(stage.account);
    let trouble = "The bot’s role stands too low".to_owned();
    *stage.site.world.trouble.lock().unwrap() = Some(trouble.clone());
    let link = stage.site.verify(stage.user);
    let seen = stage.play("trouble", "ada", &link).await;
    let outcome = text(&seen, "outcome");
    assert!(outcome.contains(&trouble) && outcome.contains("On their way"));
    assert!(!outcome.contains("Looking up"), "{outcome}");
}

#[tokio::test]
async fn a_wallet_that_inserts_itself_late_is_found() {
    let stage = Stage::new(true).await;
    let link = stage.site.verify(stage.user);
    let seen = stage.play("late", "ada", &link).await;
    assert!(text(&seen, "found").contains("One wallet found"));
}

#[tokio::test]
async fn a_wallet_of_another_account_is_said_to_move_before_it_signs() {
    let stage = Stage::new(true).await;
    stage.site.subscribe(stage.account);
    let eve = stage.site.discord.add_user("eve");
    let wallet = Wallet(stage.account);
    stage.site.link(eve, wallet);
    let link = stage.site.verify(stage.user);
    let seen = stage.play("moves", "ada", &link).await;
    assert!(text(&seen, "message").contains("It leaves the Discord account"));
    let stored = stage.site.store.link_of(wallet).unwrap();
    assert_eq!(stored.unwrap().user, stage.user);
}

#[tokio::test]
async fn the_owners_of_a_contract_wallet_have_as_long_as_the_link() {
    let stage = Stage::new(true).await;
    stage.site.link(stage.user, Wallet(stage.account));
    let link = stage.site.verify(stage.user);
    let seen = stage.play("contract", "ada", &link).await;
    assert_eq!(seen["contract"], 3600, "{seen}");
    assert_eq!(seen["key"], LINK_SECONDS, "{seen}");
    assert!(text(&seen, "linked").contains(&stage.account.to_string()));
}

#[tokio::test]
async fn roles_of_other_servers_stand_under_their_names() {
    let stage = Stage::new(true).await;
    stage.site.subscribe(stage.account);
    let second = stage.site.discord.add_guild("Second Club");
    *stage.site.world.elsewhere.lock().unwrap() = Some(second);
    let link = stage.site.verify(stage.user);
    let seen = stage.play("elsewhereToo", "ada", &link).await;
    let outcome = text(&seen, "outcome");
    let here = outcome.find("Subscriber").unwrap();
    let there = outcome.find("In Second Club:").unwrap();
    assert!(here < there, "{outcome}");
}

#[tokio::test]
async fn changes_in_the_wallet_are_followed_while_the_page_is_open() {
    let stage = Stage::new(true).await;
    stage.site.subscribe(stage.account);
    let link = stage.site.verify(stage.user);
    let seen = stage.play("change", "ada", &link).await;
    assert!(text(&seen, "declined").contains("nothing was linked"));
    assert!(seen["changed"] == true && text(&seen, "switched").contains("0x1212"));
}

#[tokio::test]
async fn the_keyboard_and_the_legacy_wallet_do_as_well() {
    let stage = Stage::new(true).await;
    stage.site.subscribe(stage.account);
    let link = stage.site.verify(stage.user);
    let seen = stage.play("keyboard", "ada", &link).await;
    assert!(
        text(&seen, "refused").contains("sign the message again"),
        "{seen}"
    );
}

#[tokio::test]
async fn without_a_wallet_the_page_says_how_to_go_on() {
    let stage = Stage::new(true).await;
    let link = stage.site.verify(stage.user);
    let seen = stage.play("none", "ada", &link).await;
    assert!(text(&seen, "searching").contains("No wallet in this browser"));
    assert!(text(&seen, "help").contains("find a wallet"));
}

#[tokio::test]
async fn the_bundled_walletconnect_client_is_built_from_its_sources() {
    let output = Command::new("node")
        .args(["src/web/walletconnect/bundle.mjs", "--check"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("node runs: it is a prerequisite of `make test`");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

#[tokio::test]
async fn without_sign_in_the_name_is_typed() {
    let stage = Stage::new(false).await;
    stage.site.subscribe(stage.account);
    let link = stage.site.verify(stage.user);
    let seen = stage.play("typed", "ada", &link).await;
    assert!(text(&seen, "warning").contains("The membership goes to ada the First (@ada)"));
    assert!(text(&seen, "app").starts_with("metamask://dapp/127.0.0.1"));
}

#[tokio::test]
async fn links_that_do_not_work_say_why() {
    let stage = Stage::new(true).await;
    let site = &stage.site;
    let eve = site.discord.add_user("eve");
    let link = site.verify(stage.user);
    let seen = stage.play("refusal", "eve", &link).await;
    assert_eq!(text(&seen, "title"), "This link is not yours");
    assert!(site.discord.user_name(eve) == "eve" && text(&seen, "text").contains("do not use it"));
    let newer = site.verify(stage.user);
    let seen = stage.play("refusal", "ada", &link).await;
    assert_eq!(text(&seen, "title"), "There is a newer link");
    site.pass(LINK_SECONDS);
    let seen = stage.play("refusal", "ada", &newer).await;
    assert_eq!(text(&seen, "title"), "This link has expired");
    let seen = stage.play("refusal", "ada", "/verify/nonsense").await;
    assert_eq!(text(&seen, "title"), "Nothing here");
}

#[tokio::test]
async fn who_asks_too_often_is_told_when_to_come_back() {
    let stage = Stage::set_up(Setup {
        rate_limit_per_minute: 1,
        ..Setup::default()
    })
    .await;
    let url = stage.site.url.join("/verify/x").unwrap();
    // What the address is allowed again meanwhile is used up before the browser comes.
    let others = async {
        loop {
            reqwest::get(url.clone()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    reqwest::get(url.clone()).await.unwrap();
    let seen = tokio::select! {
        seen = stage.play("refusal", "ada", "/verify/x") => seen,
        () = others => unreachable!("they ask for ever"),
    };
    assert_eq!(text(&seen, "title"), "Too fast");
    assert_eq!(seen["isStyled"], true, "{seen}");
}

#[tokio::test]
async fn pages_beside_the_way_lead_back_to_it() {
    let stage = Stage::new(true).await;
    let seen = stage.play("refusal", "ada", "/").await;
    assert_eq!(text(&seen, "title"), "Roles for subscribers");
    let seen = stage.play("signedIn", "ada", "/oauth/login").await;
    assert!(text(&seen, "text").contains("/verify"), "{seen}");
}

#[tokio::test]
async fn a_link_that_is_used_up_meanwhile_says_so() {
    let stage = Stage::new(true).await;
    let link = stage.site.verify(stage.user);
    let seen = stage.play("overtaken", "ada", &link).await;
    assert!(text(&seen, "problem").contains("already linked a wallet"));
    assert_eq!(seen["offered"], json!(["Back to Discord"]), "{seen}");
    assert_eq!(text(&seen, "focused"), "problem");
}

/// The whole service on the local chain and the local Discord: what the page shows is what the chain and Discord hold.
#[tokio::test]
async fn in_the_sandbox_a_paid_wallet_is_linked_in_the_browser_and_discord_shows_the_role() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let world = World::build(listener, Pace::OnDemand).await.unwrap();
    let stop = CancellationToken::new();
    let service = tokio::spawn(world.serve(stop.clone()));
    let account = world.chain.provider().get_accounts().await.unwrap()[0];
    world.chain.fund(account, 1_000_000_000).await.unwrap();
    let subscription = world.chain.subscribe(world.module, account, world.plan);
    let subscription = subscription.await.unwrap();
    world
        .chain
        .execute(world.module, subscription)
        .await
        .unwrap();
    world.confirm().await.unwrap();
    until_ready(world.public_url()).await;
    let ada = world.members[0];
    let now = machine_clock()();
    let link = new_link(&world.store, ada, world.guild, world.public_url(), now).unwrap();
    let seen = play(Scene {
        browser: Kind::Chromium,
        scene: "quick",
        link,
        visitor: "ada",
        visitor_id: ada,
        discord: world.discord.base_url(),
        rpc: world.chain.http_url(),
        account,
        relay: None,
    })
    .await;
    let roles = world.discord.has_role(world.guild, ada, world.role);
    assert!(roles, "the page said so: {seen}");
    // The link, the same page signed in, and that page with its outcome.
    assert_eq!(seen["pages"], json!(["verify", "verify", "verify"]));
    stop.cancel();
    service.await.unwrap().unwrap();
}
