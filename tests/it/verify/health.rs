//! What monitors see.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use alloy::primitives::B256;
use amser_roles::domain::{
    ChainStatus, Checkpoint, Counts, DiscordStatus, DriftStatus, Gate, GateId, GateMatch,
    GateOrigin, MembersIntent, PlanId, Timestamp,
};
use serde_json::json;

use super::site::{START, Setup, start};
use super::visitor::{Browser, answer, code};

fn block(number: u64, timestamp: u64) -> Option<Checkpoint> {
    Some(Checkpoint {
        number,
        hash: B256::ZERO,
        timestamp: Timestamp(timestamp),
    })
}

#[tokio::test]
async fn ready_means_at_the_tip_and_connected() {
    let site = start(Setup::default()).await;
    let mut browser = Browser::new(&site.url);
    assert_eq!(browser.get("/healthz").await.status(), 200);
    let not_yet = answer(browser.get("/readyz").await).await;
    assert_eq!((not_yet.0, code(&not_yet).as_str()), (503, "not_ready"));
    assert!(not_yet.1.to_string().contains("tip"));
    site.chain_status
        .send_modify(|chain| chain.set_at_tip(true, Instant::now()));
    let not_yet = answer(browser.get("/readyz").await).await;
    assert!(not_yet.0 == 503 && not_yet.1.to_string().contains("Discord"));
    site.discord_status
        .send_modify(|discord| discord.connected = true);
    assert_eq!(browser.get("/readyz").await.status(), 200);
    // A node that fails for a moment is no outage.
    let trouble = Some("no node answers: secret".to_owned());
    site.chain_status.send_modify(|chain| {
        chain.trouble = trouble;
        chain.set_at_tip(false, Instant::now());
    });
    assert_eq!(browser.get("/readyz").await.status(), 200);
    let long_ago = Instant::now().checked_sub(Duration::from_secs(11));
    site.chain_status
        .send_modify(|chain| chain.behind_since = long_ago);
    let broken = answer(browser.get("/readyz").await).await;
    assert!(broken.0 == 503 && !broken.1.to_string().contains("secret"));
    assert!(broken.1.to_string().contains("no node"));
    assert_eq!(browser.get("/healthz").await.status(), 200);
}

#[tokio::test]
async fn the_status_and_the_metrics_have_the_promised_shape() {
    let site = start(Setup::default()).await;
    let gate = |id, role| Gate {
        id: GateId(id),
        guild: site.guild,
        module: site.module,
        plans: [PlanId::from(1)].into(),
        matching: GateMatch::Any,
        roles: [role].into(),
        origin: GateOrigin::Dashboard,
    };
    let other = site.discord.add_role(site.guild, "Other").unwrap();
    site.store.put_gate(&gate(1, site.role)).unwrap();
    site.store.put_gate(&gate(2, other)).unwrap();
    site.chain_status.send_replace(ChainStatus {
        head: block(12, START - 4),
        confirmed: block(10, START - 8),
        at_tip: true,
        rpc: Some("127.0.0.1:8545".to_owned()),
        reorgs: 3,
        disagreements: 1,
        ..ChainStatus::default()
    });
    site.discord_status.send_replace(DiscordStatus {
        connected: true,
        failing: [((site.guild, Some(site.role)), "too low".to_owned())].into(),
        members_intent: MembersIntent::Refused,
        ..DiscordStatus::default()
    });
    site.counts.send_replace(Counts {
        subscriptions: 9,
        active: 8,
        links: 7,
        gates: 2,
        held_back: 0,
    });
    site.drift.send_replace(DriftStatus {
        oldest_check: Some(Timestamp(site.now().0 - 6)),
        disagreements: 2,
        ..DriftStatus::default()
    });
    site.pending.store(5, Ordering::Relaxed);
    let mut browser = Browser::new(&site.url);
    let expected = json!({
        "chain": {
            "head": 12, "confirmed": 10, "cursor": 10, "lag_seconds": 4,
            "rpc": "127.0.0.1:8545", "reorgs": 3, "unknown_logs": 0, "orphans": 0,
        },
        "discord": {
            "connected": true, "members_intent": "refused", "pending_changes": 5, "failing": 1,
            "held_back": 0,
        },
        "drift": { "mode": "chain", "oldest_check_seconds": 6, "disagreements": 3 },
        "counts": { "subscriptions": 9, "active": 8, "links": 7, "gates": 2 },
    });
    assert_eq!(
        answer(browser.get("/api/status").await).await,
        (200, expected)
    );
    // A gate whose module cannot be read fails whatever Discord says.
    let unread = [(site.module, "It is not there.".to_owned())].into();
    site.chain_status
        .send_modify(|chain| chain.unread_modules = unread);
    let status = answer(browser.get("/api/status").await).await;
    assert_eq!(status.1["discord"]["failing"], 2);
    let metrics = browser.get("/metrics").await;
    assert!(
        metrics.headers()["content-type"]
            .to_str()
            .unwrap()
            .starts_with("text/plain")
    );
    let metrics = metrics.text().await.unwrap();
    for line in metrics
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
    {
        assert!(line.starts_with("amser_roles_"), "{line}");
    }
    for line in [
        "amser_roles_links 7",
        "amser_roles_drift_fallback 0",
        "amser_roles_drift_disagreements_total{source=\"api\"} 2",
        "amser_roles_drift_disagreements_total{source=\"contracts\"} 1",
        "amser_roles_chain_head_block 12",
        "amser_roles_discord_pending_changes 5",
        "amser_roles_chain_orphans 0",
        "amser_roles_chain_lag_seconds 4",
        "# HELP amser_roles_chain_lag_seconds Age of the newest block in seconds.",
    ] {
        assert!(
            metrics.lines().any(|known| known == line),
            "{line} is not in {metrics}"
        );
    }
    // What is not known any more is not told any more.
    site.chain_status.send_modify(|chain| chain.head = None);
    let metrics = browser.get("/metrics").await.text().await.unwrap();
    assert!(
        !metrics.contains("amser_roles_chain_head_block "),
        "{metrics}"
    );
}

