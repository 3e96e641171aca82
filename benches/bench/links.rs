//! Linking one more wallet where 100,000 are linked: the commit, and until the member's role request reaches Discord.

use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::floors::{Disk, Requests};
use crate::process;
use crate::scene::{Scene, Setup, link_of};
use crate::table::{Table, median, millis};

const LINKED: u64 = 100_000;
const SAMPLES: usize = 50;
/// What a link may cost in bare fsyncs, and the way to Discord in bare fsyncs with a request.
const MOST_SYNCS: f64 = 5.0;
const MOST_REQUESTS: f64 = 10.0;
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
    let written = process::written()?;
    scene.store.link(&link_of(first.0), 1)?;
    let mut disk = Disk::new(scene.folder(), process::written()? - written)?;
    scene.request_after(first.0, Instant::now()).await?;
    let bare = Requests::start().await?;
    let (mut linking, mut requests) = (Vec::new(), Vec::new());
    let (mut syncs, mut bare_requests) = (Vec::new(), Vec::new());
    for (user, _) in counted {
        // Discord's global limit is 50 requests a second; what is measured is not waiting for that.
        tokio::time::sleep(Duration::from_millis(25)).await;
        let started = Instant::now();
        let (synced, after) = tokio::task::spawn_blocking(move || (disk.sync(), disk)).await?;
        disk = after;
        syncs.push(synced?);
        bare.send(user.0).await?;
        bare_requests.push(bare.after(user.0, started).await?);

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
    table.ratio(
        &format!("linking one more wallet to {LINKED}, durable (by the median)"),
        millis(&linking),
        format!("{}: a bare fsync of as many bytes", millis(&syncs)),
        median(&linking) / median(&syncs),
        MOST_SYNCS,
    );
    table.ratio(
        "from before that to the member's role request at Discord (by the median)",
        millis(&requests),
        format!("{}: that fsync and a bare request", millis(&bare_requests)),
        median(&requests) / median(&bare_requests),
        MOST_REQUESTS,
    );
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
