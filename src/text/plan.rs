//! Plans in words, and `/plans`.

use std::collections::BTreeMap;

use alloy::primitives::{Address, U256, utils::format_units};
use url::Url;

use super::command::{count, mention, no_gates, plain};
use crate::domain::{
    Gate, GateMatch, GateTroubles, ModuleAddress, PlanId, PlanRow, checkout, is_for_sale,
};

/// Where plans are bought by who reads of them in one server.
pub(crate) struct Checkout<'a> {
    /// With `{module}` and `{plan_id}`.
    pub(crate) template: &'a str,
    /// Where it leads back to.
    pub(crate) back: Option<Url>,
}

impl Checkout<'_> {
    /// Where this plan is.
    pub(crate) fn url(&self, module: ModuleAddress, plan: &PlanId) -> String {
        checkout(self.template, module, plan, self.back.as_ref())
    }
}

/// Plans by what identifies them.
pub(crate) type PlanRows = BTreeMap<(ModuleAddress, PlanId), PlanRow>;

/// Seconds, and the words for one and for several of them.
const UNITS: [(u64, &str, &str); 5] = [
    (7 * 86_400, "week", "weeks"),
    (86_400, "day", "days"),
    (3_600, "hour", "hours"),
    (60, "minute", "minutes"),
    (1, "second", "seconds"),
];

/// A plan's name; its number where that is not known.
pub(crate) fn plan_name(module: ModuleAddress, plan: PlanId, rows: &PlanRows) -> String {
    rows.get(&(module, plan))
        .map_or_else(|| format!("plan {plan}"), |row| plain(&row.name))
}

/// Whether the plan has a name of its own.
pub(crate) fn is_named(module: ModuleAddress, plan: PlanId, rows: &PlanRows) -> bool {
    let row = rows.get(&(module, plan));
    row.is_some_and(|row| row.name != format!("Plan {plan}"))
}

/// What a plan costs and how often.
pub(crate) fn terms(row: &PlanRow) -> String {
    format!("{} {}", amount(row), every(row.interval))
}

/// What a plan costs.
pub(crate) fn amount(row: &PlanRow) -> String {
    match row.decimals {
        Some(_) if row.price == U256::ZERO => "free".to_owned(),
        decimals => amount_of(row.price, decimals, row.symbol.as_deref(), row.token),
    }
}

/// In the token, where its decimals are known.
pub(crate) fn amount_of(
    amount: U256,
    decimals: Option<u8>,
    symbol: Option<&str>,
    token: Address,
) -> String {
    let token = || match symbol {
        Some(symbol) => symbol.to_owned(),
        None => format!("of the token {token}"),
    };
    let in_token = decimals.and_then(|decimals| format_units(amount, decimals).ok());
    match in_token {
        Some(amount) if amount.contains('.') => {
            let amount = amount.trim_end_matches('0').trim_end_matches('.');
            format!("{amount} {}", token())
        }
        Some(amount) => format!("{amount} {}", token()),
        None => format!("{amount} base units {}", token()),
    }
}

/// In the largest unit that it is a whole number of.
pub(crate) fn every(seconds: u64) -> String {
    let mut units = UNITS.into_iter();
    let whole = units.find(|(length, ..)| seconds >= *length && seconds.is_multiple_of(*length));
    let (length, one, many) = whole.unwrap_or((1, "second", "seconds"));
    match seconds / length {
        1 => format!("every {one}"),
        number => format!("every {number} {many}"),
    }
}

