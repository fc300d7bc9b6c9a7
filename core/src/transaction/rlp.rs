//! The RLP of private transactions, by `alloy-rlp`, whose decoder is strict about canonical form.
//! Fixed by the protocol specification, sections 1.1 to 1.4.

use alloc::vec::Vec;
use core::fmt;

use alloy_primitives::{Address, Bytes, Signature, TxKind, U256, uint};
use alloy_rlp::{Decodable, Encodable, Header};

use super::{PrivateTransaction, Recipients, Restriction, SignedPrivateTransaction};
use crate::{EnclaveKey, GroupId, InvalidEnclaveKey, InvalidGroupId};

/// Order of secp256k1's group.
pub(super) const CURVE_ORDER: U256 =
    uint!(0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141_U256);
const RESTRICTED: &[u8] = b"restricted";
const UNRESTRICTED: &[u8] = b"unrestricted";

/// The bytes are no signed private transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// An item is missing, of the wrong kind or width, or not canonical RLP.
    Rlp {
        /// Which item, by its name in the EEA specification; `list` for the whole.
        field: &'static str,
        /// What is wrong with it.
        reason: alloy_rlp::Error,
    },
    /// The list has more than 12 items.
    SurplusItems,
    /// Something follows the list.
    TrailingBytes(usize),
    /// `to` is neither empty nor an address.
    To(usize),
    /// `v` is none of 27, 28 and 37 or more. (Besu answers this case with another error than the
    /// rest, protocol specification 1.3.)
    RecoveryId,
    /// `v` stands for a chain id wider than 64 bits.
    ChainIdTooLarge,
    /// r or s is zero, or not below the order of the curve.
    SignatureRange,
    /// `privateFrom` is no enclave key.
    PrivateFrom(InvalidEnclaveKey),
    /// A key of `privateFor` is no enclave key.
    PrivateFor(InvalidEnclaveKey),
    /// `privacyGroupId` is no group id.
    GroupId(InvalidGroupId),
}

/// Written out, because `write!` with numbers would bring all of the formatting machinery into a web
/// page, where nothing else needs it.
impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rest = match self {
            Self::Rlp { field, reason } => {
                f.write_str(field)?;
                f.write_str(" of the private transaction is not valid RLP: ")?;
                words(*reason)
            }
            Self::SurplusItems => "a private transaction has exactly 12 items",
            Self::TrailingBytes(count) => {
                write_number(f, *count)?;
                " bytes follow the private transaction"
            }
            Self::To(length) => {
                f.write_str("to has 0 or 20 bytes, not ")?;
                return write_number(f, *length);
            }
            Self::RecoveryId => "v must be 27, 28 or at least 37",
            Self::ChainIdTooLarge => "the chain id has more than 64 bits",
            Self::SignatureRange => "r and s must be between 1 and the order of the curve",
            Self::PrivateFrom(_) => "privateFrom is not an enclave key",
            Self::PrivateFor(_) => "privateFor contains something that is not an enclave key",
            Self::GroupId(_) => "privacyGroupId is not a group id",
        };
        f.write_str(rest)
    }
}

impl core::error::Error for DecodeError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::PrivateFrom(source) | Self::PrivateFor(source) => Some(source),
            Self::GroupId(source) => Some(source),
            Self::Rlp { .. }
            | Self::SurplusItems
            | Self::TrailingBytes(_)
            | Self::To(_)
            | Self::RecoveryId
            | Self::ChainIdTooLarge
            | Self::SignatureRange => None,
        }
    }
}

/// The decoder's own words.
const fn words(reason: alloy_rlp::Error) -> &'static str {
    match reason {
        alloy_rlp::Error::Overflow => "overflow",
        alloy_rlp::Error::LeadingZero => "leading zero",
        alloy_rlp::Error::InputTooShort => "input too short",
        alloy_rlp::Error::NonCanonicalSingleByte => "non-canonical single byte",
        alloy_rlp::Error::NonCanonicalSize => "non-canonical size",
        alloy_rlp::Error::UnexpectedLength => "unexpected length",
        alloy_rlp::Error::UnexpectedString => "unexpected string",
        alloy_rlp::Error::UnexpectedList => "unexpected list",
        alloy_rlp::Error::ListLengthMismatch { .. } => "unexpected list length",
        alloy_rlp::Error::Custom(words) => words,
    }
}

