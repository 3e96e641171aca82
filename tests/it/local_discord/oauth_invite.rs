//! The bot's invite: which server, which permissions, and what the application learns of it.
use amser_roles::domain::{GuildId, UserId};
use amser_roles::sandbox::discord::LocalDiscord;
use serde_json::Value;
use serenity::model::Permissions;
use url::Url;

use super::oauth::{browser, exchange, location, start};

const CONNECT: &str = "bot applications.commands identify guilds";

fn invite(discord: &LocalDiscord, scope: &str, extra: &[(&str, &str)]) -> Url {
    let mut url = Url::parse(&discord.base_url())
        .unwrap()
        .join("/oauth2/authorize")
        .unwrap();
    url.query_pairs_mut()
        .append_pair("client_id", &discord.options().application_id.to_string())
        .append_pair("scope", scope)
        .append_pair("permissions", &Permissions::MANAGE_ROLES.bits().to_string())
        .append_pair("response_type", "code")
        .append_pair("state", "s")
        .extend_pairs(extra);
    url
}

async fn get(url: Url, visitor: Option<UserId>) -> reqwest::Response {
    let mut request = browser().get(url);
    if let Some(visitor) = visitor {
        request = request.header("cookie", format!("local_discord_user={visitor}"));
    }
    request.send().await.unwrap()
}

fn scene(discord: &LocalDiscord) -> (GuildId, UserId) {
    let guild = discord.add_guild("Club");
    discord.kick_bot(guild).unwrap();
    (guild, discord.owner(guild).unwrap())
}

#[tokio::test]
async fn the_invite_adds_the_bot_where_the_visitor_manages_the_server() {
    let (discord, user) = start().await;
    let (guild, owner) = scene(&discord);
    discord.add_member(guild, user).unwrap();
    let alone = "bot applications.commands";
    let by = |user: UserId| {
        let (guild, user) = (guild.to_string(), user.to_string());
        invite(&discord, alone, &[("guild_id", &guild), ("as", &user)])
    };
    assert_eq!(get(by(user), None).await.status(), 400);
    assert_eq!(discord.bot_role(guild), None);
    assert_eq!(get(by(owner), None).await.status(), 200);
    assert!(discord.bot_role(guild).is_some());
}

#[tokio::test]
async fn the_token_answer_names_the_server_that_was_picked_whatever_was_asked_for() {
    let (discord, _) = start().await;
    let (asked_for, owner) = scene(&discord);
    let (picked, _) = scene(&discord);
    let manager = Permissions::MANAGE_GUILD;
    discord.add_member(picked, owner).unwrap();
    discord
        .set_role_permissions(picked, amser_roles::domain::RoleId(picked.0), manager)
        .unwrap();
    let (asked_for, picked) = (asked_for.to_string(), picked.to_string());
    let page = get(
        invite(&discord, CONNECT, &[("guild_id", &asked_for)]),
        Some(owner),
    )
    .await;
    assert_eq!(
        page.status(),
        200,
        "somebody who is known is asked all the same"
    );
    let page = page.text().await.unwrap();
    let at = |id: &str| page.find(&format!("value=\"{id}\"")).unwrap();
    let first = page.find("name=\"pick\"").unwrap();
    assert!(first < at(&picked) && page[first..].find(&asked_for) < page[first..].find(&picked));
    let answer = get(
        invite(
            &discord,
            CONNECT,
            &[("guild_id", &asked_for), ("pick", &picked)],
        ),
        Some(owner),
    )
    .await;
    let back = location(&answer);
    assert_eq!(
        (&back["guild_id"], &back["state"]),
        (&picked, &"s".to_owned())
    );
    assert_eq!(
        back["permissions"],
        Permissions::MANAGE_ROLES.bits().to_string()
    );
    let (status, token) = exchange(&discord, &[("code", &back["code"])]).await;
    assert_eq!(
        (status, &token["guild"]["id"]),
        (200, &Value::String(picked.clone()))
    );
    assert_eq!(token["guild"]["name"], "Club");
    let id = GuildId(picked.parse().unwrap());
    assert!(discord.bot_role(id).is_some());
}

#[tokio::test]
async fn with_the_choice_disabled_no_other_server_can_be_picked() {
    let (discord, _) = start().await;
    let (only, owner) = scene(&discord);
    let (other, other_owner) = scene(&discord);
    let (only, other) = (only.to_string(), other.to_string());
    let repair = [
        ("guild_id", only.as_str()),
        ("disable_guild_select", "true"),
    ];
    let page = get(invite(&discord, CONNECT, &repair), Some(owner)).await;
    let page = page.text().await.unwrap();
    assert!(page.contains(&format!("name=\"pick\" value=\"{only}\"")));
    assert!(!page.contains(&format!("name=\"pick\" value=\"{other}\"")));
    let page = get(invite(&discord, CONNECT, &repair), Some(other_owner)).await;
    assert!(
        page.text()
            .await
            .unwrap()
            .contains("You do not manage the server")
    );
    let elsewhere = [&repair[..], &[("pick", other.as_str())]].concat();
    let answer = get(invite(&discord, CONNECT, &elsewhere), Some(other_owner)).await;
    assert_eq!(answer.status(), 400);
}

#[tokio::test]
async fn permissions_that_the_visitor_takes_off_are_not_the_bots() {
    let (discord, _) = start().await;
    let (guild, owner) = scene(&discord);
    let (id, owner) = (guild.to_string(), owner.to_string());
    let choice = [("as", owner.as_str()), ("pick", &id), ("ticked", "1")];
    let answer = get(invite(&discord, CONNECT, &choice), None).await;
    assert_eq!(location(&answer)["permissions"], "0");
    let role = discord.bot_role(guild).unwrap();
    let with = |more: &'static str| {
        let mut choice = choice.to_vec();
        choice.push((more, "1"));
        invite(&discord, CONNECT, &choice)
    };
    let answer = get(with("allow-MANAGE_ROLES"), None).await;
    assert_eq!(
        location(&answer)["permissions"],
        Permissions::MANAGE_ROLES.bits().to_string()
    );
    assert_eq!(
        discord.bot_role(guild),
        Some(role),
        "a second invite only repairs"
    );
}

#[tokio::test]
async fn a_deleted_server_is_gone_for_the_bot_and_for_its_owner() {
    let (discord, _) = start().await;
    let guild = discord.add_guild("Club");
    let owner = discord.owner(guild).unwrap();
    discord.delete_guild(guild).unwrap();
    let page = get(invite(&discord, CONNECT, &[]), Some(owner)).await;
    assert!(
        page.text()
            .await
            .unwrap()
            .contains("You manage no server here.")
    );
    let http = super::http(&discord);
    assert_eq!(
        super::refusal(http.get_guild(guild.0.into()).await),
        (404, 10004)
    );
}
