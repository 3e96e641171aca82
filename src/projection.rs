//! PURE. Folds a subscription's events into its state, and reads from the state until when it gives access.

mod terms;

use alloy::primitives::U256;

use crate::domain::{
    Cause, ChainEvent, EventKind, Mark, ModuleAddress, OnLapse, Plan, Policy, Rules, Subscription,
    SubscriptionId, Timestamp,
};

pub use terms::Terms;

/// Applies one event of a subscription to its state. Events must come in chain order.
///
/// `interval` is that of the subscription's plan in seconds; `None` where the plan is unknown, in which case no failed
/// payment counts, because it cannot be told whether one was due.
pub fn fold(state: &mut Subscription, event: &ChainEvent, interval: Option<u64>, rules: &Rules) {
    let mark = Mark {
        position: event.position,
        transaction: event.transaction,
    };
    match event.kind {
        EventKind::SubscriptionCreated {
            subscriber, plan, ..
        } => state.subscriber = Some((subscriber, plan)),
        EventKind::SubscriptionPaused { .. } => {
            state.paused = Some(mark);
            state.resumed = None;
        }
        EventKind::SubscriptionResumed { .. } => {
            state.paused = None;
            state.resumed = Some(mark);
        }
        EventKind::SubscriptionCancelled { .. } => state.cancelled = Some(mark),
        EventKind::ExecutionExecuted { execution_time, .. } => {
            state.last_paid_at = Some(execution_time);
            state.paid = Some(mark);
            state.failed = None;
            state.paused = None;
            state.resumed = None;
        }
        EventKind::ExecutionFailed { reason, .. } => {
            // Anyone may call `execute`, so a failure counts only when a payment was due at its block and its reason is
            // one of those configured (PROTOCOL.md, "How events change access").
            let due = match (event.timestamp, interval) {
                (Some(now), Some(interval)) => {
                    now >= state.last_paid_at.unwrap_or_default().plus(interval)
                }
                _ => false,
            };
            if rules.counts(reason) && due && state.failed.is_none() {
                state.failed = Some((mark, reason));
            }
        }
        EventKind::SubscriptionExpiryUpdated { expiry, .. } => {
            // Without its block's time nothing can be concluded from it.
            if let Some(now) = event.timestamp {
                state.ended = (expiry <= U256::from(now.0)).then_some(mark);
            }
        }
        EventKind::SubscriptionRecovered { .. }
        | EventKind::PlanCreated { .. }
        | EventKind::PlanStatusChanged { .. }
        | EventKind::SubscriberBlocked { .. }
        | EventKind::SubscriberUnblocked { .. }
        | EventKind::PaymentProcessorUpdated { .. } => {}
    }
}

/// Applies an event of a plan to its terms.
pub fn fold_plan(state: &mut Option<Plan>, event: &ChainEvent) {
    match event.kind {
        EventKind::PlanCreated {
            token,
            price,
            interval,
            grace_period,
            ..
        } => {
            *state = Some(Plan {
                token,
                price,
                interval,
                grace_period,
                active: true,
            });
        }
        EventKind::PlanStatusChanged { active, .. } => {
            if let Some(plan) = state {
                plan.active = active;
            }
        }
        _ => {}
    }
}

/// Applies an event of a subscriber: the mark of the block in force, if any.
pub fn fold_blocked(state: &mut Option<Mark>, event: &ChainEvent) {
    match event.kind {
        EventKind::SubscriberBlocked { .. } => {
            *state = Some(Mark {
                position: event.position,
                transaction: event.transaction,
            });
        }
        EventKind::SubscriberUnblocked { .. } => *state = None,
        _ => {}
    }
}

/// What a subscription gives, before the clock is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Access {
    /// Nothing was ever paid, or the plan or subscriber is not known.
    NeverPaid,
    /// Access up to and including this second of the chain's clock: `last_paid_at + interval + grace_period`.
    Until(Timestamp),
    /// Taken away by an event.
    Shut(Lapse),
}

