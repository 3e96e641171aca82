//! Renewals that will fail: for the server's managers, and for the member.

use super::command::{count, moment, short_wallet};
use super::plan::{PlanRows, amount_of, plan_name};
use crate::domain::{Amount, AtRisk, ForecastRow, Risk, ServerForecast, Timestamp};

/// What a list of renewals may take of one message's 2,000 characters.
const ROOM: usize = 1_600;

/// Why a renewal will fail: one clause without a full stop. `at`: how moments are written.
pub(crate) fn risk(risk: Risk, at: impl Fn(Timestamp) -> String) -> String {
    match risk {
        Risk::BalanceTooLow => "the wallet's balance is too low".to_owned(),
        Risk::AllowanceTooLow => "the wallet's token allowance is too low".to_owned(),
        Risk::AllowanceEnds(end) => format!("the wallet's token allowance ends {}", at(end)),
        Risk::ExpiryEnds(end) => format!("the subscription ends {}", at(end)),
        Risk::WindowMissed => {
            "the time for the charge was missed, and the subscription must be recovered".to_owned()
        }
        Risk::Exhausted => "the subscription allows no further charge".to_owned(),
        Risk::TokenDisabled => "amser has switched the token off".to_owned(),
    }
}

/// What could not be read, if anything; one sentence.
pub(crate) fn unread(forecast: &ServerForecast) -> Option<String> {
    match (forecast.unread, forecast.registry_unread) {
        (0, false) => None,
        (0, true) => Some(
            "Whether amser has switched a token off could not be read; everything else was."
                .to_owned(),
        ),
        (unread, _) => Some(format!(
            "Of {} that will be due, not everything could be read; some of them may fail as well.",
            count(unread, "more subscription", "more subscriptions")
        )),
    }
}

/// `/amser forecast`. `page`: where all of it is shown.
pub(crate) fn forecast(forecast: &ServerForecast, plans: &PlanRows, page: &str) -> String {
    let rows = &forecast.rows;
    let mut lines = vec![match rows.len() {
        0 if forecast.unread > 0 => "No renewal of the next 7 days is known to fail.".to_owned(),
        0 => "Every renewal of the next 7 days should succeed.".to_owned(),
        many => {
            format!(
                "**{} of the next 7 days will fail**, worth {}:",
                count(many, "renewal", "renewals"),
                worth(forecast)
            )
        }
    }];
    let mut room = ROOM;
    let mut shown = 0;
    for row in rows {
        let line = line(row, plans);
        let length = line.chars().count();
        if length > room {
            break;
        }
        room -= length + 1;
        shown += 1;
        lines.push(line);
    }
    if shown < rows.len() {
        lines.push(format!("…and {} more.", rows.len() - shown));
    }
    lines.extend(unread(forecast));
    if !rows.is_empty() {
        lines.push(format!("All of them: <{page}>"));
    }
    lines.join("\n")
}

/// What the renewals are worth together, token by token.
fn worth(forecast: &ServerForecast) -> String {
    let each: Vec<_> = forecast.worth.iter().map(amount).collect();
    each.join(" and ")
}

fn amount(amount: &Amount) -> String {
    let symbol = amount.symbol.as_deref();
    amount_of(amount.amount, amount.decimals, symbol, amount.token)
}

fn line(row: &ForecastRow, plans: &PlanRows) -> String {
    let one = &row.at_risk;
    let who = match &row.member {
        Some((user, _)) => format!("<@{user}>"),
        None => format!(
            "Subscription {} (no member of this server)",
            one.subscription
        ),
    };
    format!(
        "• {who}: {}, {}, due <t:{}:R>: {}",
        plan_name(one.module, one.plan, plans),
        amount(&row.price),
        one.due_at.0,
        risk(one.risk, |at| format!("<t:{}:R>", at.0)),
    )
}

