//! Our keys with our payloads: sealing, accepting, opening, deciding. No network.
//!
//! Whether a payload's signature is right for its `privateFrom` is not judged here, since only its
//! text names that key: see [`super::verify_payload`].

use std::{collections::HashSet, sync::Arc};

use alloy_primitives::{B256, Bytes};
use coterie_core::{
    EnclaveKey, GroupId, NetworkDefinition, PayloadKey,
    definition::Rules,
    wire::{PREFIX_BYTES, PrefixedPayload, marker_signature_digest, payload_signature_digest},
};
use parking_lot::RwLock;
use quick_cache::{Weighter, sync::Cache};
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

use super::{
    AcceptedHistory, ArrivalHook, Decided, DistributeError, Distribution, EnclaveUnavailable,
    Opening, Payload, SealedPayload,
    codec::{CodecError, Envelope, Tail},
    crypto::{KeyRing, MASTER_BOX_BYTES, NoEntropy, TAG_BYTES, payload_key, random, seal_payload},
    keys::KeyPair,
    open::{Opened, interpret, open_envelope, openers},
    payloads::{Found, Keep, Merge, PayloadStore, Reads, StoreError},
    signature::SignatureCache,
};
use crate::chain::BlockRef;

/// Opened payloads that are held ready, in bytes.
const OPENED_BYTES: u64 = 16 * 1024 * 1024;
/// From how many payloads on a block is opened on all cores.
const PARALLEL_MIN: usize = 64;

/// A pushed envelope is not stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PushError {
    /// Not an envelope.
    #[error("the envelope cannot be read: {0}")]
    Malformed(#[from] CodecError),
    /// Larger than allowed.
    #[error("the payload is too large")]
    TooLarge,
    /// A privacy mode that is not served.
    #[error("privacy mode {0} is not supported")]
    PrivacyMode(u8),
    /// No key of ours opens it. Said as if it were unknown.
    #[error("not found")]
    NotForUs,
    /// The sender pushes too fast.
    #[error("too many payloads in a short time")]
    TooFast,
    /// Not stored.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<StoreError> for EnclaveUnavailable {
    fn from(error: StoreError) -> Self {
        let mut reason = error.to_string();
        if let Some(source) = std::error::Error::source(&error) {
            reason = format!("{reason}: {source}");
        }
        Self { reason }
    }
}

impl From<NoEntropy> for EnclaveUnavailable {
    fn from(error: NoEntropy) -> Self {
        Self { reason: error.to_string() }
    }
}

/// What an envelope of ours holds for us.
#[derive(Clone)]
#[expect(clippy::large_enum_variant, reason = "almost all are readable")]
enum Content {
    Readable(Payload),
    Malformed,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<PayloadKey, Content> for ByBytes {
    fn weight(&self, _: &PayloadKey, content: &Content) -> u64 {
        match content {
            Content::Readable(payload) => 256 + payload.text.len() as u64,
            Content::Malformed => 128,
        }
    }
}

/// Our keys with our payloads.
pub(super) struct Vault {
    pub(super) ring: KeyRing,
    pub(super) store: PayloadStore,
    pub(super) definition: NetworkDefinition,
    pub(super) definition_hash: B256,
    payload_bytes_max: usize,
    opened: Cache<PayloadKey, Content, ByBytes>,
    signatures: SignatureCache,
    hook: RwLock<Option<ArrivalHook>>,
}

impl Vault {
    pub(super) fn new(
        keys: Vec<KeyPair>,
        store: PayloadStore,
        definition: NetworkDefinition,
        payload_bytes_max: usize,
    ) -> Self {
        Self {
            ring: KeyRing::new(keys),
            store,
            definition_hash: definition.hash(),
            definition,
            payload_bytes_max,
            opened: Cache::with_weighter(4096, OPENED_BYTES, ByBytes),
            signatures: SignatureCache::new(),
            hook: RwLock::new(None),
        }
    }

    pub(super) fn set_hook(&self, hook: ArrivalHook) {
        *self.hook.write() = Some(hook);
    }

    /// Tells nobody of arriving payloads any more.
    pub(super) fn forget_hook(&self) {
        *self.hook.write() = None;
    }

