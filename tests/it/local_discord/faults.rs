//! REST: faults, and the limits that Discord and Cloudflare send without a count.
use std::time::{Duration, Instant};

use amser_roles::sandbox::discord::{Fault, RateLimits, Route, Times};

use super::rest::{Scene, add, put, scene};
use super::{DEADLINE, refusal};

#[tokio::test]
async fn faults_hit_their_route_and_go_away() {
    let Scene {
        discord,
        http,
        guild,
        role,
        user,
    } = scene().await;
    let fault = |fault| discord.inject(Some(Route::AddMemberRole), fault, Times::Next(1));
    for status in [500, 502, 503] {
        fault(Fault::ServerError(status));
        assert_eq!(refusal(add(&http, guild, user, role).await), (status, -1));
    }
    fault(Fault::UNKNOWN_MEMBER);
    assert_eq!(refusal(add(&http, guild, user, role).await), (404, 10007));
    fault(Fault::Reset);
    let error = add(&http, guild, user, role).await.unwrap_err();
    assert!(
        matches!(
            error,
            serenity::Error::Http(serenity::http::HttpError::Request(_))
        ),
        "{error:?}"
    );
    fault(Fault::Hang);
    let before = discord.count(Route::AddMemberRole);
    let taken = discord.wait_until("it is taken", DEADLINE, |discord| {
        discord.count(Route::AddMemberRole) > before
    });
    let hangs = async {
        taken.await.unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
    };
    tokio::select! {
        answer = add(&http, guild, user, role) => panic!("it answers: {answer:?}"),
        () = hangs => {}
    }
    fault(Fault::Slow(Duration::from_millis(150)));
    let started = Instant::now();
    add(&http, guild, user, role).await.unwrap();
    assert!(started.elapsed() >= Duration::from_millis(150));
    assert_eq!(discord.violations(), []);
}

#[tokio::test]
async fn rate_limit_faults_come_as_discord_and_as_cloudflare_send_them() {
    let Scene {
        discord,
        guild,
        role,
        user,
        ..
    } = scene().await;
    let route = Some(Route::AddMemberRole);
    let short = Duration::from_millis(120);
    discord.inject(route, Fault::GlobalRateLimited(short), Times::Next(1));
    let answer = put(&discord, guild, user, role).await;
    assert_eq!(
        (
            answer.status().as_u16(),
            answer.headers()["x-ratelimit-scope"].to_str().unwrap()
        ),
        (429, "global")
    );
    tokio::time::sleep(short).await;
    discord.inject(route, Fault::CloudflareRateLimited(short), Times::Next(1));
    let answer = put(&discord, guild, user, role).await;
    assert_eq!(answer.status(), 429);
    assert!(!answer.headers().contains_key("x-ratelimit-scope"));
    assert_eq!(answer.headers()["retry-after"], "1");
    assert!(answer.text().await.unwrap().contains("1015"));
    assert_eq!(discord.invalid_requests(), 2);
}

#[tokio::test]
async fn too_many_invalid_requests_end_in_cloudflares_block() {
    let Scene {
        discord,
        guild,
        role,
        user,
        ..
    } = scene().await;
    discord.set_rate_limits(RateLimits {
        invalid_requests: 3,
        ..RateLimits::generous()
    });
    discord.inject(None, Fault::MISSING_PERMISSIONS, Times::Next(3));
    for _ in 0..3 {
        assert_eq!(put(&discord, guild, user, role).await.status(), 403);
    }
    let blocked = put(&discord, guild, user, role).await;
    assert_eq!(blocked.status(), 429);
    assert!(blocked.text().await.unwrap().contains("1015"));
}
