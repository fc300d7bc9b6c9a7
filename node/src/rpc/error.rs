//! The only map from the node's errors to JSON-RPC numbers and messages.
//!
//! Numbers and messages are Besu's wherever Besu has the case, because clients match on the text
//! (protocol specification 1.6, 3.4, 5, 7, 9.5, 16; texts of 25.5.0 for -32602, of 24.5.1 for
//! reverts). What is ours stands in `data`: `{"code": WORD, "detail": TEXT, …}`, where the word is
//! stable and the rest may change. Only a revert keeps Besu's own `data`, the revert bytes.
//!
//! Errors of our own disk tell the client no detail; they are logged.

use alloy_primitives::Bytes;
use alloy_sol_types::{Revert, SolError};
use axum::http::StatusCode;
use coterie_core::{EnclaveKey, GroupId, InvalidGroupId};
use jsonrpsee_types::{
    ErrorObjectOwned,
    error::{
        INTERNAL_ERROR_CODE, INVALID_PARAMS_CODE, INVALID_REQUEST_CODE, METHOD_NOT_FOUND_CODE,
    },
};
use serde::Serialize;
use serde_json::value::RawValue;

use super::params::Parameter;
use crate::{
    chain::ChainError,
    enclave::{AskError, DistributeError},
    service::{HealError, MarkerRefused, ReadError, SendError, WatchError},
    state::{Corruption, StateError},
};

/// Besu's number for everything that has to do with privacy.
const PRIVACY: i32 = -50100;
/// Besu's number for what an enclave said.
const ENCLAVE: i32 = -50200;
/// Besu's number for a caller without access.
const UNAUTHORIZED: i32 = -40100;
/// The number for a limit that is exceeded (EIP-1474). Some methods have limits of their own with it.
const LIMIT: i32 = -32005;

/// Besu's number for many things.
const SERVER: i32 = -32000;

const INTERNAL: &str = "Internal error";
const TOO_MANY: &str = "Too many requests";
const TOO_MANY_CONNECTIONS: &str = "Too many connections";
const INVALID: &str = "Invalid Request";
const ENCLAVE_FAILED: &str = "Error communicating with enclave";
const UNDECODABLE: &str = "Unable to decode the private signed raw transaction";
const NO_GROUP: &str = "Flexible Privacy group does not exist.";
const NOT_PRIVATE_FROM: &str = "Private from does not match enclave public key";
const NO_CHAIN: &str = "The chain is not available";
const NO_NONCE: &str = "Unable to determine nonce for account in group.";
const NO_RECIPIENT: &str = "Recipient not found for key:";
const NOT_PUSHED: &str = "NodePushingToPeer";
const SYNCING: &str = "Initial sync is still in progress";

/// A request that is refused before it reaches the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The method does not exist.
    MethodNotFound,
    /// The method exists, but not on a node with flexible groups, or not yet.
    MethodNotEnabled,
    /// A parameter is missing or wrong.
    Params {
        /// Which.
        parameter: Parameter,
        /// What was expected, for people.
        expected: &'static str,
    },
    /// A raw transaction that is no hex.
    RawTransactionHex,
    /// Text that is no group id, in a method where Besu fails with it.
    GroupId(InvalidGroupId),
    /// Text that is no group id or enclave key, in a method that counts transactions.
    Count,
    /// `privateFrom` is no enclave key, so it cannot be the caller's.
    PrivateFrom,
    /// There is no good token; it does not tell why.
    Unauthorized,
    /// The token does not permit the method.
    NotPermitted {
        /// What it lacks.
        permission: String,
    },
    /// The token names no enclave key, and the method needs one.
    NoEnclaveKey,
    /// The tenant asks more than it may.
    TooManyRequests,
    /// The tenant has as many WebSockets as it may have.
    TooManyConnections,
    /// Parameters of a subscription that do not say what is wanted.
    Subscription {
        /// What was expected, for people.
        expected: &'static str,
    },
    /// The connection has no such subscription.
    SubscriptionUnknown,
    /// The connection has as many subscriptions as it may have.
    TooManySubscriptions(usize),
    /// The tenant has as many subscriptions as it may have, on all connections.
    TooManySubscriptionsOfTenant,
}

impl Refusal {
    /// A wrong parameter.
    pub const fn params(parameter: Parameter, expected: &'static str) -> Self {
        Self::Params { parameter, expected }
    }
}

/// What is read, where Besu answers the same failure differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// `priv_getTransactionCount`, `priv_getEeaTransactionCount`.
    TransactionCount,
    /// `priv_call`.
    Call,
    /// `priv_getCode`.
    Code,
    /// `priv_debugGetStateRoot` at a block number, or at the head.
    StateRoot,
    /// `priv_debugGetStateRoot` at `finalized` or `safe`.
    StateRootAtTag,
    /// `priv_getTransactionReceipt`.
    Receipt,
    /// `priv_getPrivateTransaction`.
    PrivateTransaction,
    /// `priv_getLogs`.
    Logs,
    /// `privx_findFlexiblePrivacyGroup`.
    FindGroups,
    /// `priv_getBalance`, `priv_getStorageAt`, `priv_getProof`.
    Account,
    /// `priv_estimateGas`.
    EstimateGas,
    /// `priv_traceTransaction`.
    Trace,
    /// `priv_getBlockTransactions`.
    Transactions,
    /// `coterie_groupStatus`.
    GroupStatus,
}

/// The `data` member of an error.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    enclave_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    privacy_group_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
}

