//! The network definition: everything that changes the results of private execution. All members
//! of a network must share it; its hash is in every group's genesis.
//!
//! What an operator may choose alone (ports, keys, intervals) is not in it. Reading the file that
//! it is written in is the node's business; here is the form that peers exchange and hash. Fixed
//! by the design, section 2.

mod codec;
mod validate;

use alloc::{
    string::{String, ToString},
    vec::Vec,
};
use core::{fmt, str::FromStr};

use alloy_primitives::{Address, B256, Bytes, Keccak256, U256};

pub use codec::{DEFINITION_BYTES_MAX, DefinitionDecodeError};
pub use validate::InvalidDefinition;

/// Starts the pre-image of a definition's hash, so that it is no other hash of this project.
const HASH_DOMAIN: &[u8] = b"coterie network definition v1";

/// Everything that changes the results of private execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkDefinition {
    /// A name for people; part of the hash, so that two networks never share it by chance.
    pub name: String,
    /// Which rules.
    pub rules: Rules,
    /// The public chain's id.
    pub chain_id: u64,
    /// Gas of every private transaction and of the group checks.
    pub private_gas_cap: u64,
    /// How many distinct public accounts, slots and block hashes one private transaction may read.
    pub public_reads_max: u32,
    /// How many members a group may have.
    pub members_max: u32,
    /// What COINBASE is.
    pub beneficiary: Beneficiary,
    /// Code hashes of the management contracts at 0x7b and 0x7c, in this order.
    pub management_code_hashes: [B256; 2],
    /// Further accounts of every group's genesis, by ascending address.
    pub genesis_accounts: Vec<GenesisAccount>,
    /// The hard-fork schedule, oldest first. Not part of the hash.
    pub forks: Vec<(Fork, Activation)>,
}

impl NetworkDefinition {
    /// Sensible values for a new network under `coterie` rules.
    ///
    /// - Gas: 300 million. An endless loop ends in about a second on one slow core, and it is five
    ///   times a block of a large public chain.
    /// - Public reads: 256. Each is a request to the chain, once.
    /// - Members: 256. Every send goes to each of them, and the list is read at each check.
    /// - COINBASE: the header's beneficiary, as on the public chain.
    /// - Fork: Prague from the first block on; name the chain's own.
    ///
    /// `management_code_hashes` are those of the contracts that ship with this release.
    pub fn coterie(name: &str, chain_id: u64, management_code_hashes: [B256; 2]) -> Self {
        Self {
            name: name.to_string(),
            rules: Rules::Coterie,
            chain_id,
            private_gas_cap: 300_000_000,
            public_reads_max: 256,
            members_max: 256,
            beneficiary: Beneficiary::Header,
            management_code_hashes,
            genesis_accounts: Vec::new(),
            forks: alloc::vec![(Fork::Prague, Activation::Block(0))],
        }
    }

    /// keccak256 over a domain tag and the definition's bytes without the schedule, so that
    /// planning a fork changes no group. The name is part of it.
    pub fn hash(&self) -> B256 {
        let mut hasher = Keccak256::new();
        hasher.update(HASH_DOMAIN);
        hasher.update(codec::encode_without_forks(self));
        hasher.finalize()
    }

    /// The canonical bytes, schedule included, that peers exchange.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Reads [`Self::encode`]'s bytes strictly and validates the result.
    ///
    /// # Errors
    ///
    /// Not canonical, too large, of another format version, or not valid.
    pub fn decode(bytes: &[u8]) -> Result<Self, DefinitionDecodeError> {
        codec::decode(bytes)
    }

    /// Checks what the types do not say.
    ///
    /// # Errors
    ///
    /// The first rule broken.
    pub fn validate(&self) -> Result<(), InvalidDefinition> {
        validate::validate(self)
    }

