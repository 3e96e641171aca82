use alloy::sol_types::SolValue;
use alloy_json_abi::Param;
use proptest::prelude::*;

use super::*;
use crate::domain::PlanId;

const TOKEN: Address = Address::repeat_byte(0x44);

fn number(value: u64) -> [u8; 32] {
    U256::from(value).to_be_bytes()
}

/// 5 dollars a month, with three days of grace, as the documented struct.
fn documented() -> Vec<[u8; 32]> {
    vec![
        number(5_000_000),
        number(2_592_000),
        number(259_200),
        TOKEN.into_word().0,
        [0xab; 32],
        number(1),
    ]
}

fn expected() -> Plan {
    Plan {
        token: TOKEN,
        price: U256::from(5_000_000),
        interval: 2_592_000,
        grace_period: 259_200,
        active: true,
    }
}

fn decode(words: &[[u8; 32]]) -> Result<Plan, PlanAnswerError> {
    PlanLayouts::built_in().decode(&words.concat())
}

fn function(outputs: &str) -> Function {
    Function::parse(&format!(
        "function getPlan(uint256 id) view returns ({outputs})"
    ))
    .unwrap()
}

fn layout(outputs: &str) -> PlanLayout {
    PlanLayout::of(&function(outputs)).unwrap()
}

/// The same outputs as the members of one struct.
fn as_struct(outputs: &str) -> PlanLayout {
    let mut function = function(outputs);
    let members = std::mem::take(&mut function.outputs);
    function.outputs = vec![Param::new("plan", "tuple", members, None).unwrap()];
    PlanLayout::of(&function).unwrap()
}

#[test]
fn a_documented_struct_is_not_read_as_the_assumed_tuple() {
    assert_eq!(decode(&documented()), Ok(expected()));
    // What a decoder that does not validate makes of it: a grace period of 10^11 years.
    let words = documented().concat();
    let believed = <(Address, U256, u64, u64, bool)>::abi_decode_params(&words).unwrap();
    assert!(believed.3 / LONGEST_PERIOD > 100_000_000);
    let assumed =
        layout("address token, uint256 price, uint64 interval, uint64 gracePeriod, bool active");
    assert_eq!(assumed.decode(&documented().concat()), None);
    assert_eq!(assumed.decode(&documented()[..5].concat()), None);
}

#[test]
fn the_assumed_tuple_stays_accepted() {
    let words = [
        TOKEN.into_word().0,
        number(5_000_000),
        number(2_592_000),
        number(259_200),
        number(1),
    ];
    assert_eq!(decode(&words), Ok(expected()));
}

#[test]
fn an_answer_that_no_layout_explains_is_an_error_with_a_name() {
    let with = |index: usize, word| {
        let mut words = documented();
        words[index] = word;
        decode(&words)
    };
    for (index, word, why) in [
        (1, number(3_599), "an interval under an hour"),
        (
            1,
            number(LONGEST_PERIOD + 1),
            "an interval of a thousand years",
        ),
        (
            2,
            number(LONGEST_PERIOD + 1),
            "a grace period of a thousand years",
        ),
        (3, [0; 32], "no token"),
        (3, [1; 32], "a token that is no address"),
        (5, number(2), "a bool that is 2"),
    ] {
        assert_eq!(with(index, word), Err(PlanAnswerError::OtherShape), "{why}");
    }
    assert_eq!(decode(&documented()[..4]), Err(PlanAnswerError::OtherShape));
    assert_eq!(decode(&[]), Err(PlanAnswerError::Empty));
    assert_eq!(decode(&[[0; 32]; 6]), Err(PlanAnswerError::NoSuchPlan));
}

#[test]
fn outputs_of_other_names_and_a_struct_of_unknown_length_are_read() {
    let outputs = "string name, uint128 _price, uint40 billingInterval, uint32 grace, address paymentToken, bool isActive";
    let named = as_struct(outputs);
    let words = [
        number(32),
        number(192),
        number(5_000_000),
        number(2_592_000),
        number(259_200),
        TOKEN.into_word().0,
        number(1),
        number(0),
    ];
    assert_eq!(named.decode(&words.concat()), Some(expected()));
    assert_eq!(named.decode(&words[1..].concat()), None);
    assert_eq!(
        layout(outputs).decode(&words[1..].concat()),
        Some(expected())
    );
    let inline = as_struct(
        "uint256 price, uint256 interval, uint256 gracePeriod, address token, bytes32 metadataHash, bool active",
    );
    assert_eq!(inline.decode(&documented().concat()), Some(expected()));
}

#[test]
fn a_configured_layout_goes_before_the_built_in_and_two_that_disagree_are_an_error() {
    let mut layouts = PlanLayouts::built_in();
    layouts.add(layout("uint256 price, uint256 gracePeriod, uint256 interval, address token, bytes32 hash, bool active"));
    let swapped = layouts.decode(&documented().concat()).unwrap();
    assert_eq!(
        (swapped.interval, swapped.grace_period),
        (259_200, 2_592_000)
    );
    layouts.add(layout("uint256 price, uint256 interval, uint256 gracePeriod, address token, bytes32 hash, bool active"));
    let answer = layouts.decode(&documented().concat());
    assert_eq!(answer, Err(PlanAnswerError::Ambiguous));
}

#[test]
fn an_output_that_is_missing_is_named() {
    let function = function("address token, uint256 price, uint64 interval, bool active");
    let lack = PlanLayout::of(&function).unwrap_err();
    assert!(lack.contains("gracePeriod"), "{lack}");
}

#[test]
fn terms_that_contradict_plan_created_are_told() {
    let created = |interval| EventKind::PlanCreated {
        plan: PlanId(U256::ONE),
        token: TOKEN,
        price: U256::from(5_000_000),
        interval,
        grace_period: 259_200,
    };
    assert_eq!(contradiction(&expected(), &created(2_592_000)), None);
    let told = contradiction(&expected(), &created(60)).unwrap();
    assert!(
        told.contains("interval") && told.contains("2592000"),
        "{told}"
    );
}

proptest! {
    #[test]
    fn no_answer_makes_the_decoding_panic(answer in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = PlanLayouts::built_in().decode(&answer);
    }
}