impl From<Refusal> for ErrorObjectOwned {
    fn from(refusal: Refusal) -> Self {
        let coded = |number, message: &str, code| error(number, message, code, None);
        match refusal {
            Refusal::MethodNotFound => {
                coded(METHOD_NOT_FOUND_CODE, "Method not found", "METHOD_NOT_FOUND")
            }
            Refusal::MethodNotEnabled => coded(-32604, "Method not enabled", "METHOD_NOT_ENABLED"),
            Refusal::Params { parameter, expected } => {
                let message = parameter_message(parameter);
                error(INVALID_PARAMS_CODE, message, "INVALID_PARAMS", Some(expected.to_owned()))
            }
            Refusal::RawTransactionHex => {
                let detail = "a raw transaction is hex with two digits a byte".to_owned();
                error(PRIVACY, UNDECODABLE, "UNDECODABLE", Some(detail))
            }
            Refusal::GroupId(cause) => {
                error(INTERNAL_ERROR_CODE, INTERNAL, "INVALID_GROUP_ID", Some(cause.to_string()))
            }
            Refusal::Count => coded(PRIVACY, NO_NONCE, "INVALID_GROUP_ID"),
            Refusal::PrivateFrom => coded(PRIVACY, NOT_PRIVATE_FROM, "PRIVATE_FROM_MISMATCH"),
            Refusal::Unauthorized => coded(UNAUTHORIZED, "Unauthorized", "UNAUTHORIZED"),
            Refusal::NotPermitted { permission } => {
                let detail = format!("the token does not permit this: it needs {permission}");
                error(UNAUTHORIZED, "Unauthorized", "NOT_PERMITTED", Some(detail))
            }
            Refusal::NoEnclaveKey => {
                let detail = "the token has no enclave key: it needs the claim privacyUserId";
                error(INVALID_REQUEST_CODE, INVALID, "NO_ENCLAVE_KEY", Some(detail.to_owned()))
            }
            Refusal::TooManyRequests => {
                let detail = "more requests than one tenant may make: try again in a second";
                error(LIMIT, TOO_MANY, "TOO_MANY_REQUESTS", Some(detail.to_owned()))
            }
            Refusal::TooManyConnections => {
                let detail = "this tenant has as many WebSockets as it may have: close one first";
                let detail = Some(detail.to_owned());
                error(LIMIT, TOO_MANY_CONNECTIONS, "TOO_MANY_CONNECTIONS", detail)
            }
            Refusal::Subscription { expected } => {
                let detail = Some(expected.to_owned());
                error(INVALID_REQUEST_CODE, "Invalid Request", "INVALID_PARAMS", detail)
            }
            Refusal::SubscriptionUnknown => {
                coded(SERVER, "Subscription not found", "SUBSCRIPTION_UNKNOWN")
            }
            Refusal::TooManySubscriptionsOfTenant => {
                let detail = "this tenant has as many subscriptions as it may have".to_owned();
                error(LIMIT, "Limit exceeded", "LIMIT_EXCEEDED", Some(detail))
            }
            Refusal::TooManySubscriptions(limit) => {
                let detail = Some(format!("no more than {limit} subscriptions on one connection"));
                error(LIMIT, "Limit exceeded", "LIMIT_EXCEEDED", detail)
            }
        }
    }
}

const fn parameter_message(parameter: Parameter) -> &'static str {
    match parameter {
        Parameter::Any => "Invalid params",
        Parameter::Count => "Invalid number of params",
        Parameter::RawTransaction => "Invalid transaction params (missing or incorrect)",
        Parameter::TransactionHash => "Invalid transaction hash params",
        Parameter::Address => "Invalid address params",
        Parameter::Group => "Invalid privacy group params",
        Parameter::Call => "Invalid call params",
        Parameter::Block => "Invalid block param (block not found)",
        Parameter::Filter => "Invalid filter params",
        Parameter::Slot => "Invalid storage slot params",
        Parameter::PrivateFrom => "Invalid private from params",
        Parameter::PrivateFor => "Invalid private for params",
    }
}

/// The HTTP status of a single call that ended with `error`, when it is neither 200 nor what the
/// framing says.
pub fn http_status(error: &ErrorObjectOwned) -> Option<StatusCode> {
    match (error.code(), error.message()) {
        (UNAUTHORIZED, _) => Some(StatusCode::UNAUTHORIZED),
        (LIMIT, TOO_MANY | TOO_MANY_CONNECTIONS) => Some(StatusCode::TOO_MANY_REQUESTS),
        _ => None,
    }
}

