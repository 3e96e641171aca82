//! The sandbox: what its page says and does is true, once, and in words.

mod browser;
mod checkout;
mod commands;
mod front;
mod payment;
mod way;
mod words;

use std::sync::Arc;
use std::time::Duration;

use amser_roles::domain::{Timestamp, UserId, Wallet};
use amser_roles::sandbox::actions;
use amser_roles::sandbox::world::{Pace, World};
use amser_roles::store::MerchantWallet;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::scene::ANSWER_WITHIN;
use crate::support::until_ready;

/// Longer than anything here takes, so that only a hang reaches it.
const DEADLINE: Duration = Duration::from_secs(60);

/// A sandbox that runs, as `make sandbox` runs it, but with blocks on demand.
struct Play {
    world: Arc<World>,
    stop: CancellationToken,
    service: JoinHandle<anyhow::Result<()>>,
    page: JoinHandle<anyhow::Result<()>>,
}

impl Play {
    async fn start() -> Self {
        Self::at(Pace::OnDemand).await
    }

    async fn at(pace: Pace) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let world = Arc::new(World::build(listener, pace).await.unwrap());
        let lifetime = world.discord.options().interaction_lifetime;
        world.discord.set_interaction_times(ANSWER_WITHIN, lifetime);
        let stop = CancellationToken::new();
        let service = tokio::spawn(world.serve(stop.clone()));
        until_ready(world.public_url()).await;
        let page = tokio::spawn({
            let (world, stop) = (Arc::clone(&world), stop.clone());
            async move { actions::keep(&world, &stop).await }
        });
        let play = Self {
            world,
            stop,
            service,
            page,
        };
        play.shows("/member", "Link your wallet").await;
        play
    }

    /// The merchant has shown their wallet.
    fn show_merchant_wallet(&self) {
        let merchant = self.world.merchant;
        let shown = MerchantWallet {
            wallet: Wallet(self.world.wallet(merchant).address()),
            at: Timestamp(1),
            message: "the signed text".to_owned(),
            signature: vec![1; 65],
        };
        let store = &self.world.store;
        store.set_merchant_wallet(merchant, &shown).unwrap();
    }

    async fn end(self) {
        self.stop.cancel();
        self.page.await.unwrap().unwrap();
        self.service.await.unwrap().unwrap();
        assert_eq!(self.world.discord.violations(), []);
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.world.discord.base_url())
    }

    async fn page(&self, path: &str) -> String {
        let page = reqwest::get(self.url(path)).await.unwrap();
        page.text().await.unwrap()
    }

    /// Waits until a page holds a text.
    async fn shows(&self, path: &str, text: &str) -> String {
        let until = async {
            loop {
                let page = self.page(path).await;
                if page.contains(text) {
                    return page;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let shown = tokio::time::timeout(DEADLINE, until).await;
        match shown {
            Ok(page) => page,
            Err(_) => panic!("{path} never showed {text:?}: {}", self.page(path).await),
        }
    }

    async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let request = crate::support::http::client()
            .post(self.url(path))
            .json(body);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// Presses a button of a member's; what it says.
    async fn act(&self, action: &str, user: UserId) -> (u16, String) {
        let body = json!({ "action": action, "user_id": user });
        said(self.post("/sandbox/actions", &body).await)
    }

    /// The same, when it works; then enough blocks come for it to count.
    async fn done(&self, action: &str, user: UserId) -> String {
        let (status, said) = self.act(action, user).await;
        assert_eq!(status, 200, "{said}");
        self.world.confirm().await.unwrap();
        said
    }

    async fn pass(&self, seconds: u64) -> (u16, String) {
        let body = json!({ "action": "pass_time", "seconds": seconds });
        said(self.post("/sandbox/actions", &body).await)
    }

    async fn role(&self, user: UserId, held: bool) {
        let waited = self.world.wait_for_role(user, held, DEADLINE).await;
        waited.unwrap();
    }
}

fn said((status, body): (u16, Value)) -> (u16, String) {
    let text = body["message"]
        .as_str()
        .or(body["error"]["message"].as_str());
    (status, text.unwrap().to_owned())
}