/// The kinds of events that take access away before the paid window ends, the weightiest last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lapse {
    /// A due payment failed.
    PaymentFailed,
    /// The subscriber paused.
    Paused,
    /// The subscription was cancelled.
    Cancelled,
    /// The merchant blocked the subscriber.
    Blocked,
}

impl Access {
    /// Whether access is open at `now`.
    pub fn is_open(self, now: Timestamp) -> bool {
        matches!(self, Self::Until(until) if until >= now)
    }
}

/// As much of a subscription as the access rule asks for: what is kept of each in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Gist {
    /// Canonical time of the last executed window.
    pub last_paid_at: Option<Timestamp>,
    /// A failed payment that no payment has followed.
    pub failed: bool,
    /// A pause that nothing has lifted.
    pub paused: bool,
    /// It was cancelled, or its expiry was set to the past.
    pub cancelled: bool,
}

impl From<&Subscription> for Gist {
    fn from(subscription: &Subscription) -> Self {
        Self {
            last_paid_at: subscription.last_paid_at,
            failed: subscription.failed.is_some(),
            paused: subscription.paused.is_some(),
            cancelled: subscription.cancellation().is_some(),
        }
    }
}

/// The end of the paid window and its grace; `None` where nothing was ever paid, or the plan is not known.
pub fn paid_until(gist: Gist, plan: Option<&Plan>) -> Option<Timestamp> {
    let (paid_at, plan) = (gist.last_paid_at?, plan?);
    Some(paid_at.plus(plan.interval).plus(plan.grace_period))
}

/// The access rule (PROTOCOL.md, "When a subscriber has access") under the merchant's policy.
///
/// ```text
/// open at now  ⇔  paid once  ∧  last_paid_at + interval + grace + leeway ≥ now  ∧  nothing that the policy revokes on
/// ```
pub fn access(gist: Gist, plan: Option<&Plan>, blocked: bool, policy: &Policy) -> Access {
    let Some(paid_until) = paid_until(gist, plan) else {
        return Access::NeverPaid;
    };
    let revokes = |happened: bool, on_lapse: OnLapse| happened && on_lapse == OnLapse::Revoke;
    if blocked {
        Access::Shut(Lapse::Blocked)
    } else if revokes(gist.cancelled, policy.cancelled) {
        Access::Shut(Lapse::Cancelled)
    } else if revokes(gist.paused, policy.paused) {
        Access::Shut(Lapse::Paused)
    } else if revokes(gist.failed, policy.payment_failed) {
        Access::Shut(Lapse::PaymentFailed)
    } else {
        Access::Until(paid_until.plus(policy.expiry_leeway))
    }
}

/// The receipt for a subscription's access at `now`: which event (or which moment) made it what it is.
///
/// `blocked` is the mark of the merchant's block in force. `None` when the subscription never gave access.
pub fn cause(
    module: ModuleAddress,
    id: SubscriptionId,
    subscription: &Subscription,
    blocked: Option<Mark>,
    access: Access,
    now: Timestamp,
) -> Option<Cause> {
    let (subscriber, plan) = subscription.subscriber?;
    Some(match access {
        Access::NeverPaid => return None,
        Access::Until(at) if at < now => Cause::ExpiredAt {
            module,
            subscription: id,
            at,
        },
        Access::Until(until) => match subscription.resumed {
            Some(mark) => Cause::Resumed {
                module,
                subscription: id,
                mark,
                until,
            },
            None => Cause::Paid {
                module,
                subscription: id,
                plan,
                mark: subscription.paid?,
                until,
            },
        },
        Access::Shut(Lapse::Blocked) => Cause::Blocked {
            module,
            subscriber,
            mark: blocked?,
        },
        Access::Shut(Lapse::Cancelled) => Cause::Cancelled {
            module,
            subscription: id,
            mark: subscription.cancellation()?,
        },
        Access::Shut(Lapse::Paused) => Cause::Paused {
            module,
            subscription: id,
            mark: subscription.paused?,
        },
        Access::Shut(Lapse::PaymentFailed) => {
            let (mark, reason) = subscription.failed?;
            Cause::PaymentFailed {
                module,
                subscription: id,
                mark,
                reason,
            }
        }
    })
}

#[cfg(test)]
mod tests;
