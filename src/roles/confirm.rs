//! PURE. Before a role is taken for want of something, the contracts are asked whether it is really not there: which
//! questions, and what their answers come to.

use crate::domain::{ActiveAnswer, ActiveQuestion, Gate, GateMatch, PlanId, Timestamp, Wallet};
use crate::projection::Access;
use Verdict::{Confirmed, Disputed, Unknown};

/// What the contracts say of one removal, or of a part of it: of a gate, a plan, a wallet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// There is no access by what they say. So it is where there is nothing to ask.
    Confirmed,
    /// There is access: by these, of which the events do not tell.
    Disputed(Vec<ActiveQuestion>),
    /// A node could not say; one sentence.
    Unknown(String),
}

/// A member and the gates of the role that is to be taken.
pub(super) struct Removal<'a, K> {
    pub(super) gates: Vec<&'a Gate>,
    pub(super) wallets: &'a [Wallet],
    /// The best access that the events tell of ([`Access::NeverPaid`]: of none).
    pub(super) known: K,
    /// The chain's clock, less what roles are kept beyond the end of access.
    pub(super) now: Timestamp,
}

impl<K: Fn(&ActiveQuestion) -> Access> Removal<'_, K> {
    /// What to ask. What an event ended is not asked about: a contract may go on to call that active.
    pub(super) fn questions(&self) -> Vec<ActiveQuestion> {
        let gates = self.gates.iter();
        let mut questions: Vec<_> = gates
            .flat_map(|gate| gate.plans.iter().flat_map(|plan| self.about(gate, plan)))
            .filter(|question| self.is_open_question(question))
            .collect();
        questions.sort_unstable();
        questions.dedup();
        questions
    }

    /// Whether the clock ended something that would open a gate. Then an event that ended something else, or what the member
    /// did, is not all that the removal is concluded from.
    pub(super) fn is_by_the_clock(&self) -> bool {
        let questions = self.questions();
        let mut known = questions.iter().map(&self.known);
        known.any(|access| matches!(access, Access::Until(_)))
    }

    /// What the answers to [`Removal::questions`] come to; `None`: a question that was not asked.
    pub(super) fn verdict(
        &self,
        answer: impl Fn(&ActiveQuestion) -> Option<ActiveAnswer>,
    ) -> Verdict {
        let gates = self.gates.iter().map(|gate| {
            let plans = gate.plans.iter().map(|plan| {
                any(self
                    .about(gate, plan)
                    .map(|question| self.is_active(question, &answer)))
            });
            match gate.matching {
                GateMatch::Any => any(plans),
                GateMatch::All => all(plans),
            }
        });
        any(gates)
    }

    fn is_active(
        &self,
        question: ActiveQuestion,
        answer: impl Fn(&ActiveQuestion) -> Option<ActiveAnswer>,
    ) -> Verdict {
        if (self.known)(&question).is_open(self.now) {
            return Disputed(Vec::new());
        }
        if !self.is_open_question(&question) {
            return Confirmed;
        }
        match answer(&question) {
            Some(ActiveAnswer::Active) => Disputed(vec![question]),
            Some(ActiveAnswer::Inactive | ActiveAnswer::NoView) => Confirmed,
            Some(ActiveAnswer::Unknown(why)) => Unknown(why),
            None => Unknown("it was not asked about".to_owned()),
        }
    }

    fn about(&self, gate: &Gate, plan: &PlanId) -> impl Iterator<Item = ActiveQuestion> {
        ActiveQuestion::about(gate.module, *plan, self.wallets)
    }

    fn is_open_question(&self, question: &ActiveQuestion) -> bool {
        match (self.known)(question) {
            Access::NeverPaid => true,
            Access::Until(until) => until < self.now,
            Access::Shut(_) => false,
        }
    }
}

/// One that is disputed is enough.
fn any(verdicts: impl Iterator<Item = Verdict>) -> Verdict {
    verdicts.fold(Confirmed, |so_far, next| match (so_far, next) {
        (Disputed(some), Disputed(more)) => Disputed([some, more].concat()),
        (disputed @ Disputed(_), _) | (_, disputed @ Disputed(_)) => disputed,
        (unknown @ Unknown(_), _) | (_, unknown @ Unknown(_)) => unknown,
        (Confirmed, Confirmed) => Confirmed,
    })
}

/// One that is confirmed is enough.
fn all(verdicts: impl Iterator<Item = Verdict>) -> Verdict {
    verdicts.fold(Disputed(Vec::new()), |so_far, next| match (so_far, next) {
        (Disputed(some), Disputed(more)) => Disputed([some, more].concat()),
        (Confirmed, _) | (_, Confirmed) => Confirmed,
        (unknown @ Unknown(_), _) | (_, unknown @ Unknown(_)) => unknown,
    })
}

#[cfg(test)]
mod tests {
    use alloy::primitives::Address;

