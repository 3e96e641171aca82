//! How a role was decided, step by step: the lower part of `/why`.

use super::command::{moment, short_wallet};
use super::status::shown;
use crate::domain::{
    ActiveAnswer, ActiveQuestion, Checkpoint, GateMatch, GateStanding, JournalEntry, Mark,
    ModuleAddress, OnLapse, Outcome, Policy, RoleAction, SourcesSay, SubscriptionId,
    SubscriptionStanding,
};

/// Subscriptions that are told about; a gate that asks for several plans needs as many.
const MOST: usize = 3;

/// From the wallet to what Discord answered, and what each source says of access.
pub(crate) struct Trail<'a> {
    /// The gate that gives the role.
    pub(crate) gate: &'a GateStanding,
    /// How many of its plans are needed.
    pub(crate) matching: GateMatch,
    /// The server's policy.
    pub(crate) policy: &'a Policy,
    /// The last payment of a subscription.
    pub(crate) paid: &'a dyn Fn(ModuleAddress, SubscriptionId) -> Option<Mark>,
    /// The newest answer of Discord about this role and member.
    pub(crate) answered: Option<&'a JournalEntry>,
    /// The newest block whose events count.
    pub(crate) confirmed: Option<Checkpoint>,
    /// What contract and API say.
    pub(crate) sources: &'a dyn Fn(&ActiveQuestion) -> Option<SourcesSay>,
}

/// The subscriptions that are told about: those that give access, else the newest.
pub(crate) fn told(gate: &GateStanding) -> Vec<&SubscriptionStanding> {
    let mut told = shown(&gate.subscriptions);
    told.truncate(MOST);
    told
}

/// The gate that is told about: one that gives the role, else one with a subscription.
pub(crate) fn told_gate<'a>(gates: &[&'a GateStanding]) -> Option<&'a GateStanding> {
    let rank = |gate: &&&GateStanding| (gate.entitled, !gate.subscriptions.is_empty());
    // Of several the first: `max_by_key` takes the last.
    gates.iter().rev().max_by_key(rank).copied()
}

/// What is asked of contract and API about a subscription.
pub(crate) fn question(gate: &GateStanding, one: &SubscriptionStanding) -> ActiveQuestion {
    ActiveQuestion {
        module: gate.module,
        wallet: one.wallet,
        plan: one.plan,
    }
}

pub(super) fn trail(trail: &Trail<'_>) -> Vec<String> {
    let mut lines = vec!["How it was decided:".to_owned()];
    for one in told(trail.gate) {
        lines.push(format!(
            "• Wallet {}, subscription {} to plan {}",
            short_wallet(one.wallet),
            one.subscription,
            one.plan
        ));
        lines.push(payment(
            one,
            (trail.paid)(trail.gate.module, one.subscription),
        ));
        let events = match trail.confirmed {
            Some(block) => format!(
                "• Events up to block {}: {}",
                block.number,
                access(one.open)
            ),
            None => format!("• Events: {}", access(one.open)),
        };
        lines.push(events);
        if let Some(said) = (trail.sources)(&question(trail.gate, one)) {
            lines.extend(sources(&said));
        }
    }
    lines.push(format!("• Rule: {} the role", rule(trail)));
    lines.push(format!("• Policy: {}", policy(trail.policy)));
    lines.extend(trail.answered.map(answer));
    lines
}

fn payment(one: &SubscriptionStanding, paid: Option<Mark>) -> String {
    let (Some(mark), Some(until)) = (paid, one.paid_until) else {
        return "• No payment yet".to_owned();
    };
    let grace = one.access_until.filter(|access| *access > until);
    let grace = grace.map_or_else(String::new, |end| format!(", grace until {}", moment(end)));
    format!(
        "• Last payment in block {}, transaction `{}`: paid until {}{grace}",
        mark.position.block,
        mark.transaction,
        moment(until)
    )
}

fn access(is_open: bool) -> &'static str {
    if is_open { "access" } else { "no access" }
}

fn sources(said: &SourcesSay) -> Vec<String> {
    let contract = match &said.contract {
        ActiveAnswer::Active => access(true),
        ActiveAnswer::Inactive => access(false),
        ActiveAnswer::NoView => "can't be asked",
        // The reason can name the operator's node.
        ActiveAnswer::Unknown(_) => "did not answer",
    };
    let mut lines = vec![match said.block {
        0 => format!("• Contract: {contract}"),
        block => format!("• Contract at block {block}: {contract}"),
    }];
    lines.extend(said.api.map(|(is_active, at)| {
        format!("• amser's API, asked {}: {}", moment(at), access(is_active))
    }));
    lines
}

fn rule(trail: &Trail<'_>) -> String {
    let plans: Vec<_> = trail.gate.plans.iter().map(ToString::to_string).collect();
    let listed = plans.join(", ");
    match (trail.matching, plans.len()) {
        (_, 1) => format!("plan {listed} gives"),
        (GateMatch::Any, _) => format!("any of the plans {listed} gives"),
        (GateMatch::All, _) => format!("the plans {listed} together give"),
    }
}

