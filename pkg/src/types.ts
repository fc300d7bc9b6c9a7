/**
 * What the SDK's functions take and give.
 *
 * Numbers of the protocol are `bigint`; on input a `number` that is a safe integer will do too.
 */

/**
 * Bytes in hex: `0x`, then two digits a byte.
 *
 * @example
 * const data: Hex = "0x3fa4f245";
 */
export type Hex = `0x${string}`;

/**
 * An account or contract: 20 bytes in hex.
 *
 * @example
 * const management: Address = "0x000000000000000000000000000000000000007c";
 */
export type Address = Hex;

/**
 * A hash: 32 bytes in hex.
 *
 * @example
 * const hash: Hash = await client.sendTransaction({ privacyGroupId, to, data });
 */
export type Hash = Hex;

declare const brand: unique symbol;

/**
 * The public key by which an enclave knows a member: 32 (or 91) bytes in base64. Made by
 * {@link enclaveKey}, so that a group id, which looks alike, is not taken for one.
 *
 * @example
 * const key: EnclaveKey = enclaveKey("A1aVtMxLCUHmBVHXoZzzBgPbW/wj5axDpW9X8l91SGo=");
 */
export type EnclaveKey = string & { readonly [brand]: "EnclaveKey" };

/**
 * The id of a privacy group: 32 bytes in base64. Made by {@link groupId}, {@link randomGroupId} or
 * {@link legacyGroupId}.
 *
 * @example
 * const id: GroupId = groupId("DyAOiF/ynpc+JXa2YAGB0bCitSlOMNm+ShmB/7M6C4w=");
 */
export type GroupId = string & { readonly [brand]: "GroupId" };

/**
 * What a marker carries: the id of a payload in the enclaves, 32 bytes in hex. Besu answers 64 bytes
 * for some transactions.
 *
 * @example
 * const payload: PayloadKey = await client.distributeTransaction({ privacyGroupId, to, data });
 */
export type PayloadKey = Hex;

/**
 * A protocol number on input: a `bigint`, or a `number` that is a safe integer.
 *
 * @example
 * const gas: Quantity = 3_000_000;
 */
export type Quantity = bigint | number;

/**
 * A signature by an account's key. `yParity`, or `v` as 0, 1, 27 or 28.
 *
 * @example
 * const signature: Signature = { r: "0x…", s: "0x…", yParity: 1 };
 */
export interface Signature {
  /** 32 bytes in hex. */
  readonly r: Hex;
  /** 32 bytes in hex. */
  readonly s: Hex;
  /** Parity of the curve point's y. */
  readonly yParity?: number | undefined;
  /** The same in the older form. */
  readonly v?: bigint | number | undefined;
}

/**
 * Who gets a private transaction: the members of a group, or listed keys (the legacy form, which
 * only some nodes accept). Never both.
 *
 * @example
 * const audience: Audience = { privacyGroupId };
 */
export type Audience =
  | { readonly privacyGroupId: GroupId; readonly privateFor?: undefined }
  | { readonly privateFor: readonly EnclaveKey[]; readonly privacyGroupId?: undefined };

/**
 * A private transaction, ready to be signed.
 *
 * @example
 * const transaction: PrivateTransaction = {
 *   nonce: 0n, chainId: 1337n, privateFrom, privacyGroupId, to, data: "0x3fa4f245",
 * };
 */
export type PrivateTransaction = Audience & {
  /** The sender's nonce in the group. */
  readonly nonce: Quantity;
  /** In wei, what the marker pays; 0 when absent. */
  readonly gasPrice?: Quantity | undefined;
  /** Gas limit; 3,000,000 when absent. */
  readonly gas?: Quantity | undefined;
  /** The contract to call; absent or null to create one. */
  readonly to?: Address | null | undefined;
  /** Call data, or creation code. */
  readonly data?: Hex | undefined;
  /** Nodes accept only 0. */
  readonly value?: Quantity | undefined;
  /** The public chain's id. Absent: without replay protection. */
  readonly chainId?: Quantity | undefined;
  /** The sender's enclave key. */
  readonly privateFrom: EnclaveKey;
  /** Nodes accept only `"restricted"`, which is the default. */
  readonly restriction?: "restricted" | "unrestricted" | undefined;
};

/**
 * A signed private transaction, decoded.
 *
 * @example
 * const { from, nonce }: SignedPrivateTransaction = parsePrivateTransaction(raw);
 */
export type SignedPrivateTransaction = Audience & {
  readonly nonce: bigint;
  readonly gasPrice: bigint;
  readonly gas: bigint;
  readonly to: Address | null;
  readonly data: Hex;
  readonly value: bigint;
  readonly chainId: bigint | undefined;
  readonly privateFrom: EnclaveKey;
  readonly restriction: string;
  readonly v: bigint;
  readonly r: Hex;
  readonly s: Hex;
  /** keccak256 of the signed bytes. No node knows a transaction by it. */
  readonly hash: Hash;
  /** Who signed; undefined when the signature recovers nobody. */
  readonly from: Address | undefined;
};

/**
 * What to send: everything else has a default. `nonce` is taken from the queue unless given.
 *
 * @example
 * const request: PrivateTransactionRequest = { privacyGroupId, to, data };
 */
