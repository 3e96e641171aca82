//! REST: roles, members, permissions, errors and limits.
use std::time::{Duration, Instant};

use amser_roles::domain::{GuildId, RoleId, UserId};
use amser_roles::sandbox::discord::{
    Allowance, Bucket, LocalDiscord, NewRole, RateLimits, Route, Rule,
};
use serenity::http::Http;
use serenity::model::Permissions;

use super::{http, refusal, start};

pub(super) async fn add(
    http: &Http,
    guild: GuildId,
    user: UserId,
    role: RoleId,
) -> serenity::Result<()> {
    http.add_member_role(
        guild.0.into(),
        user.0.into(),
        role.0.into(),
        Some("paid for plan 1 – ça va"),
    )
    .await
}

async fn remove(http: &Http, guild: GuildId, user: UserId, role: RoleId) -> serenity::Result<()> {
    http.remove_member_role(guild.0.into(), user.0.into(), role.0.into(), None)
        .await
}

pub(super) struct Scene {
    pub(super) discord: LocalDiscord,
    pub(super) http: Http,
    pub(super) guild: GuildId,
    pub(super) role: RoleId,
    pub(super) user: UserId,
}

pub(super) async fn scene() -> Scene {
    let discord = start().await;
    let guild = discord.add_guild("Club");
    let role = discord.add_role(guild, "Member").unwrap();
    let user = discord.add_user("ada");
    discord.add_member(guild, user).unwrap();
    Scene {
        http: http(&discord),
        discord,
        guild,
        role,
        user,
    }
}

#[tokio::test]
async fn serenity_grants_and_takes_a_role() {
    let Scene {
        discord,
        http,
        guild,
        role,
        user,
    } = scene().await;
    add(&http, guild, user, role).await.unwrap();
    assert!(discord.has_role(guild, user, role));
    let member = http
        .get_member(guild.0.into(), user.0.into())
        .await
        .unwrap();
    assert_eq!(member.roles, [role.0]);
    remove(&http, guild, user, role).await.unwrap();
    assert!(!discord.has_role(guild, user, role));
    let requests = discord.requests();
    assert_eq!(requests[0].route, Some(Route::AddMemberRole));
    assert_eq!(requests[0].status, Some(204));
    assert_eq!(
        requests[0].reason.as_deref(),
        Some("paid for plan 1 – ça va")
    );
    assert_eq!(discord.count(Route::RemoveMemberRole), 1);
    assert_eq!(discord.violations(), []);
}

#[tokio::test]
async fn role_order_and_permissions_are_enforced_with_discords_codes() {
    let Scene {
        discord,
        http,
        guild,
        role,
        user,
    } = scene().await;
    let bot_role = discord.bot_role(guild).unwrap();
    discord.set_role_order(guild, &[bot_role, role]).unwrap();
    assert_eq!(refusal(add(&http, guild, user, role).await), (403, 50013));
    discord.set_role_order(guild, &[role, bot_role]).unwrap();
    discord.set_role_managed(guild, role, true).unwrap();
    assert_eq!(refusal(add(&http, guild, user, role).await), (403, 50013));
    discord.set_role_managed(guild, role, false).unwrap();
    discord
        .set_role_permissions(guild, bot_role, Permissions::empty())
        .unwrap();
    assert_eq!(refusal(add(&http, guild, user, role).await), (403, 50013));
    discord
        .set_role_permissions(guild, bot_role, Permissions::ADMINISTRATOR)
        .unwrap();
    add(&http, guild, user, role).await.unwrap();
    assert_eq!(
        refusal(add(&http, guild, user, RoleId(guild.0)).await),
        (400, 50028)
    );
    discord.delete_role(guild, role).unwrap();
    assert_eq!(refusal(add(&http, guild, user, role).await), (404, 10011));
    assert!(!discord.has_role(guild, user, role));
    discord.remove_member(guild, user).unwrap();
    let other = discord
        .add_role_with(guild, NewRole::named("Other"))
        .unwrap();
    assert_eq!(refusal(add(&http, guild, user, other).await), (404, 10007));
    assert_eq!(
        refusal(add(&http, guild, UserId(7), other).await),
        (404, 10013)
    );
    assert_eq!(discord.invalid_requests(), 3, "403s count, 404s do not");
    assert_eq!(discord.violations(), []);
}

#[tokio::test]
async fn a_kicked_bot_sees_an_unknown_guild_until_it_is_invited_again() {
    let Scene {
        discord,
        http,
        guild,
        role,
        user,
    } = scene().await;
    discord.kick_bot(guild).unwrap();
    assert_eq!(refusal(http.get_guild(guild.0.into()).await), (404, 10004));
    assert_eq!(refusal(add(&http, guild, user, role).await), (403, 50001));
    discord
        .invite_bot(guild, Permissions::MANAGE_ROLES)
        .unwrap();
    assert_eq!(
        refusal(add(&http, guild, user, role).await),
        (403, 50013),
        "a new bot role stands lowest"
    );
    let bot_role = discord.bot_role(guild).unwrap();
    discord.set_role_order(guild, &[role, bot_role]).unwrap();
    add(&http, guild, user, role).await.unwrap();
    let seen = http.get_guild_with_counts(guild.0.into()).await.unwrap();
    assert_eq!(seen.approximate_member_count, Some(3));
    assert_eq!(seen.roles.len(), 3);
}

