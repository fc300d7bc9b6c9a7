//! What there is to say of each method. Names and messages are the protocol specification's, 7.

use super::{
    Docs, Failure, Param,
    Schema::{Is, Many, OrNull},
};

/// About the API as a whole.
pub(super) const ABOUT: &str = "Besu's eea_, priv_ and privx_ methods for flexible privacy groups, and some that Besu lacks. \
Every other method is passed on to the chain's node. Parameters are positional, and required unless they say otherwise; \
more than a method takes are ignored, except where it says so. `data.code` of an error is a stable word; `data.detail` is for people. \
A caller that may not see a group is told the same as for a group that does not exist.";

/// Methods by name, with what is said of them.
pub(super) type Described = (&'static [&'static str], Docs);

const fn failure(number: i32, message: &'static str, code: &'static str) -> Failure {
    Failure { number, message, code: Some(code) }
}

const fn required(name: &'static str, summary: &'static str, schema: super::Schema) -> Param {
    Param { name, summary, optional: false, schema }
}

const fn optional(name: &'static str, summary: &'static str, schema: super::Schema) -> Param {
    Param { name, summary, optional: true, schema }
}

const INTERNAL: &str = "Internal error";
const NO_NONCE: &str = "Unable to determine nonce for account in group.";
const NOT_PRIVATE_FROM: &str = "Private from does not match enclave public key";
const ENCLAVE: &str = "Error communicating with enclave";
const UNDECODABLE: &str = "Unable to decode the private signed raw transaction";
const NO_GROUP: &str = "Error finding privacy group";
const FIND: &str = "Error finding flexible privacy group";
const NOT_FOUND_KEY: &str = "Recipient not found for key:";
const NOT_PUSHED: &str = "NodePushingToPeer";
const SYNCING: &str = "Initial sync is still in progress";
const CALL_FAILED: &str = "Private transaction failed";

/// What can happen to every method.
pub(super) const ALWAYS: &[Failure] = &[
    failure(-32602, "Invalid params", "INVALID_PARAMS"),
    failure(-40100, "Unauthorized", "UNAUTHORIZED"),
    failure(-40100, "Unauthorized", "NOT_PERMITTED"),
    failure(-32600, "Invalid Request", "NO_ENCLAVE_KEY"),
    failure(-32005, "Too many requests", "TOO_MANY_REQUESTS"),
];
const STATE: &[Failure] = &[
    failure(-32008, SYNCING, "FOLLOWING_STOPPED"),
    failure(-32603, INTERNAL, "STORE_FAILED"),
    failure(-32603, INTERNAL, "STATE_CORRUPT"),
];
const CHAIN: &[Failure] = &[
    failure(-32603, INTERNAL, "CHAIN_UNAVAILABLE"),
    failure(-32603, INTERNAL, "CHAIN_REFUSED"),
    failure(-32603, INTERNAL, "CHAIN_STATE_PRUNED"),
];
const GROUP: &[Failure] = &[
    failure(-32602, "Invalid privacy group params", "INVALID_PARAMS"),
    failure(-32603, INTERNAL, "INVALID_GROUP_ID"),
];
const STRICT_GROUP: &[Failure] = &[
    failure(-32602, "Invalid privacy group params", "INVALID_PARAMS"),
    failure(-50100, NO_GROUP, "GROUP_UNKNOWN"),
    failure(-50100, NO_GROUP, "UNAUTHORIZED"),
];
const ADDRESS: &[Failure] = &[failure(-32602, "Invalid address params", "INVALID_PARAMS")];
const SLOT: &[Failure] = &[failure(-32602, "Invalid storage slot params", "INVALID_PARAMS")];
const HASH: &[Failure] = &[failure(-32602, "Invalid transaction hash params", "INVALID_PARAMS")];
const FILTER: &[Failure] = &[failure(-32602, "Invalid filter params", "INVALID_PARAMS")];
const BLOCK: &[Failure] = &[
    failure(-32602, "Invalid block param (block not found)", "INVALID_PARAMS"),
    failure(-39001, "Unknown block", "BLOCK_UNKNOWN"),
];
const CALL: &[Failure] = &[
    failure(-32602, "Invalid call params", "INVALID_PARAMS"),
    Failure { number: -32000, message: "Execution reverted", code: None },
    failure(-50100, CALL_FAILED, "REVERTED"),
    failure(-50100, CALL_FAILED, "HALTED"),
    failure(-50100, CALL_FAILED, "TOO_MANY_PUBLIC_READS"),
];
const MARKER: &[Failure] = &[failure(-32603, INTERNAL, "NOT_A_MARKER")];
const LIMIT: &[Failure] =
    &[failure(-32005, "Requested range exceeds maximum RPC range limit", "LIMIT_EXCEEDED")];