fn write_number(f: &mut fmt::Formatter<'_>, number: usize) -> fmt::Result {
    if number >= 10 {
        write_number(f, number / 10)?;
    }
    let digit = u32::try_from(number % 10).ok().and_then(|it| char::from_digit(it, 10));
    fmt::Write::write_char(f, digit.unwrap_or('?'))
}

impl DecodeError {
    /// A stable word for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Rlp { .. } | Self::SurplusItems | Self::TrailingBytes(_) => "TRANSACTION_RLP",
            Self::To(_) => "TRANSACTION_TO",
            Self::RecoveryId => "TRANSACTION_V",
            Self::ChainIdTooLarge => "TRANSACTION_CHAIN_ID",
            Self::SignatureRange => "TRANSACTION_SIGNATURE",
            Self::PrivateFrom(_) => "TRANSACTION_PRIVATE_FROM",
            Self::PrivateFor(_) => "TRANSACTION_PRIVATE_FOR",
            Self::GroupId(_) => "TRANSACTION_GROUP_ID",
        }
    }
}

pub(super) fn decode(bytes: &[u8]) -> Result<SignedPrivateTransaction, DecodeError> {
    let mut buf = bytes;
    let items = &mut Header::decode_bytes(&mut buf, true).map_err(in_field("list"))?;
    if !buf.is_empty() {
        return Err(DecodeError::TrailingBytes(buf.len()));
    }
    let nonce = scalar(items, "nonce")?;
    let gas_price = scalar(items, "gasPrice")?;
    let gas_limit = scalar(items, "gasLimit")?;
    let to = decode_to(items)?;
    let value = scalar(items, "value")?;
    let input = Bytes::copy_from_slice(string(items, "payload")?);
    let (chain_id, y_parity) = decode_v(string(items, "v")?)?;
    let r = signature_part(items, "r")?;
    let s = signature_part(items, "s")?;
    let private_from =
        EnclaveKey::from_slice(string(items, "privateFrom")?).map_err(DecodeError::PrivateFrom)?;
    let recipients = decode_recipients(items)?;
    let restriction = decode_restriction(string(items, "restriction")?);
    if !items.is_empty() {
        return Err(DecodeError::SurplusItems);
    }
    let transaction = PrivateTransaction {
        nonce,
        gas_price,
        gas_limit,
        to,
        value,
        input,
        chain_id,
        private_from,
        recipients,
        restriction,
    };
    Ok(transaction.into_signed(Signature::new(r, s, y_parity)))
}

pub(super) fn encode(signed: &SignedPrivateTransaction) -> Vec<u8> {
    let mut items = Vec::new();
    encode_head(&signed.transaction, &mut items);
    encode_v(signed.transaction.chain_id, signed.signature.v()).encode(&mut items);
    signed.signature.r().encode(&mut items);
    signed.signature.s().encode(&mut items);
    encode_tail(&signed.transaction, &mut items);
    crate::rlp::list_of(&items)
}

pub(super) fn encode_for_signing(transaction: &PrivateTransaction) -> Vec<u8> {
    let mut items = Vec::new();
    encode_head(transaction, &mut items);
    if let Some(chain_id) = transaction.chain_id {
        chain_id.encode(&mut items);
        0u8.encode(&mut items);
        0u8.encode(&mut items);
    }
    encode_tail(transaction, &mut items);
    crate::rlp::list_of(&items)
}

fn encode_head(transaction: &PrivateTransaction, out: &mut Vec<u8>) {
    transaction.nonce.encode(out);
    transaction.gas_price.encode(out);
    transaction.gas_limit.encode(out);
    transaction.to.encode(out);
    transaction.value.encode(out);
    transaction.input.encode(out);
}