    /// The largest body of a push: text, prefix, and room for boxes and the rest.
    pub(super) const fn envelope_bytes_max(&self) -> usize {
        self.payload_bytes_max + PREFIX_BYTES + 4096
    }

    /// Stores a pushed envelope that one of our keys opens; durable when this returns. `admit` is
    /// asked about its sender, and told whether that shares a group with us.
    pub(super) async fn accept(
        &self,
        bytes: &[u8],
        admit: impl Fn(&[u8; 32], bool) -> bool,
    ) -> Result<PayloadKey, PushError> {
        let mut envelope = Envelope::decode(bytes)?;
        let mode = envelope.tail.as_ref().map_or(0, |tail| tail.privacy_mode);
        if mode != 0 {
            return Err(PushError::PrivacyMode(mode));
        }
        if envelope.cipher_text.len() > self.payload_bytes_max + PREFIX_BYTES + TAG_BYTES {
            return Err(PushError::TooLarge);
        }
        let opened = open_envelope(&self.ring, &envelope).ok_or(PushError::NotForUs)?;
        let keep = self.keep_for(&envelope, &opened);
        let key = envelope.key();
        // Not about what is known: whoever saw an envelope could use up its sender's rate with it.
        if let Keep::AsSender(sender) = keep
            && !self.store.contains(key)?
            && !admit(&sender, self.store.is_co_member(&sender))
        {
            return Err(PushError::TooFast);
        }
        self.keep_our_boxes(&mut envelope, &opened)?;
        self.insert(key, keep, &envelope, &opened).await?;
        self.became_readable(key, &envelope, opened);
        Ok(key)
    }

    /// Whose retention an arriving envelope has: its sender's, unless that is one of ours; then
    /// the other side's, who alone could have made the box besides us.
    fn keep_for(&self, envelope: &Envelope, opened: &Opened) -> Keep {
        if self.ring.pair(&envelope.sender).is_none() {
            return Keep::AsSender(envelope.sender);
        }
        let recipients = envelope.recipients.as_deref().unwrap_or_default();
        match recipients.first() {
            Some(other)
                if opened.by == envelope.sender && !recipients.contains(&envelope.sender) =>
            {
                Keep::AsSender(*other)
            }
            _ => Keep::Forever,
        }
    }

    /// Drops boxes of arriving envelopes that we cannot check, and adds one for the sender when
    /// that is a key of ours (a payload of our own that comes back to us).
    fn keep_our_boxes(&self, envelope: &mut Envelope, opened: &Opened) -> Result<(), PushError> {
        let ours = openers(&self.ring, envelope, &opened.opening);
        let own = self.ring.pair(&envelope.sender).is_some();
        let (recipients, boxes): (Vec<_>, Vec<_>) = envelope
            .boxes_of()
            .filter_map(|(recipient, sealed)| Some((*recipient?, *sealed)))
            .filter(|(recipient, _)| own || ours.contains(&EnclaveKey::Nacl(*recipient)))
            .unzip();
        if recipients.is_empty() {
            // The oldest form: kept as it came.
            return Ok(());
        }
        (envelope.recipients, envelope.boxes) = (Some(recipients), boxes);
        if own && envelope.for_recipient(&envelope.sender).is_none() {
            let sender = envelope.sender;
            self.add_box(envelope, &sender, &sender, &opened.opening).ok_or(PushError::NotForUs)?;
        }
        Ok(())
    }

    /// Adds a box for `recipient`, made between our key `ours` and the envelope's sender.
    fn add_box(
        &self,
        envelope: &mut Envelope,
        ours: &[u8; 32],
        recipient: &[u8; 32],
        opening: &Opening,
    ) -> Option<()> {
        let theirs = if ours == recipient { envelope.sender } else { *recipient };
        let sealed = self.ring.seal(ours, &theirs, &envelope.box_nonce, &opening.master_key)?;
        envelope.boxes.push(sealed.try_into().ok()?);
        envelope.recipients.get_or_insert_default().push(*recipient);
        Some(())
    }

    async fn insert(
        &self,
        key: PayloadKey,
        keep: Keep,
        envelope: &Envelope,
        opened: &Opened,
    ) -> Result<bool, StoreError> {
        self.store.insert(key, keep, |known| self.merge(known, envelope, &opened.opening)).await
    }

