//! `/amser setup`.

use std::collections::BTreeSet;

use super::command::{count, mention, plain};
use super::plan::terms;
use super::rules::{by_hand, on_lapse};
use crate::domain::{GateMatch, Holders, ManualRoles, Named, PlanRow, Policy, Preview, RoleId};

/// Names that a preview shows, of those who get a role and of those who lose one.
const NAMED: usize = 10;

/// The roles of a gate that is about to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target<'a> {
    /// These of the server.
    Existing(&'a BTreeSet<RoleId>),
    /// A new one with this name.
    New(&'a str),
}

impl Target<'_> {
    fn named(self) -> String {
        match self {
            Self::Existing(roles) => mentions(roles),
            Self::New(name) => format!("a new role **{}**", plain(name)),
        }
    }
}

/// The manager has shown no wallet as a merchant.
pub(crate) fn setup_needs_wallet(dashboard: &str) -> String {
    format!(
        "First show which amser merchant you are: connect your wallet on the dashboard, <{dashboard}>."
    )
}

/// The wallet has no module.
pub(crate) fn setup_no_module(dashboard: &str) -> String {
    format!(
        "I found no amser module of your wallet. Create one at amser first, or paste its address on the dashboard, <{dashboard}>."
    )
}

/// The chosen plans belong to different modules.
pub(crate) fn setup_one_module() -> String {
    "These plans belong to different amser modules. Choose plans of one module; run this again for the other one.".to_owned()
}

/// More plans and roles than one form can carry.
pub(crate) fn setup_too_much(dashboard: &str) -> String {
    format!(
        "That is too much for one form here. Choose fewer plans or roles, or do it on the dashboard, <{dashboard}>."
    )
}

/// The merchant's modules have no plan that can be subscribed to.
pub(crate) fn setup_no_plan() -> String {
    "Your amser module offers no plan yet. Create one at amser, then run this again.".to_owned()
}

/// The plans could not be read in the time that Discord gives.
pub(crate) fn setup_slow() -> String {
    "Reading your plans takes longer than Discord lets me. Try again in a few seconds.".to_owned()
}

/// Discord makes no new role there in the time that an answer may take.
pub(crate) fn setup_no_new_role() -> String {
    "Discord doesn't make a new role in this server right now: a server may make about 250 in two days. Choose a role that \
     is there, or try again later."
        .to_owned()
}

/// The title of the form.
pub(crate) fn setup_title() -> &'static str {
    "Give a role to subscribers"
}

/// Above the choice of plans, and beneath it where not all can be shown.
pub(crate) fn setup_plan_label() -> &'static str {
    "Which plans?"
}

/// Where a select cannot show all plans.
pub(crate) fn setup_more_plans() -> &'static str {
    "Only the first 25 are shown; the dashboard has all of them."
}

/// Above the choice of how many plans are needed.
pub(crate) fn setup_match_label() -> &'static str {
    "With several plans, who gets the role?"
}

/// One plan is enough.
pub(crate) fn setup_any() -> &'static str {
    "Who pays for any of them"
}

/// Every plan is needed.
pub(crate) fn setup_all() -> &'static str {
    "Who pays for all of them"
}

/// Above the choice of roles.
pub(crate) fn setup_role_label() -> &'static str {
    "Which roles?"
}

/// In the empty choice of roles: what it means.
pub(crate) fn setup_new_role() -> &'static str {
    "Create the role for me"
}

/// Beneath the choice of roles.
pub(crate) fn setup_role_hint() -> &'static str {
    "Leave it empty, and I create a role with the name of the first plan."
}

/// What stands beside a plan in the form.
pub(crate) fn setup_plan_terms(row: &PlanRow) -> String {
    terms(row)
}

/// What the gate would change, before it is made.
pub(crate) fn setup_preview(
    rows: &[PlanRow],
    matching: GateMatch,
    target: Target<'_>,
    preview: &Preview,
    policy: &Policy,
) -> String {
    let with_terms = |row: &PlanRow| format!("**{}** ({})", plain(&row.name), terms(row));
    let mut lines = vec![format!(
        "Members who pay for {} get {}.",
        joined(rows, matching, with_terms),
        target.named()
    )];
    lines.push(match (preview.grants.len(), preview.revokes.len()) {
        (0, 0) => "Nobody's roles change now.".to_owned(),
        (gets, 0) => format!("Now it goes to {}.", members(gets)),
        (0, loses) => format!("Now it is taken from {}.", members(loses)),
        (gets, loses) => format!(
            "Now it goes to {}, and is taken from {loses}.",
            members(gets)
        ),
    });
    lines.extend(named("Gets it", &preview.grants));
    lines.extend(named("Loses it", &preview.revokes));
    if preview.held_already > 0 {
        let Holders {
            paying,
            lapsed,
            not_linked,
        } = preview.holders;
        lines.push(format!(
            "Hold it already: {} ({paying} paying, {lapsed} with a wallet that does not pay, {not_linked} without a wallet).",
            preview.held_already
        ));
        lines.push(match policy.manual_roles {
            ManualRoles::Claim if preview.revokes.is_empty() => format!(
                "It will be taken from the {} who hold it and do not pay.",
                members(usize::try_from(lapsed + not_linked).unwrap_or(usize::MAX))
            ),
            rule => by_hand(rule).to_owned(),
        });
    }
    lines.extend(preview.uncounted.as_deref().map(plain));
    lines.push(on_lapse(policy));
    lines.join("\n")
}