const PLACES: &[Failure] = &[failure(-32005, "Limit exceeded", "LIMIT_EXCEEDED")];
const JOINING: &[Failure] = &[failure(-32008, SYNCING, "JOINING")];
const RECEIVE: &[Failure] = &[failure(-32603, INTERNAL, "ENCLAVE_UNAVAILABLE")];
const COUNT: &[Failure] = &[
    failure(-32602, "Invalid number of params", "INVALID_PARAMS"),
    failure(-32602, "Invalid address params", "INVALID_PARAMS"),
    failure(-50100, NO_NONCE, "INVALID_GROUP_ID"),
    failure(-50100, NO_NONCE, "UNAUTHORIZED"),
    failure(-50100, NO_NONCE, "STORE_FAILED"),
];

const UNKNOWN_TO_MEMBER: Failure =
    failure(-50100, "Flexible Privacy group is unknown to a member.", "GROUP_UNKNOWN_TO_MEMBER");

/// How sending fails before anything goes out.
const SEND: &[Failure] = &[
    failure(-32602, "Invalid transaction params (missing or incorrect)", "INVALID_PARAMS"),
    failure(-50100, UNDECODABLE, "UNDECODABLE"),
    failure(-50100, UNDECODABLE, "INVALID_MEMBERS"),
    failure(-50100, ENCLAVE, "INVALID_V"),
    failure(
        -50100,
        "Private transactions to flexible privacy groups must use privacyGroupId",
        "MISSING_GROUP_ID",
    ),
    failure(-50100, NOT_PRIVATE_FROM, "PRIVATE_FROM_MISMATCH"),
    failure(-32603, INTERNAL, "VALUE_NOT_ZERO"),
    failure(-32000, "Wrong chainId", "WRONG_CHAIN_ID"),
    failure(-32002, "Invalid signature", "INVALID_SIGNATURE"),
    failure(-32001, "Nonce too low", "NONCE_TOO_LOW"),
    failure(-50100, "Flexible Privacy group does not exist.", "GROUP_UNKNOWN"),
    failure(-50100, "Flexible Privacy group already exists.", "GROUP_EXISTS"),
    UNKNOWN_TO_MEMBER,
    failure(-50100, "Too many members for a privacy group.", "TOO_MANY_MEMBERS"),
    failure(-50100, "Network definition differs.", "DEFINITION_DIFFERS"),
    failure(-50100, ENCLAVE, "NOT_OUR_KEY"),
    failure(-50100, ENCLAVE, "ENCLAVE_UNAVAILABLE"),
    failure(-50200, NOT_FOUND_KEY, "RECIPIENT_UNKNOWN"),
    failure(-50200, NOT_PUSHED, "RECIPIENT_FAILED"),
    failure(-50200, NOT_PUSHED, "RECIPIENT_REFUSED"),
    failure(-50200, "InvalidPayload", "PAYLOAD_TOO_LARGE"),
    failure(-32008, SYNCING, "SYNCING"),
];