/// Beneath a subscription in `/status`: that its renewal will fail, and what to do. `price`: what is due, in words.
pub(crate) fn your_risk(one: &AtRisk, price: &str) -> String {
    let wallet = short_wallet(one.wallet);
    let (due, until) = (moment(one.due_at), moment(one.access_until));
    let fails = format!("⚠ The payment due {due} will fail");
    match one.risk {
        Risk::BalanceTooLow => format!(
            "{fails}: {wallet} has less than {price}. Add to it, or your access ends {until}."
        ),
        Risk::AllowanceTooLow => format!(
            "{fails}: {wallet} allows less than {price} to be charged. Raise its token allowance where you subscribed, or your access ends {until}."
        ),
        Risk::AllowanceEnds(end) => format!(
            "{fails}: the token allowance of {wallet} ends {}. Renew it where you subscribed, or your access ends {until}.",
            moment(end)
        ),
        Risk::ExpiryEnds(end) => format!(
            "⚠ You subscribed until {}, so the payment due {due} will not be made. Extend the subscription, or your access ends {until}.",
            moment(end)
        ),
        Risk::Exhausted => format!(
            "⚠ All payments that you allowed are made, so your access ends {until}. Subscribe again to go on."
        ),
        Risk::WindowMissed => format!(
            "⚠ The payment due {due} was missed. Recover the subscription where you subscribed, or your access ends {until}."
        ),
        Risk::TokenDisabled => format!(
            "{fails}: amser has switched its token off. Ask the merchant what to do; your access ends {until}."
        ),
    }
}

#[cfg(test)]
mod tests {
    use alloy::primitives::{Address, U256};

    use super::*;
    use crate::domain::{ModuleAddress, PlanId, SubscriptionId, UserId, Wallet};

    fn amount_of_token(amount: u64) -> Amount {
        Amount {
            token: Address::ZERO,
            amount: U256::from(amount),
            decimals: Some(6),
            symbol: Some("USDC".to_owned()),
        }
    }

    fn row(number: u64, risk: Risk) -> ForecastRow {
        ForecastRow {
            member: Some((UserId(100_000_000_000_000_000 + number), "ada".to_owned())),
            at_risk: AtRisk {
                module: ModuleAddress(Address::ZERO),
                plan: PlanId::from(1),
                subscription: SubscriptionId::from(number),
                wallet: Wallet(Address::repeat_byte(0xab)),
                due_at: Timestamp(1_000),
                access_until: Timestamp(2_000),
                price: U256::from(9_990_000),
                token: Address::ZERO,
                risk,
                has_failed: false,
            },
            price: amount_of_token(9_990_000),
        }
    }

    fn told(rows: Vec<ForecastRow>, unread: usize) -> String {
        let worth = amount_of_token(9_990_000 * rows.len() as u64);
        let found = ServerForecast {
            worth: vec![worth],
            rows,
            unread,
            ..ServerForecast::default()
        };
        forecast(&found, &PlanRows::new(), "https://page.example")
    }

    #[test]
    fn a_long_forecast_fits_one_message_and_says_how_many_are_left_out() {
        let rows: Vec<_> = (0..500).map(|one| row(one, Risk::BalanceTooLow)).collect();
        let text = told(rows, 3);
        assert!(text.chars().count() < 2_000, "{}", text.len());
        assert!(
            text.starts_with("**500 renewals of the next 7 days will fail**, worth 4995 USDC:"),
            "{text}"
        );
        let shown = text.matches("• <@").count();
        let left = format!("…and {} more.", 500 - shown);
        assert!(shown > 5 && text.contains(&left), "{text}");
        assert!(text.contains("Of 3 more subscriptions"), "{text}");
        assert!(
            text.ends_with("All of them: <https://page.example>"),
            "{text}"
        );
    }

    #[test]
    fn nothing_to_fear_is_said_only_where_everything_was_read() {
        assert!(told(Vec::new(), 0).contains("should succeed"));
        let text = told(Vec::new(), 1);
        assert!(text.contains("is known to fail"), "{text}");
        assert!(text.contains("Of 1 more subscription that"), "{text}");
    }

    #[test]
    fn every_risk_tells_the_member_when_access_ends_and_what_to_do() {
        for (risk, advice) in [
            (Risk::BalanceTooLow, "less than 9.99 USDC. Add to it"),
            (Risk::AllowanceTooLow, "Raise its token allowance"),
            (Risk::AllowanceEnds(Timestamp(900)), "ends <t:900:f>"),
            (Risk::ExpiryEnds(Timestamp(900)), "Extend the subscription"),
            (Risk::Exhausted, "Subscribe again"),
            (Risk::WindowMissed, "Recover the subscription"),
            (Risk::TokenDisabled, "Ask the merchant"),
        ] {
            let text = your_risk(&row(1, risk).at_risk, "9.99 USDC");
            assert!(text.contains(advice), "{text}");
            assert!(text.contains("your access ends <t:2000:f>"), "{text}");
        }
    }
}
