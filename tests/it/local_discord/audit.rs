//! The audit log, as far as it tells of roles.
use amser_roles::domain::{GuildId, RoleId, UserId};
use amser_roles::sandbox::discord::{LocalDiscord, Route};
use serde_json::Value;
use serenity::model::Permissions;

use super::start;

/// A guild with a role below the bot's, and a member. The bot may see the audit log.
async fn scene() -> (LocalDiscord, GuildId, RoleId, UserId) {
    let discord = start().await;
    let guild = discord.add_guild("Club");
    let role = discord.add_role(guild, "Gold").unwrap();
    let bot = discord.bot_role(guild).unwrap();
    discord.set_role_order(guild, &[role, bot]).unwrap();
    let permissions = Permissions::MANAGE_ROLES | Permissions::VIEW_AUDIT_LOG;
    let changed = discord.set_role_permissions(guild, bot, permissions);
    changed.unwrap();
    let member = discord.add_user("ada");
    discord.add_member(guild, member).unwrap();
    (discord, guild, role, member)
}

async fn read(discord: &LocalDiscord, guild: GuildId, query: &str) -> (u16, Value) {
    let base = discord.base_url();
    let answer = crate::support::http::client()
        .get(format!("{base}/api/v10/guilds/{guild}/audit-logs{query}"))
        .header("authorization", format!("Bot {}", discord.options().token))
        .send()
        .await
        .unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test]
async fn role_changes_are_told_newest_first_with_who_made_them() {
    let (discord, guild, role, member) = scene().await;
    let http = super::http(&discord);
    let reason = Some("paid");
    http.add_member_role(guild.0.into(), member.0.into(), role.0.into(), reason)
        .await
        .unwrap();
    let rival = discord.add_bot(guild, "Level Bot").unwrap();
    let taken = discord.change_role_as(rival, guild, member, role, false);
    taken.unwrap();
    let (status, log) = read(&discord, guild, "?action_type=25&limit=100").await;
    assert_eq!(status, 200);
    let entries = log["audit_log_entries"].as_array().unwrap();
    let bot = discord.bot_id().to_string();
    let told: Vec<_> = entries
        .iter()
        .map(|entry| (&entry["user_id"], &entry["changes"][0]["key"]))
        .collect();
    let rival = Value::from(rival.to_string());
    assert_eq!(
        told,
        [
            (&rival, &"$remove".into()),
            (&bot.clone().into(), &"$add".into())
        ]
    );
    assert_eq!(entries[1]["reason"], "paid");
    assert_eq!(entries[0]["target_id"], member.to_string());
    assert_eq!(entries[0]["changes"][0]["new_value"][0]["name"], "Gold");
    let users = log["users"].as_array().unwrap();
    assert!(users.iter().any(|user| user["username"] == "Level Bot"));
    let (_, log) = read(&discord, guild, &format!("?user_id={bot}")).await;
    assert_eq!(log["audit_log_entries"].as_array().unwrap().len(), 1);
    let (_, log) = read(&discord, guild, "?action_type=20").await;
    assert_eq!(log["audit_log_entries"], Value::Array(vec![]));
}

#[tokio::test]
async fn it_is_refused_without_the_permission() {
    let (discord, guild, ..) = scene().await;
    let bot = discord.bot_role(guild).unwrap();
    let changed = discord.set_role_permissions(guild, bot, Permissions::MANAGE_ROLES);
    changed.unwrap();
    let (status, error) = read(&discord, guild, "").await;
    assert_eq!((status, &error["code"]), (403, &50013.into()));
    assert_eq!(discord.count(Route::GetAuditLog), 1);
}
