//! Who deserves access, folded anew from the final chain by PROTOCOL.md's words alone: shares no code with the service.

use std::collections::{BTreeMap, BTreeSet};

use alloy::primitives::{Address, U256};
use amser_roles::domain::{ChainEvent, EventKind, UserId};

/// What is known of one subscription.
#[derive(Clone, Debug, Default)]
struct Known {
    subscriber: Address,
    plan: U256,
    last_paid_at: u64,
    failed: bool,
    paused: bool,
    cancelled: bool,
}

/// The chain as far as it was read, under the default policy.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entitled {
    subscriptions: BTreeMap<(Address, U256), Known>,
    /// Interval and grace.
    plans: BTreeMap<(Address, U256), (u64, u64)>,
    blocked: BTreeSet<(Address, Address)>,
}

impl Entitled {
    /// Reads one more event.
    pub(crate) fn read(&mut self, event: &ChainEvent) {
        let module = event.module.0;
        let of = |id: alloy::primitives::U256| (module, id);
        match event.kind {
            EventKind::PlanCreated {
                plan,
                interval,
                grace_period,
                ..
            } => {
                self.plans.insert(of(plan.0), (interval, grace_period));
            }
            EventKind::SubscriptionCreated {
                subscription,
                subscriber,
                plan,
                ..
            } => {
                let known = self.subscriptions.entry(of(subscription.0)).or_default();
                (known.subscriber, known.plan) = (subscriber.0, plan.0);
            }
            EventKind::SubscriptionPaused { subscription } => {
                self.known(of(subscription.0)).paused = true;
            }
            EventKind::SubscriptionResumed { subscription } => {
                self.known(of(subscription.0)).paused = false;
            }
            EventKind::SubscriptionCancelled { subscription } => {
                self.known(of(subscription.0)).cancelled = true;
            }
            EventKind::ExecutionExecuted {
                subscription,
                execution_time,
                ..
            } => {
                let known = self.known(of(subscription.0));
                known.last_paid_at = execution_time.0;
                (known.failed, known.paused) = (false, false);
            }
            EventKind::ExecutionFailed {
                subscription,
                reason,
            } => {
                let plan = self.known(of(subscription.0)).plan;
                let interval = self.plans.get(&(module, plan)).map(|plan| plan.0);
                let known = self.known(of(subscription.0));
                // Expired, Exhausted, InsufficientAllowance, InsufficientBalance, TransferFailed, WindowMissed.
                let counts = matches!(reason.0, 4 | 5 | 7 | 8 | 9 | 11);
                let due = event
                    .timestamp
                    .zip(interval)
                    .is_some_and(|(now, interval)| now.0 >= known.last_paid_at + interval);
                known.failed |= counts && due;
            }
            EventKind::SubscriberBlocked { subscriber } => {
                self.blocked.insert((module, subscriber.0));
            }
            EventKind::SubscriberUnblocked { subscriber } => {
                self.blocked.remove(&(module, subscriber.0));
            }
            _ => {}
        }
    }

    fn known(&mut self, id: (Address, U256)) -> &mut Known {
        self.subscriptions.entry(id).or_default()
    }

    /// The owners of wallets with access to any plan of the module at this moment.
    pub(crate) fn members(
        &self,
        module: Address,
        links: &BTreeMap<Address, UserId>,
        now: u64,
    ) -> BTreeSet<UserId> {
        let open = self.subscriptions.iter().filter(|((of, _), known)| {
            let (interval, grace) = self
                .plans
                .get(&(*of, known.plan))
                .copied()
                .unwrap_or_default();
            *of == module
                && known.last_paid_at > 0
                && known.last_paid_at + interval + grace >= now
                && !(known.failed || known.paused || known.cancelled)
                && !self.blocked.contains(&(*of, known.subscriber))
        });
        open.filter_map(|(_, known)| links.get(&known.subscriber).copied())
            .collect()
    }
}
