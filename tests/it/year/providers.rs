//! The two providers of the club's host, and what goes wrong with them.

use amser_roles::sandbox::chain::{ChainOptions, LocalChain};
use rand::Rng as _;
use rand::rngs::StdRng;

use crate::support::rpc_proxy::{Faults, Refusal, RpcProxy};

/// Something that goes wrong with one of them.
type Trouble = (&'static str, fn(&Providers, &RpcProxy));

const TROUBLES: &[Trouble] = &[
    ("it is gone", |_, one| {
        one.set(|faults| faults.dead = true);
        one.cut_websockets();
    }),
    ("its websocket is cut", |_, one| one.cut_websockets()),
    ("status 503", |_, one| {
        one.set(|faults| faults.status = Some(503))
    }),
    ("429", |_, one| {
        one.set(|faults| (faults.too_many, faults.retry_after) = (3, 1));
    }),
    ("[] for the newest block", |_, one| {
        one.set(|faults| faults.without_logs = 5)
    }),
    ("[] for everything", |_, one| {
        one.set(|faults| faults.hidden = Some((0, u64::MAX)));
    }),
    ("null for logs", |_, one| {
        one.set(|faults| faults.nulls = Some(("eth_getLogs", 5)));
    }),
    ("null for blocks", |_, one| {
        one.set(|faults| faults.nulls = Some(("eth_getBlockByNumber", 5)));
    }),
    ("another chain answers", |providers, one| {
        one.point_at(&providers.foreign);
        one.cut_websockets();
    }),
    ("it lags behind", |_, one| one.set(|faults| faults.lag = 8)),
    ("it pushes no heads", |_, one| {
        one.set(|faults| faults.silent = true)
    }),
    ("every third call fails", |_, one| {
        one.set(|faults| faults.flaky = 3)
    }),
    ("narrow ranges", |_, one| {
        let refusal = Refusal::new(2, -32005, "block range is too wide");
        one.set(|faults| faults.range_limit = Some(refusal));
    }),
];

/// The nodes that the service is told of.
pub(super) struct Providers {
    both: [RpcProxy; 2],
    /// A node of a chain that has nothing to do with the club's.
    foreign: LocalChain,
}

impl Providers {
    pub(super) async fn start(chain: &LocalChain) -> Self {
        let foreign = LocalChain::start(ChainOptions {
            chain_id: 5,
            ..ChainOptions::default()
        });
        let foreign = foreign.await.unwrap();
        foreign.mine(40).await.unwrap();
        let both = [RpcProxy::start(chain).await, RpcProxy::start(chain).await];
        Self { both, foreign }
    }

    /// Where they are, in order of preference: a websocket, then HTTP.
    pub(super) fn urls(&self) -> Vec<String> {
        vec![self.both[0].ws_url(), self.both[1].http_url()]
    }

    /// On most days something goes wrong with one of them, or with each; what.
    pub(super) fn fail(&self, dice: &mut StdRng) -> String {
        let mut what = Vec::new();
        for (number, one) in self.both.iter().enumerate() {
            if dice.random_bool(0.4) {
                let (name, trouble) = TROUBLES[dice.random_range(0..TROUBLES.len())];
                trouble(self, one);
                what.push(format!("provider {number}: {name}"));
            }
        }
        format!("{what:?}")
    }

    /// One of them works again, and none hides anything any more. A node that says of its newest blocks that nothing is in
    /// them is found out by asking again, by the machine's clock: within a real day that happens thousands of times, within
    /// a day here not once.
    pub(super) fn mend_one(&self, chain: &LocalChain, dice: &mut StdRng) {
        mend(&self.both[dice.random_range(0..2)], chain);
        for one in &self.both {
            one.set(|faults| (faults.hidden, faults.without_logs) = (None, 0));
        }
    }

    /// Both work.
    pub(super) fn mend_all(&self, chain: &LocalChain) {
        for one in &self.both {
            mend(one, chain);
        }
    }
}

fn mend(one: &RpcProxy, chain: &LocalChain) {
    one.point_at(chain);
    one.set(|faults| *faults = Faults::default());
}