/// What ends access at once, and what only when the paid time is over.
fn policy(policy: &Policy) -> String {
    let kinds = [
        ("a failed payment", policy.payment_failed),
        ("a pause", policy.paused),
        ("a cancellation", policy.cancelled),
    ];
    let of = |wanted: OnLapse| {
        let of = kinds.iter().filter(|(_, on_lapse)| *on_lapse == wanted);
        of.map(|(what, _)| *what).collect::<Vec<_>>().join(" or ")
    };
    let (at_once, later) = (of(OnLapse::Revoke), of(OnLapse::KeepUntilExpiry));
    match (at_once.is_empty(), later.is_empty()) {
        (false, true) => format!("{at_once} removes it at once"),
        (true, _) => format!("after {later} it stays until the paid time ends"),
        (false, false) => {
            format!("{at_once} removes it at once; after {later} it stays until the paid time ends")
        }
    }
}

fn answer(entry: &JournalEntry) -> String {
    let at = moment(entry.at);
    match (&entry.outcome, entry.change.action) {
        (Outcome::Done, RoleAction::Grant) => format!("• Discord gave it {at}"),
        (Outcome::Done, RoleAction::Revoke) => format!("• Discord removed it {at}"),
        (Outcome::Failed { code, message }, _) => format!(
            "• Discord refused {at}: {}{}",
            super::command::plain(message),
            match code {
                0 => String::new(),
                code => format!(" (code {code})"),
            }
        ),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use alloy::primitives::{Address, B256};

    use super::*;
    use crate::domain::{GateId, GuildId, PlanId, Position, Timestamp, Wallet};

    /// A gate that asks for both plans, with a subscription to the first.
    pub(in crate::text) fn gate(open: bool) -> GateStanding {
        GateStanding {
            gate: GateId(1),
            guild: GuildId(5),
            module: ModuleAddress(Address::ZERO),
            plans: vec![PlanId::from(1), PlanId::from(2)],
            entitled: open,
            roles: Vec::new(),
            subscriptions: vec![SubscriptionStanding {
                wallet: Wallet(Address::repeat_byte(0xab)),
                subscription: SubscriptionId::from(3),
                plan: PlanId::from(1),
                paid_until: Some(Timestamp(2_000)),
                access_until: Some(Timestamp(2_500)),
                open,
                cause: None,
            }],
            trouble: None,
        }
    }

    fn read(gate: &GateStanding, policy: &Policy, said: SourcesSay) -> String {
        let mark = Mark {
            position: Position {
                block: 77,
                log_index: 1,
            },
            transaction: B256::repeat_byte(0xcd),
        };
        let lines = trail(&Trail {
            gate,
            matching: GateMatch::All,
            policy,
            paid: &|_, _| Some(mark),
            answered: None,
            confirmed: Some(Checkpoint {
                number: 90,
                hash: B256::ZERO,
                timestamp: Timestamp(1_000),
            }),
            sources: &|_| Some(said.clone()),
        });
        lines.join("\n")
    }

    fn said(contract: ActiveAnswer) -> SourcesSay {
        SourcesSay {
            block: 91,
            contract,
            api: Some((false, Timestamp(900))),
        }
    }

    #[test]
    fn the_way_from_the_wallet_to_the_role_is_told_with_what_each_source_says() {
        let text = read(&gate(true), &Policy::default(), said(ActiveAnswer::Active));
        for part in [
            "Wallet 0xABaB…ABaB, subscription 3 to plan 1",
            "Last payment in block 77, transaction `0xcdcd",
            "paid until <t:2000:f>",
            "grace until <t:2500:f>",
            "Events up to block 90: access",
            "Contract at block 91: access",
            "amser's API, asked <t:900:f> (<t:900:R>): no access",
            "the plans 1, 2 together give the role",
            "a failed payment or a pause or a cancellation removes it at once",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn a_nodes_words_are_not_shown_and_the_policy_is_told_as_it_is_set() {
        let policy = Policy {
            payment_failed: OnLapse::KeepUntilExpiry,
            ..Policy::default()
        };
        let unknown = ActiveAnswer::Unknown("node.example: refused".to_owned());
        let text = read(&gate(false), &policy, said(unknown));
        assert!(text.contains("block 91: did not answer"), "{text}");
        assert!(!text.contains("node.example"), "{text}");
        assert!(text.contains("block 90: no access"), "{text}");
        assert!(
            text.contains("after a failed payment it stays until the paid time ends"),
            "{text}"
        );
    }

    #[test]
    fn of_several_gates_the_one_that_gives_the_role_is_told() {
        let (mut empty, closed, open) = (gate(false), gate(false), gate(true));
        empty.subscriptions.clear();
        let chosen = told_gate(&[&empty, &closed, &open]);
        assert_eq!(chosen, Some(&open));
        assert_eq!(told_gate(&[&empty, &closed]), Some(&closed));
        assert_eq!(told_gate(&[]), None);
    }
}
