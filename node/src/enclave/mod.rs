//! Holds the node's enclave keys and payloads, and speaks to the other members' enclaves.
//!
//! One trait; the embedded implementation keeps Tessera's cryptography, ids and peer protocol to
//! the byte (enclave specification). It knows payloads as bytes, never as transactions, except for
//! the prefix of `coterie` rules that binds a payload to its marker's signer.

mod client;
pub mod codec;
mod connections;
pub mod crypto;
mod embedded;
pub mod keys;
pub mod messages;
mod network;
mod open;
pub mod options;
pub mod payloads;
mod peers;
mod sealed;
mod server;
pub mod signature;
#[cfg(test)]
mod tests;
mod vault;
mod verify;

use std::sync::Arc;

use alloy_primitives::{Address, B256, Bytes};
use async_trait::async_trait;
use coterie_core::{EnclaveKey, GroupId, PayloadKey};

pub use self::{
    client::ClientBuildError,
    embedded::{Carrier, EmbeddedEnclave, StartError},
    options::{EnclaveLimits, EnclaveOptions, EnclaveTimeouts, Storage},
    sealed::open_sealed,
    vault::PushError,
    verify::verify_payload,
};
use crate::chain::{BlockRef, PublicRead, PublicValue};

/// A payload that one of our keys opened and whose prefix was verified.
#[derive(Clone, PartialEq, Eq)]
pub struct Payload {
    /// Its id: the hash of the ciphertext.
    pub key: PayloadKey,
    /// What is inside, without the prefix: base64 text of RLP `[transaction, version]`.
    pub text: Bytes,
    /// Whose marker of this id decides; zero: anyone's. Always zero under `besu` rules.
    pub marker_signer: Address,
    /// The envelope's sender key: selects the box, proves nothing under `coterie` rules.
    pub sender_key: EnclaveKey,
    /// The signature over the marker signer (or payload), to be checked against `privateFrom`;
    /// `None` under `besu` rules.
    pub signature: Option<[u8; 64]>,
    /// The ciphertext's nonce and master key, for the payload signature's pre-image and histories.
    pub opening: Opening,
}

/// What opens a ciphertext. Secret; never logged.
#[derive(Clone, PartialEq, Eq)]
pub struct Opening {
    /// XSalsa20-Poly1305 key.
    pub master_key: [u8; 32],
    /// Its nonce.
    pub nonce: [u8; 24],
}

/// What a marker's id means at the block that is being decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decided {
    /// No payload, or none of our keys opens it.
    Unreadable,
    /// Readable and in time.
    InTime(Payload),
    /// Readable now, but it was not when this block was decided first.
    Late(Payload),
    /// One of our keys opens it, but its plaintext has not the form of the rules (wrong zeros, too
    /// short): without effect for everyone.
    Malformed,
}

/// The enclave could not answer: retry, never decide.
#[derive(Debug, thiserror::Error)]
#[error("the enclave is not available: {reason}")]
pub struct EnclaveUnavailable {
    /// What went wrong.
    pub reason: String,
}

/// A payload was not distributed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DistributeError {
    /// `from` is not one of our keys.
    #[error("enclave key {0} is not held by this node")]
    NotOurKey(EnclaveKey),
    /// No known peer holds this key.
    #[error("no peer is known for enclave key {0}")]
    UnknownRecipient(EnclaveKey),
    /// The recipient's node did not store the payload.
    #[error("the node of enclave key {key} did not store the payload: {reason}")]
    RecipientFailed {
        /// Whose node.
        key: EnclaveKey,
        /// What it answered, or the transport error.
        reason: String,
    },
    /// The recipient's network definition differs.
    #[error("the node of enclave key {key} has another network definition: {field} differs")]
    DefinitionDiffers {
        /// Whose node.
        key: EnclaveKey,
        /// The first field that differs.
        field: String,
    },
    /// Too large.
    #[error("the payload has {size} bytes, more than the limit of {limit}")]
    TooLarge {
        /// Its size.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// Our own payload store failed.
    #[error(transparent)]
    Unavailable(#[from] EnclaveUnavailable),
}

/// What to send.
#[derive(Clone)]
pub struct Distribution {
    /// Our key it is sent from: the transaction's `privateFrom`.
    pub from: EnclaveKey,
    /// Recipients; the sender is added, duplicates are dropped.
    pub to: Vec<EnclaveKey>,
    /// base64 text of RLP `[transaction, version]`.
    pub text: Bytes,
    /// Whose marker will decide; zero for anyone's (`coterie` rules).
    pub marker_signer: Address,
    /// The group, for the signature of a payload with marker signer zero.
    pub group: GroupId,
}

/// A history that was accepted for a group (design, 2.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedHistory {
    /// The group.
    pub group: GroupId,
    /// Up to the end of this block it replaces our own decisions.
    pub until: BlockRef,
    /// What counted, in chain order.
    pub entries: Vec<HistoryEntry>,
    /// The key of ours that it was given to; its payloads become readable by this key.
    pub recipient: EnclaveKey,
}

/// One marker that counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryEntry {
    /// The marker's block.
    pub block: BlockRef,
    /// The marker's index in it.
    pub index: u64,
    /// The payload's id.
    pub key: PayloadKey,
}

/// A ciphertext with its opening, as a history carries it.
#[derive(Clone)]
pub struct SealedPayload {
    /// The envelope's sender key.
    pub sender_key: EnclaveKey,
    /// The ciphertext whose hash is the id.
    pub cipher_text: Bytes,
    /// What opens it.
    pub opening: Opening,
}

