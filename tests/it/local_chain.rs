//! The local chain itself: its clock, its reorganisations, and that it never outlives the process that started it.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use alloy::eips::BlockNumberOrTag;
use alloy::primitives::U256;
use alloy::providers::{Provider, ProviderBuilder};
use amser_roles::abi::{PaymentProcessor, SubscriptionModule};
use amser_roles::sandbox::chain::{
    ChainOptions, LocalChain, PlanTerms, keeper, transaction, wallet,
};
use anyhow::{Context, Result, ensure};

const TERMS: PlanTerms = PlanTerms {
    price: 1_000_000,
    interval: 3600,
    grace_period: 600,
};
/// Longer than anything here takes, so that only a hang reaches it.
const DEADLINE: Duration = Duration::from_secs(60);
/// Tells the copy of this test binary that a test starts to hold a chain until it is killed.
const HOLD_A_CHAIN: &str = "AMSER_ROLES_TEST_HOLD_A_CHAIN";

#[tokio::test]
async fn it_answers_over_http_and_ws_with_its_chain_id() -> Result<()> {
    let chain = LocalChain::start(ChainOptions {
        chain_id: 84_532,
        ..ChainOptions::default()
    })
    .await?;
    let http = ProviderBuilder::new().connect(&chain.http_url()).await?;
    assert_eq!(http.get_chain_id().await?, 84_532);
    let ws = ProviderBuilder::new().connect(&chain.ws_url()).await?;
    let mut blocks = ws.subscribe_blocks().await?;
    let mined = chain.mine(1).await?;
    let seen = tokio::time::timeout(DEADLINE, blocks.recv()).await??;
    assert_eq!((seen.number, seen.hash), (mined.number, mined.hash));
    Ok(())
}

#[tokio::test]
async fn blocks_are_two_seconds_apart_and_the_clock_can_be_set_forward() -> Result<()> {
    let chain = LocalChain::start(ChainOptions::default()).await?;
    let start = chain.head().await?;
    let mined = chain.mine(10).await?;
    assert_eq!(
        (mined.number, mined.timestamp),
        (start.number + 10, start.timestamp + 20)
    );
    let later = chain.advance_time(86_400).await?;
    assert_eq!(
        (later.number, later.timestamp),
        (mined.number + 1, mined.timestamp + 86_400)
    );
    assert_eq!(chain.mine(1).await?.timestamp, later.timestamp + 2);
    Ok(())
}

#[tokio::test]
async fn a_reorg_replaces_blocks_and_what_was_in_them() -> Result<()> {
    let chain = LocalChain::start(ChainOptions::default()).await?;
    let merchant = wallet("merchant").address();
    let module = chain.deploy_module(merchant).await?;
    let plan = chain.create_plan(module, TERMS).await?;
    let member = wallet("member").address();
    chain.fund(member, 10_000_000).await?;
    let id = chain.subscribe(module, member, plan).await?;
    let kept = chain.head().await?;
    ensure!(
        chain.execute(module, id).await?.reason == 0,
        "the first payment failed"
    );
    let old = chain.mine(4).await?;
    assert!(chain.is_active(module, member, plan).await?);

    let new = chain.reorg(5, vec![]).await?;
    assert_eq!(new.number, old.number);
    assert_ne!(new.hash, old.hash);
    assert_eq!(chain.block(kept.number).await?.hash, kept.hash);
    assert!(!chain.is_active(module, member, plan).await?);

    let pay = transaction(
        keeper(),
        chain.processor,
        &PaymentProcessor::executeCall { module, id },
    );
    let pause = transaction(
        member,
        module,
        &SubscriptionModule::pauseSubscriptionCall { subId: id },
    );
    chain.reorg(5, vec![(pay.clone(), 1), (pause, 3)]).await?;
    assert!(!chain.is_active(module, member, plan).await?);
    let state = chain.subscription(module, id).await?;
    assert_eq!(
        state.lastPaidAt,
        chain.block(kept.number + 2).await?.timestamp
    );
    chain.reorg(2, vec![]).await?;
    assert!(chain.is_active(module, member, plan).await?);

    let back = chain.rollback(5).await?;
    assert_eq!(back, kept);
    assert_eq!(
        chain
            .provider()
            .get_block_by_number(BlockNumberOrTag::Number(kept.number + 1))
            .await?,
        None
    );
    assert!(!chain.is_active(module, member, plan).await?);
    ensure!(
        chain.execute(module, id).await?.reason == 0,
        "the chain goes on after a rollback"
    );
    Ok(())
}

#[tokio::test]
async fn a_reorg_can_be_deeper_than_sixty_four_blocks() -> Result<()> {
    let chain = LocalChain::start(ChainOptions::default()).await?;
    let kept = chain.head().await?;
    let old = chain.mine(300).await?;
    let new = chain.reorg(300, vec![]).await?;
    assert_eq!(new.number, old.number);
    assert_ne!(chain.block(kept.number + 1).await?.hash, old.hash);
    assert_eq!(chain.block(kept.number).await?, kept);
    chain.deploy_module(wallet("merchant").address()).await?;
    Ok(())
}

#[tokio::test]
async fn blocks_come_at_intervals_when_asked() -> Result<()> {
    let options = ChainOptions {
        block_time_seconds: Some(1),
        ..ChainOptions::default()
    };
    let chain = LocalChain::start(options).await?;
    let start = chain.head().await?.number;
    let module = chain.deploy_module(wallet("merchant").address()).await?;
    let plan = chain.create_plan(module, TERMS).await?;
    assert_eq!(plan, U256::ONE);
    assert!(chain.head().await?.number >= start + 2);
    chain.set_block_time(0).await?;
    let head = chain.head().await?.number;
    chain.create_plan(module, TERMS).await?;
    assert_eq!(chain.head().await?.number, head + 1);
    Ok(())
}

#[tokio::test]
async fn dropping_it_stops_anvil() -> Result<()> {
    let chain = LocalChain::start(ChainOptions::default()).await?;
    let address: SocketAddr = chain.http_url().trim_start_matches("http://").parse()?;
    TcpStream::connect(address)?;
    drop(chain);
    assert!(TcpStream::connect(address).is_err());
    Ok(())
}

#[tokio::test]
async fn a_killed_process_leaves_no_anvil_behind() -> Result<()> {
    if std::env::var_os(HOLD_A_CHAIN).is_some() {
        let chain = LocalChain::start(ChainOptions::default()).await?;
        println!("\nholding {}", chain.http_url());
        std::future::pending::<()>().await;
    }
    let mut holder = Command::new(std::env::current_exe()?)
        .args([
            "--exact",
            "local_chain::a_killed_process_leaves_no_anvil_behind",
            "--nocapture",
        ])
        .env(HOLD_A_CHAIN, "1")
        .stdout(Stdio::piped())
        .spawn()?;
    let output = BufReader::new(holder.stdout.take().context("the output is piped")?);
    let address: Option<SocketAddr> =
        output
            .lines()
            .map_while(std::io::Result::ok)
            .find_map(|line| {
                line.strip_prefix("holding http://")
                    .and_then(|address| address.parse().ok())
            });
    let connected = address.map(TcpStream::connect);
    // SIGKILL: nothing in that process runs any more.
    holder.kill()?;
    holder.wait()?;
    let address = address.context("the other process started no chain")?;
    connected.context("no address")??;
    let deadline = Instant::now() + DEADLINE;
    while TcpStream::connect(address).is_ok() {
        ensure!(
            Instant::now() < deadline,
            "anvil still listens on {address}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}
