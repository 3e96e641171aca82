//! Every contract rule of PROTOCOL.md, against a real anvil.

use amser_roles::sandbox::chain::{ChainOptions, LocalChain, PlanTerms, wallet};

#[tokio::test]
async fn smoke() {
    let start = std::time::Instant::now();
    let chain = LocalChain::start(ChainOptions::default()).await.unwrap();
    println!("started {:?}", start.elapsed());
    let merchant = wallet("merchant").address();
    let module = chain.deploy_module(merchant).await.unwrap();
    let plan = chain
        .create_plan(
            module,
            PlanTerms {
                price: 5_000_000,
                interval: 3600,
                grace_period: 600,
            },
        )
        .await
        .unwrap();
    let member = wallet("member").address();
    chain.fund(member, 100_000_000).await.unwrap();
    let id = chain.subscribe(module, member, plan).await.unwrap();
    assert!(!chain.is_active(module, member, plan).await.unwrap());
    let done = chain.execute(module, id).await.unwrap();
    assert_eq!(done.reason, 0);
    assert!(chain.is_active(module, member, plan).await.unwrap());
    println!("paid {:?}", start.elapsed());
    let error = chain.subscribe(module, member, plan).await.unwrap_err();
    println!("{error:#}");
    let again = chain.execute(module, id).await.unwrap();
    println!("{:?} {:?}", again.reason, chain.head().await.unwrap());
    let h = chain.head().await.unwrap();
    chain.pause(module, id).await.unwrap();
    println!("{:?}", chain.reorg(5, vec![]).await.unwrap());
    assert_ne!(h.hash, chain.block(h.number).await.unwrap().hash);
    println!("{:?}", chain.rollback(3).await.unwrap());
    println!("{:?}", chain.advance_time(100000).await.unwrap());
    println!("{:?}", chain.mine(3).await.unwrap());
    println!("all {:?}", start.elapsed());
}
