//! Signs privacy marker transactions and puts them on the chain in order.
//!
//! One configured key, or a fresh random key for each marker where gas is free. The signer is
//! chosen before the payload is distributed, since the payload names it (design, 2.3). Markers of
//! one group go out in the order in which their transactions were accepted: with a configured key
//! by its nonces, with random keys by waiting until the one before is mined. Fields of the public
//! transaction: protocol specification, 3.2, signed with EIP-155.

use std::{collections::HashMap, sync::Arc, time::Duration};

use alloy_consensus::{SignableTransaction, TxLegacy};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, keccak256};
use coterie_core::{GroupId, PayloadKey, marker::FLEXIBLE_PRIVACY};
use parking_lot::Mutex;
use secp256k1::{Message, PublicKey, SECP256K1, SecretKey};
use tokio::sync::{oneshot, oneshot::error::TryRecvError, watch};

use super::outbox::Outbox;
use crate::chain::{BlockRef, Chain, ChainError};

/// How often the chain is asked whether a marker was mined, and the limit of that wait.
const MINED_POLL: Duration = Duration::from_millis(100);
const MINED_WAIT_MAX: Duration = Duration::from_secs(120);
/// How often a marker is submitted when the chain does not answer, and the first pause.
const SUBMITS_MAX: u32 = 5;
const SUBMIT_PAUSE: Duration = Duration::from_millis(200);
/// Groups whose queue's end is remembered without looking whether somebody must wait for it.
const TAILS_MAX: usize = 1024;

/// How markers are signed and paid.
#[derive(Debug)]
pub struct MarkerOptions {
    /// The key that signs all markers; `None` signs each with a fresh random key.
    pub key: Option<MarkerKey>,
    /// A gas price that is never exceeded, in wei.
    pub gas_price_max: u128,
}

/// A secp256k1 key that signs markers.
#[derive(Clone)]
pub struct MarkerKey {
    secret: SecretKey,
    /// Its address.
    pub address: Address,
}

impl MarkerKey {
    /// Takes a secret key of 32 bytes; `None` when it is zero or not below the curve's order.
    pub fn new(secret: [u8; 32]) -> Option<Self> {
        let secret = SecretKey::from_byte_array(secret).ok()?;
        let public = PublicKey::from_secret_key(SECP256K1, &secret).serialize_uncompressed();
        let hash = keccak256(public.get(1..)?);
        Some(Self { secret, address: Address::from_word(hash) })
    }

    fn random() -> Self {
        loop {
            let mut secret = [0; 32];
            // Without entropy nothing secret can be made: stopping is the only safe answer.
            getrandom::fill(&mut secret).expect("the system has a source of entropy");
            if let Some(key) = Self::new(secret) {
                return key;
            }
        }
    }

    fn sign(&self, hash: B256) -> Signature {
        let signature =
            SECP256K1.sign_ecdsa_recoverable(Message::from_digest(hash.0), &self.secret);
        let (id, bytes) = signature.serialize_compact();
        let (r, s) = bytes.split_at(32);
        Signature::new(U256::from_be_slice(r), U256::from_be_slice(s), i32::from(id) & 1 == 1)
    }
}

impl std::fmt::Debug for MarkerKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MarkerKey({})", self.address)
    }
}

/// Puts markers on the chain.
pub struct Markers {
    chain: Arc<dyn Chain>,
    chain_id: u64,
    /// The configured key's queue.
    outbox: Option<Arc<Outbox>>,
    /// The end of each group's queue.
    tails: Mutex<HashMap<GroupId, oneshot::Receiver<Option<B256>>>>,
}

/// A place in a group's queue, and the key that will sign.
#[derive(Debug)]
pub struct Ticket {
    key: MarkerKey,
    place: Place,
}

/// A place in a group's queue. Who gives it up lets the next one wait for those before.
#[derive(Debug)]
struct Place {
    before: Option<oneshot::Receiver<Option<B256>>>,
    done: Option<oneshot::Sender<Option<B256>>>,
}

impl Ticket {
    /// Who will sign the marker.
    pub const fn signer(&self) -> Address {
        self.key.address
    }
}

impl Place {
    /// Waits until those before are done; the last marker that must be mined first.
    async fn turn(&mut self) -> Option<B256> {
        let last = self.before.as_mut()?.await.ok().flatten();
        self.before = None;
        last
    }

    /// Lets the next one follow: at once, or after `marker` is mined.
    fn done(mut self, marker: Option<B256>) {
        if let Some(done) = self.done.take() {
            // Nobody waits when this was the queue's last.
            let _ = done.send(marker);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let (Some(before), Some(done)) = (self.before.take(), self.done.take()) else { return };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let _ = done.send(before.await.ok().flatten());
            });
        }
    }
}

/// What a marker's public fields are taken from.
#[derive(Clone, Copy, Debug)]
pub struct MarkerFields {
    /// The payload's id.
    pub payload: PayloadKey,
    /// The private transaction's gas price, in wei.
    pub gas_price: u128,
    /// The private transaction's gas limit.
    pub gas_limit: u64,
}

/// A marker that the chain has taken.
#[derive(Clone, Debug)]
pub struct Marked {
    /// Its transaction hash.
    pub hash: B256,
    /// The signed transaction.
    raw: Vec<u8>,
    fields: MarkerFields,
}

impl Marked {
    pub(super) const fn new(hash: B256, raw: Vec<u8>, fields: MarkerFields) -> Self {
        Self { hash, raw, fields }
    }
}