fn encode_tail(transaction: &PrivateTransaction, out: &mut Vec<u8>) {
    transaction.private_from.as_slice().encode(out);
    match &transaction.recipients {
        Recipients::Group(id) => id.as_slice().encode(out),
        Recipients::Members(keys) => {
            let mut list = Vec::new();
            for key in keys {
                key.as_slice().encode(&mut list);
            }
            out.extend(crate::rlp::list_of(&list));
        }
    }
    match &transaction.restriction {
        Restriction::Restricted => RESTRICTED.encode(out),
        Restriction::Unrestricted => UNRESTRICTED.encode(out),
        Restriction::Unsupported(text) => text.encode(out),
    }
}

/// `v` of a signature: EIP-155 with a chain id, 27 or 28 without.
pub(crate) fn encode_v(chain_id: Option<u64>, y_parity: bool) -> u128 {
    match chain_id {
        None => 27 + u128::from(y_parity),
        Some(chain_id) => 35 + 2 * u128::from(chain_id) + u128::from(y_parity),
    }
}

/// Reads `v`: the chain id and the parity of y.
fn decode_v(bytes: &[u8]) -> Result<(Option<u64>, bool), DecodeError> {
    let rlp_error = |reason| DecodeError::Rlp { field: "v", reason };
    if bytes.first() == Some(&0) {
        return Err(rlp_error(alloy_rlp::Error::LeadingZero));
    }
    // Wider scalars than 32 bytes are legal RLP here: Besu reads a big integer.
    let v = U256::try_from_be_slice(bytes).ok_or(DecodeError::ChainIdTooLarge)?;
    let v = u128::try_from(v).map_err(|_| DecodeError::ChainIdTooLarge)?;
    match v {
        27 => Ok((None, false)),
        28 => Ok((None, true)),
        37.. => {
            let chain_id = u64::try_from((v - 35) / 2).map_err(|_| DecodeError::ChainIdTooLarge)?;
            Ok((Some(chain_id), (v - 35) % 2 == 1))
        }
        0..27 | 29..37 => Err(DecodeError::RecoveryId),
    }
}

fn decode_to(items: &mut &[u8]) -> Result<TxKind, DecodeError> {
    let bytes = string(items, "to")?;
    if bytes.is_empty() {
        return Ok(TxKind::Create);
    }
    Address::try_from(bytes).map(TxKind::Call).map_err(|_| DecodeError::To(bytes.len()))
}

fn decode_recipients(items: &mut &[u8]) -> Result<Recipients, DecodeError> {
    let is_list = items.first().is_some_and(|first| *first >= alloy_rlp::EMPTY_LIST_CODE);
    if !is_list {
        let bytes = string(items, "privacyGroupId")?;
        return GroupId::from_slice(bytes).map(Recipients::Group).map_err(DecodeError::GroupId);
    }
    let list = &mut Header::decode_bytes(items, true).map_err(in_field("privateFor"))?;
    let mut keys = Vec::new();
    while !list.is_empty() {
        let key = string(list, "privateFor")?;
        keys.push(EnclaveKey::from_slice(key).map_err(DecodeError::PrivateFor)?);
    }
    Ok(Recipients::Members(keys))
}

fn decode_restriction(bytes: &[u8]) -> Restriction {
    match bytes {
        RESTRICTED => Restriction::Restricted,
        UNRESTRICTED => Restriction::Unrestricted,
        other => Restriction::Unsupported(Bytes::copy_from_slice(other)),
    }
}

fn signature_part(items: &mut &[u8], field: &'static str) -> Result<U256, DecodeError> {
    let part: U256 = scalar(items, field)?;
    if part.is_zero() || part >= CURVE_ORDER {
        return Err(DecodeError::SignatureRange);
    }
    Ok(part)
}

fn scalar<T: Decodable>(items: &mut &[u8], field: &'static str) -> Result<T, DecodeError> {
    T::decode(items).map_err(in_field(field))
}

fn string<'a>(items: &mut &'a [u8], field: &'static str) -> Result<&'a [u8], DecodeError> {
    Header::decode_bytes(items, false).map_err(in_field(field))
}

