//! What a plan costs, in words.

use alloy::primitives::utils::format_units;

use crate::merchants::PlanRow;

/// Price and interval, as "9.99 USDC every 30 days"; the interval alone where the token's decimals or symbol are not known: a
/// price in the smallest unit would be read as a price in whole ones.
pub(super) fn terms(plan: &PlanRow) -> String {
    let every = every(plan.interval);
    let price = plan.decimals.zip(plan.symbol.as_deref());
    let price = price.and_then(|(decimals, symbol)| {
        let amount = format_units(plan.price, decimals).ok()?;
        let amount = match amount.contains('.') {
            true => amount.trim_end_matches('0').trim_end_matches('.'),
            false => &amount,
        };
        Some(format!("{amount} {symbol} {every}"))
    });
    price.unwrap_or_else(|| format!("paid {every}"))
}

/// "every hour", "every 30 days": in the largest unit that fits without a rest.
pub(super) fn every(seconds: u64) -> String {
    let units = [
        (604_800, "week"),
        (86_400, "day"),
        (3_600, "hour"),
        (60, "minute"),
        (1, "second"),
    ];
    let fits = |(unit, _): &(u64, &str)| seconds > 0 && seconds.is_multiple_of(*unit);
    let (unit, name) = units.into_iter().find(fits).unwrap_or((1, "second"));
    match seconds / unit {
        1 => format!("every {name}"),
        count => format!("every {count} {name}s"),
    }
}

#[cfg(test)]
mod tests {
    use alloy::primitives::{Address, U256};

    use super::*;
    use crate::domain::{ModuleAddress, PlanId};

    fn plan(price: u64, decimals: Option<u8>, symbol: Option<&str>, interval: u64) -> PlanRow {
        PlanRow {
            module: ModuleAddress(Address::ZERO),
            plan: PlanId::from(1),
            name: "Gold".to_owned(),
            price: U256::from(price),
            token: Address::ZERO,
            decimals,
            symbol: symbol.map(str::to_owned),
            interval,
            active: true,
        }
    }

    #[test]
    fn a_price_is_told_in_whole_units_of_its_token() {
        let day = 86_400;
        let usdc = |price| terms(&plan(price, Some(6), Some("USDC"), 30 * day));
        assert_eq!(usdc(9_990_000), "9.99 USDC every 30 days");
        assert_eq!(usdc(10_000_000), "10 USDC every 30 days");
        assert_eq!(usdc(1), "0.000001 USDC every 30 days");
        let whole = terms(&plan(100, Some(0), Some("POINT"), day));
        assert_eq!(whole, "100 POINT every day");
    }

    #[test]
    fn a_price_without_its_decimals_is_not_told() {
        let unknown = terms(&plan(9_990_000, None, Some("USDC"), 3_600));
        assert_eq!(unknown, "paid every hour");
        let unnamed = terms(&plan(9_990_000, Some(6), None, 3_600));
        assert_eq!(unnamed, "paid every hour");
    }

    #[test]
    fn an_interval_is_told_in_the_largest_unit_that_fits() {
        for (seconds, expected) in [
            (3_600, "every hour"),
            (7_200, "every 2 hours"),
            (90_000, "every 25 hours"),
            (604_800, "every week"),
            (1_209_600, "every 2 weeks"),
            (2_592_000, "every 30 days"),
            (61, "every 61 seconds"),
            (0, "every 0 seconds"),
        ] {
            assert_eq!(every(seconds), expected);
        }
    }
}
