//! Roles by REST: made, changed, moved, deleted and counted, and what Discord refuses.
use amser_roles::domain::{GuildId, RoleId};
use amser_roles::sandbox::discord::{LocalDiscord, NewRole, RoleTag, Rule};
use serde_json::{Value, json};
use serenity::builder::EditRole;
use serenity::model::Permissions;

use super::{http, start};

/// Serenity's own types hide what was sent; these tests are about the JSON.
async fn send(discord: &LocalDiscord, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let answer = crate::support::http::client()
        .request(
            method.parse().unwrap(),
            format!("{}/api/v10{path}", discord.base_url()),
        )
        .header("authorization", format!("Bot {}", discord.options().token))
        .json(body)
        .send()
        .await
        .unwrap();
    let status = answer.status().as_u16();
    (status, answer.json().await.unwrap_or(Value::Null))
}

async fn create(discord: &LocalDiscord, guild: GuildId, body: &Value) -> (u16, Value) {
    send(discord, "POST", &format!("/guilds/{guild}/roles"), body).await
}

/// The roles of a guild by name, lowest first, without @everyone.
async fn order(discord: &LocalDiscord, guild: GuildId) -> Vec<String> {
    let (_, roles) = send(
        discord,
        "GET",
        &format!("/guilds/{guild}/roles"),
        &json!({}),
    )
    .await;
    let mut roles: Vec<_> = roles
        .as_array()
        .unwrap()
        .iter()
        .map(|role| (role["position"].as_u64().unwrap(), role["name"].to_string()))
        .filter(|(position, _)| *position > 0)
        .collect();
    roles.sort();
    let names = roles.into_iter();
    names
        .map(|(_, name)| name.trim_matches('"').to_owned())
        .collect()
}

#[tokio::test]
async fn a_role_is_made_lowest_with_what_was_asked_for() {
    let discord = start().await;
    let guild = discord.add_guild("Club");
    let made = EditRole::new()
        .name("Gold")
        .permissions(Permissions::empty());
    let made = serenity::model::id::GuildId::from(guild.0)
        .create_role(&http(&discord), made)
        .await
        .unwrap();
    assert_eq!((made.name.as_str(), made.position), ("Gold", 1));
    assert_eq!(made.permissions, Permissions::empty());
    let colors = json!({ "primary_color": 255, "secondary_color": null, "tertiary_color": null });
    let (status, silver) = create(
        &discord,
        guild,
        &json!({ "name": "Silver", "permissions": "0", "colors": colors, "hoist": true }),
    )
    .await;
    assert_eq!((status, silver["color"].as_u64()), (200, Some(255)));
    assert_eq!(
        (&silver["colors"], &silver["hoist"]),
        (&colors, &json!(true))
    );
    assert_eq!(
        order(&discord, guild).await,
        ["Silver", "Gold", "amser-roles"]
    );
    let (_, plain) = create(&discord, guild, &json!({})).await;
    assert_eq!(plain["name"], "new role");
    assert_ne!(plain["permissions"], "0", "as @everyone by default");
    assert_eq!(discord.violations(), []);
}

#[tokio::test]
async fn a_bot_makes_no_role_mightier_than_itself_nor_the_251st() {
    let discord = start().await;
    let guild = discord.add_guild("Club");
    let code = |(status, body): (u16, Value)| (status, body["code"].as_u64().unwrap());
    let mighty = json!({ "name": "Boss", "permissions": "8" });
    assert_eq!(code(create(&discord, guild, &mighty).await), (403, 50013));
    let icon = json!({ "unicode_emoji": "x" });
    assert_eq!(code(create(&discord, guild, &icon).await), (403, 50101));
    for number in 0..248 {
        discord.add_role(guild, &format!("r{number}")).unwrap();
    }
    assert_eq!(
        code(create(&discord, guild, &json!({})).await),
        (400, 30005)
    );
    assert_eq!(discord.violations(), []);
    let long = json!({ "name": "n".repeat(101) });
    assert_eq!(code(create(&discord, guild, &long).await), (400, 50035));
    assert_eq!(discord.violations()[0].rule, Rule::Malformed);
    let bot_role = discord.bot_role(guild).unwrap();
    discord
        .set_role_permissions(guild, bot_role, Permissions::empty())
        .unwrap();
    assert_eq!(
        code(create(&discord, guild, &json!({})).await),
        (403, 50013)
    );
    discord.kick_bot(guild).unwrap();
    assert_eq!(
        code(create(&discord, guild, &json!({})).await),
        (403, 50001)
    );
}

