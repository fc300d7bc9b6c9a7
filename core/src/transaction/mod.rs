//! Private transactions: fields, strict decoding, the signing pre-image and the sender.
//!
//! Deliberately not here: whether a transaction is acceptable (nonce, value, chain id, restriction
//! are judged where the state is known) and who may execute it (`access`). The format is that of
//! the protocol specification, sections 1.1 to 1.4: one legacy form, no typed envelopes.

mod rlp;
mod sign;

use alloc::vec::Vec;

use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, keccak256};

pub use rlp::DecodeError;
pub(crate) use rlp::encode_v;
pub(crate) use sign::check_foreign;
pub use sign::{AccountKey, InvalidAccountKey, SignError, SignatureError, recover_address};

use crate::{EnclaveKey, GroupId};

/// An unsigned private transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrivateTransaction {
    /// The sender's nonce inside the group.
    pub nonce: u64,
    /// Seen by GASPRICE and copied into the marker; no private fee is charged.
    pub gas_price: U256,
    /// Copied into the marker; not enforced privately.
    pub gas_limit: u64,
    /// Creation or call.
    pub to: TxKind,
    /// Must be zero to be valid.
    pub value: U256,
    /// Init code or calldata.
    pub input: Bytes,
    /// EIP-155 chain id; `None` signs the short pre-image. Never zero when decoded: its `v` (35 or
    /// 36) is not decodable (protocol specification, 1.3). Wider chain ids than 64 bits exist in
    /// the format but on no chain, and are refused.
    pub chain_id: Option<u64>,
    /// The sender's enclave key.
    pub private_from: EnclaveKey,
    /// Recipients.
    pub recipients: Recipients,
    /// Restriction.
    pub restriction: Restriction,
}

/// Who receives a private transaction. The kind of RLP item decides on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recipients {
    /// `privateFor`: a list of enclave keys (legacy groups), in the order given by the sender.
    Members(Vec<EnclaveKey>),
    /// `privacyGroupId`.
    Group(GroupId),
}

/// The `restriction` field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Restriction {
    /// `restricted`: the payload is stored only by its recipients.
    Restricted,
    /// `unrestricted`: decodes, but no node accepts it.
    Unrestricted,
    /// Any other text, kept as it came, so that the sender can be recovered and the bytes come out
    /// as they went in. Besu forgets the text and encodes an empty string instead, so that it
    /// recovers another sender in a block: who must agree with it puts an empty text here and
    /// calls [`PrivateTransaction::into_signed`] again.
    Unsupported(Bytes),
}

/// A private transaction with its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedPrivateTransaction {
    /// What was signed.
    pub transaction: PrivateTransaction,
    /// The signature as it came (s may be high).
    pub signature: Signature,
    /// keccak256 of the signing pre-image.
    pub signature_hash: B256,
}

impl PrivateTransaction {
    /// The signing pre-image: RLP of the fields without signature, with `(chainId, 0, 0)` in its
    /// place when there is a chain id (protocol specification, 1.2).
    pub fn encode_for_signing(&self) -> Vec<u8> {
        rlp::encode_for_signing(self)
    }

    /// keccak256 of [`Self::encode_for_signing`].
    pub fn signature_hash(&self) -> B256 {
        keccak256(self.encode_for_signing())
    }

    /// Joins the transaction with a signature over its [`Self::signature_hash`], which is not
    /// verified: see [`SignedPrivateTransaction::recover_signer`].
    pub fn into_signed(self, signature: Signature) -> SignedPrivateTransaction {
        let signature_hash = self.signature_hash();
        SignedPrivateTransaction { transaction: self, signature, signature_hash }
    }

    /// Joins the transaction with a signature that was made elsewhere, a hardware key for example.
    /// Whose it is, is not verified.
    ///
    /// # Errors
    ///
    /// [`SignError::SignatureRange`] and [`SignError::HighS`]: libraries differ in accepting such a
    /// signature; [`SignError::ZeroChainId`]: nobody could decode the result.
    pub fn assemble(self, signature: Signature) -> Result<SignedPrivateTransaction, SignError> {
        sign::assemble(self, signature)
    }

    /// Signs with RFC 6979 and a low s.
    ///
    /// # Errors
    ///
    /// [`SignError::ZeroChainId`]: nobody could decode the result.
    pub fn sign(self, key: &AccountKey) -> Result<SignedPrivateTransaction, SignError> {
        sign::sign(self, key)
    }

    /// The id of the group this transaction is for: the given one, or the legacy id of
    /// `privateFor` and `privateFrom` (protocol specification, 1.7).
    pub fn group_id(&self) -> GroupId {
        match &self.recipients {
            Recipients::Group(id) => *id,
            Recipients::Members(keys) => {
                GroupId::legacy(keys.iter().chain(core::iter::once(&self.private_from)))
            }
        }
    }
}

impl SignedPrivateTransaction {
    /// Decodes strictly: canonical RLP, exactly 12 items, nothing after the list, every field of
    /// its width. `encode` gives the same bytes back.
    ///
    /// # Errors
    ///
    /// The first item that is wrong; [`DecodeError::RecoveryId`] for a `v` that means nothing.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        rlp::decode(bytes)
    }

    /// The signed RLP, a list of 12 items (protocol specification, 1.1).
    pub fn encode(&self) -> Vec<u8> {
        rlp::encode(self)
    }

    /// The item `v`: parity and chain id as EIP-155 joins them; 27 or 28 without a chain id.
    pub fn v(&self) -> u128 {
        encode_v(self.transaction.chain_id, self.signature.v())
    }

    /// keccak256 of the signed RLP. Nothing on the chain or in the RPC names a transaction by it
    /// (they use the marker's hash).
    pub fn hash(&self) -> B256 {
        keccak256(self.encode())
    }

    /// The account that signed. A high s is normalised first: libraries differ in accepting it.
    ///
    /// # Errors
    ///
    /// [`SignatureError`] when r and s belong to no public key.
    pub fn recover_signer(&self) -> Result<Address, SignatureError> {
        recover_address(&self.signature_hash, &self.signature)
    }

    /// `r ‖ s` with s low, and the parity of y that belongs to it: what a native secp256k1 library
    /// needs, with [`Self::signature_hash`], to recover the sender faster than this crate does.
    pub fn recoverable_signature(&self) -> ([u8; 64], bool) {
        sign::recoverable_signature(&self.signature)
    }
}
