//! Intents that are settled by what is seen, became moot, or whose member has left.

use super::*;

fn gone(removed: bool) -> Findings {
    Findings {
        gone: vec![(GUILD, ADA, ROLE, removed)],
        ..Findings::default()
    }
}

#[test]
fn changes_that_a_crash_left_open_are_settled_by_what_is_seen() {
    let mut roster = scene(Policy::default(), one_gate());
    subscribe(&mut roster, 4, paid(wallet(9), 1, 9_000));
    ours(&mut roster, ROLE, AppliedState::Granting);
    observe(&mut roster, &[ROLE]);
    let (decisions, findings) = plan(&roster, [ADA], NOW);
    assert_eq!(decisions, []);
    let arrived = Findings {
        arrived: vec![(GUILD, ADA, ROLE)],
        ..Findings::default()
    };
    assert_eq!(findings, arrived);
    subscribe(&mut roster, 4, paid(wallet(9), 1, 1));
    ours(&mut roster, ROLE, AppliedState::Revoking);
    observe(&mut roster, &[]);
    let gone = Findings {
        gone: vec![(GUILD, ADA, ROLE, true)],
        ..Findings::default()
    };
    assert_eq!(plan(&roster, [ADA], NOW), (vec![], gone.clone()));
    // Deserved again by now: the removal still happened and belongs into the journal.
    subscribe(&mut roster, 4, paid(wallet(9), 1, 9_000));
    let (decisions, findings) = plan(&roster, [ADA], NOW);
    assert_eq!(
        (decisions.len(), decisions[0].action),
        (1, RoleAction::Grant)
    );
    assert_eq!(findings, gone);
}

/// Ada was given the role, and left.
fn departed() -> Roster {
    let mut roster = scene(Policy::default(), one_gate());
    subscribe(&mut roster, 4, paid(wallet(9), 1, 1));
    ours(&mut roster, ROLE, AppliedState::Granted);
    observe(&mut roster, &[ROLE]);
    roster.member_left(GUILD, ADA);
    roster
}

#[test]
fn a_role_that_comes_back_with_a_member_who_lapsed_while_away_is_taken() {
    let mut roster = departed();
    let nothing = (vec![], Findings::default());
    assert_eq!(plan(&roster, [ADA], NOW), nothing, "ada may come back");
    roster.guild_gone(GUILD);
    assert_eq!(plan(&roster, [ADA], NOW), nothing, "who knows where ada is");
    observe(&mut roster, &[ROLE]);
    let because = holding(4, Access::Until(Timestamp(1 + 3_600 + 600)));
    let expected = decision(RoleAction::Revoke, ROLE, because);
    assert_eq!(
        plan(&roster, [ADA], NOW),
        (vec![expected], Findings::default())
    );
    observe(&mut roster, &[]);
    assert_eq!(plan(&roster, [ADA], NOW), (vec![], gone(false)));
}

#[test]
fn leaving_took_the_role_and_not_the_removal_that_was_under_way() {
    let mut roster = departed();
    ours(&mut roster, ROLE, AppliedState::Revoking);
    let because = holding(4, Access::Until(Timestamp(1 + 3_600 + 600)));
    let kept = Findings {
        kept: vec![decision(RoleAction::Grant, ROLE, because)],
        ..Findings::default()
    };
    assert_eq!(plan(&roster, [ADA], NOW), (vec![], kept));
    subscribe(&mut roster, 4, paid(wallet(9), 1, 9_000));
    let kept = Findings {
        kept: vec![decision(RoleAction::Grant, ROLE, holding(4, UNTIL))],
        ..Findings::default()
    };
    assert_eq!(plan(&roster, [ADA], NOW), (vec![], kept));
}

#[test]
fn of_one_who_left_only_what_was_given_is_remembered() {
    for state in [AppliedState::Granting, AppliedState::Claiming] {
        let mut roster = departed();
        ours(&mut roster, ROLE, state);
        assert_eq!(plan(&roster, [ADA], NOW), (vec![], gone(false)));
    }
}

#[test]
fn a_grant_that_is_acknowledged_after_its_member_left_leaves_nothing_to_take() {
    let mut roster = departed();
    roster.acknowledge(GUILD, ADA, ROLE, RoleAction::Grant);
    let view = roster.guild(GUILD).expect("it was observed");
    assert_eq!(view.held(ADA), []);
    assert_eq!(plan(&roster, [ADA], NOW), (vec![], Findings::default()));
}

