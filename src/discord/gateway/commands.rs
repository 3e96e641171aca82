//! Hands commands and buttons to the serenity framework that answers them.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::extract::WebSocketUpgrade;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;
use serenity::all::{ClientBuilder, Context, FullEvent, GatewayIntents, Interaction, Ready};
use serenity::all::{ShardId, ShardInfo, ShardMessenger};
use serenity::async_trait;
use serenity::framework::Framework;
use serenity::gateway::{Shard, ShardRunner, ShardRunnerOptions};
use serenity::http::{Http, HttpBuilder};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::discord::Settings;
use crate::http::local_client;

/// How long handlers under way may take after the stop.
const GOODBYE: Duration = Duration::from_secs(3);

/// A framework that answers no commands.
#[derive(Clone, Copy, Debug)]
pub struct NoCommands;

#[async_trait]
impl Framework for NoCommands {
    async fn dispatch(&self, _: Context, _: FullEvent) {}
}

/// Dispatches interactions until there are no more.
///
/// # Errors
/// When the framework cannot be set up.
pub(super) async fn dispatch<F: Framework + 'static>(
    mut framework: F,
    settings: &Settings,
    http: Http,
    mut interactions: mpsc::UnboundedReceiver<Interaction>,
) -> anyhow::Result<()> {
    let context = context(&mut framework, Arc::new(http))
        .await
        .context("cannot set up the commands")?;
    let framework = Arc::new(framework);
    let data_about_bot = about_bot(settings).context("cannot set up the commands")?;
    framework
        .dispatch(context.clone(), FullEvent::Ready { data_about_bot })
        .await;
    let mut under_way = JoinSet::new();
    while let Some(interaction) = interactions.recv().await {
        while under_way.try_join_next().is_some() {}
        let (framework, context) = (Arc::clone(&framework), context.clone());
        under_way.spawn(async move {
            let event = FullEvent::InteractionCreate { interaction };
            framework.dispatch(context, event).await;
        });
    }
    // Those that take longer are dropped.
    let rest = async { while under_way.join_next().await.is_some() {} };
    let _late = tokio::time::timeout(GOODBYE, rest).await;
    Ok(())
}

/// What a framework is told at the beginning. poise sets itself up then, and looks at nothing of it but the bot's id.
fn about_bot(settings: &Settings) -> serde_json::Result<Ready> {
    let id = settings.application_id.to_string();
    serde_json::from_value(json!({
        "v": 10,
        "user": { "id": id, "username": "bot", "discriminator": "0", "avatar": null, "bot": true },
        "guilds": [],
        "session_id": "",
        "resume_gateway_url": "",
        "application": { "id": id, "flags": 0 },
    }))
}

/// The context that handlers get. serenity makes one, and the client that a framework is initialised with, only beside a
/// gateway connection of its own; so it gets a connection to a gateway on this machine that says nothing. Answers to
/// commands go through `http` alone.
async fn context<F: Framework>(framework: &mut F, http: Arc<Http>) -> anyhow::Result<Context> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let url = format!("ws://{address}/gateway");
    let silent = Router::new()
        .route(
            "/gateway",
            get(|upgrade: WebSocketUpgrade| async { upgrade.on_upgrade(|_closes| async {}) }),
        )
        .route(
            "/api/v10/gateway",
            get(move || async move { Json(json!({ "url": url })) }),
        );
    let mut server = JoinSet::new();
    server.spawn(async move { axum::serve(listener, silent).await });
    let no_token = HttpBuilder::new("none")
        .client(local_client().build()?)
        .proxy(format!("http://{address}"))
        .ratelimiter_disabled(true)
        .build();
    let none = GatewayIntents::empty();
    let client = ClientBuilder::new_with_http(no_token, none).await?;
    framework.init(&client).await;
    let info: ShardInfo = serde_json::from_str("[0,1]")?;
    let shard = Shard::new(Arc::clone(&client.ws_url), "none", info, none, None).await?;
    let runner = ShardRunner::new(ShardRunnerOptions {
        data: Arc::clone(&client.data),
        event_handlers: Vec::new(),
        raw_event_handlers: Vec::new(),
        framework: None,
        manager: Arc::clone(&client.shard_manager),
        shard,
        cache: Arc::clone(&client.cache),
        http: Arc::clone(&http),
    });
    Ok(Context {
        data: Arc::clone(&client.data),
        shard: ShardMessenger::new(&runner),
        shard_id: ShardId(0),
        http,
        cache: Arc::clone(&client.cache),
    })
}