/// Asking another member's enclave failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// No known peer holds this key.
    #[error("no peer is known for enclave key {0}")]
    UnknownPeer(EnclaveKey),
    /// Not reachable, timed out, or not understood.
    #[error("the node of enclave key {key} did not answer: {reason}")]
    Failed {
        /// Whose node.
        key: EnclaveKey,
        /// Why.
        reason: String,
    },
    /// It answered with a refusal.
    #[error("the node of enclave key {key} refused: {reason}")]
    Refused {
        /// Whose node.
        key: EnclaveKey,
        /// Its words.
        reason: String,
    },
}

/// Answers what other members ask. The transport has proved that the asker holds `from`.
#[async_trait]
pub trait MemberHandler: Send + Sync + 'static {
    /// Answers `body` of `kind` from key `from` to our key `to`; an `Err` text is sent back as a
    /// refusal and must not tell "not for you" from "unknown".
    async fn answer(
        &self,
        from: EnclaveKey,
        to: EnclaveKey,
        kind: &str,
        body: Bytes,
    ) -> Result<Bytes, String>;
}

/// Called with every payload that became readable, when it is stored.
pub type ArrivalHook = Arc<dyn Fn(Payload) + Send + Sync>;

/// An enclave.
#[async_trait]
pub trait Enclave: Send + Sync + 'static {
    /// The keys we hold, the default first.
    fn keys(&self) -> Vec<EnclaveKey>;
    /// Whether we hold `key`.
    fn holds(&self, key: &EnclaveKey) -> bool {
        self.keys().contains(key)
    }
    /// Opens a stored payload; `None` when it is unknown, not for us, or malformed.
    async fn receive(&self, key: PayloadKey) -> Result<Option<Payload>, EnclaveUnavailable>;
    /// Which of our keys open the payload.
    async fn recipients(&self, key: PayloadKey) -> Result<Vec<EnclaveKey>, EnclaveUnavailable>;
    /// Decides the ids of a block's markers, in their order, and moves the position to `block`
    /// under the lock that arriving payloads take (design, 2.2). Asking again for a block that was
    /// decided gives the same answers, also after new payloads arrived.
    async fn decide(
        &self,
        block: BlockRef,
        keys: &[PayloadKey],
    ) -> Result<Vec<Decided>, EnclaveUnavailable>;
    /// The follower left `orphaned` (ascending) for another branch that starts after `common`.
    async fn reorg(
        &self,
        common: BlockRef,
        orphaned: &[BlockRef],
    ) -> Result<(), EnclaveUnavailable>;
    /// Moves the position forward to the head of the state store, at start; never back. After a
    /// crash the stored position may be older, as it is written along with the next payload.
    async fn set_position_at_least(&self, head: BlockRef) -> Result<(), EnclaveUnavailable>;
    /// The last decided block, which a rebuild does not move back.
    async fn position(&self) -> Result<Option<BlockRef>, EnclaveUnavailable>;
    /// Encrypts, stores, and pushes to every recipient; returns when all have stored it durably.
    async fn distribute(&self, distribution: Distribution) -> Result<PayloadKey, DistributeError>;
    /// Pushes a stored payload of ours again, to recipients that may have dropped it.
    async fn push_again(&self, key: PayloadKey, to: &[EnclaveKey]) -> Result<(), DistributeError>;

    /// Ciphertext and opening of a stored payload, for a history.
    async fn sealed(&self, key: PayloadKey) -> Result<Option<SealedPayload>, EnclaveUnavailable>;
    /// Stores, in one batch, an accepted history with its payloads and the public reads that came
    /// with it; replaces an earlier one of the group.
    async fn accept_history(
        &self,
        history: AcceptedHistory,
        payloads: Vec<SealedPayload>,
        reads: Vec<(BlockRef, Vec<(PublicRead, PublicValue)>)>,
    ) -> Result<(), EnclaveUnavailable>;
    /// All accepted histories.
    async fn histories(&self) -> Result<Vec<AcceptedHistory>, EnclaveUnavailable>;
    /// Remembers public reads of a group at a block, so that a rebuild needs no archive node.
    async fn record_reads(
        &self,
        group: GroupId,
        block: B256,
        reads: &[(PublicRead, PublicValue)],
    ) -> Result<(), EnclaveUnavailable>;
    /// What `record_reads` or an accepted history stored.
    async fn recorded_reads(
        &self,
        group: GroupId,
        block: B256,
    ) -> Result<Vec<(PublicRead, PublicValue)>, EnclaveUnavailable>;

    /// Keys whose nodes proved to hold them, without our own.
    fn peers(&self) -> Vec<EnclaveKey>;
    /// Sends a message to the node that holds `to`, boxed from our key `from`; its boxed answer.
    async fn ask(
        &self,
        from: &EnclaveKey,
        to: &EnclaveKey,
        kind: &str,
        body: Bytes,
    ) -> Result<Bytes, AskError>;
    /// Sets who answers other members' messages.
    fn set_handler(&self, handler: Arc<dyn MemberHandler>);
    /// Sets what is called with arriving payloads.
    fn set_arrival_hook(&self, hook: ArrivalHook);
    /// Tells the enclave whom we share groups with: of their payloads much more is kept without
    /// marker.
    fn set_co_members(&self, keys: Vec<EnclaveKey>);
}

impl std::fmt::Debug for Payload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Payload")
            .field("key", &self.key)
            .field("text", &"<redacted>")
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Opening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Opening(<redacted>)")
    }
}

impl std::fmt::Debug for Distribution {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Distribution")
            .field("from", &self.from)
            .field("to", &self.to)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for SealedPayload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SealedPayload")
            .field("sender_key", &self.sender_key)
            .finish_non_exhaustive()
    }
}
