//! Invites: for some users alone, with roles, and what Discord refuses.
use amser_roles::domain::{GuildId, RoleId, UserId};
use amser_roles::sandbox::discord::LocalDiscord;
use serde_json::{Value, json};
use serenity::model::Permissions;

use super::start;

/// A multipart body by hand: reqwest's own is behind a feature that the program does not need.
async fn invite(
    discord: &LocalDiscord,
    guild: GuildId,
    fields: &Value,
    users: Option<&str>,
) -> (u16, Value) {
    let mut body =
        format!("--B\r\ncontent-disposition: form-data; name=\"payload_json\"\r\n\r\n{fields}\r\n");
    if let Some(users) = users {
        body += "--B\r\ncontent-disposition: form-data; name=\"target_users_file\"; filename=\"users.csv\"\r\n";
        body += &format!("content-type: text/csv\r\n\r\n{users}\r\n");
    }
    body += "--B--\r\n";
    let channel = discord.channel(guild).unwrap();
    let answer = crate::support::http::client()
        .post(format!(
            "{}/api/v10/channels/{channel}/invites",
            discord.base_url()
        ))
        .header("authorization", format!("Bot {}", discord.options().token))
        .header("content-type", "multipart/form-data; boundary=B")
        .body(body)
        .send()
        .await
        .unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

fn scene(discord: &LocalDiscord) -> (GuildId, RoleId, UserId) {
    let guild = discord.add_guild("Club");
    let role = discord.add_role(guild, "Gold").unwrap();
    let bot_role = discord.bot_role(guild).unwrap();
    discord.set_role_order(guild, &[role, bot_role]).unwrap();
    (guild, role, discord.add_user("ada"))
}

#[tokio::test]
async fn an_invite_for_one_user_brings_them_in_with_the_role_and_nobody_else() {
    let discord = start().await;
    let (guild, role, user) = scene(&discord);
    let fields = json!({ "max_age": 3_600, "max_uses": 1, "unique": true, "role_ids": [role] });
    let list = format!("user_id\n{user}\n");
    let (status, made) = invite(&discord, guild, &fields, Some(&list)).await;
    assert_eq!((status, &made["roles"][0]["name"]), (200, &json!("Gold")));
    let code = made["code"].as_str().unwrap();
    assert_eq!(discord.invites(guild), [code]);
    let stranger = discord.add_user("eve");
    assert!(discord.accept_invite(code, stranger).is_err());
    assert_eq!(discord.accept_invite(code, user).unwrap(), guild);
    assert!(discord.has_role(guild, user, role));
    assert!(discord.accept_invite(code, user).is_err(), "it is used up");
    assert_eq!(discord.violations(), []);
}

#[tokio::test]
async fn an_invite_gives_no_role_that_the_bot_could_not_give() {
    let discord = start().await;
    let (guild, role, user) = scene(&discord);
    let bot_role = discord.bot_role(guild).unwrap();
    discord.set_role_order(guild, &[bot_role, role]).unwrap();
    let with_role = json!({ "role_ids": [role] });
    let code = |(status, body): (u16, Value)| (status, body["code"].as_u64().unwrap_or_default());
    assert_eq!(
        code(invite(&discord, guild, &with_role, None).await),
        (403, 50013)
    );
    let everyone = RoleId(guild.0);
    discord
        .set_role_permissions(guild, everyone, Permissions::VIEW_CHANNEL)
        .unwrap();
    assert_eq!(
        code(invite(&discord, guild, &json!({}), None).await),
        (403, 50013)
    );
    discord
        .set_role_permissions(guild, everyone, Permissions::CREATE_INSTANT_INVITE)
        .unwrap();
    let list = format!("user_id\n{user}\nada\n");
    let (status, refused) = invite(&discord, guild, &json!({}), Some(&list)).await;
    assert_eq!(status, 400);
    let faults = refused["errors"]["target_users_file"].as_array().unwrap();
    assert_eq!(faults, &[json!("Line 3: invalid user ID format")]);
}
