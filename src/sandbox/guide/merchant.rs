//! The way of a merchant: from the first page to a plan that opens a role.
use super::step;
use crate::sandbox::discord::{Does, Offer, Step};

/// How far the merchant is, as far as the sandbox can see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Merchant {
    /// The merchant's name on Discord.
    pub(crate) name: String,
    /// The server that waits for the bot.
    pub(crate) server: String,
    /// The bot is in it.
    pub(crate) bot_is_there: bool,
    /// The wallet is proved to be the merchant's.
    pub(crate) wallet: bool,
    /// A plan opens a role there.
    pub(crate) mapped: bool,
    /// The bot gave a member a role there; the merchant, who tests it, is none.
    pub(crate) given: bool,
    /// Opens a page of the service as the merchant: `{}` is its path.
    pub(crate) open: String,
    /// The page of the server's dashboard.
    pub(crate) dashboard: String,
    /// Where a member's way is.
    pub(crate) member_page: String,
}

/// The steps, in order.
pub(crate) fn steps(merchant: &Merchant) -> Vec<Step> {
    let Merchant { name, server, .. } = merchant;
    let open = |label: &str, path: &str| Offer {
        label: label.to_owned(),
        says: String::new(),
        what: Does::Open(merchant.open.replace("{}", path)),
    };
    let dashboard = merchant.dashboard.as_str();
    vec![
        step(
            "Connect your server",
            format!(
                "You are {name}. You sell a plan on the chain, and you own the Discord server **{server}**, where the bot is not \
                 yet. Pick that server and let the bot in; it asks for one permission, *Manage Roles*."
            ),
            merchant.bot_is_there,
            vec![open("Connect a server", "/connect")],
        ),
        step(
            "Prove that the plans are yours",
            "Sign a message with the wallet that made the plans. The sandbox's browser wallet holds it and signs for you. Nobody \
             else can gate roles with your plans."
                .to_owned(),
            merchant.wallet,
            vec![open("Open the dashboard", dashboard)],
        ),
        step(
            "Let the plan open a role",
            "Press *Create the role* beside the plan, look at the preview, and press *Save*. Whoever pays gets the role from \
             then on."
                .to_owned(),
            merchant.mapped,
            vec![open("Open the dashboard", dashboard)],
        ),
        step(
            "See that it works",
            format!(
                "Press *Test on me* in the dashboard: the bot gives you the role and takes it again. Then let a member subscribe: the \
                 role appears in **{server}** and in **The Sandbox** alike."
            ),
            merchant.given,
            vec![
                open("Open the dashboard", dashboard),
                Offer {
                    label: "Be a member".to_owned(),
                    says: String::new(),
                    what: Does::Open(merchant.member_page.clone()),
                },
            ],
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(merchant: &Merchant) -> Option<String> {
        let mut steps = steps(merchant).into_iter();
        steps.find(|step| !step.done).map(|step| step.title)
    }

    #[test]
    fn the_way_goes_from_the_invite_to_a_role_that_was_given() {
        let mut merchant = Merchant {
            open: "/as/1?to={}".into(),
            dashboard: "/dashboard/5".into(),
            ..Merchant::default()
        };
        assert_eq!(next(&merchant).unwrap(), "Connect your server");
        assert_eq!(
            steps(&merchant)[0].offers[0].what,
            Does::Open("/as/1?to=/connect".into())
        );
        merchant.bot_is_there = true;
        assert_eq!(next(&merchant).unwrap(), "Prove that the plans are yours");
        merchant.wallet = true;
        assert_eq!(next(&merchant).unwrap(), "Let the plan open a role");
        merchant.mapped = true;
        assert_eq!(next(&merchant).unwrap(), "See that it works");
        merchant.given = true;
        assert_eq!(next(&merchant), None);
    }
}