/// Plans with what is needed of them.
fn joined(rows: &[PlanRow], matching: GateMatch, named: impl Fn(&PlanRow) -> String) -> String {
    let names: Vec<_> = rows.iter().map(named).collect();
    let between = match matching {
        GateMatch::Any => " or ",
        GateMatch::All => " and ",
    };
    names.join(between)
}

fn in_bold(row: &PlanRow) -> String {
    format!("**{}**", plain(&row.name))
}

fn mentions(roles: &BTreeSet<RoleId>) -> String {
    let roles: Vec<_> = roles.iter().copied().map(mention).collect();
    roles.join(", ")
}

fn members(number: usize) -> String {
    count(number, "member", "members")
}

fn named(what: &str, people: &[Named]) -> Option<String> {
    let mut names: Vec<_> = people.iter().map(|one| plain(&one.name)).collect();
    names.dedup();
    let rest = names.len().saturating_sub(NAMED);
    names.truncate(NAMED);
    let more = (rest > 0).then(|| format!(" and {rest} more"));
    (!names.is_empty())
        .then(|| format!("{what}: {}{}.", names.join(", "), more.unwrap_or_default()))
}

/// On the button that makes the gate.
pub(crate) fn setup_button() -> String {
    "Set it up".to_owned()
}

/// On the button that makes it although the role carries dangerous permissions.
pub(crate) fn setup_dangerous_button() -> String {
    "Give subscribers these permissions".to_owned()
}

/// The gate is made. `checkout`: where members subscribe.
pub(crate) fn setup_done(
    rows: &[PlanRow],
    matching: GateMatch,
    roles: &BTreeSet<RoleId>,
    checkout: &str,
) -> String {
    format!(
        "Done. Who pays for {} gets {}; those who linked a wallet and paid already get it now.\nNext: `/amser verify-message` \
         posts the button with which members link their wallet. They subscribe at <{checkout}>, which `/plans` shows them. \
         `/amser check` says whether anything keeps me from giving the role.",
        joined(rows, matching, in_bold),
        mentions(roles)
    )
}

/// A gate for just these plans is there already.
pub(crate) fn setup_already(rows: &[PlanRow], roles: &BTreeSet<RoleId>) -> String {
    let names: Vec<_> = rows.iter().map(in_bold).collect();
    format!(
        "There is a rule for {} already: it gives {}. To give another role, run this again and choose that role.",
        names.join(", "),
        mentions(roles)
    )
}

#[cfg(test)]
mod tests {
    use super::super::plan::tests::row;
    use super::*;
    use crate::domain::UserId;

    fn people(number: u64) -> Vec<Named> {
        let named = |id| Named {
            name: format!("member*{id}"),
            user: UserId(id),
            role: RoleId(9),
        };
        (1..=number).map(named).collect()
    }

    fn told(preview: &Preview, target: Target<'_>) -> String {
        let rows = [row(5, Some(0), Some("USDC"))];
        setup_preview(&rows, GateMatch::Any, target, preview, &Policy::default())
    }

    #[test]
    fn a_preview_counts_and_names_who_gets_and_who_loses_the_role() {
        let preview = Preview {
            grants: people(12),
            revokes: people(3),
            held_already: 7,
            holders: Holders {
                paying: 4,
                lapsed: 2,
                not_linked: 1,
            },
            ..Preview::default()
        };
        let text = told(&preview, Target::Existing(&[RoleId(9)].into()));
        assert!(text.contains("(5 USDC every 30 days) get <@&9>."), "{text}");
        assert!(
            text.contains("goes to 12 members, and is taken from 3."),
            "{text}"
        );
        assert!(text.contains("Gets it: member\\*1, "), "{text}");
        assert!(text.contains(" and 2 more."), "{text}");
        assert!(
            text.contains("Loses it: member\\*1, member\\*2, member\\*3."),
            "{text}"
        );
        assert!(text.contains("already: 7 (4 paying, 2 with"), "{text}");
    }

    #[test]
    fn several_plans_and_roles_are_told_with_what_is_needed_of_them() {
        let rows = [row(5, Some(0), Some("USDC")), row(9, Some(0), Some("USDC"))];
        let roles = [RoleId(8), RoleId(9)].into();
        let told = |matching| {
            setup_preview(
                &rows,
                matching,
                Target::Existing(&roles),
                &Preview::default(),
                &Policy::default(),
            )
        };
        let all = told(GateMatch::All);
        assert!(
            all.contains("(5 USDC every 30 days) and **Gold \\*1\\*** (9 USDC every 30 days) get <@&8>, <@&9>."),
            "{all}"
        );
        assert!(told(GateMatch::Any).contains(" or **Gold"));
    }

    #[test]
    fn what_stands_above_a_choice_is_no_longer_than_discord_allows() {
        for label in [setup_plan_label(), setup_match_label(), setup_role_label()] {
            assert!(label.len() <= 45, "{label}");
        }
        assert!(setup_role_hint().len() <= 100);
    }

    #[test]
    fn a_new_role_is_told_by_the_name_that_it_will_have() {
        let text = told(&Preview::default(), Target::New("Gold *1*"));
        assert!(text.contains("get a new role **Gold \\*1\\***."), "{text}");
        assert!(text.contains("\nNobody's roles change now.\n"), "{text}");
    }
}