    /// What becomes of a stored envelope when another one of the same id comes.
    fn merge(&self, known: Option<&[u8]>, new: &Envelope, opening: &Opening) -> Merge {
        let Some(known) = known else { return Merge::Write(new.encode()) };
        let Ok(mut known) = Envelope::decode(known) else { return Merge::Conflict };
        let same =
            open_envelope(&self.ring, &known).is_some_and(|opened| opened.opening == *opening);
        if !same {
            return Merge::Conflict;
        }
        if known.sender != new.sender || known.box_nonce != new.box_nonce {
            // The same payload in another envelope. Under our rules the sender key proves nothing,
            // so the first envelope serves; under Besu's it is what a payload is judged by.
            return if self.definition.rules == Rules::Coterie {
                Merge::Keep
            } else {
                Merge::Conflict
            };
        }
        if known.recipients.as_ref().is_none_or(Vec::is_empty) {
            return Merge::Keep;
        }
        let mut changed = false;
        for (recipient, sealed) in new.boxes_of() {
            let Some(recipient) = recipient else { continue };
            if known.for_recipient(recipient).is_none() {
                known.boxes.push(*sealed);
                known.recipients.get_or_insert_default().push(*recipient);
                changed = true;
            }
        }
        if changed { Merge::Write(known.encode()) } else { Merge::Keep }
    }

    fn became_readable(&self, key: PayloadKey, envelope: &Envelope, opened: Opened) {
        let content = self.content(key, envelope.sender, opened);
        self.opened.insert(key, content.clone());
        if let Content::Readable(payload) = content
            && let Some(hook) = self.hook.read().clone()
        {
            hook(payload);
        }
    }

    fn content(&self, key: PayloadKey, sender: [u8; 32], opened: Opened) -> Content {
        interpret(self.definition.rules, key, sender, opened)
            .map_or(Content::Malformed, Content::Readable)
    }

    /// Encrypts a distribution for its recipients and our key `from`, which comes last.
    pub(super) fn seal(&self, distribution: &Distribution) -> Result<Envelope, DistributeError> {
        let from = distribution.from.as_nacl().and_then(|key| self.ring.pair(key));
        let from = from.ok_or_else(|| DistributeError::NotOurKey(distribution.from.clone()))?;
        let (size, limit) = (distribution.text.len(), self.payload_bytes_max);
        if size > limit {
            return Err(DistributeError::TooLarge { size, limit });
        }
        let draw = || -> Result<_, NoEntropy> {
            Ok((Opening { master_key: random()?, nonce: random()? }, random::<24>()?))
        };
        let (opening, box_nonce) = draw().map_err(EnclaveUnavailable::from)?;
        let plain = self.plain(distribution, from, &opening);
        let recipients = recipients_of(distribution)?;
        let group = (self.definition.rules == Rules::Besu).then(|| {
            let members: Vec<_> = recipients.iter().map(|key| EnclaveKey::Nacl(*key)).collect();
            Bytes::copy_from_slice(GroupId::legacy(&members).as_slice())
        });
        let mut envelope = Envelope {
            sender: *from.public(),
            cipher_text: seal_payload(&opening, &plain).into(),
            nonce: opening.nonce,
            boxes: Vec::with_capacity(recipients.len()),
            box_nonce,
            recipients: None,
            tail: Some(Tail::standard(group)),
        };
        for recipient in &recipients {
            let sealed = self.ring.seal(from.public(), recipient, &box_nonce, &opening.master_key);
            let sealed = sealed.and_then(|sealed| <[u8; MASTER_BOX_BYTES]>::try_from(sealed).ok());
            // Sealing 32 bytes with a key that is ours cannot fail.
            envelope
                .boxes
                .push(sealed.ok_or_else(|| DistributeError::NotOurKey(distribution.from.clone()))?);
        }
        envelope.recipients = Some(recipients);
        Ok(envelope)
    }

