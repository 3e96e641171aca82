//! PURE. What a subscription still allows to be charged, by its own events.

use alloy::primitives::U256;

use crate::domain::{ChainEvent, EventKind, Timestamp};

/// What a subscription allows. Not part of the cached fold: only forecasts ask, about few subscriptions at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// Charges that it allowed at its creation; `None` when that was not seen.
    budget: Option<U256>,
    /// Charges since.
    charged: u64,
    /// Until when (Unix seconds) it allows charges; `None` when neither creation nor change was seen.
    pub expiry: Option<U256>,
    /// When the next charge is due by the last recovery, if no charge followed it.
    recovered_to: Option<Timestamp>,
}

impl Terms {
    /// Applies one event. Events must come in chain order.
    pub fn fold(&mut self, event: &ChainEvent) {
        match event.kind {
            EventKind::SubscriptionCreated {
                execution_budget,
                allowance_expiry,
                ..
            } => {
                self.budget = Some(execution_budget);
                self.expiry = Some(allowance_expiry);
            }
            EventKind::SubscriptionExpiryUpdated { expiry, .. } => self.expiry = Some(expiry),
            EventKind::SubscriptionRecovered { next_charge_at, .. } => {
                let at = u64::try_from(next_charge_at).unwrap_or(u64::MAX);
                self.recovered_to = Some(Timestamp(at));
            }
            EventKind::ExecutionExecuted { execution_time, .. } => {
                self.charged += 1;
                self.recovered_to = None;
                // A charge after the end shows that the number does not mean the end.
                let is_disproved = |expiry: &U256| *expiry < U256::from(execution_time.0);
                self.expiry = self.expiry.filter(|expiry| !is_disproved(expiry));
            }
            _ => {}
        }
    }

    /// How many more charges it allows; `None` when there is no limit, or it is not known.
    pub fn remaining(&self) -> Option<U256> {
        let budget = self.budget.filter(|budget| *budget != U256::MAX)?;
        // More charges than it would allow show that the number does not mean that.
        budget.checked_sub(U256::from(self.charged))
    }

    /// When the next charge is due after a payment for the window that began at `paid_at`.
    pub fn due_at(&self, paid_at: Timestamp, interval: u64) -> Timestamp {
        self.recovered_to.unwrap_or_else(|| paid_at.plus(interval))
    }
}

#[cfg(test)]
mod tests {
    use alloy::primitives::{Address, B256};

    use super::*;
    use crate::domain::{ModuleAddress, PlanId, Position, SubscriptionId, Wallet};

    const ID: SubscriptionId = SubscriptionId(U256::ONE);

    fn after(kinds: &[EventKind]) -> Terms {
        let mut terms = Terms::default();
        for kind in kinds {
            terms.fold(&ChainEvent {
                module: ModuleAddress(Address::ZERO),
                position: Position {
                    block: 1,
                    log_index: 0,
                },
                transaction: B256::ZERO,
                timestamp: None,
                kind: kind.clone(),
            });
        }
        terms
    }

    fn created(budget: U256, expiry: u64) -> EventKind {
        EventKind::SubscriptionCreated {
            subscription: ID,
            subscriber: Wallet(Address::ZERO),
            plan: PlanId(U256::ONE),
            execution_budget: budget,
            allowance_expiry: U256::from(expiry),
        }
    }

    const PAID: EventKind = EventKind::ExecutionExecuted {
        subscription: ID,
        payer: Address::ZERO,
        amount: U256::ONE,
        execution_time: Timestamp(100),
    };

    #[test]
    fn each_payment_uses_up_one_charge_of_the_budget() {
        let terms = after(&[created(U256::from(2), 900), PAID]);
        assert_eq!(terms.remaining(), Some(U256::ONE));
        let terms = after(&[created(U256::from(2), 900), PAID, PAID]);
        assert_eq!(terms.remaining(), Some(U256::ZERO));
        assert_eq!(after(&[created(U256::MAX, 900), PAID]).remaining(), None);
        assert_eq!(
            after(&[PAID]).remaining(),
            None,
            "its creation is not known"
        );
    }

    #[test]
    fn a_limit_that_charges_went_beyond_is_none() {
        let unlimited = after(&[created(U256::ZERO, 0), PAID]);
        assert_eq!((unlimited.remaining(), unlimited.expiry), (None, None));
    }

    #[test]
    fn the_last_change_of_the_expiry_counts() {
        let changed = EventKind::SubscriptionExpiryUpdated {
            subscription: ID,
            expiry: U256::from(700),
        };
        let created = created(U256::MAX, 900);
        assert_eq!(
            after(std::slice::from_ref(&created)).expiry,
            Some(U256::from(900))
        );
        assert_eq!(after(&[created, changed]).expiry, Some(U256::from(700)));
    }

    #[test]
    fn a_recovered_subscription_is_due_when_the_recovery_says_until_it_is_paid() {
        let recovered = EventKind::SubscriptionRecovered {
            subscription: ID,
            next_charge_at: U256::from(555),
        };
        let due = |terms: Terms| terms.due_at(Timestamp(100), 50);
        assert_eq!(due(after(&[PAID])), Timestamp(150));
        assert_eq!(due(after(&[PAID, recovered.clone()])), Timestamp(555));
        assert_eq!(due(after(&[PAID, recovered, PAID])), Timestamp(150));
    }
}