    /// The first field in which two definitions disagree, by its name here; `None` if both give
    /// the same results up to the head. Of the schedules only what is active at the head must
    /// agree: see [`Self::plans_differ`] for the rest.
    pub fn differs(&self, other: &Self, head_number: u64, head_time: u64) -> Option<&'static str> {
        let active = |definition: &Self| -> Vec<(Fork, Activation)> {
            let is_active =
                |entry: &&(Fork, Activation)| entry.1.is_reached(head_number, head_time);
            definition.forks.iter().filter(is_active).copied().collect()
        };
        [
            ("rules", self.rules != other.rules),
            ("chain_id", self.chain_id != other.chain_id),
            ("name", self.name != other.name),
            ("private_gas_cap", self.private_gas_cap != other.private_gas_cap),
            ("public_reads_max", self.public_reads_max != other.public_reads_max),
            ("members_max", self.members_max != other.members_max),
            ("beneficiary", self.beneficiary != other.beneficiary),
            ("management_code_hashes", self.management_code_hashes != other.management_code_hashes),
            ("genesis_accounts", self.genesis_accounts != other.genesis_accounts),
            ("forks", active(self) != active(other)),
        ]
        .into_iter()
        .find_map(|(field, differs)| differs.then_some(field))
    }

    /// Whether the schedules differ at all, also in forks that are not active yet: a reason to
    /// warn, not to refuse, so that a fork can be rolled out node by node.
    pub fn plans_differ(&self, other: &Self) -> bool {
        self.forks != other.forks
    }

    /// The hard fork whose rules a block follows. `timestamp` in seconds.
    pub fn fork_at(&self, number: u64, timestamp: u64) -> Fork {
        self.forks
            .iter()
            .rev()
            .find(|(_, activation)| activation.is_reached(number, timestamp))
            // A valid schedule starts at block 0, so this is only for a definition never validated.
            .map_or(Fork::Berlin, |(fork, _)| *fork)
    }
}

/// Which protocol rules a network follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rules {
    /// Our rules: our management contracts, signed payloads, authenticated history.
    Coterie,
    /// Hyperledger Besu's rules, to continue groups made by it.
    Besu,
}

/// What COINBASE is in private code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Beneficiary {
    /// The public header's beneficiary field.
    Header,
    /// A fixed address.
    Fixed(Address),
}

/// When a hard fork becomes active on the public chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Activation {
    /// From this block number on.
    Block(u64),
    /// From this block timestamp (seconds) on.
    Time(u64),
}

/// Hard forks whose rules private execution can follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are Ethereum's own")]
pub enum Fork {
    Berlin,
    London,
    Paris,
    Shanghai,
    Cancun,
    Prague,
    Osaka,
}

/// An account that every group's private state starts with, besides the management contracts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GenesisAccount {
    /// Its address.
    pub address: Address,
    /// Its nonce.
    pub nonce: u64,
    /// Its private balance in wei.
    pub balance: U256,
    /// Its code; empty for none.
    pub code: Bytes,
    /// Its storage, by slot.
    pub storage: Vec<(U256, U256)>,
}

impl Activation {
    /// Whether a block of this number and timestamp (seconds) is at or after the activation.
    pub const fn is_reached(self, number: u64, timestamp: u64) -> bool {
        match self {
            Self::Block(first) => number >= first,
            Self::Time(first) => timestamp >= first,
        }
    }
}

/// The text names no known variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnknownName {
    /// No such rules.
    #[error("rules are `coterie` or `besu`")]
    Rules,
    /// No such fork.
    #[error("a fork is one of berlin, london, paris, shanghai, cancun, prague, osaka")]
    Fork,
}

impl Rules {
    /// The name in files and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Coterie => "coterie",
            Self::Besu => "besu",
        }
    }
}

impl fmt::Display for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Rules {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Coterie, Self::Besu]
            .into_iter()
            .find(|rules| rules.name() == text)
            .ok_or(UnknownName::Rules)
    }
}

impl Fork {
    /// All of them, oldest first.
    pub const ALL: [Self; 7] = [
        Self::Berlin,
        Self::London,
        Self::Paris,
        Self::Shanghai,
        Self::Cancun,
        Self::Prague,
        Self::Osaka,
    ];

    /// The name in files and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Berlin => "berlin",
            Self::London => "london",
            Self::Paris => "paris",
            Self::Shanghai => "shanghai",
            Self::Cancun => "cancun",
            Self::Prague => "prague",
            Self::Osaka => "osaka",
        }
    }
}

impl fmt::Display for Fork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Fork {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|fork| fork.name() == text).ok_or(UnknownName::Fork)
    }
}

#[cfg(test)]
mod tests;