fn in_field(field: &'static str) -> impl Fn(alloy_rlp::Error) -> DecodeError {
    move |reason| DecodeError::Rlp { field, reason }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{B256, hex};
    use proptest::prelude::*;

    use super::*;
    use crate::strategies;

    /// A transaction of the older kind: no chain id, members, creation.
    fn sample() -> SignedPrivateTransaction {
        PrivateTransaction {
            nonce: 1,
            gas_price: U256::from(1000),
            gas_limit: 21_000,
            to: TxKind::Create,
            value: U256::ZERO,
            input: Bytes::from_static(&[0x60]),
            chain_id: None,
            private_from: EnclaveKey::Nacl([1; 32]),
            recipients: Recipients::Group(GroupId(B256::repeat_byte(2))),
            restriction: Restriction::Restricted,
        }
        .into_signed(Signature::new(U256::from(3), U256::from(4), false))
    }

    /// The sample's items, as encoded RLP.
    fn items() -> Vec<Vec<u8>> {
        let encoded = sample().encode();
        let mut rest = encoded.as_slice();
        let mut list = Header::decode_bytes(&mut rest, true).unwrap();
        let mut items = Vec::new();
        while !list.is_empty() {
            let start = list;
            Header::decode_raw(&mut list).unwrap();
            items.push(start[..start.len() - list.len()].to_vec());
        }
        items
    }

    /// Replaces one item of the sample and decodes.
    #[track_caller]
    fn check(item: usize, rlp: &[u8], want: Result<(), &str>) {
        let mut items = items();
        items[item] = rlp.to_vec();
        let bytes = crate::rlp::list_of(&items.concat());
        let decoded = SignedPrivateTransaction::decode(&bytes);
        if let Ok(decoded) = &decoded {
            assert_eq!(decoded.encode(), bytes);
        }
        assert_eq!(decoded.map(|_| ()).map_err(|error| error.code()), want);
    }

    #[test]
    fn messages_say_what_is_wrong() {
        use alloc::string::ToString;
        for (error, want) in [
            (DecodeError::To(1024), "to has 0 or 20 bytes, not 1024"),
            (DecodeError::TrailingBytes(7), "7 bytes follow the private transaction"),
            (
                in_field("nonce")(alloy_rlp::Error::LeadingZero),
                "nonce of the private transaction is not valid RLP: leading zero",
            ),
        ] {
            assert_eq!(error.to_string(), want);
        }
        for reason in [alloy_rlp::Error::Overflow, alloy_rlp::Error::UnexpectedList] {
            assert_eq!(words(reason), reason.to_string());
        }
    }

    #[test]
    fn numbers_are_canonical_and_of_their_width() {
        for item in [0, 2] {
            check(item, &hex!("88ffffffffffffffff"), Ok(()));
            check(item, &hex!("89010000000000000000"), Err("TRANSACTION_RLP"));
        }
        for item in [0, 1, 2, 4, 6, 7, 8] {
            check(item, &hex!("820001"), Err("TRANSACTION_RLP"));
            check(item, &hex!("00"), Err("TRANSACTION_RLP"));
            check(item, &hex!("8105"), Err("TRANSACTION_RLP"));
            check(item, &hex!("c0"), Err("TRANSACTION_RLP"));
            let mut wide = alloc::vec![0xa1];
            wide.extend([0xff; 33]);
            let want = if item == 6 { "TRANSACTION_CHAIN_ID" } else { "TRANSACTION_RLP" };
            check(item, &wide, Err(want));
        }
        check(1, &[&[0xa0][..], &[0xff; 32]].concat(), Ok(()));
    }

    #[test]
    fn v_stands_for_a_chain_id_or_none() {
        for (v, want) in [
            ("80", Err("TRANSACTION_V")),
            ("1a", Err("TRANSACTION_V")),
            ("1b", Ok(())),
            ("1c", Ok(())),
            ("1d", Err("TRANSACTION_V")),
            ("23", Err("TRANSACTION_V")),
            ("24", Err("TRANSACTION_V")),
            ("25", Ok(())),
            // 35 + 2 * (2^64 - 1), with the odd parity after it, and one more.
            ("89020000000000000021", Ok(())),
            ("89020000000000000022", Ok(())),
            ("89020000000000000023", Err("TRANSACTION_CHAIN_ID")),
        ] {
            check(6, &hex::decode(v).unwrap(), want);
        }
    }

    #[test]
    fn signatures_are_in_range_but_need_no_low_s() {
        let order = CURVE_ORDER.to_be_bytes::<32>();
        let highest = (CURVE_ORDER - U256::ONE).to_be_bytes::<32>();
        for item in [7, 8] {
            check(item, &hex!("80"), Err("TRANSACTION_SIGNATURE"));
            check(item, &[&[0xa0][..], &order].concat(), Err("TRANSACTION_SIGNATURE"));
            check(item, &[&[0xa0][..], &highest].concat(), Ok(()));
        }
    }

    #[test]
    fn addresses_keys_and_ids_have_their_length() {
        let string = |length: usize| alloy_rlp::encode(alloc::vec![7u8; length].as_slice());
        check(3, &string(20), Ok(()));
        check(3, &string(19), Err("TRANSACTION_TO"));
        check(3, &string(21), Err("TRANSACTION_TO"));
        for length in [0, 31, 33, 90, 92] {
            check(9, &string(length), Err("TRANSACTION_PRIVATE_FROM"));
            check(10, &string(length), Err("TRANSACTION_GROUP_ID"));
            let list = crate::rlp::list_of(&string(length));
            check(10, &list, Err("TRANSACTION_PRIVATE_FOR"));
        }
        check(9, &string(91), Ok(()));
        check(10, &string(91), Err("TRANSACTION_GROUP_ID"));
        check(10, &crate::rlp::list_of(&[string(91), string(32)].concat()), Ok(()));
        check(10, &hex!("c0"), Ok(()));
        check(10, &hex!("c1c0"), Err("TRANSACTION_RLP"));
    }

    #[test]
    fn any_restriction_is_kept_as_it_came() {
        check(11, &hex!("80"), Ok(()));
        check(11, &hex!("05"), Ok(()));
        check(11, &hex!("8c756e72657374726963746564"), Ok(()));
        check(11, &hex!("8c756e72657374726963746565"), Ok(()));
        check(11, &hex!("c0"), Err("TRANSACTION_RLP"));
    }

    #[test]
    fn twelve_items_and_nothing_else() {
        let mut items = items();
        let last = items.pop().unwrap();
        let short = crate::rlp::list_of(&items.concat());
        let error = SignedPrivateTransaction::decode(&short).unwrap_err();
        let reason = alloy_rlp::Error::InputTooShort;
        assert_eq!(error, DecodeError::Rlp { field: "restriction", reason });
        items.extend([last, alloc::vec![0x80]]);
        let long = crate::rlp::list_of(&items.concat());
        assert_eq!(SignedPrivateTransaction::decode(&long), Err(DecodeError::SurplusItems));
        let followed = [sample().encode(), alloc::vec![0]].concat();
        assert_eq!(SignedPrivateTransaction::decode(&followed), Err(DecodeError::TrailingBytes(1)));
        assert!(SignedPrivateTransaction::decode(&[]).is_err());
        assert!(SignedPrivateTransaction::decode(&[0]).is_err());
    }

    proptest! {
        #![proptest_config(strategies::config(256))]

        #[test]
        fn what_is_encoded_is_decoded(signed in strategies::signed()) {
            prop_assert_eq!(SignedPrivateTransaction::decode(&signed.encode()), Ok(signed));
        }

        #[test]
        fn what_is_decoded_is_encoded(
            bytes in strategies::nearly(strategies::signed().prop_map(|signed| signed.encode()))
        ) {
            if let Ok(signed) = SignedPrivateTransaction::decode(&bytes) {
                prop_assert_eq!(signed.encode(), bytes);
            }
        }
    }
}