#[tokio::test]
async fn the_numbers_are_for_this_machine_and_for_who_has_the_token() {
    let site = start(Setup::default()).await;
    for path in ["/api/status", "/metrics"] {
        let ask = |name: &'static str, value: &str| {
            let request = crate::support::http::client().get(site.url.join(path).unwrap());
            request.header(name, value).send()
        };
        assert_eq!(ask("accept", "*/*").await.unwrap().status(), 200);
        // Through a proxy on this machine.
        let refused = answer(ask("x-forwarded-for", "1.2.3.4").await.unwrap()).await;
        let expected = (401, "monitor_token_required");
        assert_eq!((refused.0, code(&refused).as_str()), expected);
        let through_a_proxy = |token: &str| {
            let request = crate::support::http::client().get(site.url.join(path).unwrap());
            let request = request.header("x-forwarded-for", "1.2.3.4");
            request.bearer_auth(token).send()
        };
        assert_eq!(through_a_proxy("guess").await.unwrap().status(), 401);
        assert_eq!(
            through_a_proxy("monitors' token").await.unwrap().status(),
            200
        );
        let request = crate::support::http::client().get(site.url.join(path).unwrap());
        let request = request.header("x-forwarded-for", "1.2.3.4");
        let in_small = request.header("authorization", "bearer monitors' token");
        assert_eq!(in_small.send().await.unwrap().status(), 200);
    }
    for (path, status) in [("/healthz", 200), ("/readyz", 503)] {
        let request = crate::support::http::client().get(site.url.join(path).unwrap());
        let answer = request.header("x-forwarded-for", "1.2.3.4").send().await;
        assert_eq!(answer.unwrap().status(), status, "for everyone");
    }
}

#[tokio::test]
async fn monitors_with_a_listener_of_their_own_are_answered_there_alone() {
    let setup = Setup {
        monitors_apart: true,
        ..Setup::default()
    };
    let site = start(setup).await;
    for path in ["/api/status", "/metrics"] {
        let ask = |base: &url::Url| {
            let request = crate::support::http::client().get(base.join(path).unwrap());
            request.header("x-forwarded-for", "1.2.3.4").send()
        };
        assert_eq!(ask(&site.url).await.unwrap().status(), 404);
        assert_eq!(ask(&site.monitors_url).await.unwrap().status(), 200);
    }
    let other = site.monitors_url.join("/verify/x").unwrap();
    assert_eq!(reqwest::get(other).await.unwrap().status(), 404);
}