    use super::*;
    use crate::domain::{GateId, GateOrigin, GuildId, ModuleAddress, RoleId};
    use crate::projection::Lapse;

    const NOW: Timestamp = Timestamp(100);
    const PAST: Access = Access::Until(Timestamp(99));
    const OPEN: Access = Access::Until(NOW);
    const ENDED: Access = Access::Shut(Lapse::PaymentFailed);

    fn gate(matching: GateMatch, plans: &[u64]) -> Gate {
        Gate {
            id: GateId(1),
            guild: GuildId(1),
            module: ModuleAddress(Address::repeat_byte(1)),
            plans: plans.iter().copied().map(PlanId::from).collect(),
            matching,
            roles: [RoleId(1)].into(),
            origin: GateOrigin::Config,
        }
    }

    fn wallet(byte: u8) -> Wallet {
        Wallet(Address::repeat_byte(byte))
    }

    /// The plan and wallet of each question, and the verdict, where so much is known of a plan, whoever's.
    fn judge(
        gate: &Gate,
        wallets: &[Wallet],
        known: fn(u64) -> Access,
        answer: fn(u64, u8) -> ActiveAnswer,
    ) -> (Vec<(u64, u8)>, Verdict) {
        let key = |question: &ActiveQuestion| (question.plan.0.to::<u64>(), question.wallet.0.0[0]);
        let removal = Removal {
            gates: vec![gate],
            wallets,
            known: |question: &ActiveQuestion| known(key(question).0),
            now: NOW,
        };
        let questions = removal.questions();
        let verdict = removal.verdict(|question| {
            let (plan, wallet) = key(question);
            questions.contains(question).then(|| answer(plan, wallet))
        });
        let mut asked: Vec<_> = questions.iter().map(key).collect();
        asked.sort_unstable();
        (asked, verdict)
    }

    fn disputed(verdict: &Verdict) -> usize {
        match verdict {
            Verdict::Disputed(disputed) => disputed.len(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_ended_by_the_clock_and_what_was_never_paid_is_asked_about() {
        let any = gate(GateMatch::Any, &[1, 2, 3]);
        let known = |plan| [Access::NeverPaid, PAST, ENDED][plan as usize - 1];
        let wallets = [wallet(7), wallet(8)];
        let (asked, verdict) = judge(&any, &wallets, known, |_, _| ActiveAnswer::Inactive);
        assert_eq!(asked, [(1, 7), (1, 8), (2, 7), (2, 8)]);
        assert_eq!(verdict, Verdict::Confirmed);
    }

    #[test]
    fn one_wallet_with_access_disputes_a_removal_and_a_module_without_the_view_does_not() {
        let any = gate(GateMatch::Any, &[1, 2]);
        let wallets = [wallet(7), wallet(8)];
        let answer = |plan, wallet| match (plan, wallet) {
            (2, 8) => ActiveAnswer::Active,
            (1, _) => ActiveAnswer::NoView,
            _ => ActiveAnswer::Unknown("no node".to_owned()),
        };
        let (_, verdict) = judge(&any, &wallets, |_| PAST, answer);
        assert_eq!(disputed(&verdict), 1);
        let (_, verdict) = judge(&any, &wallets, |_| PAST, |_, _| ActiveAnswer::NoView);
        assert_eq!(verdict, Verdict::Confirmed);
    }

    #[test]
    fn a_nodes_trouble_confirms_nothing() {
        let any = gate(GateMatch::Any, &[1, 2]);
        let answer = |plan, _| match plan {
            1 => ActiveAnswer::Inactive,
            _ => ActiveAnswer::Unknown("no node".to_owned()),
        };
        let (_, verdict) = judge(&any, &[wallet(7)], |_| PAST, answer);
        assert_eq!(verdict, Verdict::Unknown("no node".to_owned()));
        // Nothing to ask is no trouble.
        assert_eq!(judge(&any, &[], |_| PAST, answer).1, Verdict::Confirmed);
    }

    #[test]
    fn a_gate_that_needs_all_plans_is_disputed_only_by_all_of_them() {
        let both = gate(GateMatch::All, &[1, 2]);
        let known = |plan| if plan == 1 { OPEN } else { PAST };
        let judged = |answer| judge(&both, &[wallet(7)], known, answer);
        let (asked, verdict) = judged(|_, _| ActiveAnswer::Active);
        assert_eq!(asked, [(2, 7)]);
        assert_eq!(disputed(&verdict), 1);
        assert_eq!(judged(|_, _| ActiveAnswer::Inactive).1, Verdict::Confirmed);
        // What an event ended is not opened by anything.
        let known = |plan| if plan == 1 { ENDED } else { PAST };
        let (_, verdict) = judge(&both, &[wallet(7)], known, |_, _| ActiveAnswer::Active);
        assert_eq!(verdict, Verdict::Confirmed);
    }
}
