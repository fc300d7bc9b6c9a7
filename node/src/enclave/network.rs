//! The embedded enclave among its peers: meeting them, pushing to them, asking them.
//!
//! A peer is believed to hold a key only after it proved it. A node of ours proves it by a boxed
//! answer that also names its address and network definition, so that nobody can pass on another
//! node's proof as its own; a Tessera proves it by decrypting a random UUID (enclave
//! specification, 2.7), which can be passed on, but there is nothing better in its protocol.
//! What a peer may ask of us is in [`super::server`].

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use alloy_primitives::{Bytes, hex};
use coterie_core::{EnclaveKey, NetworkDefinition, definition::Rules};
use futures::future::join_all;
use parking_lot::RwLock;
use tokio::{
    sync::{Notify, Semaphore},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use super::{
    AskError, DistributeError, EnclaveUnavailable, MemberHandler, Opening,
    client::{CallError, PeerClient},
    codec::{Envelope, PARTIES_MAX, PartyInfo, Tail},
    crypto::{NoEntropy, random, seal_payload},
    messages::{
        CHALLENGE_BYTES, Challenges, MessageError, message_bytes_max, open_answer, seal_request,
    },
    options::EnclaveLimits,
    peers::{Directory, Holder, KEYS_PER_PEER_MAX, Kind, URL_BYTES_MAX, named, normalised},
    server::SHORT_BODY_BYTES_MAX,
    vault::Vault,
};

/// Path of the challenge that a message needs.
pub(super) const CHALLENGE_PATH: &str = "/coterie/v1/challenge";
/// Path of messages.
pub(super) const MESSAGE_PATH: &str = "/coterie/v1/message";
/// The kind that is answered here: address and network definition.
pub(super) const DEFINITION_KIND: &str = "definition";
/// A proof is repeated after this long.
const PROOF_LIFETIME: Duration = Duration::from_secs(15);
/// Between two rounds of announcements, at least.
const ANNOUNCE_PAUSE: Duration = Duration::from_millis(20);
/// Meetings that run at a time: each calls an address that somebody else named.
const MEETINGS_MAX: usize = 16;
/// Answers that carry no payload.
const SHORT_ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Keys of ours in an announcement.
const KEYS_TOLD_MAX: usize = 512;
/// Addresses in an announcement.
const ADDRESSES_TOLD_MAX: usize = 256;
// Lengths and counts take 8 bytes each.
const _: () = assert!(
    (8 + URL_BYTES_MAX)
        + (8 + KEYS_TOLD_MAX * (8 + 32 + 8 + URL_BYTES_MAX))
        + (8 + ADDRESSES_TOLD_MAX * (8 + URL_BYTES_MAX))
        <= SHORT_BODY_BYTES_MAX
        && KEYS_TOLD_MAX <= PARTIES_MAX
        && ADDRESSES_TOLD_MAX <= PARTIES_MAX
);

/// The embedded enclave among its peers.
pub(super) struct Network {
    pub(super) vault: Arc<Vault>,
    pub(super) directory: Directory,
    pub(super) client: PeerClient,
    pub(super) challenges: Challenges,
    pub(super) limits: EnclaveLimits,
    pub(super) handler: RwLock<Option<Arc<dyn MemberHandler>>>,
    /// Whether addresses that peers name are contacted too.
    pub(super) discovery: bool,
    /// Woken when an address should be contacted before its time.
    pub(super) hurry: Notify,
    pub(super) meetings: Semaphore,
    pub(super) head: ChainHead,
}

/// The public chain's head, for the part of the definition that depends on it.
#[derive(Debug, Default)]
pub(super) struct ChainHead {
    number: AtomicU64,
    timestamp: AtomicU64,
}

impl ChainHead {
    pub(super) fn set(&self, number: u64, timestamp: u64) {
        self.number.store(number, Ordering::Relaxed);
        self.timestamp.store(timestamp, Ordering::Relaxed);
    }

    /// The first field in which `theirs` differs from `ours`.
    fn differs(
        &self,
        ours: &NetworkDefinition,
        theirs: &NetworkDefinition,
    ) -> Option<&'static str> {
        ours.differs(
            theirs,
            self.number.load(Ordering::Relaxed),
            self.timestamp.load(Ordering::Relaxed),
        )
    }
}

