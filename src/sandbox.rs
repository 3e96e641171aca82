//! Everything on this machine, no account needed: the local chain, the local Discord, and the service on both.

pub mod actions;
pub mod amser_api;
pub mod chain;
pub mod discord;
mod front;
mod guide;
pub mod log_node;
pub mod page;
mod picture;
mod story;
mod timeline;
mod words;
pub mod world;

use std::net::SocketAddr;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use world::{Pace, World};

/// Runs the sandbox until `stop`, or with `once` plays one subscriber's life and returns.
///
/// # Errors
/// When a part cannot start, or a step of the life did not hold.
pub async fn run(listen: SocketAddr, once: bool, stop: CancellationToken) -> anyhow::Result<()> {
    // One life needs no fixed address; two sandboxes must not meet on it.
    let listen = if once {
        SocketAddr::from(([127, 0, 0, 1], 0))
    } else {
        listen
    };
    let listener = TcpListener::bind(listen).await.with_context(|| {
        format!("cannot listen on {listen}; choose another address with --listen")
    })?;
    let pace = if once {
        Pace::OnDemand
    } else {
        Pace::EveryTwoSeconds
    };
    let world = World::build(listener, pace).await?;
    let service_stop = stop.child_token();
    let service = world.serve(service_stop.clone());
    let played = async {
        let result = if once {
            story::play(&world).await
        } else {
            actions::serve(&world, &stop).await
        };
        service_stop.cancel();
        result
    };
    tokio::pin!(service, played);
    tokio::select! {
        ended = &mut service => {
            // The service ends first only when it failed or was stopped from outside.
            ended.and_then(|()| if stop.is_cancelled() { Ok(()) } else { Err(anyhow::anyhow!("the service stopped early")) })
        }
        result = &mut played => {
            service.await?;
            result
        }
    }
}
