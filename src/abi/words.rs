//! How ABI parameters lie in 32-byte words, and what a word of each type may hold.

use alloy_json_abi::{EventParam, Param};

use super::wanted::{Field, Kind, normal};

/// The size of an ABI word in bytes.
pub(crate) const WORD: usize = 32;

/// What a word must look like to be a value of its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    /// These bits are zero (the mask's halves as they lie in memory: one comparison per log and word).
    Zero([u128; 2]),
    /// This many leading bytes repeat the sign.
    Sign(u8),
}

impl Check {
    /// Whether the word passes.
    pub(crate) fn passes(self, word: &[u8; WORD]) -> bool {
        match self {
            Self::Zero(mask) => {
                let halves = halves(word);
                (halves[0] & mask[0]) | (halves[1] & mask[1]) == 0
            }
            Self::Sign(bytes) => {
                let bytes = usize::from(bytes);
                let sign = if word[bytes] & 0x80 == 0 { 0 } else { 0xff };
                word[..bytes].iter().all(|byte| *byte == sign)
            }
        }
    }

    fn leading_zeros(bytes: u8) -> Self {
        let mut mask = [0; WORD];
        mask[..usize::from(bytes)].fill(0xff);
        Self::Zero(halves(&mask))
    }

    fn trailing_zeros(bytes: u8) -> Self {
        let mut mask = [0; WORD];
        mask[WORD - usize::from(bytes)..].fill(0xff);
        Self::Zero(halves(&mask))
    }

    fn bool() -> Self {
        let mut mask = [0xff; WORD];
        mask[WORD - 1] = 0xfe;
        Self::Zero(halves(&mask))
    }
}

fn halves(word: &[u8; WORD]) -> [u128; 2] {
    let (halves, _) = word.as_chunks();
    [halves[0], halves[1]].map(u128::from_ne_bytes)
}

/// A word of an elementary type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Leaf {
    /// The parameter's normalised name.
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// `None` where every word is a value.
    pub(crate) check: Option<Check>,
    /// The word's number in the head.
    pub(crate) word: usize,
}

/// The head of encoded parameters: the words at known places.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) leaves: Vec<Leaf>,
    /// Its length in words.
    pub(crate) words: usize,
    /// Whether something follows the head.
    pub(crate) is_dynamic: bool,
}

/// What parameters of events and of functions have in common.
pub(crate) struct Parameter<'a> {
    name: &'a str,
    ty: &'a str,
    components: &'a [Param],
}

impl<'a> From<&'a Param> for Parameter<'a> {
    fn from(param: &'a Param) -> Self {
        Self {
            name: &param.name,
            ty: &param.ty,
            components: &param.components,
        }
    }
}

impl<'a> From<&'a EventParam> for Parameter<'a> {
    fn from(param: &'a EventParam) -> Self {
        Self {
            name: &param.name,
            ty: &param.ty,
            components: &param.components,
        }
    }
}

/// The head of these parameters. The members of a static struct lie in it one by one, by their own names.
pub(crate) fn head<'a>(parameters: impl IntoIterator<Item = Parameter<'a>>) -> Head {
    let mut head = Head::default();
    for parameter in parameters {
        head.add(&parameter);
    }
    head
}

/// The value of an indexed parameter, if its topic is the value itself and not a hash of it.
pub(crate) fn indexed(parameter: &Parameter<'_>) -> Option<Leaf> {
    let is_single = !parameter.ty.ends_with(']') && parameter.ty != "tuple";
    let mut head = Head::default();
    head.add(parameter);
    head.leaves.pop().filter(|_| is_single && !head.is_dynamic)
}

/// The sentence's end for a field that is not among `leaves`, and what to do about it: the names in a file may be changed,
/// since logs carry types alone.
pub(crate) fn lacks(field: Field, leaves: &[Leaf]) -> String {
    let names = field.names();
    let kind = match field.kind() {
        Kind::Uint => "an unsigned integer",
        Kind::Address => "an address",
        Kind::Bool | Kind::Other => "a bool",
    };
    let wrong = leaves
        .iter()
        .find(|leaf| names.iter().any(|name| normal(name) == leaf.name));
    let lack = match wrong {
        Some(leaf) => format!("its parameter {} is not {kind}", leaf.name),
        None => format!("it has no parameter {}, {kind}", names[0]),
    };
    format!(
        "{lack} (understood: {}); if it has another name, change it in the file",
        names.join(", ")
    )
}

/// The leaf that a field is read from.
pub(crate) fn find(field: Field, leaves: &[Leaf]) -> Option<usize> {
    field.names().iter().find_map(|name| {
        let name = normal(name);
        leaves
            .iter()
            .position(|leaf| leaf.name == name && leaf.kind == field.kind())
    })
}

