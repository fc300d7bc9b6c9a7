//! What makes a definition usable, beyond its types.

use alloy_primitives::{Address, address};

use super::{Activation, GenesisAccount, NetworkDefinition, Rules};

/// Genesis accounts lie above the precompiles and the management contracts.
const FIRST_FREE_ADDRESS: Address = address!("0000000000000000000000000000000000001000");
const NAME_BYTES_MAX: usize = 64;
/// Enough to read the longest list of members that is allowed.
const PRIVATE_GAS_CAP_MIN: u64 = 30_000_000;
/// What Besu gives every private transaction.
const BESU_GAS: u64 = i64::MAX.unsigned_abs();
const MEMBERS_MAX: u32 = 1024;

/// The definition cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidDefinition {
    /// The name is empty, too long, or has control characters.
    #[error("the name has 1 to {NAME_BYTES_MAX} bytes and no control characters")]
    Name,
    /// Nobody can sign for chain id 0.
    #[error("the chain id must not be 0")]
    ChainId,
    /// Too little to read a group's members, or more than the EVM's accounting allows.
    #[error("the private gas cap lies between {PRIVATE_GAS_CAP_MIN} and {BESU_GAS}")]
    PrivateGasCap,
    /// Besu's rules know one private gas only.
    #[error("under besu rules the private gas cap is {BESU_GAS}")]
    BesuGas,
    /// No public read at all.
    #[error("at least one public read must be allowed")]
    PublicReadsMax,
    /// A group of nobody, or larger than anybody has tried.
    #[error("a group may have 1 to {MEMBERS_MAX} members")]
    MembersMax,
    /// A genesis account would shadow a precompile or a management contract.
    #[error("genesis account {0} lies below {FIRST_FREE_ADDRESS}")]
    ReservedAddress(Address),
    /// Addresses must ascend, so that one state has one form.
    #[error("genesis account {0} is not in ascending order")]
    AccountOrder(Address),
    /// A nonce that no account can have.
    #[error("genesis account {0} has the highest nonce, which cannot be used")]
    Nonce(Address),
    /// Slots must ascend, so that one state has one form.
    #[error("the storage of genesis account {0} is not in ascending order")]
    SlotOrder(Address),
    /// A zero is the absence of a value.
    #[error("the storage of genesis account {0} has a zero value; leave it out")]
    ZeroSlot(Address),
    /// The first fork must be active from the first block on.
    #[error("the first fork must be active from block 0")]
    FirstFork,
    /// Forks must ascend, and so must the blocks and times of their activation.
    #[error("forks must be listed from oldest to newest, blocks before times")]
    ForkOrder,
}

pub(super) fn validate(definition: &NetworkDefinition) -> Result<(), InvalidDefinition> {
    let name = &definition.name;
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        return Err(InvalidDefinition::Name);
    }
    if definition.chain_id == 0 {
        return Err(InvalidDefinition::ChainId);
    }
    let gas = definition.private_gas_cap;
    match definition.rules {
        Rules::Coterie if !(PRIVATE_GAS_CAP_MIN..=BESU_GAS).contains(&gas) => {
            return Err(InvalidDefinition::PrivateGasCap);
        }
        Rules::Coterie if !(1..=MEMBERS_MAX).contains(&definition.members_max) => {
            return Err(InvalidDefinition::MembersMax);
        }
        Rules::Besu if gas != BESU_GAS => return Err(InvalidDefinition::BesuGas),
        Rules::Coterie | Rules::Besu => {}
    }
    if definition.public_reads_max == 0 {
        return Err(InvalidDefinition::PublicReadsMax);
    }
    validate_accounts(&definition.genesis_accounts)?;
    validate_forks(definition)
}

fn validate_accounts(accounts: &[GenesisAccount]) -> Result<(), InvalidDefinition> {
    let mut previous = None;
    for account in accounts {
        let address = account.address;
        if address < FIRST_FREE_ADDRESS {
            return Err(InvalidDefinition::ReservedAddress(address));
        }
        if previous >= Some(address) {
            return Err(InvalidDefinition::AccountOrder(address));
        }
        previous = Some(address);
        if account.nonce == u64::MAX {
            return Err(InvalidDefinition::Nonce(address));
        }
        if !account.storage.is_sorted_by(|(slot, _), (next, _)| slot < next) {
            return Err(InvalidDefinition::SlotOrder(address));
        }
        if account.storage.iter().any(|(_, value)| value.is_zero()) {
            return Err(InvalidDefinition::ZeroSlot(address));
        }
    }
    Ok(())
}

fn validate_forks(definition: &NetworkDefinition) -> Result<(), InvalidDefinition> {
    if definition.forks.first().map(|(_, activation)| *activation) != Some(Activation::Block(0)) {
        return Err(InvalidDefinition::FirstFork);
    }
    let ascends = definition.forks.is_sorted_by(|(fork, activation), (next_fork, next)| {
        let in_order = match (activation, next) {
            (Activation::Block(block), Activation::Block(next)) => block <= next,
            (Activation::Time(time), Activation::Time(next)) => time <= next,
            (Activation::Block(_), Activation::Time(_)) => true,
            (Activation::Time(_), Activation::Block(_)) => false,
        };
        fork < next_fork && in_order
    });
    if ascends { Ok(()) } else { Err(InvalidDefinition::ForkOrder) }
}
