//! How often an address or a member may ask, and whose address counts behind reverse proxies.

use amser_roles::sandbox::chain::wallet;
use serde_json::{Value, json};

use super::site::{Setup, start};
use super::visitor::{Browser, answer, code};

fn body() -> Value {
    json!({ "address": wallet("ada's").address().to_string(), "discord_name": "ada" })
}

impl Browser {
    async fn json(&mut self, path: &str, forwarded: impl AsRef<[u8]>) -> reqwest::Response {
        let request = self
            .request(path)
            .header("x-forwarded-for", forwarded.as_ref())
            .json(&body());
        self.send(request).await
    }
}

#[tokio::test]
async fn an_address_that_asks_too_often_is_told_when_to_come_back() {
    let setup = Setup {
        // A post costs 3, which take a minute to come back.
        rate_limit_per_minute: 3,
        ..Setup::default()
    };
    let site = start(setup).await;
    let mut browser = Browser::new(&site.url);
    let answered = browser.json("/verify/x/challenge", "1.2.3.0").await;
    assert_eq!(answered.status(), 404);
    // Without a proxy in front, anybody can write this header.
    let refused = browser.json("/verify/x/challenge", "1.2.3.9").await;
    let wait: u64 = refused.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    let refused = answer(refused).await;
    assert_eq!(
        (refused.0, code(&refused).as_str()),
        (429, "too_many_requests")
    );
    let page = browser.get("/verify/x").await;
    assert_eq!(page.status(), 429);
    assert!(page.text().await.unwrap().starts_with("<!DOCTYPE html>"));
    for path in ["/healthz", "/api/status", "/favicon.ico"] {
        assert_eq!(browser.get(path).await.status(), 200, "{path}");
    }
}

#[tokio::test]
async fn behind_a_proxy_each_client_has_its_own_limit() {
    let setup = Setup {
        rate_limit_per_minute: 6,
        proxies: 1,
        ..Setup::default()
    };
    let site = start(setup).await;
    let mut browser = Browser::new(&site.url);
    for n in 0..6 {
        let answer = browser
            .json("/verify/x/challenge", &format!("9.9.9.9, 1.2.3.{n}"))
            .await;
        assert_eq!(answer.status(), 404);
    }
    for expected in [404, 429, 429] {
        // What the client itself wrote in front does not help it.
        let answer = browser
            .json("/verify/x/challenge", "7.7.7.7, 1.2.3.0")
            .await;
        assert_eq!(answer.status(), expected);
    }
}

#[tokio::test]
async fn an_address_that_is_no_trusted_proxy_names_nobody_else() {
    let setup = Setup {
        rate_limit_per_minute: 6,
        proxies: 1,
        trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()],
        ..Setup::default()
    };
    let site = start(setup).await;
    let mut browser = Browser::new(&site.url);
    for (n, expected) in [404, 404, 429, 429].into_iter().enumerate() {
        let answer = browser
            .json("/verify/x/challenge", &format!("1.2.3.{n}"))
            .await;
        assert_eq!(answer.status(), expected);
    }
}

#[tokio::test]
async fn behind_two_proxies_each_client_has_its_own_limit() {
    let setup = Setup {
        rate_limit_per_minute: 6,
        proxies: 2,
        ..Setup::default()
    };
    let site = start(setup).await;
    let mut browser = Browser::new(&site.url);
    for n in 0..6 {
        let answer = browser
            .json(
                "/verify/x/challenge",
                &format!("9.9.9.9, 1.2.3.{n}:4711, 10.0.0.1"),
            )
            .await;
        assert_eq!(answer.status(), 404);
    }
    for expected in [404, 429] {
        let answer = browser
            .json("/verify/x/challenge", "7.7.7.7, 1.2.3.0, 10.0.0.1")
            .await;
        assert_eq!(answer.status(), expected);
    }
    // What the client wrote itself is no text.
    let answer = browser
        .json("/verify/x/challenge", b"\xff, 1.2.3.0, 10.0.0.1")
        .await;
    assert_eq!(answer.status(), 429);
}

#[tokio::test]
async fn a_member_who_asks_too_often_is_turned_away_from_any_address() {
    let setup = Setup {
        rate_limit_per_minute: 6,
        proxies: 1,
        sign_in: false,
        ..Setup::default()
    };
    let site = start(setup).await;
    let user = site.discord.add_user("ada");
    let path = format!("{}/challenge", site.verify(user));
    let mut browser = Browser::new(&site.url);
    for n in 0..2 {
        assert_eq!(
            browser.json(&path, &format!("1.2.3.{n}")).await.status(),
            200
        );
    }
    let refused = answer(browser.json(&path, "1.2.3.99").await).await;
    assert_eq!(code(&refused), "too_many_requests");
}