    fn plain(&self, distribution: &Distribution, from: &KeyPair, opening: &Opening) -> Bytes {
        match self.definition.rules {
            Rules::Besu => distribution.text.clone(),
            Rules::Coterie => {
                let signer = distribution.marker_signer;
                let signature = if signer.is_zero() {
                    let digest = payload_signature_digest(
                        self.definition_hash,
                        distribution.group,
                        &opening.master_key,
                        &opening.nonce,
                        &distribution.text,
                    );
                    super::signature::sign(from.secret(), &digest.0)
                } else {
                    let digest = marker_signature_digest(self.definition_hash, signer);
                    self.signatures.sign(from.secret(), from.public(), &digest.0)
                };
                let text = distribution.text.clone();
                PrefixedPayload { marker_signer: signer, signature, text }.encode().into()
            }
        }
    }

    /// Stores an envelope of our own, with all its boxes.
    pub(super) async fn keep_own(&self, envelope: &Envelope) -> Result<(), StoreError> {
        let key = envelope.key();
        // An envelope that was just sealed opens.
        let Some(opened) = open_envelope(&self.ring, envelope) else {
            return Err(StoreError::Conflict);
        };
        self.insert(key, Keep::Forever, envelope, &opened).await?;
        self.became_readable(key, envelope, opened);
        Ok(())
    }

    /// A stored envelope.
    pub(super) fn envelope(&self, key: PayloadKey) -> Result<Option<Envelope>, StoreError> {
        let Some(bytes) = self.store.envelope(key)? else { return Ok(None) };
        Ok(Envelope::decode(&bytes).ok())
    }

    pub(super) fn receive(&self, key: PayloadKey) -> Result<Option<Payload>, StoreError> {
        let content = match self.opened.get(&key) {
            Some(content) => Some(content),
            None => self.store.envelope(key)?.and_then(|bytes| self.open_bytes(key, &bytes)),
        };
        Ok(match content {
            Some(Content::Readable(payload)) => Some(payload),
            Some(Content::Malformed) | None => None,
        })
    }

    fn open_bytes(&self, key: PayloadKey, bytes: &[u8]) -> Option<Content> {
        let envelope = Envelope::decode(bytes).ok()?;
        let content = self.content(key, envelope.sender, open_envelope(&self.ring, &envelope)?);
        self.opened.insert(key, content.clone());
        Some(content)
    }

    pub(super) fn recipients(&self, key: PayloadKey) -> Result<Vec<EnclaveKey>, StoreError> {
        let Some(envelope) = self.envelope(key)? else { return Ok(Vec::new()) };
        let opened = open_envelope(&self.ring, &envelope);
        Ok(opened.map(|opened| openers(&self.ring, &envelope, &opened.opening)).unwrap_or_default())
    }

    pub(super) async fn decide(
        self: &Arc<Self>,
        block: BlockRef,
        keys: &[PayloadKey],
    ) -> Result<Vec<Decided>, EnclaveUnavailable> {
        let decision = self.store.decide(block, keys).await?;
        let found: Vec<_> = keys.iter().copied().zip(decision.found).collect();
        let decided: Vec<_> = if found.len() < PARALLEL_MIN {
            found.into_iter().map(|(key, found)| self.judge(key, found)).collect()
        } else {
            let vault = Arc::clone(self);
            let open =
                move || found.into_par_iter().map(|(key, found)| vault.judge(key, found)).collect();
            let opened = tokio::task::spawn_blocking(open).await;
            opened.map_err(|error| EnclaveUnavailable { reason: error.to_string() })?
        };
        // What was not readable must stay so: the position has to outlive a crash before anybody
        // acts on it.
        if decision.must_flush || decided.contains(&Decided::Unreadable) {
            self.store.flush().await?;
        }
        Ok(decided)
    }

    fn judge(&self, key: PayloadKey, found: Option<Found>) -> Decided {
        let Some(Found { envelope, late }) = found else { return Decided::Unreadable };
        match self.opened.get(&key).or_else(|| self.open_bytes(key, &envelope)) {
            Some(Content::Readable(payload)) if late => Decided::Late(payload),
            Some(Content::Readable(payload)) => Decided::InTime(payload),
            Some(Content::Malformed) => Decided::Malformed,
            None => Decided::Unreadable,
        }
    }

