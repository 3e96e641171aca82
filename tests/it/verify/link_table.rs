//! A large link table does not slow one more link down.

use std::time::{Duration, Instant};

use alloy::primitives::{Address, U160};
use amser_roles::domain::{Link, Timestamp, UserId, Wallet};
use amser_roles::store::{LinkOutcome, Store};

const WALLETS: u64 = 100_000;

/// On a machine that takes long for a commit of any kind, so many times what an almost empty table takes.
const TIMES: u32 = 5;

#[tokio::test]
async fn linking_one_more_wallet_to_a_hundred_thousand_takes_at_most_20_ms() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let filler = path.clone();
    let fill = move || {
        let store = Store::open(&filler).unwrap();
        let links: Vec<_> = (0..WALLETS)
            .map(|n| Link {
                user: UserId(1 + n / 2),
                wallet: Wallet(Address::from(U160::from(n + 1) << 120)),
                linked_at: Timestamp(1),
                proof: Some(("m".repeat(400), vec![1; 65])),
            })
            .collect();
        store.link_all(&links, 5).unwrap();
        assert_eq!(store.link_count().unwrap(), WALLETS);
        store
    };
    let store = tokio::task::spawn_blocking(fill).await.unwrap();
    let mut next = 0_u8;
    let mut alone = |store: &Store| {
        let mut took: Vec<_> = (0..20)
            .map(|_| {
                next += 1;
                let link = Link {
                    user: UserId(700_000 + u64::from(next)),
                    wallet: Wallet(Address::repeat_byte(next)),
                    linked_at: Timestamp(1),
                    proof: Some(("m".repeat(400), vec![1; 65])),
                };
                let started = Instant::now();
                assert_eq!(store.link(&link, 5).unwrap(), LinkOutcome::Linked);
                started.elapsed()
            })
            .collect();
        took.sort();
        took
    };
    let small = Store::open(&folder.path().join("small.redb")).unwrap();
    // Other work on this machine can only make a round slower: the best of up to five counts.
    let best = (0..5).find_map(|_| {
        let limit = Duration::from_millis(20).max(TIMES * alone(&small)[10]);
        Some(alone(&store)).filter(|took| took[10] <= limit)
    });
    let best = best.expect("the median of a round is at most 20 ms, or near that of a small table");
    println!("store.link: median {:?}, slowest {:?}", best[10], best[19]);
}