/// Why a claim to hold a key was not believed.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotProved {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Message(#[from] MessageError),
    #[error(transparent)]
    NoEntropy(#[from] NoEntropy),
    #[error("the answer names another address or is no definition")]
    WrongAnswer,
    #[error("it could not decrypt what was sealed for the key")]
    NotDecrypted,
    #[error("the node has no key")]
    NoKey,
}

impl Network {
    pub(super) fn meetings() -> Semaphore {
        Semaphore::new(MEETINGS_MAX)
    }

    /// What we tell about ourselves: our own keys (a receiver ignores others', specification 2.5)
    /// and addresses. It fits into what peers take, whatever we were told.
    pub(super) fn party_info(&self) -> PartyInfo {
        let own = self.directory.own_url();
        let ours = self.vault.ring.pairs().iter().take(KEYS_TOLD_MAX);
        let mut parties = vec![own.to_owned()];
        parties.extend(self.directory.told(ADDRESSES_TOLD_MAX - 1));
        PartyInfo {
            url: own.to_owned(),
            recipients: ours.map(|pair| (*pair.public(), own.to_owned())).collect(),
            parties,
        }
    }

    /// Tells one address about us.
    async fn announce(&self, url: &str) {
        let info = self.party_info().encode().into();
        let answer = self.client.post(url, "/partyinfo", info, SHORT_ANSWER_BYTES_MAX).await;
        let reason = match answer {
            Ok(answer) if answer.status.is_success() => {
                if self.directory.reached(url) {
                    tracing::info!(url, "a peer is reached");
                }
                return;
            }
            Ok(answer) => format!("it took no party information: {}", answer.reason()),
            Err(error) => error.to_string(),
        };
        if self.directory.failed(url) {
            tracing::warn!(url, reason, "a peer is not reached; trying on");
        } else {
            tracing::debug!(url, reason, "a peer is not reached");
        }
    }

    /// Announces us to all addresses, each in its time, until `stop`.
    pub(super) async fn announce_until(self: Arc<Self>, stop: CancellationToken) {
        // Dropped with this task, so that nothing keeps the payload store open after a stop.
        let mut running = JoinSet::new();
        while !stop.is_cancelled() {
            for url in self.directory.take_due() {
                let network = Arc::clone(&self);
                running.spawn(async move { network.announce(&url).await });
            }
            let wait = self.directory.next_due().max(ANNOUNCE_PAUSE);
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.hurry.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
            while running.try_join_next().is_some() {}
        }
        running.shutdown().await;
    }

    /// Takes a peer's party information: proves its claims, learns the addresses in it. Whether
    /// any claim of it is believed.
    pub(super) async fn meet(&self, info: &PartyInfo) -> bool {
        let Some(url) = normalised(&info.url) else { return false };
        if url == self.directory.own_url()
            || (!self.discovery && !self.directory.is_configured(&url))
        {
            return false;
        }
        let Ok(_permit) = self.meetings.try_acquire() else { return false };
        let mut claimed: Vec<[u8; 32]> = Vec::new();
        for (key, at) in &info.recipients {
            let own = self.vault.ring.pair(key).is_some();
            if !own && normalised(at).as_ref() == Some(&url) && !claimed.contains(key) {
                claimed.push(*key);
            }
        }
        claimed.truncate(KEYS_PER_PEER_MAX);
        let proofs = claimed.iter().map(|key| self.prove(&url, key));
        let believed = join_all(proofs).await.into_iter().filter(|believed| *believed).count();
        if believed > 0 {
            if self.discovery {
                self.directory.learn(&url);
                for party in info.parties.iter().filter_map(|party| normalised(party)) {
                    self.directory.learn(&party);
                }
            }
            // It is up: it should hear of us now, not when its turn comes.
            self.directory.heard_from(&url);
            self.hurry.notify_one();
        }
        believed > 0
    }

    async fn prove(&self, url: &str, key: &[u8; 32]) -> bool {
        if let Some(holder) = self.directory.holder(key)
            && holder.url == url
            && holder.proved.elapsed() < PROOF_LIFETIME
            && !self.is_foreign(&holder.kind)
        {
            return true;
        }
        match self.proof(url, key).await {
            Ok(kind) => {
                if let Some(field) = self.differing_field(&kind) {
                    tracing::warn!(url, key = %named(key), field, "a peer has another network definition");
                } else if matches!(&kind, Kind::Coterie(theirs) if theirs.plans_differ(&self.vault.definition))
                {
                    tracing::warn!(url, "a peer plans other hard forks");
                }
                let believed = self.directory.believe(*key, url, kind);
                if !believed {
                    tracing::warn!(url, key = %named(key), "a peer's key is not kept: too many are known");
                }
                believed
            }
            Err(error) => {
                tracing::warn!(url, key = %named(key), %error, "a peer's claim to a key is not believed");
                false
            }
        }
    }

