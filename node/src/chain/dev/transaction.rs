//! Public transactions as the development chain takes them: decoding, sender, and every check that
//! does not need the pool. Error texts are geth's, since clients match them.
//!
//! Blob (EIP-4844) and delegation (EIP-7702) transactions are refused.

use std::sync::Arc;

use alloy_consensus::{Transaction as _, TxEnvelope, transaction::Recovered};
use alloy_eips::eip2718::{Decodable2718, Encodable2718};
use alloy_primitives::{Address, Bytes, KECCAK256_EMPTY, U256};
use revm::{
    context::{TxEnv, tx::TxEnvBuilder},
    context_interface::cfg::gas::calculate_initial_tx_gas,
    primitives::hardfork::SpecId,
};
use secp256k1::{
    Message, SECP256K1,
    ecdsa::{RecoverableSignature, RecoveryId},
};

use super::state::State;

/// Bytes in a transaction, as geth's pool.
pub(super) const TRANSACTION_BYTES_MAX: usize = 128 * 1024;
/// Bytes of creation code (EIP-3860).
const INITCODE_BYTES_MAX: usize = 2 * 24_576;

/// A transaction with its sender.
pub(super) type Transaction = Arc<Recovered<TxEnvelope>>;

/// The development chain does not take a transaction.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TransactionError {
    /// The bytes are no transaction.
    #[error("rlp: {0}")]
    Undecodable(String),
    /// Blobs, delegations, or a type after the chain's hard fork.
    #[error("transaction type not supported")]
    Type,
    /// The signature recovers no sender.
    #[error("invalid sender: invalid signature")]
    Signature,
    /// Signed for another chain.
    #[error("invalid sender: invalid chain id for signer: have {have} want {want}")]
    ChainId {
        /// The transaction's.
        have: u64,
        /// The chain's.
        want: u64,
    },
    /// More bytes than the pool takes.
    #[error("oversized data: transaction size {size}, limit {limit}")]
    Oversized {
        /// Bytes.
        size: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// More creation code than EIP-3860 allows.
    #[error("max initcode size exceeded: code size {size}, limit {limit}")]
    InitcodeSize {
        /// Bytes.
        size: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// More gas than a block has.
    #[error("exceeds block gas limit")]
    GasLimit,
    /// Less gas than the transaction costs before it runs.
    #[error("intrinsic gas too low: gas {gas}, minimum needed {needed}")]
    IntrinsicGas {
        /// The transaction's gas limit.
        gas: u64,
        /// Needed at least.
        needed: u64,
    },
    /// Pays less than the fixed base fee.
    #[error("max fee per gas less than block base fee: maxFeePerGas: {fee}, baseFee: {base_fee}")]
    FeeTooLow {
        /// The transaction's, in wei per gas.
        fee: u128,
        /// The chain's, in wei per gas.
        base_fee: u64,
    },
    /// The tip is more than the whole fee.
    #[error(
        "max priority fee per gas higher than max fee per gas: maxPriorityFeePerGas: {tip}, maxFeePerGas: {fee}"
    )]
    TipAboveFee {
        /// Wei per gas.
        tip: u128,
        /// Wei per gas.
        fee: u128,
    },
    /// The nonce is used.
    #[error("nonce too low: next nonce {next}, tx nonce {nonce}")]
    NonceTooLow {
        /// The sender's next.
        next: u64,
        /// The transaction's.
        nonce: u64,
    },
    /// The nonce is further ahead than the pool keeps.
    #[error("nonce too high: next nonce {next}, tx nonce {nonce}")]
    NonceTooHigh {
        /// The sender's next.
        next: u64,
        /// The transaction's.
        nonce: u64,
    },
    /// The sender cannot pay.
    #[error("insufficient funds for gas * price + value: balance {balance}, tx cost {cost}")]
    Funds {
        /// Wei.
        balance: U256,
        /// Wei.
        cost: U256,
    },
    /// The sender is a contract (EIP-3607).
    #[error("sender not an eoa: address {0}")]
    SenderHasCode(Address),
    /// It is in the pool.
    #[error("already known")]
    AlreadyKnown,
    /// Another one with this nonce is in the pool and pays as much.
    #[error("replacement transaction underpriced")]
    Underpriced,
    /// The pool is full.
    #[error("txpool is full")]
    PoolFull,
    /// The virtual machine refuses it where the checks before did not.
    #[error("{0}")]
    Invalid(String),
}

/// What of the chain's options a transaction is checked against.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) chain_id: u64,
    pub(super) hardfork: SpecId,
    pub(super) gas_limit: u64,
    /// Set where the base fee never moves: less can never be mined.
    pub(super) fixed_base_fee: Option<u64>,
}

/// Decodes a signed transaction and recovers its sender.
pub(super) fn decode(raw: &[u8]) -> Result<Transaction, TransactionError> {
    if raw.len() > TRANSACTION_BYTES_MAX {
        return Err(TransactionError::Oversized { size: raw.len(), limit: TRANSACTION_BYTES_MAX });
    }
    // A type byte (EIP-2718) that is not an RLP list.
    if raw.first().is_some_and(|it| !matches!(it, 1 | 2 | 0xc0..)) {
        return Err(TransactionError::Type);
    }
    let rest = &mut &raw[..];
    let envelope = TxEnvelope::decode_2718(rest)
        .map_err(|error| TransactionError::Undecodable(error.to_string()))?;
    if !rest.is_empty() {
        return Err(TransactionError::Undecodable("bytes after the transaction".to_owned()));
    }
    let sender = recover(&envelope).ok_or(TransactionError::Signature)?;
    Ok(Arc::new(Recovered::new_unchecked(envelope, sender)))
}