/// Why a private transaction was not sent.
pub fn send(cause: &SendError) -> ErrorObjectOwned {
    let detailed = |number, message, code| error(number, message, code, Some(cause.to_string()));
    match cause {
        SendError::Undecodable { .. } => detailed(PRIVACY, UNDECODABLE, "UNDECODABLE"),
        SendError::InvalidV => detailed(PRIVACY, ENCLAVE_FAILED, "INVALID_V"),
        SendError::UnsupportedRestriction => {
            detailed(PRIVACY, "Unsupported private transaction type", "UNSUPPORTED_RESTRICTION")
        }
        SendError::MissingGroupId => detailed(
            PRIVACY,
            "Private transactions to flexible privacy groups must use privacyGroupId",
            "MISSING_GROUP_ID",
        ),
        SendError::PrivateFromMismatch(_) => {
            detailed(PRIVACY, NOT_PRIVATE_FROM, "PRIVATE_FROM_MISMATCH")
        }
        SendError::ValueNotZero => detailed(INTERNAL_ERROR_CODE, INTERNAL, "VALUE_NOT_ZERO"),
        SendError::WrongChainId { .. } => detailed(-32000, "Wrong chainId", "WRONG_CHAIN_ID"),
        SendError::InvalidSignature => detailed(-32002, "Invalid signature", "INVALID_SIGNATURE"),
        SendError::NonceTooLow { .. } => detailed(-32001, "Nonce too low", "NONCE_TOO_LOW"),
        // One answer for both, so that it does not tell whether the group exists.
        SendError::GroupUnknown(group) | SendError::NotAMember(group) => {
            let id = Some(group.to_base64());
            object(PRIVACY, NO_GROUP, &Data { privacy_group_id: id, ..data("GROUP_UNKNOWN") })
        }
        SendError::GroupExists { group, known_to } => {
            let extra = Data {
                detail: Some(cause.to_string()),
                privacy_group_id: Some(group.to_base64()),
                enclave_key: known_to.as_ref().map(ToString::to_string),
                ..data("GROUP_EXISTS")
            };
            object(PRIVACY, "Flexible Privacy group already exists.", &extra)
        }
        SendError::GroupUnknownToMember { group, key } => unknown_to_member(*group, key, cause),
        SendError::Joining(_) => detailed(-32008, SYNCING, "JOINING"),
        SendError::InvalidMembers { .. } => detailed(PRIVACY, UNDECODABLE, "INVALID_MEMBERS"),
        SendError::TooManyMembers { .. } => {
            detailed(PRIVACY, "Too many members for a privacy group.", "TOO_MANY_MEMBERS")
        }
        SendError::Behind => detailed(-32008, SYNCING, "SYNCING"),
        SendError::FollowingStopped(_) => detailed(-32008, SYNCING, "FOLLOWING_STOPPED"),
        SendError::Ask(cause) => ask(cause),
        SendError::Distribute(cause) => distribute(cause),
        SendError::Marker(cause) => marker(cause),
        SendError::Chain(cause) => chain_internal(cause),
        SendError::State(cause) => error(INTERNAL_ERROR_CODE, INTERNAL, state_code(cause), None),
        SendError::Enclave(_) => detailed(PRIVACY, ENCLAVE_FAILED, "ENCLAVE_UNAVAILABLE"),
    }
}

fn ask(cause: &AskError) -> ErrorObjectOwned {
    let (message, code, key) = match cause {
        AskError::UnknownPeer(key) => (NO_RECIPIENT, "RECIPIENT_UNKNOWN", key),
        AskError::Failed { key, .. } => (NOT_PUSHED, "RECIPIENT_FAILED", key),
        AskError::Refused { key, .. } => (NOT_PUSHED, "RECIPIENT_REFUSED", key),
    };
    let key = Some(key.to_base64());
    let detail = Some(cause.to_string());
    object(ENCLAVE, message, &Data { detail, enclave_key: key, ..data(code) })
}

fn distribute(cause: &DistributeError) -> ErrorObjectOwned {
    let (number, message, code, key) = match cause {
        DistributeError::NotOurKey(key) => (PRIVACY, ENCLAVE_FAILED, "NOT_OUR_KEY", Some(key)),
        DistributeError::UnknownRecipient(key) => {
            (ENCLAVE, NO_RECIPIENT, "RECIPIENT_UNKNOWN", Some(key))
        }
        DistributeError::RecipientFailed { key, .. } => {
            (ENCLAVE, NOT_PUSHED, "RECIPIENT_FAILED", Some(key))
        }
        DistributeError::DefinitionDiffers { key, .. } => {
            (PRIVACY, "Network definition differs.", "DEFINITION_DIFFERS", Some(key))
        }
        DistributeError::TooLarge { .. } => (ENCLAVE, "InvalidPayload", "PAYLOAD_TOO_LARGE", None),
        DistributeError::Unavailable(_) => (PRIVACY, ENCLAVE_FAILED, "ENCLAVE_UNAVAILABLE", None),
    };
    let field = match cause {
        DistributeError::DefinitionDiffers { field, .. } => Some(field.clone()),
        DistributeError::NotOurKey(_)
        | DistributeError::UnknownRecipient(_)
        | DistributeError::RecipientFailed { .. }
        | DistributeError::TooLarge { .. }
        | DistributeError::Unavailable(_) => None,
    };
    let extra = Data {
        detail: Some(cause.to_string()),
        enclave_key: key.map(ToString::to_string),
        field,
        ..data(code)
    };
    object(number, message, &extra)
}

fn marker(cause: &MarkerRefused) -> ErrorObjectOwned {
    let (number, message, code) = match cause {
        MarkerRefused::IntrinsicGas => (
            PRIVACY,
            "Privacy Marker Transaction failed due to intrinsic gas exceeding the limit. Gas limit used from the Private Transaction.",
            "MARKER_INTRINSIC_GAS",
        ),
        MarkerRefused::NonceTooLow => (-32001, "Nonce too low", "MARKER_NONCE_TOO_LOW"),
        MarkerRefused::NonceTooHigh => (-32006, "Nonce too high", "MARKER_NONCE_TOO_HIGH"),
        MarkerRefused::NonceTooDistant => (
            -32000,
            "Transaction nonce is too distant from current sender nonce",
            "MARKER_NONCE_TOO_DISTANT",
        ),
        MarkerRefused::InsufficientFunds => {
            (-32004, "Upfront cost exceeds account balance", "MARKER_INSUFFICIENT_FUNDS")
        }
        MarkerRefused::ExceedsBlockGasLimit => {
            (-32005, "Transaction gas limit exceeds block gas limit", "MARKER_EXCEEDS_BLOCK_GAS")
        }
        MarkerRefused::SenderNotAuthorized => (
            -32007,
            "Sender account not authorized to send transactions",
            "MARKER_SENDER_NOT_AUTHORIZED",
        ),
        MarkerRefused::GasPriceTooLow => {
            (-32009, "Gas price below configured minimum gas price", "MARKER_GAS_PRICE_TOO_LOW")
        }
        MarkerRefused::BelowBaseFee => {
            (-32009, "Gas price below current base fee", "MARKER_BELOW_BASE_FEE")
        }
        MarkerRefused::Known => (-32000, "Known transaction", "MARKER_KNOWN"),
        MarkerRefused::ReplacementUnderpriced => {
            (-32000, "Replacement transaction underpriced", "MARKER_REPLACEMENT_UNDERPRICED")
        }
        MarkerRefused::ChainIdRequired => {
            (-32000, "ChainId is required", "MARKER_CHAIN_ID_REQUIRED")
        }
        MarkerRefused::Syncing => (-32008, SYNCING, "CHAIN_SYNCING"),
        MarkerRefused::Other { .. } => (INTERNAL_ERROR_CODE, INTERNAL, "MARKER_REFUSED"),
    };
    error(number, message, code, Some(cause.to_string()))
}