#[tokio::test]
async fn a_hundred_thousand_members_are_listed_page_by_page() {
    let Scene {
        discord,
        http,
        guild,
        ..
    } = scene().await;
    let started = Instant::now();
    let ids = discord.add_members(guild, 100_000).unwrap();
    let added = started.elapsed();
    let started = Instant::now();
    let (mut after, mut seen) = (None, 0);
    loop {
        let page = http
            .get_guild_members(guild.0.into(), Some(1000), after)
            .await
            .unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.user.id.get());
        seen += page.len();
    }
    println!("adding took {added:?}, listing {:?}", started.elapsed());
    assert_eq!(seen, 100_003, "with the owner, the bot and ada");
    assert!(discord.member_roles(guild, *ids.last().unwrap()).is_some());
}

#[tokio::test]
async fn unknown_routes_wrong_tokens_and_malformed_bodies_are_violations() {
    let Scene {
        discord,
        guild,
        user,
        ..
    } = scene().await;
    let base = discord.base_url();
    let client = crate::support::http::client();
    let answer = client
        .get(format!("{base}/api/v10/guilds/1/nonsense"))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 404);
    let answer = client
        .post(format!("{base}/api/v10/gateway"))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 405);
    let answer = client
        .get(format!("{base}/api/v10/users/@me"))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 401);
    let url = format!("{base}/api/v10/guilds/{guild}/members/{user}");
    let request = client
        .patch(url)
        .header("authorization", format!("Bot {}", discord.options().token));
    let answer = request.body("{\"surprise\":1}").send().await.unwrap();
    assert_eq!(answer.status(), 400);
    let url = format!("{base}/api/v10/guilds/{guild}/members?limit=1001");
    let request = client
        .get(url)
        .header("authorization", format!("Bot {}", discord.options().token));
    assert_eq!(request.send().await.unwrap().status(), 400);
    let rules: Vec<_> = discord
        .violations()
        .iter()
        .map(|violation| violation.rule)
        .collect();
    assert_eq!(
        rules,
        [
            Rule::UnknownRoute,
            Rule::UnknownRoute,
            Rule::Authorization,
            Rule::Malformed,
            Rule::Malformed
        ]
    );
}

pub(super) async fn put(
    discord: &LocalDiscord,
    guild: GuildId,
    user: UserId,
    role: RoleId,
) -> reqwest::Response {
    let path = format!("/api/v10/guilds/{guild}/members/{user}/roles/{role}");
    crate::support::http::client()
        .put(discord.base_url() + &path)
        .header("authorization", format!("Bot {}", discord.options().token))
        .send()
        .await
        .unwrap()
}

#[tokio::test]
async fn the_eleventh_role_change_is_limited_and_coming_back_early_is_a_violation() {
    let Scene {
        discord,
        guild,
        role,
        user,
        ..
    } = scene().await;
    let limits = RateLimits {
        in_flight_grace: Duration::ZERO,
        // The real ten seconds may be over before the eleventh request where the machine is busy.
        buckets: [(Bucket::MemberRoles, Allowance::new(10, 600))].into(),
        ..RateLimits::realistic()
    };
    discord.set_rate_limits(limits);
    for remaining in (0..10).rev() {
        let answer = put(&discord, guild, user, role).await;
        assert_eq!(answer.status(), 204);
        assert_eq!(answer.headers()["x-ratelimit-limit"], "10");
        let left = remaining.to_string();
        assert_eq!(answer.headers()["x-ratelimit-remaining"], left);
        assert!(answer.headers().contains_key("x-ratelimit-bucket"));
    }
    let answer = put(&discord, guild, user, role).await;
    assert_eq!(answer.status(), 429);
    assert_eq!(answer.headers()["x-ratelimit-scope"], "user");
    let body: serde_json::Value = answer.json().await.unwrap();
    assert_eq!(body["global"], false);
    assert!(body["retry_after"].as_f64().unwrap() > 300.0, "{body}");
    assert_eq!(discord.violations(), []);
    assert_eq!(put(&discord, guild, user, role).await.status(), 429);
    assert_eq!(discord.violations()[0].rule, Rule::TooEarly);
    let other = discord.add_guild("Elsewhere");
    let role = discord.add_role(other, "Member").unwrap();
    discord.add_member(other, user).unwrap();
    assert_eq!(
        put(&discord, other, user, role).await.status(),
        204,
        "another guild has its own limit"
    );
}

#[tokio::test]
async fn a_reason_of_more_than_512_characters_is_refused_however_it_is_written() {
    let Scene {
        discord,
        http,
        guild,
        role,
        user,
    } = scene().await;
    let give = async |reason: &str| {
        http.add_member_role(guild.0.into(), user.0.into(), role.0.into(), Some(reason))
            .await
    };
    // Three bytes in the header for each byte of an ç.
    give(&"ç".repeat(512)).await.unwrap();
    assert_eq!(discord.violations(), []);
    assert_eq!(refusal(give(&"ç".repeat(513)).await), (400, 50035));
    assert_eq!(discord.violations()[0].rule, Rule::Malformed);
}
