//! `/connect`: a merchant invites the bot and lands on the dashboard of the server that Discord names.

use std::collections::BTreeMap;

use amser_roles::domain::{GuildId, UserId};
use amser_roles::sandbox::discord::Route;
use url::Url;

use super::site::{Running, Setup, start};
use super::visitor::{Browser, location};

/// Goes to Discord by `/connect` and chooses a server there; what the way back answers.
async fn connect(
    site: &Running,
    browser: &mut Browser,
    user: UserId,
    guild: GuildId,
) -> reqwest::Response {
    assert_eq!(site.discord.owner(guild).is_some(), true);
    let away = location(&browser.get("/connect").await);
    let back = browser
        .visit_discord(&format!("{away}&guild_id={guild}"), user)
        .await;
    browser.get(&back).await
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