/// Why something could not be read.
pub fn read(what: Read, cause: &ReadError) -> ErrorObjectOwned {
    let (number, message) = match what {
        Read::TransactionCount => count_answer(cause),
        Read::FindGroups => (PRIVACY, "Error finding flexible privacy group"),
        Read::Call
        | Read::Code
        | Read::StateRoot
        | Read::StateRootAtTag
        | Read::Receipt
        | Read::PrivateTransaction
        | Read::Logs
        | Read::Account
        | Read::EstimateGas
        | Read::Trace
        | Read::Transactions
        | Read::GroupStatus => read_answer(what, cause),
    };
    let detail = match cause {
        // The caller can tell the operator.
        ReadError::State(StateError::Corrupt(Corruption::NotReproduced(_))) => {
            Some(cause.to_string())
        }
        ReadError::State(_) => None,
        ReadError::NotAMember(_)
        | ReadError::NotTheCallersKey(_)
        | ReadError::OwnKeyMissing(_)
        | ReadError::GroupUnknown(_)
        | ReadError::BlockUnknown
        | ReadError::NotAMarker(_)
        | ReadError::ValueNotZero
        | ReadError::TooMuch { .. }
        | ReadError::Joining(_)
        | ReadError::FollowingStopped(_)
        | ReadError::Chain(_)
        | ReadError::Enclave(_) => Some(cause.to_string()),
    };
    error(number, message, read_code(cause), detail)
}

/// Our word for a failed read; what the operator should know is logged.
fn read_code(cause: &ReadError) -> &'static str {
    match cause {
        ReadError::NotAMember(_) => "UNAUTHORIZED",
        ReadError::NotTheCallersKey(_) | ReadError::OwnKeyMissing(_) => "PRIVATE_FROM_MISMATCH",
        ReadError::GroupUnknown(_) => "GROUP_UNKNOWN",
        ReadError::BlockUnknown => "BLOCK_UNKNOWN",
        ReadError::NotAMarker(_) => "NOT_A_MARKER",
        ReadError::ValueNotZero => "VALUE_NOT_ZERO",
        ReadError::TooMuch { .. } => "LIMIT_EXCEEDED",
        ReadError::Joining(_) => "JOINING",
        ReadError::FollowingStopped(_) => "FOLLOWING_STOPPED",
        ReadError::Chain(cause) => chain_code(cause),
        ReadError::State(cause) => state_code(cause),
        ReadError::Enclave(_) => "ENCLAVE_UNAVAILABLE",
    }
}

/// Every failure to count has one message, except that `privateFrom` is somebody else's.
const fn count_answer(cause: &ReadError) -> (i32, &'static str) {
    match cause {
        ReadError::NotTheCallersKey(_) | ReadError::OwnKeyMissing(_) => (PRIVACY, NOT_PRIVATE_FROM),
        ReadError::NotAMember(_)
        | ReadError::GroupUnknown(_)
        | ReadError::BlockUnknown
        | ReadError::NotAMarker(_)
        | ReadError::ValueNotZero
        | ReadError::TooMuch { .. }
        | ReadError::Joining(_)
        | ReadError::FollowingStopped(_)
        | ReadError::Chain(_)
        | ReadError::State(_)
        | ReadError::Enclave(_) => (PRIVACY, NO_NONCE),
    }
}

const fn read_answer(what: Read, cause: &ReadError) -> (i32, &'static str) {
    let finds_group = matches!(what, Read::StateRoot | Read::StateRootAtTag | Read::GroupStatus);
    match cause {
        ReadError::NotAMember(_) | ReadError::GroupUnknown(_) if finds_group => {
            (PRIVACY, "Error finding privacy group")
        }
        ReadError::NotAMember(_) => (UNAUTHORIZED, "Unauthorized"),
        ReadError::NotTheCallersKey(_) | ReadError::OwnKeyMissing(_) => (PRIVACY, NOT_PRIVATE_FROM),
        ReadError::GroupUnknown(_) => (PRIVACY, NO_GROUP),
        ReadError::BlockUnknown if matches!(what, Read::StateRoot) => {
            (INTERNAL_ERROR_CODE, INTERNAL)
        }
        ReadError::BlockUnknown => (-39001, "Unknown block"),
        ReadError::TooMuch { .. } => (-32005, "Requested range exceeds maximum RPC range limit"),
        ReadError::Joining(_) | ReadError::FollowingStopped(_) => (-32008, SYNCING),
        ReadError::Enclave(_) if matches!(what, Read::PrivateTransaction) => {
            (PRIVACY, ENCLAVE_FAILED)
        }
        ReadError::NotAMarker(_)
        | ReadError::ValueNotZero
        | ReadError::Chain(_)
        | ReadError::State(_)
        | ReadError::Enclave(_) => (INTERNAL_ERROR_CODE, INTERNAL),
    }
}