/// The sender by libsecp256k1, which is five times as fast as what `alloy` is built with here.
fn recover(envelope: &TxEnvelope) -> Option<Address> {
    let signature = envelope.signature();
    // EIP-2: a high s is the same signature's twin.
    if signature.normalize_s().is_some() {
        return None;
    }
    let recovery = RecoveryId::from_u8_masked(u8::from(signature.v()));
    let bytes = signature.as_bytes();
    let recoverable = RecoverableSignature::from_compact(bytes.get(..64)?, recovery).ok()?;
    let message = Message::from_digest(envelope.signature_hash().0);
    let key = SECP256K1.recover_ecdsa(message, &recoverable).ok()?;
    Some(Address::from_raw_public_key(key.serialize_uncompressed().get(1..)?))
}

/// What holds for a transaction whatever the state is.
pub(super) fn check_static(
    transaction: &Recovered<TxEnvelope>,
    rules: &Rules,
) -> Result<(), TransactionError> {
    let (fee, tip) =
        (transaction.max_fee_per_gas(), transaction.max_priority_fee_per_gas().unwrap_or(0));
    let input = transaction.input();
    let typed = u8::from(transaction.tx_type());
    if (typed == 1 && !rules.hardfork.is_enabled_in(SpecId::BERLIN))
        || (typed == 2 && !rules.hardfork.is_enabled_in(SpecId::LONDON))
    {
        return Err(TransactionError::Type);
    }
    if let Some(have) = transaction.chain_id().filter(|id| *id != rules.chain_id) {
        return Err(TransactionError::ChainId { have, want: rules.chain_id });
    }
    let creates = transaction.is_create();
    if creates && rules.hardfork.is_enabled_in(SpecId::SHANGHAI) && input.len() > INITCODE_BYTES_MAX
    {
        return Err(TransactionError::InitcodeSize {
            size: input.len(),
            limit: INITCODE_BYTES_MAX,
        });
    }
    if transaction.gas_limit() > rules.gas_limit {
        return Err(TransactionError::GasLimit);
    }
    if tip > fee {
        return Err(TransactionError::TipAboveFee { tip, fee });
    }
    let slots = |list: &alloy_eips::eip2930::AccessList| {
        list.iter().map(|it| it.storage_keys.len()).sum::<usize>()
    };
    let accesses = transaction.access_list().map_or((0, 0), |list| (list.len(), slots(list)));
    let (accounts, slots) = (accesses.0 as u64, accesses.1 as u64);
    let initial =
        calculate_initial_tx_gas(rules.hardfork, input, creates, accounts, slots, 0, None);
    let needed = initial.initial_regular_gas.max(initial.floor_gas);
    if transaction.gas_limit() < needed {
        return Err(TransactionError::IntrinsicGas { gas: transaction.gas_limit(), needed });
    }
    match rules.fixed_base_fee {
        Some(base_fee) if fee < u128::from(base_fee) => {
            Err(TransactionError::FeeTooLow { fee, base_fee })
        }
        Some(_) | None => Ok(()),
    }
}

/// What holds for a transaction on top of a state. A nonce ahead of the state's is the pool's matter.
pub(super) fn check_state(
    transaction: &Recovered<TxEnvelope>,
    state: &State,
) -> Result<(), TransactionError> {
    let sender = transaction.signer();
    let account = state.account(sender);
    let (next, balance) = account.map_or((0, U256::ZERO), |it| (it.nonce, it.balance));
    if account.is_some_and(|it| it.code_hash != KECCAK256_EMPTY) {
        return Err(TransactionError::SenderHasCode(sender));
    }
    let nonce = transaction.nonce();
    if nonce < next {
        return Err(TransactionError::NonceTooLow { next, nonce });
    }
    let gas = U256::from(transaction.gas_limit())
        .saturating_mul(U256::from(transaction.max_fee_per_gas()));
    let cost = gas.saturating_add(transaction.value());
    if cost > balance {
        return Err(TransactionError::Funds { balance, cost });
    }
    Ok(())
}

/// The transaction as revm takes it.
pub(super) fn environment(transaction: &Recovered<TxEnvelope>) -> Result<TxEnv, TransactionError> {
    let builder = TxEnvBuilder::new()
        .tx_type(Some(transaction.tx_type().into()))
        .caller(transaction.signer())
        .gas_limit(transaction.gas_limit())
        .gas_price(transaction.max_fee_per_gas())
        .gas_priority_fee(transaction.max_priority_fee_per_gas())
        .kind(transaction.kind())
        .value(transaction.value())
        .data(transaction.input().clone())
        .nonce(transaction.nonce())
        .chain_id(transaction.chain_id())
        .access_list(transaction.access_list().cloned().unwrap_or_default());
    builder.build().map_err(|error| TransactionError::Invalid(format!("{error:?}")))
}

/// The wire form of a transaction.
pub(super) fn raw(transaction: &TxEnvelope) -> Bytes {
    transaction.encoded_2718().into()
}