    pub(super) fn sealed(&self, key: PayloadKey) -> Result<Option<SealedPayload>, StoreError> {
        let Some(envelope) = self.envelope(key)? else { return Ok(None) };
        Ok(open_envelope(&self.ring, &envelope).map(|opened| SealedPayload {
            sender_key: EnclaveKey::Nacl(envelope.sender),
            cipher_text: envelope.cipher_text,
            opening: opened.opening,
        }))
    }

    /// Stores a history: its payloads become envelopes to `history.recipient`, whose boxes we can
    /// make, as a box between two keys has no direction.
    pub(super) async fn accept_history(
        &self,
        history: AcceptedHistory,
        payloads: Vec<SealedPayload>,
        reads: Vec<(BlockRef, Reads)>,
    ) -> Result<(), EnclaveUnavailable> {
        let unusable = |what: &str| EnclaveUnavailable {
            reason: format!("the history cannot be stored: {what}"),
        };
        let recipient = history.recipient.as_nacl().filter(|key| self.ring.pair(key).is_some());
        // A history whose key was taken out of the node can still be cut short.
        let recipient = match recipient {
            Some(key) => *key,
            None if payloads.is_empty() => [0; 32],
            None => return Err(unusable("its recipient is not our key")),
        };
        let mut envelopes = std::collections::HashMap::with_capacity(payloads.len());
        for payload in payloads {
            let SealedPayload { sender_key, cipher_text, opening } = payload;
            let sender =
                *sender_key.as_nacl().ok_or_else(|| unusable("a sender key has not 32 bytes"))?;
            let mut envelope = Envelope {
                sender,
                cipher_text,
                nonce: opening.nonce,
                boxes: Vec::new(),
                box_nonce: random()?,
                recipients: None,
                tail: Some(Tail::standard(None)),
            };
            self.add_box(&mut envelope, &recipient, &recipient, &opening)
                .ok_or_else(|| unusable("a payload cannot be boxed"))?;
            if open_envelope(&self.ring, &envelope).is_none() {
                return Err(unusable("a payload does not open"));
            }
            envelopes.insert(payload_key(&envelope.cipher_text), (envelope, opening));
        }
        let keys: Vec<_> = envelopes.keys().copied().collect();
        self.store
            .accept_history(&history, keys.clone(), reads, |key, known| match envelopes.get(key) {
                Some((envelope, opening)) => {
                    self.merge_history(known, envelope, &recipient, opening)
                }
                None => Merge::Keep,
            })
            .await?;
        for key in keys {
            self.opened.remove(&key);
        }
        Ok(())
    }

    /// A history's opening replaces one that differs: the members agreed on it.
    fn merge_history(
        &self,
        known: Option<&[u8]>,
        new: &Envelope,
        recipient: &[u8; 32],
        opening: &Opening,
    ) -> Merge {
        let known = known.and_then(|known| Envelope::decode(known).ok());
        let same = |known: &Envelope| {
            open_envelope(&self.ring, known).is_some_and(|opened| opened.opening == *opening)
        };
        let Some(mut known) = known.filter(same) else { return Merge::Write(new.encode()) };
        if known.for_recipient(recipient).is_some()
            || known.recipients.as_ref().is_none_or(Vec::is_empty)
        {
            return Merge::Keep;
        }
        match self.add_box(&mut known, recipient, recipient, opening) {
            Some(()) => Merge::Write(known.encode()),
            None => Merge::Keep,
        }
    }

    pub(super) fn set_co_members(&self, keys: &[EnclaveKey]) {
        self.store.set_co_members(
            keys.iter().filter_map(EnclaveKey::as_nacl).copied().collect::<HashSet<_>>(),
        );
    }
}

/// Recipients in their order, then the sender; first occurrences only.
pub(super) fn recipients_of(distribution: &Distribution) -> Result<Vec<[u8; 32]>, DistributeError> {
    let mut recipients: Vec<[u8; 32]> = Vec::with_capacity(distribution.to.len() + 1);
    for key in distribution.to.iter().chain([&distribution.from]) {
        // Keys of another kind cannot be boxed for: nobody we know holds one.
        let key = key.as_nacl().ok_or_else(|| DistributeError::UnknownRecipient(key.clone()))?;
        if !recipients.contains(key) {
            recipients.push(*key);
        }
    }
    Ok(recipients)
}
