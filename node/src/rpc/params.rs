//! Positional parameters and the scalars in them, read the way Besu's clients write them.
//!
//! Tolerated: hex without `0x`, short addresses (padded on the left), extra trailing parameters,
//! block numbers as JSON numbers, decimal, hex or leading-zero octal text. Formats: protocol
//! specification, 7.1 and 16.

use std::str::FromStr;

use alloy_primitives::{Address, B256, Bytes, U256, hex};
use coterie_core::{EnclaveKey, GroupId};
use serde_json::{Value, value::RawValue};

use super::error::Refusal;
use crate::chain::BlockId;

/// The positional parameters of one call.
#[derive(Clone, Debug, Default)]
pub struct Params(Vec<Value>);

/// Which parameter is wrong: the words that Besu 25.5.0 has for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parameter {
    /// The parameters as a whole.
    Any,
    /// How many there are.
    Count,
    /// A signed private transaction.
    RawTransaction,
    /// A marker's transaction hash.
    TransactionHash,
    /// An address, or the list of keys of a group search.
    Address,
    /// A privacy group id.
    Group,
    /// A call object.
    Call,
    /// A block number or tag.
    Block,
    /// A log filter.
    Filter,
    /// A storage slot, or a list of them.
    Slot,
    /// `privateFrom`.
    PrivateFrom,
    /// `privateFor`.
    PrivateFor,
}

impl Params {
    /// Reads the `params` of a request: an array, or nothing.
    pub fn new(params: Option<&RawValue>) -> Result<Self, Refusal> {
        let Some(params) = params else { return Ok(Self::default()) };
        serde_json::from_str(params.get())
            .map(Self)
            .map_err(|_| Refusal::params(Parameter::Any, "an array of parameters is expected"))
    }

    /// The parameter at `index`; `None` when it is absent or `null`.
    pub fn at(&self, index: usize) -> Option<&Value> {
        self.0.get(index).filter(|it| !it.is_null())
    }

    /// Accepts exactly `count` parameters.
    pub fn exactly(&self, count: usize, expected: &'static str) -> Result<(), Refusal> {
        if self.0.len() == count {
            return Ok(());
        }
        Err(Refusal::params(Parameter::Count, expected))
    }

    /// A string.
    pub fn text(
        &self,
        index: usize,
        parameter: Parameter,
        expected: &'static str,
    ) -> Result<&str, Refusal> {
        let text = self.at(index).and_then(Value::as_str);
        text.ok_or_else(|| Refusal::params(parameter, expected))
    }

    /// A signed private transaction in hex. Text that is no hex is not a wrong parameter: it is a
    /// transaction that does not decode.
    pub fn raw_transaction(&self, index: usize) -> Result<Bytes, Refusal> {
        let expected = "a signed private transaction in hex is expected";
        bytes(self.text(index, Parameter::RawTransaction, expected)?)
            .ok_or(Refusal::RawTransactionHex)
    }

    /// A transaction hash: 32 bytes of hex.
    pub fn transaction_hash(&self, index: usize) -> Result<B256, Refusal> {
        let expected = "a transaction hash is expected: 32 bytes in hex";
        let text = self.text(index, Parameter::TransactionHash, expected)?;
        hash(text).ok_or_else(|| Refusal::params(Parameter::TransactionHash, expected))
    }

    /// An address: up to 20 bytes of hex.
    pub fn address(&self, index: usize) -> Result<Address, Refusal> {
        let expected = "an address is expected: 20 bytes in hex";
        let text = self.text(index, Parameter::Address, expected)?;
        address(text).ok_or_else(|| Refusal::params(Parameter::Address, expected))
    }

    /// The text of a privacy group id; what it means when it is no id depends on the method.
    pub fn group_text(&self, index: usize) -> Result<&str, Refusal> {
        self.text(index, Parameter::Group, "a privacy group id is expected: 32 bytes in base64")
    }

    /// A block number or tag.
    pub fn block(&self, index: usize) -> Result<BlockId, Refusal> {
        self.at(index).and_then(block).ok_or_else(|| {
            let expected =
                "a block number, latest, earliest, pending, finalized or safe is expected";
            Refusal::params(Parameter::Block, expected)
        })
    }

    /// A list of strings.
    pub fn texts(
        &self,
        index: usize,
        parameter: Parameter,
        expected: &'static str,
    ) -> Result<Vec<&str>, Refusal> {
        let list = self.at(index).and_then(Value::as_array);
        list.and_then(|it| it.iter().map(Value::as_str).collect())
            .ok_or_else(|| Refusal::params(parameter, expected))
    }
}

/// A privacy group id, where text that is none is an internal error in Besu.
pub fn group(text: &str) -> Result<GroupId, Refusal> {
    text.parse().map_err(Refusal::GroupId)
}

/// The keys, if every text is one.
pub fn keys(texts: &[&str]) -> Option<Vec<EnclaveKey>> {
    texts.iter().map(|it| EnclaveKey::from_str(it).ok()).collect()
}

/// Bytes in hex with an even number of digits, `0x` optional.
pub fn bytes(text: &str) -> Option<Bytes> {
    let digits = unprefixed(text);
    // The decoder would strip a second prefix.
    if digits.starts_with("0x") {
        return None;
    }
    hex::decode(digits).ok().map(Bytes::from)
}

/// 32 bytes in hex, `0x` optional.
pub fn hash(text: &str) -> Option<B256> {
    B256::try_from(bytes(text)?.as_ref()).ok()
}