/// Why logs are not followed; `unknown` is the message for a filter that the caller has not.
pub fn watch(unknown: &str, cause: &WatchError) -> ErrorObjectOwned {
    let detailed = |number, message, code| error(number, message, code, Some(cause.to_string()));
    match cause {
        WatchError::FilterUnknown => detailed(SERVER, unknown, "FILTER_UNKNOWN"),
        WatchError::TooMany { .. } => detailed(LIMIT, "Limit exceeded", "LIMIT_EXCEEDED"),
        WatchError::Forgotten => detailed(SERVER, "History replaced", "HISTORY_REPLACED"),
        WatchError::NoEntropy => detailed(INTERNAL_ERROR_CODE, INTERNAL, "NO_ENTROPY"),
        WatchError::Read(cause) => read(Read::Logs, cause),
    }
}

/// Why a group's history is not taken over again.
pub fn heal(cause: &HealError) -> ErrorObjectOwned {
    let detailed = |number, message, code| error(number, message, code, Some(cause.to_string()));
    match cause {
        HealError::GroupUnknown(_) => {
            detailed(PRIVACY, "Error finding privacy group", "GROUP_UNKNOWN")
        }
        HealError::NobodyToAsk(_) => {
            detailed(PRIVACY, "Error finding privacy group", "NOBODY_TO_ASK")
        }
        HealError::OwnKey(_) => {
            let message = parameter_message(Parameter::PrivateFrom);
            detailed(INVALID_PARAMS_CODE, message, "INVALID_PARAMS")
        }
        HealError::GroupUnknownToGiver { group, key } => unknown_to_member(*group, key, cause),
        HealError::Ask(cause) => ask(cause),
        HealError::FollowingStopped(_) => detailed(-32008, SYNCING, "FOLLOWING_STOPPED"),
        HealError::Stopping => detailed(INTERNAL_ERROR_CODE, INTERNAL, "STOPPING"),
        HealError::State(cause) => error(INTERNAL_ERROR_CODE, INTERNAL, state_code(cause), None),
    }
}

/// A call reverted or failed.
///
/// A revert with a selector keeps Besu's form, so that libraries can decode it: the revert bytes
/// in `data`, and the reason of `Error(string)` in the message.
pub fn reverted(output: &Bytes) -> ErrorObjectOwned {
    if output.len() < 4 {
        return call_failed("REVERTED");
    }
    let message = match Revert::abi_decode(output) {
        Ok(revert) => format!("Execution reverted: {}", revert.reason),
        Err(_) => "Execution reverted".to_owned(),
    };
    ErrorObjectOwned::owned(-32000, message, Some(output))
}

/// A call failed without revert data.
pub fn call_failed(code: &'static str) -> ErrorObjectOwned {
    error(PRIVACY, "Private transaction failed", code, None)
}

/// A request that was passed on: the chain's own error as it came, or that it cannot be reached.
pub fn forwarded(cause: &ChainError) -> ErrorObjectOwned {
    match cause {
        ChainError::Refused { code, message, data } => {
            let number = i32::try_from(*code).unwrap_or(INTERNAL_ERROR_CODE);
            let data = data.clone().and_then(|it| RawValue::from_string(it).ok());
            ErrorObjectOwned::owned(number, message.clone(), data)
        }
        ChainError::NoSubscriptions => {
            let detail = Some(cause.to_string());
            error(-32604, "Method not enabled", "METHOD_NOT_ENABLED", detail)
        }
        ChainError::Unavailable { .. } | ChainError::StatePruned(_) => {
            error(INTERNAL_ERROR_CODE, NO_CHAIN, chain_code(cause), Some(cause.to_string()))
        }
    }
}

/// The chain failed in an operation of ours.
/// The node of a member's key, which has to know the group, does not.
fn unknown_to_member(group: GroupId, key: &EnclaveKey, cause: &impl ToString) -> ErrorObjectOwned {
    let extra = Data {
        detail: Some(cause.to_string()),
        privacy_group_id: Some(group.to_base64()),
        enclave_key: Some(key.to_base64()),
        ..data("GROUP_UNKNOWN_TO_MEMBER")
    };
    object(PRIVACY, "Flexible Privacy group is unknown to a member.", &extra)
}

fn chain_internal(cause: &ChainError) -> ErrorObjectOwned {
    error(INTERNAL_ERROR_CODE, INTERNAL, chain_code(cause), Some(cause.to_string()))
}

fn chain_code(cause: &ChainError) -> &'static str {
    tracing::warn!(%cause, "the chain failed to answer a request");
    match cause {
        ChainError::Unavailable { .. } => "CHAIN_UNAVAILABLE",
        ChainError::Refused { .. } => "CHAIN_REFUSED",
        ChainError::StatePruned(_) => "CHAIN_STATE_PRUNED",
        ChainError::NoSubscriptions => "METHOD_NOT_ENABLED",
    }
}

fn state_code(cause: &StateError) -> &'static str {
    tracing::error!(%cause, "private state failed to answer a request");
    match cause {
        StateError::Store(_) => "STORE_FAILED",
        StateError::Corrupt(_) => "STATE_CORRUPT",
        StateError::OlderFormat { .. } => "STATE_OLDER_FORMAT",
        StateError::NewerFormat { .. } => "STATE_NEWER_FORMAT",
        StateError::NotNext { .. } => "STATE_NOT_NEXT",
        StateError::NotFollowed(_) => "BLOCK_NOT_FOLLOWED",
    }
}

