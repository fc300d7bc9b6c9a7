//! The block environment of private code (protocol specification, 6.8): the one place where a
//! definition and a header become numbers that the EVM sees.

use alloy_primitives::{Address, B256, U256};
use coterie_core::{
    NetworkDefinition,
    definition::{Beneficiary, Fork, Rules},
};
use revm::{
    context::BlockEnv,
    context_interface::block::BlobExcessGasAndPrice,
    primitives::{eip4844, hardfork::SpecId},
};

use crate::chain::Header;

/// The definition asks for something that this version does not do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnsupportedDefinition {
    /// Besu's rules.
    #[error("rules = \"besu\" is not supported by this version")]
    BesuRules,
}

/// Checks that this version executes as the definition says. Rules decide much: all that they
/// change in execution hangs on this.
pub(super) const fn check(definition: &NetworkDefinition) -> Result<(), UnsupportedDefinition> {
    match definition.rules {
        Rules::Coterie => Ok(()),
        Rules::Besu => Err(UnsupportedDefinition::BesuRules),
    }
}

/// What private code is told about the block it runs in.
#[derive(Clone, Debug)]
pub(super) struct Environment {
    pub(super) fork: Fork,
    pub(super) block: BlockEnv,
    /// Number of the block and hash of its parent.
    pub(super) parent: Option<(u64, B256)>,
}

impl Environment {
    /// That of a public block.
    pub(super) fn of(definition: &NetworkDefinition, header: &Header) -> Self {
        let fork = definition.fork_at(header.number, header.timestamp);
        let beneficiary = match definition.beneficiary {
            Beneficiary::Header => header.beneficiary,
            Beneficiary::Fixed(address) => address,
        };
        let blob_price = |excess| BlobExcessGasAndPrice::new(excess, blob_fraction(fork));
        let block = BlockEnv {
            number: U256::from(header.number),
            beneficiary,
            timestamp: U256::from(header.timestamp),
            gas_limit: header.gas_limit,
            basefee: header.base_fee.unwrap_or_default(),
            difficulty: header.difficulty,
            prevrandao: Some(header.mix_hash),
            blob_excess_gas_and_price: header.excess_blob_gas.map(blob_price),
            slot_num: 0,
        };
        Self { fork, block, parent: Some((header.number, header.parent_hash)) }
    }

    /// The one in which the group checks are evaluated: the same for every block of a fork, so that
    /// their answers depend on state alone.
    pub(super) fn of_checks(definition: &NetworkDefinition, fork: Fork) -> Self {
        let block = BlockEnv {
            number: U256::ZERO,
            beneficiary: Address::ZERO,
            timestamp: U256::ZERO,
            gas_limit: definition.private_gas_cap,
            basefee: 0,
            difficulty: U256::ZERO,
            prevrandao: Some(B256::ZERO),
            blob_excess_gas_and_price: Some(BlobExcessGasAndPrice::new(0, blob_fraction(fork))),
            slot_num: 0,
        };
        Self { fork, block, parent: None }
    }

    pub(super) const fn spec(&self) -> SpecId {
        spec(self.fork)
    }
}

const fn spec(fork: Fork) -> SpecId {
    match fork {
        Fork::Berlin => SpecId::BERLIN,
        Fork::London => SpecId::LONDON,
        Fork::Paris => SpecId::MERGE,
        Fork::Shanghai => SpecId::SHANGHAI,
        Fork::Cancun => SpecId::CANCUN,
        Fork::Prague => SpecId::PRAGUE,
        Fork::Osaka => SpecId::OSAKA,
    }
}

/// How fast BLOBBASEFEE follows the excess (EIP-7691 changed it). Forks that change blob parameters
/// only (EIP-7892) are not in the schedule: from the first of them on, BLOBBASEFEE is not that of
/// the public chain, but the same for all members.
const fn blob_fraction(fork: Fork) -> u64 {
    match fork {
        Fork::Berlin | Fork::London | Fork::Paris | Fork::Shanghai | Fork::Cancun => {
            eip4844::BLOB_BASE_FEE_UPDATE_FRACTION_CANCUN
        }
        Fork::Prague | Fork::Osaka => eip4844::BLOB_BASE_FEE_UPDATE_FRACTION_PRAGUE,
    }
}
