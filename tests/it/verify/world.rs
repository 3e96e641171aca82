//! A small world of subscriptions, in place of the roles' loop.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use amser_roles::domain::{
    GateId, GateStanding, GuildId, MemberStanding, ModuleAddress, PlanId, Question, RoleId,
    RoleStanding, Timestamp, Wallet,
};
use amser_roles::store::Store;
use tokio::sync::mpsc;

use super::site::{PLAN, START};

/// Who pays and what Discord shows, in place of the roles' loop.
#[derive(Default)]
pub(crate) struct World {
    /// Wallets with an active subscription.
    pub(crate) paid: Mutex<BTreeSet<Wallet>>,
    /// Whether Discord has been slow to show the role so far.
    pub(crate) slow: AtomicBool,
    /// Whether the server's members were not read yet.
    pub(crate) unread: AtomicBool,
    /// Whether the member holds a role of a gate in another server as well.
    pub(crate) elsewhere: AtomicBool,
    /// Why the role cannot come; it is not held then.
    pub(crate) trouble: Mutex<Option<String>>,
}

pub(crate) struct Standings {
    pub(super) store: Store,
    pub(super) world: Arc<World>,
    pub(super) guild: GuildId,
    pub(super) role: RoleId,
    pub(super) module: ModuleAddress,
}

impl Standings {
    pub(super) async fn answer(self, mut questions: mpsc::Receiver<Question>) {
        while let Some(question) = questions.recv().await {
            let Question::Standing { user, answer } = question else {
                continue;
            };
            let wallets = self.store.wallets_of(user).unwrap();
            let paid = self.world.paid.lock().unwrap().clone();
            let entitled = wallets.iter().any(|wallet| paid.contains(wallet));
            let role = RoleStanding {
                role: self.role,
                name: "Subscriber".to_owned(),
                held: entitled
                    && !self.world.slow.swap(false, Ordering::Relaxed)
                    && self.trouble().is_none(),
            };
            let standing = MemberStanding {
                user,
                wallets,
                now: Timestamp(START),
                gates: match self.world.unread.load(Ordering::Relaxed) {
                    true => Vec::new(),
                    false => self.gates(entitled, role),
                },
            };
            // Whoever asked may have given up.
            let _ = answer.send(standing);
        }
    }

    fn gates(&self, entitled: bool, role: RoleStanding) -> Vec<GateStanding> {
        let here = self.gate(entitled, role);
        let patron = RoleStanding {
            role: RoleId(9),
            name: "Patron".to_owned(),
            held: true,
        };
        let elsewhere = GateStanding {
            gate: GateId(2),
            guild: GuildId(2),
            roles: vec![patron],
            ..here.clone()
        };
        let also = self.world.elsewhere.load(Ordering::Relaxed);
        [here]
            .into_iter()
            .chain(also.then_some(elsewhere))
            .collect()
    }

    fn gate(&self, entitled: bool, role: RoleStanding) -> GateStanding {
        GateStanding {
            gate: GateId(1),
            guild: self.guild,
            module: self.module,
            plans: vec![PlanId::from(PLAN)],
            entitled,
            roles: vec![role],
            subscriptions: Vec::new(),
            trouble: self.trouble(),
        }
    }

    fn trouble(&self) -> Option<String> {
        self.world.trouble.lock().unwrap().clone()
    }
}