fn error(
    number: i32,
    message: &str,
    code: &'static str,
    detail: Option<String>,
) -> ErrorObjectOwned {
    object(number, message, &Data { detail, ..data(code) })
}

fn data(code: &'static str) -> Data {
    Data { code, ..Data::default() }
}

fn object(number: i32, message: &str, data: &Data) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(number, message, Some(data))
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{B256, bytes};
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        chain::BlockRef, enclave::EnclaveUnavailable, service::FollowingStopped, store::StoreError,
    };

    const KEY: EnclaveKey = EnclaveKey::Nacl([7; 32]);
    const GROUP: GroupId = GroupId(B256::repeat_byte(9));

    fn word(error: &ErrorObjectOwned) -> Value {
        let data: Value = serde_json::from_str(error.data().unwrap().get()).unwrap();
        data["code"].clone()
    }

    #[track_caller]
    fn check(error: &ErrorObjectOwned, number: i32, message: &str, code: &str) {
        let got = (error.code(), error.message(), word(error));
        assert_eq!(got, (number, message, json!(code)));
    }

    fn stopped() -> FollowingStopped {
        FollowingStopped { reason: "another chain".into() }
    }

    fn unavailable() -> EnclaveUnavailable {
        EnclaveUnavailable { reason: "disk full".into() }
    }

    fn no_chain() -> ChainError {
        ChainError::Unavailable { endpoint: "http://chain".into(), reason: "refused".into() }
    }

    fn no_store() -> StateError {
        StateError::Store(StoreError::Io("/secret/path".into()))
    }

    #[test]
    fn callers_are_refused_with_a_status_of_their_own() {
        let permission = "priv:call".to_owned();
        for (refusal, number, message, code, status) in [
            (Refusal::Unauthorized, -40100, "Unauthorized", "UNAUTHORIZED", Some(401)),
            (
                Refusal::NotPermitted { permission },
                -40100,
                "Unauthorized",
                "NOT_PERMITTED",
                Some(401),
            ),
            (Refusal::NoEnclaveKey, -32600, "Invalid Request", "NO_ENCLAVE_KEY", None),
            (Refusal::TooManyRequests, -32005, "Too many requests", "TOO_MANY_REQUESTS", Some(429)),
            (
                Refusal::TooManyConnections,
                -32005,
                "Too many connections",
                "TOO_MANY_CONNECTIONS",
                Some(429),
            ),
        ] {
            let error = ErrorObjectOwned::from(refusal);
            check(&error, number, message, code);
            assert_eq!(http_status(&error).map(|it| it.as_u16()), status, "{code}");
        }
        // The same number, but a limit of the method's own.
        let range = read(Read::Logs, &ReadError::TooMuch { limit: 1, of: "logs" });
        assert_eq!((range.code(), http_status(&range)), (-32005, None));
    }

    #[test]
    fn sends_are_refused_with_besus_numbers() {
        let reason = || "x".to_owned();
        let enclave = "Error communicating with enclave";
        let no_group = "Flexible Privacy group does not exist.";
        let undecodable = "Unable to decode the private signed raw transaction";
        let syncing = "Initial sync is still in progress";
        let nonce = SendError::NonceTooLow { expected: 2, found: 1 };
        let exists = SendError::GroupExists { group: GROUP, known_to: Some(KEY) };
        let unknown = SendError::GroupUnknownToMember { group: GROUP, key: KEY };
        let members = SendError::TooManyMembers { count: 300, limit: 256 };
        for (cause, number, message, code) in [
            (SendError::Undecodable { reason: reason() }, -50100, undecodable, "UNDECODABLE"),
            (SendError::InvalidV, -50100, enclave, "INVALID_V"),
            (
                SendError::UnsupportedRestriction,
                -50100,
                "Unsupported private transaction type",
                "UNSUPPORTED_RESTRICTION",
            ),
            (
                SendError::MissingGroupId,
                -50100,
                "Private transactions to flexible privacy groups must use privacyGroupId",
                "MISSING_GROUP_ID",
            ),
            (
                SendError::PrivateFromMismatch(KEY),
                -50100,
                "Private from does not match enclave public key",
                "PRIVATE_FROM_MISMATCH",
            ),
            (SendError::ValueNotZero, -32603, "Internal error", "VALUE_NOT_ZERO"),
            (
                SendError::WrongChainId { expected: 1, found: 2 },
                -32000,
                "Wrong chainId",
                "WRONG_CHAIN_ID",
            ),
            (SendError::InvalidSignature, -32002, "Invalid signature", "INVALID_SIGNATURE"),
            (nonce, -32001, "Nonce too low", "NONCE_TOO_LOW"),
            (SendError::GroupUnknown(GROUP), -50100, no_group, "GROUP_UNKNOWN"),
            (SendError::NotAMember(GROUP), -50100, no_group, "GROUP_UNKNOWN"),
            (exists, -50100, "Flexible Privacy group already exists.", "GROUP_EXISTS"),
            (
                unknown,
                -50100,
                "Flexible Privacy group is unknown to a member.",
                "GROUP_UNKNOWN_TO_MEMBER",
            ),
            (SendError::Joining(GROUP), -32008, syncing, "JOINING"),
            (
                SendError::InvalidMembers { reason: reason() },
                -50100,
                undecodable,
                "INVALID_MEMBERS",
            ),
            (members, -50100, "Too many members for a privacy group.", "TOO_MANY_MEMBERS"),
            (SendError::Behind, -32008, syncing, "SYNCING"),
            (stopped().into(), -32008, syncing, "FOLLOWING_STOPPED"),
            (SendError::Chain(no_chain()), -32603, "Internal error", "CHAIN_UNAVAILABLE"),
            (SendError::State(no_store()), -32603, "Internal error", "STORE_FAILED"),
            (
                SendError::State(StateError::NotFollowed(BlockRef { number: 1, hash: B256::ZERO })),
                -32603,
                "Internal error",
                "BLOCK_NOT_FOLLOWED",
            ),
            (SendError::Enclave(unavailable()), -50100, enclave, "ENCLAVE_UNAVAILABLE"),
        ] {
            check(&send(&cause), number, message, code);
        }
    }

    #[test]
    fn enclave_failures_name_the_key() {
        let reason = || "timed out".to_owned();
        let enclave = "Error communicating with enclave";
        let no_recipient = "Recipient not found for key:";
        let (key, field) = (KEY, "chain_id".to_owned());
        let differs = DistributeError::DefinitionDiffers { key, field };
        for (cause, number, message, code) in [
            (DistributeError::NotOurKey(KEY), -50100, enclave, "NOT_OUR_KEY"),
            (DistributeError::UnknownRecipient(KEY), -50200, no_recipient, "RECIPIENT_UNKNOWN"),
            (
                DistributeError::RecipientFailed { key: KEY, reason: reason() },
                -50200,
                "NodePushingToPeer",
                "RECIPIENT_FAILED",
            ),
            (differs, -50100, "Network definition differs.", "DEFINITION_DIFFERS"),
        ] {
            let error = send(&SendError::Distribute(cause));
            check(&error, number, message, code);
            let data: Value = serde_json::from_str(error.data().unwrap().get()).unwrap();
            assert_eq!(data["enclaveKey"], KEY.to_base64());
            assert!(data["detail"].as_str().unwrap().contains(&KEY.to_base64()));
            assert_eq!(data.get("field").is_some(), code == "DEFINITION_DIFFERS");
        }
        let large = DistributeError::TooLarge { size: 2, limit: 1 };
        check(&send(&large.into()), -50200, "InvalidPayload", "PAYLOAD_TOO_LARGE");
        let failed = DistributeError::Unavailable(unavailable());
        check(&send(&failed.into()), -50100, enclave, "ENCLAVE_UNAVAILABLE");
        for (cause, message, code) in [
            (AskError::UnknownPeer(KEY), no_recipient, "RECIPIENT_UNKNOWN"),
            (
                AskError::Failed { key: KEY, reason: reason() },
                "NodePushingToPeer",
                "RECIPIENT_FAILED",
            ),
            (
                AskError::Refused { key: KEY, reason: reason() },
                "NodePushingToPeer",
                "RECIPIENT_REFUSED",
            ),
        ] {
            check(&send(&SendError::Ask(cause)), -50200, message, code);
        }
    }

    #[test]
    fn refused_markers_have_the_pools_numbers() {
        let other = MarkerRefused::Other { code: -1, message: "no".into() };
        for (cause, number, message) in [
            (
                MarkerRefused::IntrinsicGas,
                -50100,
                "Privacy Marker Transaction failed due to intrinsic gas exceeding the limit. Gas limit used from the Private Transaction.",
            ),
            (MarkerRefused::NonceTooLow, -32001, "Nonce too low"),
            (MarkerRefused::NonceTooHigh, -32006, "Nonce too high"),
            (
                MarkerRefused::NonceTooDistant,
                -32000,
                "Transaction nonce is too distant from current sender nonce",
            ),
            (MarkerRefused::InsufficientFunds, -32004, "Upfront cost exceeds account balance"),
            (
                MarkerRefused::ExceedsBlockGasLimit,
                -32005,
                "Transaction gas limit exceeds block gas limit",
            ),
            (
                MarkerRefused::SenderNotAuthorized,
                -32007,
                "Sender account not authorized to send transactions",
            ),
            (MarkerRefused::GasPriceTooLow, -32009, "Gas price below configured minimum gas price"),
            (MarkerRefused::BelowBaseFee, -32009, "Gas price below current base fee"),
            (MarkerRefused::Known, -32000, "Known transaction"),
            (MarkerRefused::ReplacementUnderpriced, -32000, "Replacement transaction underpriced"),
            (MarkerRefused::ChainIdRequired, -32000, "ChainId is required"),
            (MarkerRefused::Syncing, -32008, "Initial sync is still in progress"),
            (other, -32603, "Internal error"),
        ] {
            let error = send(&SendError::Marker(cause));
            assert_eq!((error.code(), error.message()), (number, message));
            assert!(word(&error).is_string());
        }
    }

    #[test]
    fn failed_reads_depend_on_the_method() {
        let internal = (-32603, "Internal error");
        let nonce = (-50100, "Unable to determine nonce for account in group.");
        let find = (-50100, "Error finding flexible privacy group");
        let root = (-50100, "Error finding privacy group");
        let enclave = (-50100, "Error communicating with enclave");
        let unauthorized = (-40100, "Unauthorized");
        let mismatch = (-50100, "Private from does not match enclave public key");
        let range = (-32005, "Requested range exceeds maximum RPC range limit");
        for (what, cause, want) in [
            (Read::Call, ReadError::NotAMember(GROUP), unauthorized),
            (Read::Code, ReadError::NotAMember(GROUP), unauthorized),
            (Read::Logs, ReadError::NotAMember(GROUP), unauthorized),
            (Read::StateRoot, ReadError::NotAMember(GROUP), root),
            (Read::TransactionCount, ReadError::NotAMember(GROUP), nonce),
            (Read::FindGroups, ReadError::NotAMember(GROUP), find),
            (Read::StateRoot, ReadError::GroupUnknown(GROUP), root),
            (
                Read::Call,
                ReadError::GroupUnknown(GROUP),
                (-50100, "Flexible Privacy group does not exist."),
            ),
            (Read::TransactionCount, ReadError::NotTheCallersKey(KEY), mismatch),
            (Read::FindGroups, ReadError::OwnKeyMissing(KEY), find),
            (Read::StateRootAtTag, ReadError::GroupUnknown(GROUP), root),
            (Read::StateRoot, ReadError::BlockUnknown, internal),
            (Read::StateRootAtTag, ReadError::BlockUnknown, (-39001, "Unknown block")),
            (Read::Code, ReadError::BlockUnknown, (-39001, "Unknown block")),
            (Read::Call, ReadError::BlockUnknown, (-39001, "Unknown block")),
            (Read::Receipt, ReadError::NotAMarker(B256::ZERO), internal),
            (Read::Call, ReadError::ValueNotZero, internal),
            (Read::Logs, ReadError::TooMuch { limit: 1, of: "logs" }, range),
            (Read::Call, ReadError::Joining(GROUP), (-32008, "Initial sync is still in progress")),
            (Read::Call, stopped().into(), (-32008, "Initial sync is still in progress")),
            (Read::FindGroups, stopped().into(), find),
            (Read::Receipt, ReadError::Chain(no_chain()), internal),
            (Read::TransactionCount, ReadError::Chain(no_chain()), nonce),
            (Read::Logs, ReadError::State(no_store()), internal),
            (Read::Receipt, ReadError::Enclave(unavailable()), internal),
            (Read::PrivateTransaction, ReadError::Enclave(unavailable()), enclave),
            (Read::TransactionCount, ReadError::Enclave(unavailable()), nonce),
        ] {
            let error = read(what, &cause);
            assert_eq!((error.code(), error.message()), want, "{what:?} {cause}");
            assert!(word(&error).is_string());
            assert!(!error.data().unwrap().get().contains("/secret"));
        }
    }

    #[test]
    fn healing_that_is_refused_names_the_giver_and_the_group() {
        let unknown = HealError::GroupUnknownToGiver { group: GROUP, key: KEY };
        for (cause, number, message, code, word) in [
            (
                HealError::GroupUnknown(GROUP),
                -50100,
                "Error finding privacy group",
                "GROUP_UNKNOWN",
                GROUP.to_base64(),
            ),
            (
                HealError::NobodyToAsk(GROUP),
                -50100,
                "Error finding privacy group",
                "NOBODY_TO_ASK",
                GROUP.to_base64(),
            ),
            (
                HealError::OwnKey(KEY),
                -32602,
                "Invalid private from params",
                "INVALID_PARAMS",
                KEY.to_base64(),
            ),
            (
                unknown,
                -50100,
                "Flexible Privacy group is unknown to a member.",
                "GROUP_UNKNOWN_TO_MEMBER",
                KEY.to_base64(),
            ),
            (
                AskError::UnknownPeer(KEY).into(),
                -50200,
                "Recipient not found for key:",
                "RECIPIENT_UNKNOWN",
                KEY.to_base64(),
            ),
            (HealError::Stopping, -32603, "Internal error", "STOPPING", "stopping".into()),
            (no_store().into(), -32603, "Internal error", "STORE_FAILED", String::new()),
        ] {
            let error = heal(&cause);
            check(&error, number, message, code);
            let data = error.data().unwrap().get();
            assert!(data.contains(&word) && !data.contains("/secret"), "{data}");
        }
    }

    #[test]
    fn that_following_stopped_is_told_with_the_reason_and_what_to_do() {
        for error in [
            send(&stopped().into()),
            read(Read::Receipt, &stopped().into()),
            heal(&stopped().into()),
        ] {
            check(&error, -32008, "Initial sync is still in progress", "FOLLOWING_STOPPED");
            let data: Value = serde_json::from_str(error.data().unwrap().get()).unwrap();
            let detail = data["detail"].as_str().unwrap();
            assert!(detail.contains("another chain") && detail.contains("log"), "{detail}");
        }
    }

    #[test]
    fn errors_of_the_chain_pass_as_they_came() {
        let refused = |code| ChainError::Refused {
            code,
            message: "execution reverted".into(),
            data: Some("\"0x01\"".into()),
        };
        let error = forwarded(&refused(3));
        assert_eq!((error.code(), error.message()), (3, "execution reverted"));
        assert_eq!(error.data().unwrap().get(), "\"0x01\"");
        assert_eq!(forwarded(&refused(i64::MAX)).code(), -32603);
        let error = forwarded(&no_chain());
        check(&error, -32603, "The chain is not available", "CHAIN_UNAVAILABLE");
    }

    #[test]
    fn a_revert_keeps_its_bytes_and_tells_its_reason() {
        let reason = bytes!(
            "08c379a0"
            "0000000000000000000000000000000000000000000000000000000000000020"
            "0000000000000000000000000000000000000000000000000000000000000006"
            "6e6f207761790000000000000000000000000000000000000000000000000000"
        );
        let error = reverted(&reason);
        assert_eq!((error.code(), error.message()), (-32000, "Execution reverted: no way"));
        assert_eq!(error.data().unwrap().get(), format!("\"{reason}\""));
        for output in [bytes!("08c379a0"), bytes!("08c379a0ff"), bytes!("01020304")] {
            assert_eq!(reverted(&output).message(), "Execution reverted");
        }
        assert_eq!(reverted(&bytes!("010203")).code(), -50100);
    }
}