#[test]
fn nothing_is_remembered_of_one_who_left_and_asked_to_be_forgotten() {
    for state in [AppliedState::Granted, AppliedState::Revoking] {
        let mut roster = departed();
        ours(&mut roster, ROLE, state);
        roster.set_wallets(ADA, Vec::new());
        roster.set_forgotten(ADA, true);
        assert_eq!(plan(&roster, [ADA], NOW), (vec![], gone(false)));
    }
}

#[test]
fn a_removal_that_became_moot_leaves_the_role_as_ours_for_its_new_reason() {
    let mut roster = scene(Policy::default(), one_gate());
    ours(&mut roster, ROLE, AppliedState::Revoking);
    observe(&mut roster, &[ROLE]);
    let (decisions, findings) = plan(&roster, [ADA], NOW);
    assert_eq!((decisions.len(), findings), (1, Findings::default()));
    subscribe(&mut roster, 4, paid(wallet(9), 1, 9_000));
    let kept = Findings {
        kept: vec![decision(RoleAction::Grant, ROLE, holding(4, UNTIL))],
        ..Findings::default()
    };
    assert_eq!(plan(&roster, [ADA], NOW), (vec![], kept));
}

#[test]
fn a_claim_that_became_moot_leaves_the_role_as_given_by_hand() {
    let forgotten = Findings {
        gone: vec![(GUILD, ADA, ROLE, false)],
        ..Findings::default()
    };
    let claim = Policy {
        manual_roles: ManualRoles::Claim,
        ..Policy::default()
    };
    let mut roster = scene(claim, one_gate());
    ours(&mut roster, ROLE, AppliedState::Claiming);
    observe(&mut roster, &[ROLE]);
    let expected = decision(RoleAction::Revoke, ROLE, Because::ByHand);
    assert_eq!(
        plan(&roster, [ADA], NOW),
        (vec![expected], Findings::default())
    );
    subscribe(&mut roster, 4, paid(wallet(9), 1, 9_000));
    assert_eq!(plan(&roster, [ADA], NOW), (vec![], forgotten.clone()));
    // The gates claim nothing any more.
    let mut roster = scene(Policy::default(), one_gate());
    ours(&mut roster, ROLE, AppliedState::Claiming);
    observe(&mut roster, &[ROLE]);
    assert_eq!(plan(&roster, [ADA], NOW), (vec![], forgotten));
}

#[test]
fn a_grant_without_an_answer_is_taken_back_until_that_is_acknowledged() {
    let mut roster = scene(Policy::default(), one_gate());
    ours(&mut roster, ROLE, AppliedState::Granting);
    assert_eq!(plan(&roster, [ADA], NOW), (vec![], gone(false)), "not sent");
    roster.note_unanswered(GUILD, ADA, ROLE);
    let because = Because::NoHolding { linked: true };
    let expected = decision(RoleAction::Revoke, ROLE, because);
    let take_back = (vec![expected], Findings::default());
    assert_eq!(plan(&roster, [ADA], NOW), take_back);
    ours(&mut roster, ROLE, AppliedState::Revoking);
    assert_eq!(plan(&roster, [ADA], NOW), take_back);
    // Wanted again before that was sent: no removal has happened.
    let mut paid_again = scene(Policy::default(), one_gate());
    subscribe(&mut paid_again, 4, paid(wallet(9), 1, 9_000));
    ours(&mut paid_again, ROLE, AppliedState::Revoking);
    paid_again.note_unanswered(GUILD, ADA, ROLE);
    let grant = decision(RoleAction::Grant, ROLE, holding(4, UNTIL));
    let give = (vec![grant], Findings::default());
    assert_eq!(plan(&paid_again, [ADA], NOW), give);
    roster.acknowledge(GUILD, ADA, ROLE, RoleAction::Revoke);
    let nothing = (vec![], Findings::default());
    assert_eq!(plan(&roster, [ADA], NOW), nothing);
    ours(&mut roster, ROLE, AppliedState::Granting);
    assert_eq!(plan(&roster, [ADA], NOW), (vec![], gone(false)));
}

#[test]
fn a_grant_without_an_answer_to_one_who_left_may_come_back_with_the_member() {
    let mut roster = departed();
    ours(&mut roster, ROLE, AppliedState::Granting);
    roster.note_unanswered(GUILD, ADA, ROLE);
    let nothing = (vec![], Findings::default());
    assert_eq!(plan(&roster, [ADA], NOW), nothing);
    roster.set_wallets(ADA, Vec::new());
    roster.set_forgotten(ADA, true);
    assert_eq!(plan(&roster, [ADA], NOW), (vec![], gone(false)));
}
