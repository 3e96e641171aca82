//! What several stories need: a follower to watch, an independent reading of the chain, a faulty node.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

pub(crate) mod entitled;
pub(crate) mod following;
pub(crate) mod http;
pub(crate) mod installation;
pub(crate) mod life;
pub(crate) mod merchants;
pub(crate) mod notices;
pub(crate) mod oracle;
pub(crate) mod plan_names;
pub(crate) mod relay;
pub(crate) mod rig;
pub(crate) mod rpc_proxy;
pub(crate) mod scene;
pub(crate) mod service;
pub(crate) mod shop;
pub(crate) mod slash;
pub(crate) mod stage;
pub(crate) mod terminal;
pub(crate) mod tls;

use std::time::Duration;

use url::Url;

/// A number of the long runs, which `make soak` sets: `AMSER_ROLES_TEST_…`, or what is enough for every day.
pub(crate) fn knob(name: &str, every_day: u64) -> u64 {
    let set = std::env::var(format!("AMSER_ROLES_TEST_{name}"));
    set.map_or(every_day, |text| text.parse().expect("a number"))
}

/// Waits until a program follows the tip and is connected.
pub(crate) async fn until_ready(public_url: &Url) {
    let ready = public_url.join("/readyz").unwrap();
    let asked = async {
        let is_ready = |answer: reqwest::Response| answer.status() == 200;
        while !reqwest::get(ready.clone()).await.is_ok_and(is_ready) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let ready = tokio::time::timeout(Duration::from_secs(60), asked).await;
    ready.expect("the program is not ready in time");
}

/// Looks until it finds what is waited for. What is looked at says why it is not there yet.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Result<T, String>) -> T {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    loop {
        match look().await {
            Ok(found) => return found,
            Err(seen) => assert!(
                tokio::time::Instant::now() < deadline,
                "waited in vain until {what}: {seen}"
            ),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