/// How the marker of what was distributed is refused.
const MARK: &[Failure] = &[
    failure(-50100, "Unsupported private transaction type", "UNSUPPORTED_RESTRICTION"),
    failure(
        -50100,
        "Privacy Marker Transaction failed due to intrinsic gas exceeding the limit. Gas limit used from the Private Transaction.",
        "MARKER_INTRINSIC_GAS",
    ),
    failure(-32001, "Nonce too low", "MARKER_NONCE_TOO_LOW"),
    failure(-32006, "Nonce too high", "MARKER_NONCE_TOO_HIGH"),
    failure(
        -32000,
        "Transaction nonce is too distant from current sender nonce",
        "MARKER_NONCE_TOO_DISTANT",
    ),
    failure(-32004, "Upfront cost exceeds account balance", "MARKER_INSUFFICIENT_FUNDS"),
    failure(-32005, "Transaction gas limit exceeds block gas limit", "MARKER_EXCEEDS_BLOCK_GAS"),
    failure(
        -32007,
        "Sender account not authorized to send transactions",
        "MARKER_SENDER_NOT_AUTHORIZED",
    ),
    failure(-32009, "Gas price below configured minimum gas price", "MARKER_GAS_PRICE_TOO_LOW"),
    failure(-32009, "Gas price below current base fee", "MARKER_BELOW_BASE_FEE"),
    failure(-32000, "Known transaction", "MARKER_KNOWN"),
    failure(-32000, "Replacement transaction underpriced", "MARKER_REPLACEMENT_UNDERPRICED"),
    failure(-32000, "ChainId is required", "MARKER_CHAIN_ID_REQUIRED"),
    failure(-32008, SYNCING, "CHAIN_SYNCING"),
    failure(-32603, INTERNAL, "MARKER_REFUSED"),
];

const A_GROUP: Param = required("privacyGroupId", "the privacy group", Is("GroupId"));
const AN_ADDRESS: Param = required("address", "the account", Is("Address"));
const A_BLOCK: Param =
    required("block", "after which block; it must be given, as `latest`", Is("BlockTag"));
const A_MARKER: Param = required("transactionHash", "the marker's transaction hash", Is("Hash"));
const A_RAW_TRANSACTION: Param =
    required("raw", "the signed private transaction; `0x` may be left out", Is("Data"));
const A_FILTER_ID: Param = required("filterId", "what `priv_newFilter` answered", Is("FilterId"));

