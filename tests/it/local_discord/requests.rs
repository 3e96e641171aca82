//! Requests for members over the gateway (opcode 8), as a client sees them without any library.
use amser_roles::domain::UserId;
use amser_roles::sandbox::discord::{LocalDiscord, Options, Rule};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use serenity::model::gateway::GatewayIntents;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::gateway::INTENTS;
use super::{DEADLINE, start};

struct Client(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Client {
    async fn connect(discord: &LocalDiscord) -> Self {
        let url = format!("{}/gateway", discord.base_url().replace("http", "ws"));
        Self(connect_async(url).await.unwrap().0)
    }

    async fn identify(discord: &LocalDiscord, intents: GatewayIntents) -> Self {
        let mut client = Self::connect(discord).await;
        let identify = json!({
            "token": discord.options().token,
            "intents": intents.bits(),
            "properties": { "os": "linux", "browser": "b", "device": "d" },
        });
        client.send(2, &identify).await;
        client
    }

    async fn send(&mut self, op: u8, data: &Value) {
        let payload = json!({ "op": op, "d": data }).to_string();
        self.0.send(Message::Text(payload.into())).await.unwrap();
    }

    /// The next payload; `None` when the connection is closed first.
    async fn next(&mut self) -> Option<Value> {
        let next = tokio::time::timeout(DEADLINE, self.0.next()).await;
        match next.unwrap() {
            Some(Ok(Message::Text(text))) => Some(serde_json::from_str(&text).unwrap()),
            _ => None,
        }
    }

    /// The data of the next event of this name; `None` when the connection is closed first.
    async fn event(&mut self, name: &str) -> Option<Value> {
        loop {
            let mut payload = self.next().await?;
            if payload["t"] == name {
                return Some(payload["d"].take());
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn members_are_found_by_id_without_the_privileged_intent_and_the_others_are_named() {
    let discord = start().await;
    let guild = discord.add_guild("Club");
    let users = discord.add_members(guild, 2).unwrap();
    let mut client = Client::identify(&discord, GatewayIntents::GUILDS).await;
    let stranger = UserId(7);
    let ids = [users[0], stranger, users[1]];
    let asked = json!({ "guild_id": guild, "user_ids": ids, "nonce": "n" });
    client.send(8, &asked).await;
    let chunk = client.event("GUILD_MEMBERS_CHUNK").await.unwrap();
    assert_eq!(chunk["members"].as_array().unwrap().len(), 2);
    assert_eq!(chunk["not_found"], json!([stranger]));
    assert_eq!(chunk["nonce"], "n");
    // The whole list is what the intent is about.
    let whole = json!({ "guild_id": guild, "query": "", "limit": 0 });
    client.send(8, &whole).await;
    assert_eq!(client.event("GUILD_MEMBERS_CHUNK").await, None);
    assert_eq!(discord.violations()[0].rule, Rule::Gateway);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_list_is_sent_once_in_half_a_minute() {
    let discord = start().await;
    let guild = discord.add_guild("Club");
    discord.add_members(guild, 1_500).unwrap();
    let mut client = Client::identify(&discord, INTENTS).await;
    let whole = json!({ "guild_id": guild, "query": "", "limit": 0, "nonce": "again" });
    client.send(8, &whole).await;
    client.send(8, &whole).await;
    for index in 0..2 {
        let chunk = client.event("GUILD_MEMBERS_CHUNK").await.unwrap();
        assert_eq!(chunk["chunk_index"], index);
        assert_eq!(chunk["chunk_count"], 2);
    }
    let limited = client.event("RATE_LIMITED").await.unwrap();
    assert_eq!(
        (&limited["opcode"], &limited["meta"]["nonce"]),
        (&json!(8), &json!("again"))
    );
    let wait = limited["retry_after"].as_f64().unwrap();
    assert!((20.0..=30.0).contains(&wait), "{wait}");
    assert_eq!(discord.violations(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_million_members_are_small_and_found_by_id() {
    let resident = || {
        let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
        pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
    };
    let discord = LocalDiscord::start(Options::default()).await.unwrap();
    let guild = discord.add_guild("Club");
    let before = resident();
    let users = discord.add_members(guild, 500_000).unwrap();
    let taken = resident().saturating_sub(before);
    // With what was needed only to build it.
    assert!(taken < 160 << 20, "{} MB", taken >> 20);
    let mut client = Client::identify(&discord, GatewayIntents::GUILDS).await;
    client.event("GUILD_CREATE").await.unwrap();
    let asked = json!({ "guild_id": guild, "user_ids": &users[499_900..] });
    client.send(8, &asked).await;
    let chunk = client.event("GUILD_MEMBERS_CHUNK").await.unwrap();
    assert_eq!(chunk["members"].as_array().unwrap().len(), 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_whose_intent_was_withdrawn_is_not_resumed() {
    let discord = start().await;
    let mut client = Client::identify(&discord, INTENTS).await;
    let ready = client.event("READY").await.unwrap();
    discord.withdraw_members_intent();
    let mut client = Client::connect(&discord).await;
    let resume = json!({
        "token": discord.options().token,
        "session_id": ready["session_id"],
        "seq": 1,
    });
    client.send(6, &resume).await;
    assert_eq!(client.next().await.unwrap()["op"], 10, "HELLO");
    let answer = client.next().await.unwrap();
    assert_eq!(answer, json!({ "op": 9, "d": false }));
}