export type PrivateTransactionRequest = Audience & {
  /** The contract to call; absent or null to create one. */
  readonly to?: Address | null | undefined;
  /** Call data, or creation code. */
  readonly data?: Hex | undefined;
  /** Wins over the queue, also when it is 0. */
  readonly nonce?: Quantity | undefined;
  /** Gas limit; 3,000,000 when absent. */
  readonly gas?: Quantity | undefined;
  /** In wei, what the marker pays; 0 when absent. */
  readonly gasPrice?: Quantity | undefined;
  /** Another of the node's keys than the client's. */
  readonly privateFrom?: EnclaveKey | undefined;
  readonly signal?: AbortSignal | undefined;
};

/**
 * A block: its number, or a tag.
 *
 * @example
 * const block: BlockTag = "latest";
 */
export type BlockTag = Quantity | "latest" | "earliest" | "pending" | "finalized" | "safe";

/**
 * What became of a private transaction, in a word of the node's: only `"executed"` had its effect.
 * All others left the sender's nonce as it was.
 *
 * @example
 * if (receipt.reason === "locked") await client.groups.unlock({ privacyGroupId });
 */
export type ReceiptReason =
  | "executed"
  | "reverted"
  | "out_of_gas"
  | "too_many_public_reads"
  | "nonce"
  | "chain_id"
  | "value"
  | "signature"
  | "locked"
  | "version"
  | "not_a_member"
  | "undecodable"
  | "enclave_signature"
  | "duplicate"
  | "copied"
  | "late"
  | "not_in_history"
  | (string & {});

/**
 * The receipt of a private transaction.
 *
 * @example
 * const receipt: PrivateReceipt = await client.waitForReceipt(hash);
 * console.log(receipt.status, receipt.logs.length);
 */
export interface PrivateReceipt {
  /** 0x1, 0x0 (failed, or without effect) and 0x2 (invalid). */
  readonly status: "success" | "reverted" | "invalid";
  /** The marker's transaction hash, by which everything is asked. */
  readonly transactionHash: Hash;
  readonly blockHash: Hash;
  readonly blockNumber: bigint;
  /** The marker's place in its block. */
  readonly transactionIndex: number;
  /** Who signed; undefined when nobody is recovered. */
  readonly from: Address | undefined;
  /** The contract called; null for a creation. */
  readonly to: Address | null;
  /** The contract created, also when the creation failed; null for a call. */
  readonly contractAddress: Address | null;
  readonly privateFrom: EnclaveKey | undefined;
  readonly privacyGroupId: GroupId | undefined;
  readonly privateFor: readonly EnclaveKey[] | undefined;
  /** What the contract returned, or the code created. */
  readonly output: Hex;
  /** What the contract reverted with. */
  readonly revertReason: Hex | undefined;
  readonly logs: readonly PrivateLog[];
  readonly logsBloom: Hex;
  /** Why; undefined on nodes that do not say. */
  readonly reason: ReceiptReason | undefined;
  /** For a duplicate or a copied marker: the one that decided. */
  readonly decidedBy: Hash | undefined;
  /** For a duplicate or a copied marker: what became of the one that decided. */
  readonly outcome: ReceiptReason | undefined;
}

/**
 * An event of a private contract.
 *
 * @example
 * const logs: PrivateLog[] = await client.getLogs({ privacyGroupId, fromBlock: 0n });
 */
export interface PrivateLog {
  readonly address: Address;
  readonly topics: readonly Hex[];
  readonly data: Hex;
  readonly blockHash: Hash;
  readonly blockNumber: bigint;
  /** The marker's. */
  readonly transactionHash: Hash;
  readonly transactionIndex: number;
  /** Counted per private transaction in a receipt, per block and group in a search. */
  readonly logIndex: number;
  /** Its block left the chain. */
  readonly removed: boolean;
}

/**
 * Which events: by contract, by topic, by block.
 *
 * @example
 * const filter: LogFilter = { address, topics: [null, [topicA, topicB]], fromBlock: 17n };
 */
export interface LogFilter {
  readonly address?: Address | readonly Address[] | undefined;
  readonly topics?: readonly (Hex | readonly Hex[] | null)[] | undefined;
  readonly fromBlock?: BlockTag | undefined;
  readonly toBlock?: BlockTag | undefined;
  /** Instead of a range. */
  readonly blockHash?: Hash | undefined;
}

/**
 * A flexible privacy group that the node is a member of.
 *
 * @example
 * const [group]: PrivacyGroup[] = await client.groups.find([alice, bob], { exact: true });
 */
export interface PrivacyGroup {
  readonly privacyGroupId: GroupId;
  readonly members: readonly EnclaveKey[];
  /** `"FLEXIBLE"`; older nodes say `"ONCHAIN"`. */
  readonly type: string;
  readonly name: string;
  readonly description: string;
}

/**
 * The ABI of the management contract's members: `"bytes"` for this node and Besu from 22.10,
 * `"bytes32"` for older ones.
 *
 * @example
 * const client = createPrivacyClient({ url, signer, enclaveKey, groupAbi: "bytes32" });
 */
export type GroupAbi = "bytes" | "bytes32";

/**
 * What a revert says: `Error(string)` or `Panic(uint256)`.
 *
 * @example
 * if (error.revert?.kind === "error") console.log(error.revert.reason);
 */
export type DecodedRevert =
  | { readonly kind: "error"; readonly reason: string }
  | { readonly kind: "panic"; readonly code: bigint; readonly reason: string };