impl Markers {
    /// Prepares to sign for `chain_id`. `followed` says when the chain's gas price may be another
    /// one.
    pub fn new(
        chain: Arc<dyn Chain>,
        chain_id: u64,
        options: MarkerOptions,
        followed: watch::Receiver<Option<BlockRef>>,
    ) -> Self {
        let MarkerOptions { key, gas_price_max } = options;
        let of = (Arc::clone(&chain), chain_id);
        let outbox = key.map(|key| Outbox::new(of, key, gas_price_max, followed));
        Self { chain, chain_id, outbox, tails: Mutex::default() }
    }

    /// Takes the next place in the queue of `group`. Dropping the ticket gives the place up.
    pub fn ticket(&self, group: GroupId) -> Ticket {
        let key = self.outbox.as_ref().map_or_else(MarkerKey::random, |it| it.key().clone());
        let (done, tail) = oneshot::channel();
        let mut tails = self.tails.lock();
        // Groups that have nothing under way are forgotten, so that the map stays small.
        if tails.len() > TAILS_MAX {
            tails.retain(|_, tail| is_under_way(tail));
        }
        let before = tails.insert(group, tail);
        Ticket { key, place: Place { before, done: Some(done) } }
    }

    /// Waits for the ticket's turn, signs the marker and submits it. That goes on when nobody waits
    /// for the answer any more, so that a client that hangs up leaves nothing in doubt.
    ///
    /// # Errors
    ///
    /// What the chain answered; the place in the queue is given up.
    pub async fn submit(&self, ticket: Ticket, fields: MarkerFields) -> Result<Marked, ChainError> {
        let Ticket { key, mut place } = ticket;
        let outbox = self.outbox.clone();
        let (chain, chain_id) = (Arc::clone(&self.chain), self.chain_id);
        let task = tokio::spawn(async move {
            let previous = place.turn().await;
            if let Some(outbox) = outbox {
                let answer = outbox.put(fields);
                // The next one of the group may follow: it goes out after this one.
                place.done(None);
                return answer.await.unwrap_or_else(|_| Err(stopped()));
            }
            if let Some(previous) = previous {
                wait_mined(&*chain, previous).await;
            }
            // A fresh key owns nothing: whatever the private transaction names, it can only pay
            // nothing. (Besu copies the price, and such a marker is refused.)
            let raw = sign(&key, chain_id, 0, fields, 0);
            let hash = submit_surely(&*chain, &raw).await?;
            place.done(Some(hash));
            Ok(Marked::new(hash, raw, fields))
        });
        task.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// Puts a marker that is not mined on the chain again, whose node may have lost it. When its
    /// nonce was used for something else, the payload is marked by another transaction: this one.
    ///
    /// # Errors
    ///
    /// What the chain answered.
    pub async fn again(&self, marked: &Marked) -> Result<Option<Marked>, ChainError> {
        match (self.chain.submit(&marked.raw).await, &self.outbox) {
            (Err(ChainError::Refused { message, .. }), Some(outbox))
                if is_nonce_error(&message) =>
            {
                outbox.put(marked.fields).await.unwrap_or_else(|_| Err(stopped())).map(Some)
            }
            (answer, _) => answer.map(|_| None),
        }
    }
}

/// Whether somebody still has to wait for what a queue's end stands for.
fn is_under_way(tail: &mut oneshot::Receiver<Option<B256>>) -> bool {
    match tail.try_recv() {
        // Submitted by a random key: the next one waits until it is mined.
        Ok(Some(marker)) => {
            let (sender, receiver) = oneshot::channel();
            // Its receiver is here.
            let _ = sender.send(Some(marker));
            *tail = receiver;
            true
        }
        Ok(None) | Err(TryRecvError::Closed) => false,
        Err(TryRecvError::Empty) => true,
    }
}

/// Submits, again while the chain does not say whether it has taken the transaction.
pub(super) async fn submit_surely(chain: &dyn Chain, raw: &[u8]) -> Result<B256, ChainError> {
    let mut pause = SUBMIT_PAUSE;
    for _ in 1..SUBMITS_MAX {
        match chain.submit(raw).await {
            Err(ChainError::Unavailable { .. }) => tokio::time::sleep(pause).await,
            definite => return definite,
        }
        pause *= 2;
    }
    chain.submit(raw).await
}

async fn wait_mined(chain: &dyn Chain, hash: B256) {
    let wait = async {
        while !matches!(chain.mined(hash).await, Ok(Some(_))) {
            tokio::time::sleep(MINED_POLL).await;
        }
    };
    // A marker that is never mined must not hold up its group for ever.
    let _ = tokio::time::timeout(MINED_WAIT_MAX, wait).await;
}

impl std::fmt::Debug for Markers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Markers").field("outbox", &self.outbox).finish_non_exhaustive()
    }
}

fn stopped() -> ChainError {
    ChainError::incomplete("the node is stopping".to_owned())
}

/// A signed marker transaction.
pub(super) fn sign(
    key: &MarkerKey,
    chain_id: u64,
    nonce: u64,
    fields: MarkerFields,
    gas_price: u128,
) -> Vec<u8> {
    let transaction = TxLegacy {
        chain_id: Some(chain_id),
        nonce,
        gas_price,
        gas_limit: fields.gas_limit,
        to: TxKind::Call(FLEXIBLE_PRIVACY),
        value: U256::ZERO,
        input: Bytes::copy_from_slice(fields.payload.0.as_slice()),
    };
    let signature = key.sign(transaction.signature_hash());
    transaction.into_signed(signature).encoded_2718()
}

/// Whether a client's words mean that the nonce is not the next one (geth, Besu, anvil,
/// Nethermind, Erigon).
pub(super) fn is_nonce_error(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    message.contains("nonce too low")
        || message.contains("nonce is too low")
        || message.contains("already known")
        || message.contains("known transaction")
        || message.contains("replacement transaction")
        || message.contains("oldnonce")
}
