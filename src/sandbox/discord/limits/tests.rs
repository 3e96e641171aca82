//! Windows, blocks and the count of invalid requests.
use super::*;

fn lane(bucket: Bucket, major: u64) -> Lane {
    Lane {
        bucket,
        major,
        route: 0,
    }
}

fn limits() -> RateLimits {
    RateLimits::realistic()
}

#[test]
fn the_eleventh_role_change_of_a_guild_waits_for_the_window() {
    let mut limiter = RateLimiter::default();
    let start = Instant::now();
    for used in 1..=10 {
        let (standing, admitted) = limiter.admit(&limits(), lane(Bucket::MemberRoles, 1), start);
        assert_eq!(standing.unwrap().remaining, 10 - used);
        assert!(admitted.is_ok());
    }
    let (_, refused) = limiter.admit(
        &limits(),
        lane(Bucket::MemberRoles, 1),
        start + Duration::from_secs(4),
    );
    assert_eq!(refused.unwrap_err().retry_after, Duration::from_secs(6));
    assert!(
        limiter
            .admit(&limits(), lane(Bucket::MemberRoles, 2), start)
            .1
            .is_ok(),
        "another guild is free"
    );
    let later = start + Duration::from_secs(10);
    assert!(
        limiter
            .admit(&limits(), lane(Bucket::MemberRoles, 1), later)
            .1
            .is_ok()
    );
}

#[test]
fn a_request_before_retry_after_is_early_but_one_already_under_way_is_forgiven() {
    let mut limiter = RateLimiter::default();
    let start = Instant::now();
    limiter.block(
        Some(lane(Bucket::MemberRoles, 1)),
        Scope::Shared,
        Duration::from_secs(2),
        start,
    );
    let at = |ms| start + Duration::from_millis(ms);
    let strict = RateLimits {
        in_flight_grace: Duration::ZERO,
        ..limits()
    };
    for (limits, when, early_by) in [
        (limits(), 100, None),
        (limits(), 1_000, None),
        (limits(), 1_001, Some(999)),
        (limits(), 1_999, Some(1)),
        (strict, 100, Some(1_900)),
    ] {
        let refused = limiter
            .admit(&limits, lane(Bucket::MemberRoles, 1), at(when))
            .1
            .unwrap_err();
        let early_by = early_by.map(Duration::from_millis);
        assert_eq!((refused.scope, refused.early_by), (Scope::Shared, early_by));
    }
    assert!(
        limiter
            .admit(&limits(), lane(Bucket::MemberRoles, 1), at(2000))
            .1
            .is_ok()
    );
}

#[test]
fn the_global_limit_stops_every_bucket() {
    let mut limiter = RateLimiter::default();
    let start = Instant::now();
    for guild in 0..50 {
        assert!(
            limiter
                .admit(&limits(), lane(Bucket::MemberRoles, guild), start)
                .1
                .is_ok()
        );
    }
    let refused = limiter
        .admit(&limits(), lane(Bucket::GlobalOnly, 0), start)
        .1
        .unwrap_err();
    assert_eq!(refused.scope, Scope::Global);
    assert!(
        limiter
            .admit(&limits(), lane(Bucket::Unlimited, 0), start)
            .1
            .is_ok(),
        "interactions go on"
    );
}

#[test]
fn invalid_requests_are_forgotten_after_ten_minutes() {
    let mut limiter = RateLimiter::default();
    let start = Instant::now();
    limiter.count_invalid(start);
    limiter.count_invalid(start + Duration::from_secs(300));
    assert_eq!(
        limiter.invalid_requests(start + Duration::from_secs(601)),
        1
    );
}