pub(super) const DOCS: &[Described] = &[
    (
        &["eea_sendRawTransaction"],
        Docs {
            summary: "Sends a signed private transaction to the members of its group and publishes its marker. Answers the marker's transaction hash; it is not mined yet. A private nonce that is too low is refused, one that is too high is not, and not kept either: the marker is published, and the receipt says status 0x2 with the reason `nonce`, for good.",
            params: &[A_RAW_TRANSACTION],
            result: ("the marker's transaction hash", Is("Hash")),
            errors: &[SEND, MARK, CHAIN, STATE, JOINING],
        },
    ),
    (
        &["priv_distributeRawTransaction"],
        Docs {
            summary: "Sends a signed private transaction to the members of its group and leaves the marker to the caller, who sends what this answers to 0x7d. Without a marker signer anybody may send it, so a stranger can choose the moment.",
            params: &[
                A_RAW_TRANSACTION,
                optional("markerSigner", "the account that will send the marker", Is("Address")),
            ],
            result: ("the marker's call data", Is("Data")),
            errors: &[SEND, ADDRESS, CHAIN, STATE, JOINING],
        },
    ),
    (
        &["priv_getPrivacyPrecompileAddress"],
        Docs {
            summary: "The address that markers are sent to.",
            params: &[],
            result: ("the address", Is("Address")),
            errors: &[],
        },
    ),
    (
        &["priv_getTransactionCount"],
        Docs {
            summary: "The next private nonce of an account in a group, at the head: zero when either is unknown. Takes exactly two parameters.",
            params: &[AN_ADDRESS, A_GROUP],
            result: ("the nonce", Is("Quantity")),
            errors: &[COUNT, &[failure(-32602, "Invalid privacy group params", "INVALID_PARAMS")]],
        },
    ),
    (
        &["priv_getEeaTransactionCount"],
        Docs {
            summary: "The next private nonce of an account in the legacy group of these members. Takes exactly three parameters.",
            params: &[
                AN_ADDRESS,
                required("privateFrom", "the caller's enclave key", Is("EnclaveKey")),
                required("privateFor", "the other members", Many("EnclaveKey")),
            ],
            result: ("the nonce", Is("Quantity")),
            errors: &[
                COUNT,
                &[
                    failure(-32602, "Invalid private from params", "INVALID_PARAMS"),
                    failure(-32602, "Invalid private for params", "INVALID_PARAMS"),
                    failure(-50100, NOT_PRIVATE_FROM, "PRIVATE_FROM_MISMATCH"),
                ],
            ],
        },
    ),
    (
        &["priv_call"],
        Docs {
            summary: "Runs a call on private and public state after a block and forgets what it changed. `null` for a number above the head.",
            params: &[A_GROUP, required("call", "the call; `to` is required", Is("Call")), A_BLOCK],
            result: ("what it returned", OrNull("Data")),
            errors: &[
                GROUP,
                CALL,
                BLOCK,
                &[failure(-32603, INTERNAL, "VALUE_NOT_ZERO")],
                CHAIN,
                STATE,
                JOINING,
            ],
        },
    ),
    (
        &["priv_estimateGas"],
        Docs {
            summary: "A gasLimit with which a private transaction can be sent. Private gas costs nothing and its limit is the network's; what gasLimit decides is that of the marker. So this is the gas that the execution uses, but at least what a marker needs and at most what a block has. `null` for a number above the head.",
            params: &[
                A_GROUP,
                required("call", "the transaction; without `to` it creates a contract", Is("Call")),
                optional("block", "after which block; latest when absent", Is("BlockTag")),
            ],
            result: ("the gas limit", OrNull("Quantity")),
            errors: &[GROUP, CALL, BLOCK, CHAIN, STATE, JOINING],
        },
    ),
    (
        &["priv_getCode"],
        Docs {
            summary: "The code of a private contract: `0x` for an account without, `null` for no private account or group, or a number above the head.",
            params: &[A_GROUP, AN_ADDRESS, A_BLOCK],
            result: ("the code", OrNull("Data")),
            errors: &[GROUP, ADDRESS, BLOCK, CHAIN, STATE, JOINING],
        },
    ),
    (
        &["priv_getBalance"],
        Docs {
            summary: "The private balance of an account: zero for no private account or group, `null` for a number above the head.",
            params: &[A_GROUP, AN_ADDRESS, A_BLOCK],
            result: ("the balance in wei", OrNull("Quantity")),
            errors: &[GROUP, ADDRESS, BLOCK, CHAIN, STATE],
        },
    ),
    (
        &["priv_getStorageAt"],
        Docs {
            summary: "A storage slot of a private contract: zero for none, `null` for a number above the head.",
            params: &[A_GROUP, AN_ADDRESS, required("slot", "which slot", Is("Quantity")), A_BLOCK],
            result: ("its 32 bytes", OrNull("Hash")),
            errors: &[GROUP, ADDRESS, SLOT, BLOCK, CHAIN, STATE],
        },
    ),
    (
        &["priv_getProof"],
        Docs {
            summary: "An account and slots of it, with Merkle proofs against the group's state root, which `priv_debugGetStateRoot` answers (EIP-1186). `null` for a number above the head.",
            params: &[
                A_GROUP,
                AN_ADDRESS,
                required("slots", "which slots, at most 1024", Many("Quantity")),
                A_BLOCK,
            ],
            result: ("the account with proofs", OrNull("Proof")),
            errors: &[GROUP, ADDRESS, SLOT, BLOCK, CHAIN, STATE],
        },
    ),
    (
        &["priv_debugGetStateRoot"],
        Docs {
            summary: "The root of the group's private state after a block, which is the same on every member: the empty trie's before the group's creation.",
            params: &[A_GROUP, A_BLOCK],
            result: ("the root", Is("Hash")),
            errors: &[
                STRICT_GROUP,
                BLOCK,
                &[failure(-32603, INTERNAL, "BLOCK_UNKNOWN")],
                CHAIN,
                STATE,
            ],
        },
    ),
    (
        &["priv_getTransactionReceipt"],
        Docs {
            summary: "The private receipt of a marker; waits some seconds for the marker's block to be followed. `null` when the marker is not mined or not for the caller. `reason`, `decidedBy` and `outcome` are not in Besu's.",
            params: &[A_MARKER],
            result: ("the receipt", OrNull("Receipt")),
            errors: &[HASH, MARKER, RECEIVE, CHAIN, STATE],
        },
    ),
    (
        &["priv_getPrivateTransaction", "priv_getTransaction"],
        Docs {
            summary: "The private transaction of a marker. `null` when the marker is not mined or not for the caller.",
            params: &[A_MARKER],
            result: ("the transaction", OrNull("Transaction")),
            errors: &[
                HASH,
                MARKER,
                &[failure(-50100, ENCLAVE, "ENCLAVE_UNAVAILABLE")],
                CHAIN,
                STATE,
            ],
        },
    ),
    (
        &["priv_traceTransaction"],
        Docs {
            summary: "The frames of a mined private transaction, in the form of `trace_transaction`: executed again on the state before it, and compared with its receipt. Empty when there is no such marker in the group, or nothing was executed.",
            params: &[A_GROUP, A_MARKER],
            result: ("the frames, in the order in which they began", Many("Trace")),
            errors: &[GROUP, HASH, LIMIT, RECEIVE, CHAIN, STATE],
        },
    ),
    (
        &["priv_getBlockTransactions"],
        Docs {
            summary: "The private transactions of a group in a range of blocks, page by page. All that came to execution are listed, whatever became of them; with `ignored`, also markers that were ignored before (duplicates, copies, late payloads), which takes a look at every block. A page may be empty and have a cursor.",
            params: &[A_GROUP, optional("query", "which", Is("TransactionQuery"))],
            result: ("a page", Is("TransactionPage")),
            errors: &[
                GROUP,
                FILTER,
                &[failure(-39001, "Unknown block", "BLOCK_UNKNOWN")],
                RECEIVE,
                CHAIN,
                STATE,
            ],
        },
    ),
    (
        &["priv_getLogs"],
        Docs {
            summary: "The group's logs that match a filter, in chain order. As in Besu, a `fromBlock` that is absent, latest or pending means the first block.",
            params: &[A_GROUP, required("filter", "which", Is("Filter"))],
            result: ("the logs", Many("Log")),
            errors: &[
                GROUP,
                FILTER,
                LIMIT,
                &[failure(-39001, "Unknown block", "BLOCK_UNKNOWN")],
                CHAIN,
                STATE,
            ],
        },
    ),
    (
        &["priv_newFilter"],
        Docs {
            summary: "Makes a filter for the group's logs, for the caller and this group only. It expires when it is not asked for a while.",
            params: &[A_GROUP, required("filter", "which logs", Is("Filter"))],
            result: ("the filter's id", Is("FilterId")),
            errors: &[GROUP, FILTER, PLACES, CHAIN, STATE],
        },
    ),
    (
        &["priv_getFilterChanges"],
        Docs {
            summary: "The logs that a filter matched since it was asked last; those of blocks that left the chain with `removed`.",
            params: &[A_GROUP, A_FILTER_ID],
            result: ("the logs", Many("Log")),
            errors: &[
                GROUP,
                FILTER,
                &[
                    failure(-32000, "Filter not found", "FILTER_UNKNOWN"),
                    failure(-32000, "History replaced", "HISTORY_REPLACED"),
                ],
                LIMIT,
                CHAIN,
                STATE,
            ],
        },
    ),
    (
        &["priv_getFilterLogs"],
        Docs {
            summary: "All logs that a filter matches.",
            params: &[A_GROUP, A_FILTER_ID],
            result: ("the logs", Many("Log")),
            errors: &[
                GROUP,
                FILTER,
                &[failure(-32000, "Logs filter not found", "FILTER_UNKNOWN")],
                LIMIT,
                CHAIN,
                STATE,
            ],
        },
    ),
    (
        &["priv_uninstallFilter"],
        Docs {
            summary: "Removes a filter of the caller's.",
            params: &[A_GROUP, A_FILTER_ID],
            result: ("whether there was one", Is("Boolean")),
            errors: &[GROUP, FILTER, STATE],
        },
    ),
    (
        &["priv_subscribe"],
        Docs {
            summary: "Subscribes to the group's logs; over a WebSocket only. They come as `priv_subscription`, those of blocks that left the chain with `removed`.",
            params: &[
                A_GROUP,
                required("kind", "`logs`", Is("SubscriptionKind")),
                optional("filter", "which; from and to are ignored", Is("Filter")),
            ],
            result: ("the subscription's id", Is("Quantity")),
            errors: &[
                GROUP,
                &[
                    failure(-32600, "Invalid Request", "INVALID_PARAMS"),
                    failure(-32604, "Method not enabled", "METHOD_NOT_ENABLED"),
                ],
                PLACES,
                STATE,
            ],
        },
    ),
    (
        &["priv_unsubscribe"],
        Docs {
            summary: "Ends a subscription of this connection.",
            params: &[
                A_GROUP,
                required("subscriptionId", "what `priv_subscribe` answered", Is("Quantity")),
            ],
            result: ("true", Is("Boolean")),
            errors: &[
                GROUP,
                &[
                    failure(-32000, "Subscription not found", "SUBSCRIPTION_UNKNOWN"),
                    failure(-32600, "Invalid Request", "INVALID_PARAMS"),
                    failure(-32604, "Method not enabled", "METHOD_NOT_ENABLED"),
                ],
                STATE,
            ],
        },
    ),
    (
        &[
            "privx_findFlexiblePrivacyGroup",
            "privx_findOnChainPrivacyGroup",
            "privx_findOnchainPrivacyGroup",
        ],
        Docs {
            summary: "The groups at the head that have all of these members; all groups for an empty list, as far as the caller may see them. A list that is not empty must have the key of the caller's token.",
            params: &[required("members", "enclave keys", Many("EnclaveKey"))],
            result: ("the groups", Many("Group")),
            errors: &[
                &[failure(-32602, "Invalid address params", "INVALID_PARAMS")],
                &[
                    failure(-50100, FIND, "PRIVATE_FROM_MISMATCH"),
                    failure(-50100, FIND, "UNAUTHORIZED"),
                    failure(-50100, FIND, "STORE_FAILED"),
                ],
            ],
        },
    ),
    (
        &["coterie_groupStatus"],
        Docs {
            summary: "How a group is at the head: members, owner, version, state root, and how the last comparison of state with every other member came out.",
            params: &[A_GROUP],
            result: ("the group", Is("GroupStatus")),
            errors: &[STRICT_GROUP, CHAIN, STATE, JOINING],
        },
    ),
    (
        &["coterie_status"],
        Docs {
            summary: "How the node is: what it has followed and how far the chain is, and why it follows no longer if that stopped for good. Counts of groups, peers and markers are only for callers that may see all groups.",
            params: &[],
            result: ("the node", Is("NodeStatus")),
            errors: &[],
        },
    ),
    (
        &["coterie_heal"],
        Docs {
            summary: "Takes a group's history over again from another member, for a node that lost payloads; where operators' methods are enabled. Answers when that has begun; the log and, where the group is known, `coterie_groupStatus` tell how it ends. Refused within seconds: a member whose node is not reached, or does not know the group. It need not be a member as this node knows the group.",
            params: &[A_GROUP, optional("from", "the member to ask", Is("EnclaveKey"))],
            result: ("true", Is("Boolean")),
            errors: &[
                STRICT_GROUP,
                &[
                    failure(-32602, "Invalid private from params", "INVALID_PARAMS"),
                    failure(-32603, INTERNAL, "STOPPING"),
                    failure(-50100, NO_GROUP, "NOBODY_TO_ASK"),
                    UNKNOWN_TO_MEMBER,
                    failure(-50200, NOT_FOUND_KEY, "RECIPIENT_UNKNOWN"),
                    failure(-50200, NOT_PUSHED, "RECIPIENT_FAILED"),
                    failure(-50200, NOT_PUSHED, "RECIPIENT_REFUSED"),
                    failure(-32604, "Method not enabled", "METHOD_NOT_ENABLED"),
                ],
                STATE,
            ],
        },
    ),
    (
        &["rpc.discover", "rpc_discover"],
        Docs {
            summary: "This description, as an OpenRPC document.",
            params: &[],
            result: ("the document", Is("OpenRpc")),
            errors: &[],
        },
    ),
];