    /// Whether payloads may not be sent to such a peer, as far as is known.
    fn is_foreign(&self, kind: &Kind) -> bool {
        match kind {
            Kind::Tessera => self.vault.definition.rules == Rules::Coterie,
            Kind::Coterie(_) => self.differing_field(kind).is_some(),
        }
    }

    fn differing_field(&self, kind: &Kind) -> Option<&'static str> {
        match kind {
            Kind::Tessera => None,
            Kind::Coterie(theirs) => self.head.differs(&self.vault.definition, theirs),
        }
    }

    /// Has `url` prove that it holds `key`.
    async fn proof(&self, url: &str, key: &[u8; 32]) -> Result<Kind, NotProved> {
        let from = *self.vault.ring.pairs().first().ok_or(NotProved::NoKey)?.public();
        match self.ask_at(url, (&from, key), DEFINITION_KIND, &[]).await {
            Ok(Ok(answer)) => {
                let (at, definition) =
                    decode_introduction(&answer).ok_or(NotProved::WrongAnswer)?;
                if normalised(at).as_deref() != Some(url) {
                    return Err(NotProved::WrongAnswer);
                }
                let definition =
                    NetworkDefinition::decode(definition).map_err(|_| NotProved::WrongAnswer)?;
                Ok(Kind::Coterie(Arc::new(definition)))
            }
            Ok(Err(_)) => Err(NotProved::WrongAnswer),
            Err(AskFailure::NotSpoken) => self.proof_of_tessera(url, &from, key).await,
            Err(AskFailure::Call(error)) => Err(error.into()),
            Err(AskFailure::Message(error)) => Err(error.into()),
            Err(AskFailure::Status(_)) => Err(NotProved::NotDecrypted),
        }
    }

    /// Tessera's remote key validation: an envelope with a random UUID for the key.
    async fn proof_of_tessera(
        &self,
        url: &str,
        from: &[u8; 32],
        key: &[u8; 32],
    ) -> Result<Kind, NotProved> {
        let uuid = uuid(random()?);
        let opening = Opening { master_key: random()?, nonce: random()? };
        let box_nonce = random()?;
        let sealed = self
            .vault
            .ring
            .seal(from, key, &box_nonce, &opening.master_key)
            .ok_or(NotProved::NoKey)?;
        let envelope = Envelope {
            sender: *from,
            cipher_text: seal_payload(&opening, uuid.as_bytes()).into(),
            nonce: opening.nonce,
            boxes: vec![sealed.try_into().map_err(|_| NotProved::NoKey)?],
            box_nonce,
            recipients: Some(vec![*key]),
            tail: Some(Tail::standard(None)),
        };
        let body = envelope.encode().into();
        let answer =
            self.client.post(url, "/partyinfo/validate", body, SHORT_ANSWER_BYTES_MAX).await?;
        let proved = answer.status.is_success() && answer.body.as_ref() == uuid.as_bytes();
        if proved { Ok(Kind::Tessera) } else { Err(NotProved::NotDecrypted) }
    }

    /// Who holds `key`, when it may be sent to.
    pub(super) fn recipient(&self, key: &[u8; 32]) -> Result<Holder, DistributeError> {
        let holder = self
            .directory
            .holder(key)
            .ok_or_else(|| DistributeError::UnknownRecipient(named(key)))?;
        if let Some(field) = self.differing_field(&holder.kind) {
            return Err(DistributeError::DefinitionDiffers {
                key: named(key),
                field: field.to_owned(),
            });
        }
        if self.is_foreign(&holder.kind) {
            let reason =
                "it is a Tessera, which cannot take part in a network of coterie rules".to_owned();
            return Err(DistributeError::RecipientFailed { key: named(key), reason });
        }
        Ok(holder)
    }

    /// Pushes an envelope to the node of `key`; it is durable there when this returns.
    pub(super) async fn push(
        &self,
        holder: &Holder,
        key: &[u8; 32],
        envelope: Bytes,
    ) -> Result<(), DistributeError> {
        let failed = |reason: String| DistributeError::RecipientFailed { key: named(key), reason };
        let mut result =
            self.client.post(&holder.url, "/push", envelope.clone(), SHORT_ANSWER_BYTES_MAX).await;
        if matches!(result, Err(CallError::Transport(_))) {
            // A connection that the other side just closed; pushing twice does no harm.
            result = self.client.post(&holder.url, "/push", envelope, SHORT_ANSWER_BYTES_MAX).await;
        }
        match result {
            Ok(answer) if matches!(answer.status.as_u16(), 200 | 201) => Ok(()),
            Ok(answer) => Err(failed(answer.reason())),
            Err(error) => Err(failed(error.to_string())),
        }
    }

    /// Asks the node of `to`.
    pub(super) async fn ask(
        &self,
        from: &EnclaveKey,
        to: &EnclaveKey,
        kind: &str,
        body: &[u8],
    ) -> Result<Bytes, AskError> {
        let failed = |reason: String| AskError::Failed { key: to.clone(), reason };
        let unknown = || AskError::UnknownPeer(to.clone());
        let (from, to_key) = from.as_nacl().zip(to.as_nacl()).ok_or_else(unknown)?;
        if body.len() > self.limits.message_bytes_max {
            return Err(failed("the message is too large".to_owned()));
        }
        let holder = self.directory.holder(to_key).ok_or_else(unknown)?;
        match self.ask_at(&holder.url, (from, to_key), kind, body).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(reason)) => Err(AskError::Refused { key: to.clone(), reason }),
            Err(error) => Err(failed(error.to_string())),
        }
    }

    async fn ask_at(
        &self,
        url: &str,
        keys: (&[u8; 32], &[u8; 32]),
        kind: &str,
        body: &[u8],
    ) -> Result<Result<Bytes, String>, AskFailure> {
        let challenge = self.client.fetch(url, CHALLENGE_PATH, SHORT_ANSWER_BYTES_MAX).await?;
        match challenge.status.as_u16() {
            200 => {}
            404 | 405 | 501 => return Err(AskFailure::NotSpoken),
            status => return Err(AskFailure::Status(status)),
        }
        let challenge = <[u8; CHALLENGE_BYTES]>::try_from(challenge.body.as_ref())
            .map_err(|_| AskFailure::NotSpoken)?;
        let ring = &self.vault.ring;
        let (request, digest) = seal_request(ring, keys, &challenge, kind, body)?;
        let bytes_max = message_bytes_max(self.limits.message_bytes_max);
        let answer = self.client.post(url, MESSAGE_PATH, request.into(), bytes_max).await?;
        match answer.status.as_u16() {
            200 => Ok(open_answer(ring, keys, &digest, &answer.body)?),
            status => Err(AskFailure::Status(status)),
        }
    }
}

