//! PURE. Whether what a second source says contradicts the followed events.

use crate::domain::{Known, Timestamp};

/// So close to the end of access, seconds, sources may differ by the block that they answer for.
const NEAR: u64 = 120;

/// What any source must say that goes by the contract's rules; `None` where it may say either: near the end of access, and
/// where something happened that ends access by some rules (a failed payment, a pause, a cancellation, a block).
pub fn expected(known: &Known, now: Timestamp) -> Option<bool> {
    let Some(until) = known.paid_until else {
        return (!known.is_ambiguous).then_some(false);
    };
    if until.0.abs_diff(now.0) <= NEAR {
        return None;
    }
    match until < now {
        // Whatever happened before: nothing is paid any more.
        true => Some(false),
        false => (!known.is_ambiguous).then_some(true),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn known(paid_until: Option<u64>, is_ambiguous: bool) -> Known {
        Known {
            paid_until: paid_until.map(Timestamp),
            is_ambiguous,
            is_open: false,
        }
    }

    #[test]
    fn what_is_paid_is_active_and_what_is_not_is_not() {
        let now = Timestamp(10_000);
        for (paid_until, is_ambiguous, says) in [
            (None, false, Some(false)),
            (Some(20_000), false, Some(true)),
            (Some(9_000), false, Some(false)),
            // A failed payment within the paid window and its grace: a contract calls that active, the policy need not.
            (Some(20_000), true, None),
            // A pause or a cancellation, and the window is over: only a payment that was missed can make that active.
            (Some(9_000), true, Some(false)),
            // Paid by a plan whose terms are not known.
            (None, true, None),
        ] {
            assert_eq!(expected(&known(paid_until, is_ambiguous), now), says);
        }
    }

    proptest! {
        #[test]
        fn near_the_end_of_access_nothing_is_contradicted(end in 1_000_u64..9_000, off in 0..=NEAR, late in any::<bool>()) {
            let now = if late { end + off } else { end - off };
            prop_assert_eq!(expected(&known(Some(end), false), Timestamp(now)), None);
        }
    }
}