/// An address in hex, `0x` optional, shorter ones padded on the left.
pub fn address(text: &str) -> Option<Address> {
    let digits = unprefixed(text);
    if digits.len() > 40 || !digits.is_ascii() {
        return None;
    }
    hex::decode(format!("{digits:0>40}")).ok().and_then(|it| Address::try_from(it.as_slice()).ok())
}

/// An amount: hex text, `0x` optional, or a JSON number.
pub fn quantity(value: &Value) -> Option<U256> {
    match value {
        Value::Number(number) => number.as_u64().map(U256::from),
        Value::String(text) => match unprefixed(text) {
            "" => None,
            digits if digits.starts_with(['+', '-', '_']) => None,
            digits => U256::from_str_radix(digits, 16).ok(),
        },
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A block tag or number.
pub fn block(value: &Value) -> Option<BlockId> {
    let text = match value {
        Value::Number(number) => return number.as_u64().map(BlockId::Number),
        Value::String(text) => text,
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    match text.to_ascii_lowercase().as_str() {
        "latest" | "pending" => Some(BlockId::Latest),
        "earliest" => Some(BlockId::Number(0)),
        "finalized" => Some(BlockId::Finalized),
        "safe" => Some(BlockId::Safe),
        number => block_number(number).map(BlockId::Number),
    }
}

fn block_number(text: &str) -> Option<u64> {
    let (digits, radix) = match (text.strip_prefix("0x"), text.strip_prefix('0')) {
        (Some(digits), _) => (digits, 16),
        (None, Some(digits)) if !digits.is_empty() => (digits, 8),
        (None, _) => (text, 10),
    };
    // from_str_radix takes a sign too.
    if digits.starts_with(['+', '-']) {
        return None;
    }
    u64::from_str_radix(digits, radix).ok()
}

fn unprefixed(text: &str) -> &str {
    text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use alloy_primitives::address;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_block_is_a_tag_or_a_number_in_four_spellings() {
        let check = |value: Value, want| assert_eq!(block(&value), want, "{value}");
        check(json!("latest"), Some(BlockId::Latest));
        check(json!("pending"), Some(BlockId::Latest));
        check(json!("Earliest"), Some(BlockId::Number(0)));
        check(json!("finalized"), Some(BlockId::Finalized));
        check(json!("safe"), Some(BlockId::Safe));
        check(json!("0x1a"), Some(BlockId::Number(26)));
        check(json!("0X1A"), Some(BlockId::Number(26)));
        check(json!("26"), Some(BlockId::Number(26)));
        check(json!("0"), Some(BlockId::Number(0)));
        check(json!("017"), Some(BlockId::Number(15)));
        check(json!(17), Some(BlockId::Number(17)));
        check(json!("0xffffffffffffffff"), Some(BlockId::Number(u64::MAX)));
        for bad in
            ["", "0x", "08", "1a", "-1", "+1", "0x-1", "0+7", "newest", "0x10000000000000000"]
        {
            check(json!(bad), None);
        }
        for bad in [json!(1.5), json!(-1), json!(null), json!([]), json!({}), json!(true)] {
            check(bad, None);
        }
    }

    #[test]
    fn an_address_may_be_short_or_unprefixed() {
        let twelve = address!("0000000000000000000000000000000000000012");
        for text in ["0x12", "12", "0X12", "0x0000000000000000000000000000000000000012", "0x012"] {
            assert_eq!(address(text), Some(twelve), "{text}");
        }
        assert_eq!(address("0x"), Some(Address::ZERO));
        let too_long = format!("0x{}", "1".repeat(41));
        for text in ["0xg", too_long.as_str(), "0xü"] {
            assert_eq!(address(text), None, "{text}");
        }
    }

    #[test]
    fn an_amount_is_hex_text_or_a_number() {
        let check = |value: Value, want: Option<u64>| {
            assert_eq!(quantity(&value), want.map(U256::from), "{value}");
        };
        check(json!("0x10"), Some(16));
        check(json!("10"), Some(16));
        check(json!(10), Some(10));
        check(json!("0x0"), Some(0));
        check(json!("0x00ff"), Some(255));
        for bad in [json!("0x"), json!(""), json!("0x-1"), json!("0x_1"), json!(-1), json!(null)] {
            check(bad, None);
        }
        check(json!(format!("0x1{}", "0".repeat(64))), None);
    }

    #[test]
    fn bytes_have_an_even_number_of_digits() {
        assert_eq!(bytes("0x0a"), Some(Bytes::from_static(&[10])));
        assert_eq!(bytes("0A"), Some(Bytes::from_static(&[10])));
        assert_eq!(bytes(""), Some(Bytes::new()));
        assert_eq!(bytes("0xa"), None);
        assert_eq!(bytes("0x0x"), None);
        assert_eq!(hash(&"11".repeat(32)), Some(B256::repeat_byte(0x11)));
        assert_eq!(hash("0x12"), None);
    }

    #[test]
    fn parameters_are_an_array_or_absent() {
        assert!(Params::new(None).unwrap().at(0).is_none());
        let raw = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
        assert!(Params::new(Some(&raw("[null]"))).unwrap().at(0).is_none());
        assert!(Params::new(Some(&raw("{}"))).is_err());
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        assert!(Params::new(Some(&raw(&deep))).is_err());
    }
}