/// `/plans`: what the gates of a server ask for, with the checkout. `is_stuck`: roles cannot be given by this gate at present,
/// so that nobody should pay for it now. `found`: what the chain says of the gates; plans that give nobody a role are left out.
pub(crate) fn plans(
    gates: &[Gate],
    rows: &PlanRows,
    checkout_at: &Checkout<'_>,
    is_stuck: &dyn Fn(&Gate) -> bool,
    found: &GateTroubles,
) -> String {
    if gates.is_empty() {
        return no_gates();
    }
    let mut lines = Vec::new();
    for gate in gates {
        let roles: Vec<_> = gate.roles.iter().map(|role| mention(*role)).collect();
        let is_offered = |plan: &&PlanId| is_for_sale(found, gate.id, plan);
        let offered: Vec<_> = gate.plans.iter().filter(is_offered).collect();
        let needed = match (gate.matching, offered.len()) {
            (_, 0 | 1) => String::new(),
            (GateMatch::Any, many) => {
                format!(", with any of {}", count(many, "plan", "plans"))
            }
            (GateMatch::All, many) => {
                format!(", with all of {}", count(many, "plan", "plans"))
            }
        };
        lines.push(format!("{}{needed}:", roles.join(", ")));
        let is_stuck = is_stuck(gate) || offered.is_empty();
        for plan in offered {
            let row = rows.get(&(gate.module, *plan));
            let name = plan_name(gate.module, *plan, rows);
            let terms = row.map(|row| format!(", {}", terms(row)));
            let link = match row {
                Some(row) if !row.active => ": not offered any more".to_owned(),
                _ if is_stuck => String::new(),
                _ => format!(": <{}>", checkout_at.url(gate.module, plan)),
            };
            lines.push(format!("• **{name}**{}{link}", terms.unwrap_or_default()));
        }
        if is_stuck {
            lines.push(
                "  ⚠ This role can't be given at the moment. Wait with subscribing until it can."
                    .to_owned(),
            );
        }
    }
    lines
        .push("Subscribed already? `/verify` links your wallet and gives you the role.".to_owned());
    lines.join("\n")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::domain::{GateId, GateOrigin, GateTrouble, GuildId, RoleId};

    const MODULE: ModuleAddress = ModuleAddress(Address::repeat_byte(1));

    pub(crate) fn row(price: u64, decimals: Option<u8>, symbol: Option<&str>) -> PlanRow {
        PlanRow {
            module: MODULE,
            plan: PlanId::from(3),
            name: "Gold *1*".to_owned(),
            price: U256::from(price),
            token: Address::repeat_byte(2),
            decimals,
            symbol: symbol.map(str::to_owned),
            interval: 30 * 86_400,
            active: true,
        }
    }

    fn gate(matching: GateMatch, plans: &[u64]) -> Gate {
        Gate {
            id: GateId(1),
            guild: GuildId(1),
            module: MODULE,
            plans: plans.iter().map(|plan| PlanId::from(*plan)).collect(),
            matching,
            roles: [RoleId(9)].into(),
            origin: GateOrigin::Dashboard,
        }
    }

    fn told(gates: &[Gate], row: PlanRow, is_stuck: bool) -> String {
        told_amid(gates, row, is_stuck, &GateTroubles::new())
    }

    fn told_amid(gates: &[Gate], row: PlanRow, is_stuck: bool, found: &GateTroubles) -> String {
        let rows = PlanRows::from([((row.module, row.plan), row)]);
        let checkout = Checkout {
            template: "https://pay.example/{module}/{plan_id}",
            back: Url::parse("https://roles.example/paid/1").ok(),
        };
        plans(gates, &rows, &checkout, &|_| is_stuck, found)
    }

    #[test]
    fn amounts_are_told_in_the_token_without_needless_digits() {
        let told = |price, decimals| amount(&row(price, Some(decimals), Some("USDC")));
        assert_eq!(told(5_000_000, 6), "5 USDC");
        assert_eq!(told(5_250_000, 6), "5.25 USDC");
        assert_eq!(told(100, 0), "100 USDC");
        assert_eq!(told(0, 6), "free");
        let unknown = amount(&row(7, None, None));
        assert!(unknown.starts_with("7 base units of the token 0x0202"));
    }

    #[test]
    fn an_interval_is_told_in_the_largest_whole_unit() {
        assert_eq!(every(7 * 86_400), "every week");
        assert_eq!(every(30 * 86_400), "every 30 days");
        assert_eq!(every(3_600), "every hour");
        assert_eq!(every(90), "every 90 seconds");
        assert_eq!(every(0), "every 0 seconds");
    }

    #[test]
    fn a_member_reads_name_price_and_where_to_subscribe() {
        let one = told(
            &[gate(GateMatch::Any, &[3])],
            row(5, Some(0), Some("USDC")),
            false,
        );
        let line = format!(
            "• **Gold \\*1\\***, 5 USDC every 30 days: <https://pay.example/{MODULE}/3?redirect=https%3A%2F%2Froles.example%2Fpaid%2F1>"
        );
        assert!(one.starts_with(&format!("<@&9>:\n{line}\n")), "{one}");
        let all = told(
            &[gate(GateMatch::All, &[3, 4])],
            row(5, Some(0), None),
            false,
        );
        assert!(all.contains("<@&9>, with all of 2 plans:"), "{all}");
        assert!(all.contains("• **plan 4**: <https://"), "{all}");
    }

    #[test]
    fn nobody_is_sent_to_pay_for_what_is_not_offered_or_can_not_be_given() {
        let mut over = row(5, Some(0), Some("USDC"));
        over.active = false;
        let gates = [gate(GateMatch::Any, &[3])];
        let text = told(&gates, over, false);
        assert!(text.contains("not offered any more"), "{text}");
        assert!(!text.contains("https://"), "{text}");
        let text = told(&gates, row(5, Some(0), Some("USDC")), true);
        assert!(text.contains("Wait with subscribing"), "{text}");
        assert!(!text.contains("https://"), "{text}");
        assert!(told(&[], row(5, None, None), false).contains("No role"));
    }

    #[test]
    fn a_plan_that_gives_nobody_the_role_is_left_out() {
        let row = || row(5, Some(0), Some("USDC"));
        let found = |not_for_sale: &[u64]| {
            let trouble = GateTrouble {
                guild: GuildId(1),
                sentences: ["There is no plan 7.".to_owned()].into(),
                not_for_sale: not_for_sale.iter().copied().map(PlanId::from).collect(),
            };
            GateTroubles::from([(GateId(1), trouble)])
        };
        let gates = [gate(GateMatch::Any, &[3, 7])];
        let text = told_amid(&gates, row(), false, &found(&[7]));
        assert!(text.starts_with("<@&9>:\n• **Gold"), "{text}");
        assert!(!text.contains("plan 7") && !text.contains('⚠'), "{text}");
        let text = told_amid(&gates, row(), false, &found(&[3, 7]));
        assert!(text.starts_with("<@&9>:\n  ⚠ This role can't"), "{text}");
    }
}