#[tokio::test]
async fn roles_are_moved_only_below_the_bots_own() {
    let discord = start().await;
    let guild = discord.add_guild("Club");
    let low = discord.add_role(guild, "Low").unwrap();
    let high = discord.add_role(guild, "High").unwrap();
    let bot_role = discord.bot_role(guild).unwrap();
    discord
        .set_role_order(guild, &[low, bot_role, high])
        .unwrap();
    let path = format!("/guilds/{guild}/roles");
    let move_to = async |role: RoleId, position: u16| {
        send(
            &discord,
            "PATCH",
            &path,
            &json!([{ "id": role, "position": position }]),
        )
        .await
    };
    assert_eq!(move_to(low, 2).await.0, 403, "to where the bot stands");
    assert_eq!(move_to(high, 1).await.0, 403, "it stands above the bot");
    assert_eq!(move_to(RoleId(guild.0), 1).await.0, 400);
    discord
        .set_role_order(guild, &[high, low, bot_role])
        .unwrap();
    let swapped = json!([{ "id": high, "position": 2 }, { "id": low, "position": 1 }]);
    let (status, roles) = send(&discord, "PATCH", &path, &swapped).await;
    assert_eq!(status, 200);
    assert_eq!(roles.as_array().unwrap().len(), 4);
    assert_eq!(order(&discord, guild).await, ["Low", "High", "amser-roles"]);
    assert_eq!(discord.violations(), []);
}

#[tokio::test]
async fn roles_below_the_bot_are_edited_deleted_and_counted() {
    let discord = start().await;
    let guild = discord.add_guild("Club");
    let role = discord.add_role(guild, "Gold").unwrap();
    let user = discord.add_user("ada");
    discord.add_member(guild, user).unwrap();
    discord.give_role(guild, user, role).unwrap();
    let path = format!("/guilds/{guild}/roles/{role}");
    let (_, counts) = send(
        &discord,
        "GET",
        &format!("/guilds/{guild}/roles/member-counts"),
        &json!({}),
    )
    .await;
    assert_eq!(counts[role.to_string()], 1);
    assert_eq!(counts.get(guild.to_string()), None, "not @everyone");
    let (status, edited) = send(&discord, "PATCH", &path, &json!({ "name": "Platinum" })).await;
    assert_eq!((status, &edited["name"]), (200, &json!("Platinum")));
    assert_eq!(send(&discord, "GET", &path, &json!({})).await.1, edited);
    assert_eq!(send(&discord, "DELETE", &path, &json!({})).await.0, 204);
    assert_eq!(send(&discord, "GET", &path, &json!({})).await.0, 404);
    let own = format!("/guilds/{guild}/roles/{}", discord.bot_role(guild).unwrap());
    assert_eq!(
        send(&discord, "PATCH", &own, &json!({ "name": "Me" }))
            .await
            .0,
        403
    );
    assert_eq!(discord.violations(), []);
}

#[tokio::test]
async fn roles_that_discord_gives_itself_carry_their_tag_and_cannot_be_given() {
    let discord = start().await;
    let guild = discord.add_guild("Club");
    let user = discord.add_user("ada");
    discord.add_member(guild, user).unwrap();
    for (tag, key) in [
        (RoleTag::Booster, "premium_subscriber"),
        (RoleTag::LinkedRole, "guild_connections"),
        (RoleTag::Subscription, "subscription_listing_id"),
        (RoleTag::Purchasable, "available_for_purchase"),
    ] {
        let new = NewRole {
            tag: Some(tag),
            ..NewRole::named(key)
        };
        let role = discord.add_role_with(guild, new).unwrap();
        let path = format!("/guilds/{guild}/roles/{role}");
        let (_, shape) = send(&discord, "GET", &path, &json!({})).await;
        assert!(shape["tags"].as_object().unwrap().contains_key(key));
        let given = http(&discord)
            .add_member_role(guild.0.into(), user.0.into(), role.0.into(), None)
            .await;
        assert_eq!(super::refusal(given), (403, 50013), "{key}");
    }
}

#[tokio::test]
async fn a_role_that_the_owner_tests_is_given_to_no_member() {
    let discord = start().await;
    let guild = discord.add_guild("Club");
    let role = discord.add_role(guild, "Gold").unwrap();
    let (owner, member) = (discord.add_user("mona"), discord.add_user("ada"));
    discord.set_owner(guild, owner).unwrap();
    for user in [owner, member] {
        discord.add_member(guild, user).unwrap();
    }
    discord.give_role(guild, owner, role).unwrap();
    assert!(!discord.bot_gave_in(guild));
    discord.give_role(guild, member, role).unwrap();
    assert!(discord.bot_gave_in(guild));
}
