//! Linking one more wallet where 100,000 are linked: the commit, and until the member's role request reaches Discord.

use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::scene::{Scene, Setup, link_of};
use crate::table::{Table, percentile};

const LINKED: u64 = 100_000;
const SAMPLES: usize = 50;
const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) async fn links(table: &mut Table) -> anyhow::Result<()> {
    let setup = Setup {
        members: 1 + SAMPLES,
        others: LINKED,
        ..Setup::default()
    };
    let scene = Scene::build(setup, |chain| chain.ws_url()).await?;
    for (_, subscription) in &scene.members {
        scene.chain.execute(scene.module, *subscription).await?;
    }
    scene.ready().await?;
    read_up_to(&scene, scene.chain.head().await?.number).await?;
    // The first is not counted: after a start, grants wait until the server's 100,000 members are read.
    let (first, counted) = scene.members.split_first().context("there are members")?;
    scene.store.link(&link_of(first.0), 1)?;
    scene.request_after(first.0, Instant::now()).await?;
    let (mut linking, mut requests) = (Vec::new(), Vec::new());
    for (user, _) in counted {
        // Discord's global limit is 50 requests a second; what is measured is not waiting for that.
        tokio::time::sleep(Duration::from_millis(25)).await;
        let (store, link) = (scene.store.clone(), link_of(*user));
        let started = Instant::now();
        tokio::task::spawn_blocking(move || store.link(&link, 1)).await??;
        linking.push(started.elapsed().as_secs_f64() * 1e3);
        requests.push(scene.request_after(*user, started).await?);
    }
    anyhow::ensure!(
        scene.store.link_count()? == LINKED + scene.members.len() as u64,
        "every link is stored"
    );
    scene.end().await?;
    let mut row = |what: &str, millis: &mut [f64], bound: f64| {
        let (p50, p99) = (percentile(millis, 50), percentile(millis, 99));
        table.row(
            what,
            format!("p50 {p50:.1} ms, p99 {p99:.1} ms"),
            &format!("p99 ≤ {bound:.0} ms"),
            p99 <= bound,
        );
    };
    let what = format!("linking one more wallet to {LINKED}, durable");
    row(&what, &mut linking, 20.0);
    let what = "from before that to the member's role request at Discord";
    row(what, &mut requests, 200.0);
    Ok(())
}

/// Waits until the service has read the chain up to a block.
async fn read_up_to(scene: &Scene, block: u64) -> anyhow::Result<()> {
    let read = async {
        while scene
            .store
            .cursor()?
            .is_none_or(|cursor| cursor.number < block)
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(DEADLINE, read)
        .await
        .context("the chain is not read in time")?
}
