//! Why a use case was refused or failed.

use alloy_primitives::B256;
use coterie_core::{EnclaveKey, GroupId};

use super::FollowingStopped;
use crate::{
    chain::ChainError,
    enclave::{AskError, DistributeError, EnclaveUnavailable},
    state::StateError,
};

/// A private transaction was not sent. Unless said otherwise nothing left the node.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The bytes are no signed private transaction.
    #[error("the private transaction does not decode: {reason}")]
    Undecodable {
        /// The decoder's words.
        reason: String,
    },
    /// `v` is neither 27, 28 nor above 36.
    #[error("the signature's v names neither a parity nor a chain id")]
    InvalidV,
    /// Only `restricted` transactions are sent.
    #[error("only transactions with restriction \"restricted\" are accepted")]
    UnsupportedRestriction,
    /// The transaction carries `privateFor`.
    #[error("a flexible privacy group is named by privacyGroupId, not by privateFor")]
    MissingGroupId,
    /// `privateFrom` is not the caller's key.
    #[error("privateFrom {0} is not the caller's enclave key")]
    PrivateFromMismatch(EnclaveKey),
    /// Private transactions move no ether.
    #[error("a private transaction cannot transfer value")]
    ValueNotZero,
    /// Signed for another chain.
    #[error("signed for chain {found}, this is chain {expected}")]
    WrongChainId {
        /// Ours.
        expected: u64,
        /// The transaction's.
        found: u64,
    },
    /// The signature recovers no sender.
    #[error("the signature recovers no sender")]
    InvalidSignature,
    /// The private nonce is used already.
    #[error("private nonce {found} is used, the next one is {expected}")]
    NonceTooLow {
        /// The sender's next private nonce.
        expected: u64,
        /// The transaction's.
        found: u64,
    },
    /// The group does not exist here, and this does not create it.
    #[error("privacy group {0} does not exist on this node")]
    GroupUnknown(GroupId),
    /// The caller is not, or no more, a member: said in the same words as an unknown group.
    #[error("the caller is not a member of privacy group {0}")]
    NotAMember(GroupId),
    /// Creating a group whose id is taken.
    #[error("privacy group {group} exists already")]
    GroupExists {
        /// The id.
        group: GroupId,
        /// Who knows it; `None` when it is this node.
        known_to: Option<EnclaveKey>,
    },
    /// A listed member does not know a group that it should.
    #[error("the node of enclave key {key} does not know privacy group {group}")]
    GroupUnknownToMember {
        /// The group.
        group: GroupId,
        /// The member.
        key: EnclaveKey,
    },
    /// The group's history is being taken over.
    #[error("this node is joining privacy group {0}: try again when it has the history")]
    Joining(GroupId),
    /// The calldata's member list is not canonical ABI, or a key has not the length that the
    /// rules ask for.
    #[error("the member list does not decode: {reason}")]
    InvalidMembers {
        /// What is wrong.
        reason: String,
    },
    /// More members than the network allows.
    #[error("{count} members are more than the network's limit of {limit}")]
    TooManyMembers {
        /// With this transaction.
        count: usize,
        /// The limit.
        limit: u32,
    },
    /// The follower is too far behind the chain to judge by its state.
    #[error("the node is still catching up with the chain")]
    Behind,
    /// The follower stopped: nobody here would see what becomes of it.
    #[error(transparent)]
    FollowingStopped(#[from] FollowingStopped),
    /// A member's enclave could not be asked before sending.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The payload was not stored by every recipient; some may have it, but it has no marker.
    #[error(transparent)]
    Distribute(#[from] DistributeError),
    /// Every recipient has the payload, but the chain refused the marker.
    #[error("the marker was refused: {0}")]
    Marker(#[from] MarkerRefused),
    /// The chain failed otherwise.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// Our state failed.
    #[error(transparent)]
    State(#[from] StateError),
    /// Our enclave failed.
    #[error(transparent)]
    Enclave(#[from] EnclaveUnavailable),
}

/// Why the chain did not take a marker (protocol, 3.4).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MarkerRefused {
    /// The private transaction's gas limit does not cover the marker's intrinsic gas.
    #[error("the private transaction's gas limit does not cover the marker's intrinsic gas")]
    IntrinsicGas,
    /// Nonce used.
    #[error("nonce too low")]
    NonceTooLow,
    /// Nonce not accepted yet.
    #[error("nonce too high")]
    NonceTooHigh,
    /// Nonce too far ahead.
    #[error("nonce too distant")]
    NonceTooDistant,
    /// The marker's signer cannot pay.
    #[error("the marker's signer cannot pay for it")]
    InsufficientFunds,
    /// More gas than a block has.
    #[error("gas limit above the block's")]
    ExceedsBlockGasLimit,
    /// The chain does not accept this sender.
    #[error("the marker's signer is not authorized on the chain")]
    SenderNotAuthorized,
    /// Below the chain's minimum gas price.
    #[error("gas price below the chain's minimum")]
    GasPriceTooLow,
    /// Below the base fee.
    #[error("gas price below the current base fee")]
    BelowBaseFee,
    /// Already in the pool.
    #[error("the marker is known already")]
    Known,
    /// Another transaction with this nonce pays as much.
    #[error("replacement transaction underpriced")]
    ReplacementUnderpriced,
    /// The chain wants replay protection.
    #[error("the chain asks for replay protection")]
    ChainIdRequired,
    /// The chain's node is still syncing.
    #[error("the chain's node is still syncing")]
    Syncing,
    /// Something else, in the chain's words.
    #[error("{message} ({code})")]
    Other {
        /// JSON-RPC error code.
        code: i64,
        /// Its message.
        message: String,
    },
}

/// Something could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The caller may not read this group (at this block).
    #[error("the caller is not a member of privacy group {0}")]
    NotAMember(GroupId),
    /// `privateFrom` is not the caller's.
    #[error("{0} is not the caller's enclave key")]
    NotTheCallersKey(EnclaveKey),
    /// The asked keys do not contain the caller's.
    #[error("the list must contain the caller's own enclave key {0}, or be empty")]
    OwnKeyMissing(EnclaveKey),
    /// The group does not exist on this node.
    #[error("privacy group {0} does not exist on this node")]
    GroupUnknown(GroupId),
    /// There is no such block, or it has not been followed.
    #[error("unknown block")]
    BlockUnknown,
    /// The mined transaction is no marker: another recipient, or data of a wrong length.
    #[error("transaction {0} is not a privacy marker transaction")]
    NotAMarker(B256),
    /// A call with value.
    #[error("a private call cannot transfer value")]
    ValueNotZero,
    /// More logs or blocks than one answer may have.
    #[error("the answer would exceed the limit of {limit} {of}")]
    TooMuch {
        /// The limit.
        limit: u64,
        /// Of what: `"logs"` or `"blocks"`.
        of: &'static str,
    },
    /// The group's history is being taken over, and there is no earlier state to answer from.
    #[error("this node is joining privacy group {0}: try again when it has the history")]
    Joining(GroupId),
    /// The follower stopped, and what is asked for would only come with further blocks.
    #[error(transparent)]
    FollowingStopped(#[from] FollowingStopped),
    /// The chain failed.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// Our state failed.
    #[error(transparent)]
    State(#[from] StateError),
    /// Our enclave failed.
    #[error(transparent)]
    Enclave(#[from] EnclaveUnavailable),
}

/// Logs are not followed, or not any more.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WatchError {
    /// The caller has no such filter for this group; it may have expired.
    #[error("no such filter: it was not made for this group by this caller, or it has expired")]
    FilterUnknown,
    /// One more would be too many.
    #[error("no more than {limit} {of}")]
    TooMany {
        /// The limit.
        limit: usize,
        /// Of what: filters, filters of one caller, values in a filter.
        of: &'static str,
    },
    /// The group's history was replaced, and what was told before is not known any more.
    #[error(
        "the group's history was replaced on this node: read its logs by priv_getLogs and begin again"
    )]
    Forgotten,
    /// No entropy for an id.
    #[error("this node has no entropy for an id: try again")]
    NoEntropy,
    /// It is not allowed, or reading failed.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl From<StateError> for WatchError {
    fn from(error: StateError) -> Self {
        Self::Read(error.into())
    }
}

/// A group's history is not taken over again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HealError {
    /// Nothing is known of the group, so a giver must be named.
    #[error("privacy group {0} does not exist on this node: name a member that has it")]
    GroupUnknown(GroupId),
    /// The giver is this node itself.
    #[error("enclave key {0} is this node's own: name another member's")]
    OwnKey(EnclaveKey),
    /// The group has no other members, as far as this node knows.
    #[error(
        "this node knows of no other node that is in privacy group {0}: name a member that has it"
    )]
    NobodyToAsk(GroupId),
    /// The giver's node does not know the group.
    #[error(
        "the node of enclave key {key} does not know privacy group {group}: name another member"
    )]
    GroupUnknownToGiver {
        /// The group.
        group: GroupId,
        /// The giver.
        key: EnclaveKey,
    },
    /// The giver's node cannot be asked.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The follower stopped.
    #[error(transparent)]
    FollowingStopped(#[from] FollowingStopped),
    /// The node stops.
    #[error("this node is stopping: ask again when it is back")]
    Stopping,
    /// Our state failed.
    #[error(transparent)]
    State(#[from] StateError),
}

/// What a client's refusal of a marker means, by its words: error numbers differ between clients
/// and are mostly -32000 (geth, Besu, Nethermind, Erigon, anvil).
pub(super) fn marker_refused(code: i64, message: String) -> MarkerRefused {
    let words = message.to_ascii_lowercase();
    let says = |any: &[&str]| any.iter().any(|it| words.contains(it));
    if says(&[
        "exceeds block gas limit",
        "intrinsic gas too high",
        "gas limit too high",
        "gaslimitexceeded",
    ]) {
        MarkerRefused::ExceedsBlockGasLimit
    } else if says(&["intrinsic gas", "floor data gas"]) {
        MarkerRefused::IntrinsicGas
    } else if says(&["nonce too low", "nonce is too low", "oldnonce"]) {
        MarkerRefused::NonceTooLow
    } else if says(&["too distant", "nonce too far"]) {
        MarkerRefused::NonceTooDistant
    } else if says(&["nonce too high"]) {
        MarkerRefused::NonceTooHigh
    } else if says(&[
        "insufficient funds",
        "insufficientfunds",
        "upfront cost exceeds",
        "insufficient balance",
    ]) {
        MarkerRefused::InsufficientFunds
    } else if says(&["not authorized", "not permitted"]) {
        MarkerRefused::SenderNotAuthorized
    } else if says(&["replacement transaction underpriced"]) {
        MarkerRefused::ReplacementUnderpriced
    } else if says(&["base fee", "basefee", "max fee per gas less than"]) {
        MarkerRefused::BelowBaseFee
    } else if says(&[
        "underpriced",
        "below configured minimum",
        "gas price below minimum",
        "feetoolow",
        "fee too low",
    ]) {
        MarkerRefused::GasPriceTooLow
    } else if says(&["already known", "known transaction", "alreadyknown", "already imported"]) {
        MarkerRefused::Known
    } else if says(&["chainid is required", "replay-protected", "replay protected"]) {
        MarkerRefused::ChainIdRequired
    } else if says(&["sync is still in progress", "syncing"]) {
        MarkerRefused::Syncing
    } else {
        MarkerRefused::Other { code, message }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_known_by_the_words_of_every_client() {
        use MarkerRefused as Refused;
        for (message, want) in [
            // geth, and our development chain.
            ("intrinsic gas too low: gas 21000, minimum needed 21512", Refused::IntrinsicGas),
            ("nonce too low: next nonce 3, tx nonce 0", Refused::NonceTooLow),
            ("nonce too high: next nonce 1, tx nonce 20000", Refused::NonceTooHigh),
            (
                "insufficient funds for gas * price + value: balance 0, tx cost 42000",
                Refused::InsufficientFunds,
            ),
            ("exceeds block gas limit", Refused::ExceedsBlockGasLimit),
            ("transaction underpriced: tip needed 1, tip permitted 0", Refused::GasPriceTooLow),
            (
                "transaction gas price below minimum: gas tip cap 0, minimum needed 1",
                Refused::GasPriceTooLow,
            ),
            ("transaction gas limit too high (cap: 1, tx: 2)", Refused::ExceedsBlockGasLimit),
            (
                "max fee per gas less than block base fee: maxFeePerGas: 1, baseFee: 7",
                Refused::BelowBaseFee,
            ),
            ("already known", Refused::Known),
            ("replacement transaction underpriced", Refused::ReplacementUnderpriced),
            (
                "only replay-protected (EIP-155) transactions allowed over RPC",
                Refused::ChainIdRequired,
            ),
            // geth since EIP-7623 (Prague) asks for more than the intrinsic gas.
            (
                "insufficient gas for floor data gas cost: gas 21600, minimum needed 22280",
                Refused::IntrinsicGas,
            ),
            // Besu (protocol, 3.4).
            ("Intrinsic gas exceeds gas limit", Refused::IntrinsicGas),
            ("Nonce too low", Refused::NonceTooLow),
            ("Nonce too high", Refused::NonceTooHigh),
            (
                "Transaction nonce is too distant from current sender nonce",
                Refused::NonceTooDistant,
            ),
            ("Upfront cost exceeds account balance", Refused::InsufficientFunds),
            ("Transaction gas limit exceeds block gas limit", Refused::ExceedsBlockGasLimit),
            ("Sender account not authorized to send transactions", Refused::SenderNotAuthorized),
            ("Gas price below configured minimum gas price", Refused::GasPriceTooLow),
            ("Gas price below current base fee", Refused::BelowBaseFee),
            ("Known transaction", Refused::Known),
            ("Replacement transaction underpriced", Refused::ReplacementUnderpriced),
            ("ChainId is required", Refused::ChainIdRequired),
            ("Initial sync is still in progress", Refused::Syncing),
            // Nethermind.
            ("OldNonce, Current nonce: 3, nonce of rejected tx: 0", Refused::NonceTooLow),
            ("InsufficientFunds, Account balance: 0", Refused::InsufficientFunds),
            ("FeeTooLow, FeePerGas needs to be higher than 1", Refused::GasPriceTooLow),
            ("AlreadyKnown", Refused::Known),
            ("GasLimitExceeded, Gas limit: 30000000", Refused::ExceedsBlockGasLimit),
            // Erigon.
            ("fee too low", Refused::GasPriceTooLow),
            // anvil.
            ("intrinsic gas too low", Refused::IntrinsicGas),
            ("intrinsic gas too high", Refused::ExceedsBlockGasLimit),
            ("Insufficient funds for gas * price + value", Refused::InsufficientFunds),
            ("transaction already imported", Refused::Known),
        ] {
            assert_eq!(marker_refused(-32000, message.to_owned()), want, "{message}");
        }
        let other = marker_refused(-32005, "txpool is full".to_owned());
        assert_eq!(other, Refused::Other { code: -32005, message: "txpool is full".to_owned() });
    }
}