/// A message got no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskFailure {
    #[error("it does not speak our messages")]
    NotSpoken,
    #[error("it answered {0}")]
    Status(u16),
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Message(#[from] MessageError),
}

impl From<AskFailure> for EnclaveUnavailable {
    fn from(error: AskFailure) -> Self {
        Self { reason: error.to_string() }
    }
}

/// The answer of kind `definition`: length u32 ‖ address ‖ network definition.
pub(super) fn encode_introduction(url: &str, definition: &NetworkDefinition) -> Bytes {
    let length = u32::try_from(url.len()).unwrap_or(u32::MAX);
    [length.to_be_bytes().as_slice(), url.as_bytes(), &definition.encode()].concat().into()
}

fn decode_introduction(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (url, definition) =
        rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    Some((std::str::from_utf8(url).ok()?, definition))
}

/// The text of a random UUID (version 4).
fn uuid(bytes: [u8; 16]) -> String {
    let text = hex::encode(bytes);
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    format!("{}-{}-4{}-a{}-{}", part(0, 8), part(8, 12), part(13, 16), part(17, 20), part(20, 32))
}

/// Whether a text is a UUID: what a validation may make us decrypt and tell.
pub(super) fn is_uuid(text: &[u8]) -> bool {
    text.len() == 36
        && text.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_uuids_are_uuids() {
        assert_eq!(uuid([0xab; 16]), "abababab-abab-4bab-abab-abababababab");
        assert!(is_uuid(uuid([7; 16]).as_bytes()));
        assert!(is_uuid(b"ABABABAB-abab-1bab-abab-ababababab09"));
        assert!(
            !is_uuid(b"abababab-abab-4bab-abab-ababababababa")
                && !is_uuid(&[b'a'; 36])
                && !is_uuid(b"")
        );
    }
}
