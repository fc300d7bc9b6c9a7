/**
 * What the Rust core offers to the rest of the package. Every function is synchronous and pure
 * except `randomGroupId`. Bytes and numbers are `0x…` strings, keys and group ids base64,
 * addresses come out with an EIP-55 checksum. Whatever is passed, a function returns or throws
 * a {@link CoreError}.
 */
export interface Core {
  /** The canonical text of an enclave key of 32 or 91 bytes. */
  enclaveKey(value: string | Uint8Array): string;
  /** The bytes of an enclave key. */
  enclaveKeyBytes(key: string): Uint8Array;
  /** The canonical text of a group id of 32 bytes. */
  groupId(value: string | Uint8Array): string;
  /** The bytes of a group id. */
  groupIdBytes(id: string): Uint8Array;
  /** 32 random bytes as a group id. */
  randomGroupId(): string;
  /** The id of the legacy group of these members, in any order, repeated or not. */
  legacyGroupId(members: readonly string[]): string;
  /** The address of the contract that a private transaction creates. */
  contractAddress(sender: string, nonce: string, groupId: string | Uint8Array): string;
  /** The address of a private key. */
  accountAddress(privateKey: Uint8Array): string;

  /** The RLP that is hashed and signed. */
  encodeForSigning(tx: CoreTransaction): string;
  /** The hash that is signed. */
  signatureHash(tx: CoreTransaction): string;
  /** Signs; the result is the signed RLP. */
  sign(tx: CoreTransaction, privateKey: Uint8Array): string;
  /** The signed RLP with a signature from elsewhere, whose s must be low. */
  serialize(tx: CoreTransaction, signature: CoreSignature): string;
  /** The fields of a signed private transaction. */
  decode(raw: string): CoreSignedTransaction;
  /** Who signed a private transaction. */
  recoverSigner(raw: string): string;
  /** keccak256 of the signed RLP. */
  transactionHash(raw: string): string;
  /** keccak256 of any bytes. */
  keccak256(data: string): string;
  /** Whose signature over `hash` this is. */
  recoverAddress(hash: string, signature: CoreSignature): string;

  /** The hash of a public marker transaction that is signed. */
  markerSignatureHash(marker: CoreMarker): string;
  /** The signed RLP of a marker transaction with a signature from elsewhere. */
  serializeMarker(marker: CoreMarker, signature: CoreSignature): string;
  /** Signs a marker transaction; the result is the signed RLP. */
  signMarker(marker: CoreMarker, privateKey: Uint8Array): string;

  /** Calldata that adds members, or creates a group. */
  addParticipantsCalldata(members: readonly string[], abi: MemberAbi): string;
  /** Calldata that removes a member. */
  removeParticipantCalldata(member: string, abi: MemberAbi): string;
  /** Calldata of `lock()`. */
  lockCalldata(): string;
  /** Calldata of `unlock()`. */
  unlockCalldata(): string;
  /** Calldata of `getParticipants()`. */
  participantsCalldata(): string;
  /** Calldata of `canExecute()`. */
  canExecuteCalldata(): string;
  /** Calldata of `owner()`. */
  ownerCalldata(): string;
  /** Calldata of `acceptOwnership()`. */
  acceptOwnershipCalldata(): string;
  /** Calldata of `transferOwnership(address)`. */
  transferOwnershipCalldata(newOwner: string): string;
  /** The members in an answer of `getParticipants()`; `auto` tells both ABIs apart. */
  decodeParticipants(output: string, abi: MemberAbi | "auto"): string[];
  /** Why a call was reverted; undefined for errors that a contract defines itself. */
  decodeRevert(output: string): CoreRevert | undefined;
}

/** What the Rust core offers and the package does not use. */
export interface CoreUnused {
  /** A payload key in base64; takes hex too. */
  payloadKey(value: string | Uint8Array): string;
  /** Calldata of `getVersion()`. */
  versionCalldata(): string;
  /** Calldata of `upgradeTo(address)`. */
  upgradeToCalldata(implementation: string): string;
  /** What a call to the management contract says. */
  decodeManagementCall(data: string): CoreManagementCall;
  /** What a log of the management contract says; undefined for other logs. */
  decodeManagementEvent(topics: readonly string[], data: string): CoreManagementEvent | undefined;
}

/** How a management contract takes member keys. */
export type MemberAbi = "bytes" | "bytes32";

/** An unsigned private transaction. */
export interface CoreTransaction {
  readonly nonce: string;
  readonly gasPrice?: string | undefined;
  readonly gasLimit: string;
  readonly to?: string | undefined;
  readonly value?: string | undefined;
  readonly data?: string | undefined;
  readonly chainId?: string | undefined;
  readonly privateFrom: string;
  readonly privacyGroupId?: string | undefined;
  readonly privateFor?: readonly string[] | undefined;
  readonly restriction?: string | undefined;
}

/** A decoded private transaction. `from` is missing when the signature is nobody's. */
export interface CoreSignedTransaction extends CoreTransaction {
  readonly gasPrice: string;
  readonly value: string;
  readonly data: string;
  readonly restriction: string;
  readonly v: string;
  readonly r: string;
  readonly s: string;
  readonly hash: string;
  readonly from?: string;
}

/** A signature; r and s as quantities or padded to 32 bytes. */
export interface CoreSignature {
  readonly r: string;
  readonly s: string;
  readonly yParity: 0 | 1;
}

/** A public legacy transaction that carries a marker: 32 bytes of data, or 64. */
export interface CoreMarker {
  readonly nonce: string;
  readonly gasPrice: string;
  readonly gasLimit: string;
  readonly to: string;
  readonly value?: string | undefined;
  readonly data: string;
  readonly chainId?: string | undefined;
}

/** A call to the management contract, by the function's name in Solidity. */
export interface CoreManagementCall {
  readonly name: string;
  readonly members?: string[];
  readonly member?: string;
  readonly address?: string;
}

/** An event of the management contract. */
export type CoreManagementEvent =
  | { readonly name: "ParticipantAdded"; readonly success: boolean; readonly member: string; readonly message: string }
  | { readonly name: "ParticipantRemoved"; readonly member: string }
  | { readonly name: "OwnershipTransferStarted"; readonly previousOwner: string; readonly newOwner: string }
  | { readonly name: "OwnershipTransferred"; readonly previousOwner: string; readonly newOwner: string }
  | { readonly name: "Upgraded"; readonly implementation: string };

/** Why a call was reverted. */
export type CoreRevert =
  | { readonly kind: "error"; readonly reason: string }
  | { readonly kind: "panic"; readonly code: string; readonly reason: string };

/** What every function of {@link Core} throws. */
export interface CoreError extends Error {
  readonly name: "InvalidInputError" | "DecodeError" | "SignError" | "SignatureError";
  /** Stable word for programs. */
  readonly code: string;
  /** What to do about it. */
  readonly hint: string;
}

/** Where the bytes of the core come from. */
export type CoreSource =
  | Response
  | Promise<Response>
  | ArrayBuffer
  | ArrayBufferView
  | WebAssembly.Module
  | URL
  | string;
