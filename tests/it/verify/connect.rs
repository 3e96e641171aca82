//! `/connect`: a merchant invites the bot and lands on the dashboard of the server that Discord names.

use std::collections::BTreeMap;

use amser_roles::domain::{GuildId, UserId};
use amser_roles::sandbox::discord::{NewRole, Route};
use serenity::model::Permissions;
use url::Url;

use super::site::{Running, Setup, start};
use super::visitor::{Browser, location};

/// Goes to Discord by `/connect` and chooses a server there; what the way back answers.
async fn connect(browser: &mut Browser, user: UserId, guild: GuildId) -> reqwest::Response {
    let back = choose(browser, user, guild).await;
    browser.get(&back).await
}

/// As far as Discord's page; where it sends the browser.
async fn choose(browser: &mut Browser, user: UserId, guild: GuildId) -> String {
    let away = location(&browser.get("/connect").await);
    browser
        .visit_discord(&format!("{away}&guild_id={guild}"), user)
        .await
}

#[tokio::test]
async fn the_invite_asks_for_manage_roles_alone_and_may_name_the_server() {
    let site = start(Setup::default()).await;
    let mut browser = Browser::new(&site.url);
    let ask = async |browser: &mut Browser, path: &str| {
        let away = browser.get(path).await;
        assert_eq!(away.status(), 303);
        let url = Url::parse(&location(&away)).unwrap();
        assert_eq!(url.path(), "/oauth2/authorize");
        url.query_pairs().into_owned().collect::<BTreeMap<_, _>>()
    };
    let query = ask(&mut browser, "/connect").await;
    assert_eq!(query["scope"], "bot applications.commands identify guilds");
    assert_eq!(query["permissions"], "268435456");
    assert_eq!(
        (
            query["response_type"].as_str(),
            query["code_challenge_method"].as_str()
        ),
        ("code", "S256")
    );
    assert!(query["state"].len() >= 16 && !query.contains_key("guild_id"));
    let query = ask(&mut browser, "/connect?guild_id=7").await;
    assert_eq!(
        (
            query["guild_id"].as_str(),
            query["disable_guild_select"].as_str()
        ),
        ("7", "true")
    );
    for odd in ["x", "7%26scope=bot", ""] {
        let refused = browser.get(&format!("/connect?guild_id={odd}")).await;
        assert_eq!(refused.status(), 400, "{odd}");
    }
}

#[tokio::test]
async fn a_server_is_connected_once_and_leads_to_its_dashboard_every_time() {
    let site = start(Setup::default()).await;
    let guild = site.discord.add_guild("New");
    let owner = site.discord.owner(guild).unwrap();
    let mut browser = Browser::new(&site.url);
    let first = connect(&mut browser, owner, guild).await;
    let dashboard = format!("/dashboard/{guild}");
    assert_eq!(
        (first.status().as_u16(), location(&first)),
        (303, dashboard.clone())
    );
    assert!(browser.cookies.contains_key("amser_roles_session"));
    // Again, by another merchant who manages it too.
    let other = manager(&site, guild, "grace");
    let again = connect(&mut Browser::new(&site.url), other, guild).await;
    let already = format!("{dashboard}?done=already_connected");
    assert_eq!(location(&again), already);
    let connected = site.store.connected_servers().unwrap();
    assert_eq!(connected[&guild].by, owner);
}

#[tokio::test]
async fn the_server_is_the_one_of_discords_answer_not_of_the_address() {
    let site = start(Setup::default()).await;
    let (mine, other) = (
        site.discord.add_guild("Mine"),
        site.discord.add_guild("Other"),
    );
    let owner = site.discord.owner(mine).unwrap();
    let mut browser = Browser::new(&site.url);
    let back = choose(&mut browser, owner, mine).await;
    assert!(back.contains(&format!("guild_id={mine}")));
    let forged = back.replace(&mine.to_string(), &other.to_string());
    let answer = browser.get(&forged).await;
    assert_eq!(location(&answer), format!("/dashboard/{mine}"));
    let connected = site.store.connected_servers().unwrap();
    assert_eq!(connected.keys().collect::<Vec<_>>(), [&mine]);
}

#[tokio::test]
async fn who_does_not_manage_the_server_any_more_connects_nothing() {
    let site = start(Setup::default()).await;
    let guild = site.discord.add_guild("New");
    let user = manager(&site, guild, "grace");
    let mut browser = Browser::new(&site.url);
    let back = choose(&mut browser, user, guild).await;
    site.discord.set_member_roles(guild, user, &[]).unwrap();
    let page = browser.get(&back).await;
    assert_eq!(page.status(), 403);
    assert!(page.text().await.unwrap().contains("Manage Server"));
    assert!(site.store.connected_servers().unwrap().is_empty());
}

#[tokio::test]
async fn a_bot_that_was_removed_on_the_way_is_said() {
    let site = start(Setup::default()).await;
    let guild = site.discord.add_guild("New");
    let owner = site.discord.owner(guild).unwrap();
    let mut browser = Browser::new(&site.url);
    let back = choose(&mut browser, owner, guild).await;
    site.discord.kick_bot(guild).unwrap();
    let page = browser.get(&back).await;
    assert_eq!(page.status(), 404);
    let page = page.text().await.unwrap();
    assert!(page.contains("was removed from this server"), "{page}");
    assert!(
        page.contains(&format!("/connect?guild_id={guild}")),
        "{page}"
    );
    assert!(site.store.connected_servers().unwrap().is_empty());
}

/// A member with Manage Server by a role.
fn manager(site: &Running, guild: GuildId, name: &str) -> UserId {
    let user = site.discord.add_user(name);
    site.discord.add_member(guild, user).unwrap();
    let role = NewRole {
        permissions: Permissions::MANAGE_GUILD,
        ..NewRole::named("Managers")
    };
    let role = site.discord.add_role_with(guild, role).unwrap();
    site.discord.give_role(guild, user, role).unwrap();
    user
}

#[tokio::test]
async fn a_declined_invite_says_so_and_offers_another_try() {
    let site = start(Setup::default()).await;
    let owner = site.discord.owner(site.guild).unwrap();
    let mut browser = Browser::new(&site.url);
    let away = location(&browser.get("/connect").await);
    let back = browser
        .visit_discord(&format!("{away}&deny=1"), owner)
        .await;
    let page = browser.get(&back).await;
    assert_eq!(page.status(), 400);
    let page = page.text().await.unwrap();
    assert!(
        page.contains("did not add the bot") && page.contains("href=\"/connect\""),
        "{page}"
    );
    assert_eq!(site.discord.count(Route::ExchangeToken), 0);
}

#[tokio::test]
async fn without_a_sign_in_nothing_can_be_connected() {
    let setup = Setup {
        sign_in: false,
        ..Setup::default()
    };
    let site = start(setup).await;
    let page = Browser::new(&site.url).get("/connect").await;
    assert_eq!(page.status(), 404);
    assert!(page.text().await.unwrap().contains("web.sign_in"));
}
