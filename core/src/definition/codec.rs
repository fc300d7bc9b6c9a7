//! The canonical bytes of a definition: an RLP list, the schedule last. This is our own format;
//! its first item is its version.
//!
//! ```text
//! [1, name, rules, chain id, private gas cap, public reads, members, beneficiary,
//!  code hash 0x7b, code hash 0x7c, [account…], [fork…]]
//! rules        0 coterie, 1 besu
//! beneficiary  empty (the header's) or an address
//! account      [address, nonce, balance, code, [[slot, value]…]]
//! fork         [index in `Fork::ALL`, 0 (block) or 1 (time), number]
//! ```

use alloc::{string::String, vec::Vec};

use alloy_primitives::{Address, B256, Bytes};
use alloy_rlp::{Decodable, Encodable, Header};

use super::{
    Activation, Beneficiary, Fork, GenesisAccount, InvalidDefinition, NetworkDefinition, Rules,
};
use crate::rlp::list_of;

/// The largest definition that is read, in bytes. Genesis contracts make the size.
pub const DEFINITION_BYTES_MAX: usize = 4 << 20;

const FORMAT: u8 = 1;

/// The bytes are no network definition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DefinitionDecodeError {
    /// Larger than [`DEFINITION_BYTES_MAX`].
    #[error("the network definition has {0} bytes, more than {DEFINITION_BYTES_MAX}")]
    TooLarge(usize),
    /// Not canonical RLP of this format.
    #[error("the network definition is not valid RLP: {0}")]
    Rlp(alloy_rlp::Error),
    /// Something follows a list.
    #[error("the network definition has surplus items or bytes")]
    Surplus,
    /// Written by another release.
    #[error("the network definition has format {0}; this release reads format {FORMAT}")]
    Format(u8),
    /// A choice that this release does not know.
    #[error("the network definition uses an unknown value for {0}")]
    Unknown(&'static str),
    /// The name is not UTF-8.
    #[error("the name is not UTF-8")]
    Name,
    /// Decodes, but cannot be used.
    #[error("the network definition is not valid")]
    Invalid(#[from] InvalidDefinition),
}

impl From<alloy_rlp::Error> for DefinitionDecodeError {
    fn from(error: alloy_rlp::Error) -> Self {
        Self::Rlp(error)
    }
}

pub(super) fn encode(definition: &NetworkDefinition) -> Vec<u8> {
    let mut items = encode_items(definition);
    let mut forks = Vec::new();
    for (fork, activation) in &definition.forks {
        let mut item = Vec::new();
        fork_index(*fork).encode(&mut item);
        let (kind, number) = match activation {
            Activation::Block(number) => (0u8, number),
            Activation::Time(time) => (1, time),
        };
        kind.encode(&mut item);
        number.encode(&mut item);
        forks.extend(list_of(&item));
    }
    items.extend(list_of(&forks));
    list_of(&items)
}

pub(super) fn encode_without_forks(definition: &NetworkDefinition) -> Vec<u8> {
    list_of(&encode_items(definition))
}

fn encode_items(definition: &NetworkDefinition) -> Vec<u8> {
    let mut items = Vec::new();
    FORMAT.encode(&mut items);
    definition.name.encode(&mut items);
    let rules: u8 = match definition.rules {
        Rules::Coterie => 0,
        Rules::Besu => 1,
    };
    rules.encode(&mut items);
    definition.chain_id.encode(&mut items);
    definition.private_gas_cap.encode(&mut items);
    definition.public_reads_max.encode(&mut items);
    definition.members_max.encode(&mut items);
    match definition.beneficiary {
        Beneficiary::Header => [].as_slice().encode(&mut items),
        Beneficiary::Fixed(address) => address.encode(&mut items),
    }
    for hash in &definition.management_code_hashes {
        hash.encode(&mut items);
    }
    let mut accounts = Vec::new();
    for account in &definition.genesis_accounts {
        accounts.extend(encode_account(account));
    }
    items.extend(list_of(&accounts));
    items
}

fn encode_account(account: &GenesisAccount) -> Vec<u8> {
    let mut storage = Vec::new();
    for (slot, value) in &account.storage {
        let mut entry = Vec::new();
        slot.encode(&mut entry);
        value.encode(&mut entry);
        storage.extend(list_of(&entry));
    }
    let mut items = Vec::new();
    account.address.encode(&mut items);
    account.nonce.encode(&mut items);
    account.balance.encode(&mut items);
    account.code.encode(&mut items);
    items.extend(list_of(&storage));
    list_of(&items)
}

fn fork_index(fork: Fork) -> u8 {
    match fork {
        Fork::Berlin => 0,
        Fork::London => 1,
        Fork::Paris => 2,
        Fork::Shanghai => 3,
        Fork::Cancun => 4,
        Fork::Prague => 5,
        Fork::Osaka => 6,
    }
}

pub(super) fn decode(bytes: &[u8]) -> Result<NetworkDefinition, DefinitionDecodeError> {
    if bytes.len() > DEFINITION_BYTES_MAX {
        return Err(DefinitionDecodeError::TooLarge(bytes.len()));
    }
    let mut rest = bytes;
    let mut items = list(&mut rest)?;
    expect_end(rest)?;
    let items = &mut items;
    let format = u8::decode(items)?;
    if format != FORMAT {
        return Err(DefinitionDecodeError::Format(format));
    }
    let name = Header::decode_bytes(items, false)?;
    let name = core::str::from_utf8(name).map_err(|_| DefinitionDecodeError::Name)?;
    let definition = NetworkDefinition {
        name: String::from(name),
        rules: match u8::decode(items)? {
            0 => Rules::Coterie,
            1 => Rules::Besu,
            _ => return Err(DefinitionDecodeError::Unknown("rules")),
        },
        chain_id: u64::decode(items)?,
        private_gas_cap: u64::decode(items)?,
        public_reads_max: u32::decode(items)?,
        members_max: u32::decode(items)?,
        beneficiary: decode_beneficiary(items)?,
        management_code_hashes: [B256::decode(items)?, B256::decode(items)?],
        genesis_accounts: decode_each(items, decode_account)?,
        forks: decode_each(items, decode_fork)?,
    };
    expect_end(items)?;
    definition.validate()?;
    Ok(definition)
}

fn decode_beneficiary(items: &mut &[u8]) -> Result<Beneficiary, DefinitionDecodeError> {
    let bytes = Header::decode_bytes(items, false)?;
    if bytes.is_empty() {
        return Ok(Beneficiary::Header);
    }
    Address::try_from(bytes)
        .map(Beneficiary::Fixed)
        .map_err(|_| DefinitionDecodeError::Unknown("beneficiary"))
}

fn decode_account(items: &mut &[u8]) -> Result<GenesisAccount, DefinitionDecodeError> {
    Ok(GenesisAccount {
        address: Decodable::decode(items)?,
        nonce: Decodable::decode(items)?,
        balance: Decodable::decode(items)?,
        code: Bytes::decode(items)?,
        storage: decode_each(items, |entry| {
            Ok((Decodable::decode(entry)?, Decodable::decode(entry)?))
        })?,
    })
}

fn decode_fork(items: &mut &[u8]) -> Result<(Fork, Activation), DefinitionDecodeError> {
    let index = usize::from(u8::decode(items)?);
    let fork = *Fork::ALL.get(index).ok_or(DefinitionDecodeError::Unknown("forks"))?;
    let activation = match (u8::decode(items)?, u64::decode(items)?) {
        (0, number) => Activation::Block(number),
        (1, time) => Activation::Time(time),
        _ => return Err(DefinitionDecodeError::Unknown("forks")),
    };
    Ok((fork, activation))
}

/// Reads a list of lists, each by `decode`, which must use all of it.
fn decode_each<T>(
    items: &mut &[u8],
    decode: impl Fn(&mut &[u8]) -> Result<T, DefinitionDecodeError>,
) -> Result<Vec<T>, DefinitionDecodeError> {
    let mut outer = list(items)?;
    let mut decoded = Vec::new();
    while !outer.is_empty() {
        let mut inner = list(&mut outer)?;
        decoded.push(decode(&mut inner)?);
        expect_end(inner)?;
    }
    Ok(decoded)
}

fn list<'a>(buf: &mut &'a [u8]) -> Result<&'a [u8], DefinitionDecodeError> {
    Ok(Header::decode_bytes(buf, true)?)
}

fn expect_end(rest: &[u8]) -> Result<(), DefinitionDecodeError> {
    if rest.is_empty() { Ok(()) } else { Err(DefinitionDecodeError::Surplus) }
}