impl Head {
    fn add(&mut self, parameter: &Parameter<'_>) {
        let ty = parameter.ty;
        if let Some((inner, count)) = ty.strip_suffix(']').and_then(|ty| ty.rsplit_once('[')) {
            let one = head([Parameter {
                ty: inner,
                ..*parameter
            }]);
            match count.parse::<usize>() {
                Ok(count) if !one.is_dynamic => {
                    self.words = self.words.saturating_add(count.saturating_mul(one.words));
                }
                _ => self.add_offset(),
            }
            return;
        }
        match ty {
            "string" | "bytes" => self.add_offset(),
            "tuple" => {
                let inner = head(parameter.components.iter().map(Parameter::from));
                if inner.is_dynamic {
                    return self.add_offset();
                }
                let start = self.words;
                self.leaves
                    .extend(inner.leaves.into_iter().map(|leaf| Leaf {
                        word: start.saturating_add(leaf.word),
                        ..leaf
                    }));
                self.words = self.words.saturating_add(inner.words);
            }
            _ => {
                let (kind, check) = elementary(ty);
                self.leaves.push(Leaf {
                    name: normal(parameter.name),
                    kind,
                    check,
                    word: self.words,
                });
                self.words = self.words.saturating_add(1);
            }
        }
    }

    /// A value of unknown length: the head holds where it begins.
    fn add_offset(&mut self) {
        self.words = self.words.saturating_add(1);
        self.is_dynamic = true;
    }
}

fn elementary(ty: &str) -> (Kind, Option<Check>) {
    /// How many bytes of a word are left beside `bits`.
    fn rest(bits: &str) -> Option<u8> {
        let bits: u16 = bits.parse().ok()?;
        u8::try_from(256_u16.checked_sub(bits)? / 8)
            .ok()
            .filter(|rest| (1..32).contains(rest))
    }
    match ty {
        "address" => (Kind::Address, Some(Check::leading_zeros(12))),
        "bool" => (Kind::Bool, Some(Check::bool())),
        "function" => (Kind::Other, Some(Check::trailing_zeros(8))),
        _ => {
            if let Some(bits) = ty.strip_prefix("uint") {
                (Kind::Uint, rest(bits).map(Check::leading_zeros))
            } else if let Some(bits) = ty.strip_prefix("int") {
                (Kind::Other, rest(bits).map(Check::Sign))
            } else if let Some(bytes) = ty.strip_prefix("bytes") {
                let rest = bytes
                    .parse()
                    .ok()
                    .and_then(|bytes| 32_u8.checked_sub(bytes));
                let rest = rest.filter(|rest| (1..32).contains(rest));
                (Kind::Other, rest.map(Check::trailing_zeros))
            } else {
                (Kind::Other, None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head_of(parameters: &str) -> Head {
        let parameters: Vec<Param> = serde_json::from_str(parameters).unwrap();
        head(parameters.iter().map(Parameter::from))
    }

    #[test]
    fn static_structs_and_arrays_lie_in_the_head_word_by_word() {
        let head = head_of(
            r#"[
                {"name": "a", "type": "uint64"},
                {"name": "pair", "type": "tuple", "components": [
                    {"name": "user", "type": "address"},
                    {"name": "flags", "type": "bool[3]"}
                ]},
                {"name": "grid", "type": "uint256[2][2]"},
                {"name": "b", "type": "bool"}
            ]"#,
        );
        let places: Vec<_> = head
            .leaves
            .iter()
            .map(|leaf| (leaf.name.as_str(), leaf.word))
            .collect();
        assert_eq!(places, [("a", 0), ("user", 1), ("b", 9)]);
        assert_eq!((head.words, head.is_dynamic), (10, false));
    }

    #[test]
    fn a_value_of_unknown_length_takes_one_word_of_the_head() {
        let head = head_of(
            r#"[
                {"name": "note", "type": "string"},
                {"name": "pair", "type": "tuple", "components": [
                    {"name": "x", "type": "bytes"},
                    {"name": "user", "type": "address"}
                ]},
                {"name": "list", "type": "uint8[]"},
                {"name": "_sub_Id", "type": "uint256"}
            ]"#,
        );
        let [leaf] = head.leaves.as_slice() else {
            panic!("{head:?}");
        };
        assert_eq!((leaf.name.as_str(), leaf.word), ("subid", 3));
        assert_eq!((head.words, head.is_dynamic), (4, true));
    }

    #[test]
    fn a_word_is_a_value_of_its_type_or_nothing() {
        let word = |first: u8, last: u8| {
            let mut word = [first; WORD];
            word[WORD - 1] = last;
            word
        };
        for (ty, good, bad) in [
            ("uint8", word(0, 255), word(1, 0)),
            ("address", word(0, 1), word(1, 1)),
            ("bool", word(0, 1), word(0, 2)),
            ("int8", word(255, 0x80), word(255, 0x7f)),
            ("bytes31", word(9, 0), word(9, 1)),
        ] {
            let check = elementary(ty).1.unwrap();
            assert!(check.passes(&good) && !check.passes(&bad), "{ty}");
        }
        for ty in ["uint256", "int256", "bytes32"] {
            assert_eq!(elementary(ty).1, None, "{ty}");
        }
    }
}
