//! The markers of the configured key on their way to the chain: nonces in the order in which the
//! markers came, and what comes while a submission is under way goes out together with the next.
//!
//! One task submits as long as something waits. It belongs to no request, so that a client that
//! hangs up cannot leave a nonce in doubt. Somebody else who uses the key at the same moment can
//! change the order, as always.

use std::{collections::VecDeque, sync::Arc};

use alloy_primitives::{B256, U256};
use parking_lot::Mutex;
use tokio::sync::{Mutex as TaskMutex, oneshot, watch};

use super::markers::{Marked, MarkerFields, MarkerKey, is_nonce_error, sign, submit_surely};
use crate::chain::{BlockRef, Chain, ChainError};

/// Markers that are submitted together, at most.
const TOGETHER_MAX: usize = 50;

/// The queue of one key.
pub(super) struct Outbox {
    chain: Arc<dyn Chain>,
    chain_id: u64,
    key: MarkerKey,
    gas_price_max: u128,
    followed: watch::Receiver<Option<BlockRef>>,
    queue: Mutex<Queue>,
    known: TaskMutex<Known>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    /// Whether the task runs.
    submitting: bool,
}

/// A marker that waits.
struct Waiting {
    fields: MarkerFields,
    answer: oneshot::Sender<Result<Marked, ChainError>>,
    /// Its nonce was refused once.
    again: bool,
}

/// What the task knows from one submission to the next.
#[derive(Default)]
struct Known {
    /// The next nonce.
    nonce: Option<u64>,
    /// The chain's gas price, and the followed block after which it was asked.
    gas_price: Option<(BlockRef, u128)>,
}

impl Outbox {
    /// The queue of `key`. `followed` says when the chain's gas price may be another one.
    pub(super) fn new(
        (chain, chain_id): (Arc<dyn Chain>, u64),
        key: MarkerKey,
        gas_price_max: u128,
        followed: watch::Receiver<Option<BlockRef>>,
    ) -> Arc<Self> {
        let (queue, known) = (Mutex::default(), TaskMutex::default());
        Arc::new(Self { chain, chain_id, key, gas_price_max, followed, queue, known })
    }

    pub(super) const fn key(&self) -> &MarkerKey {
        &self.key
    }

    /// Takes a marker; it comes back when the chain has it. The order of these calls is
    /// the order on the chain.
    pub(super) fn put(
        self: &Arc<Self>,
        fields: MarkerFields,
    ) -> oneshot::Receiver<Result<Marked, ChainError>> {
        let (answer, answered) = oneshot::channel();
        let mut queue = self.queue.lock();
        queue.waiting.push_back(Waiting { fields, answer, again: false });
        if !std::mem::replace(&mut queue.submitting, true) {
            tokio::spawn(Arc::clone(self).submit_waiting());
        }
        answered
    }

    async fn submit_waiting(self: Arc<Self>) {
        let mut known = self.known.lock().await;
        loop {
            let together: Vec<Waiting> = {
                let mut queue = self.queue.lock();
                let count = queue.waiting.len().min(TOGETHER_MAX);
                queue.submitting = count > 0;
                queue.waiting.drain(..count).collect()
            };
            if together.is_empty() {
                return;
            }
            self.submit(&mut known, together).await;
        }
    }

    async fn submit(&self, known: &mut Known, together: Vec<Waiting>) {
        let chain_price = self.chain_price(known).await;
        // Until the chain has taken them, the nonces are not used up.
        let first = match known.nonce.take() {
            Some(nonce) => nonce,
            None => match self.chain.nonce(self.key.address, true).await {
                Ok(nonce) => nonce,
                Err(error) => {
                    for waiting in together {
                        let _ = waiting.answer.send(Err(error.clone()));
                    }
                    return;
                }
            },
        };
        let signed = |waiting: &Waiting, nonce| self.sign(waiting.fields, nonce, chain_price);
        let raw: Vec<_> =
            together.iter().zip(first..).map(|(it, nonce)| signed(it, nonce)).collect();
        let marked = |(waiting, raw): (&Waiting, Vec<u8>), answer: Result<B256, ChainError>| {
            answer.map(|hash| Marked::new(hash, raw, waiting.fields))
        };
        let mut answers = self.chain.submit_all(&raw).await;
        // A lost answer is not a refusal: the same bytes are submitted until the chain says.
        let is_lost =
            |answer: &Result<_, ChainError>| matches!(answer, Err(ChainError::Unavailable { .. }));
        for (raw, answer) in raw.iter().zip(&mut answers).filter(|(_, answer)| is_lost(answer)) {
            *answer = submit_surely(&*self.chain, raw).await;
            if is_lost(answer) {
                // The chain is away: waiting as long for each of the others helps nobody.
                break;
            }
        }
        let mut answers: Vec<_> =
            together.iter().zip(raw).zip(answers).map(|(it, answer)| marked(it, answer)).collect();
        if answers.iter().all(Result::is_ok) {
            known.nonce = Some(first + together.len() as u64);
        }

        // Nonces that a refused marker left free: nothing after them would ever be mined.
        let mut free = VecDeque::new();
        for ((waiting, answer), nonce) in together.iter().zip(&mut answers).zip(first..) {
            if let Err(error) = answer {
                if matches!(error, ChainError::Refused { .. }) && !is_about_nonce(error) {
                    free.push_back(nonce);
                }
            } else if let Some(nonce) = free.front() {
                // Marked once more, earlier: the marker that is in already is a duplicate then,
                // which has no effect, and the order stays.
                let raw = signed(waiting, *nonce);
                match self.chain.submit(&raw).await {
                    Ok(hash) => {
                        *answer = marked((waiting, raw), Ok(hash));
                        free.pop_front();
                    }
                    Err(error) => tracing::warn!(%error, "a free nonce could not be filled"),
                }
            }
        }
        self.tell(together, answers);
    }

    /// Answers those who wait; whose nonce was not the next one, comes first once more.
    fn tell(&self, together: Vec<Waiting>, answers: Vec<Result<Marked, ChainError>>) {
        let mut again = Vec::new();
        for (waiting, answer) in together.into_iter().zip(answers) {
            match &answer {
                Err(error) if !waiting.again && is_about_nonce(error) => {
                    again.push(Waiting { again: true, ..waiting });
                }
                // Who does not wait any more need not know.
                _ => drop(waiting.answer.send(answer)),
            }
        }
        let mut queue = self.queue.lock();
        for waiting in again.into_iter().rev() {
            queue.waiting.push_front(waiting);
        }
    }

    fn sign(&self, fields: MarkerFields, nonce: u64, chain_price: u128) -> Vec<u8> {
        // A quarter more than asked, for a rising base fee; all of it is paid, so there is a limit.
        let wanted = fields.gas_price.max(chain_price.saturating_add(chain_price / 4));
        sign(&self.key, self.chain_id, nonce, fields, wanted.min(self.gas_price_max))
    }

    /// The chain's gas price, asked at most once between two followed blocks.
    async fn chain_price(&self, known: &mut Known) -> u128 {
        let followed = *self.followed.borrow();
        if let Some((at, price)) = known.gas_price
            && Some(at) == followed
        {
            return price;
        }
        let quantity = self.chain.request("eth_gasPrice", None).await.ok();
        let price: Option<U256> = quantity.and_then(|raw| serde_json::from_str(raw.get()).ok());
        let price = price.and_then(|price| u128::try_from(price).ok());
        known.gas_price = followed.zip(price);
        price.unwrap_or_default()
    }
}

impl std::fmt::Debug for Outbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbox").field("key", &self.key).finish_non_exhaustive()
    }
}

fn is_about_nonce(error: &ChainError) -> bool {
    matches!(error, ChainError::Refused { message, .. } if is_nonce_error(message))
}

#[cfg(test)]
mod tests {
    use coterie_core::PayloadKey;

    use super::*;
    use crate::chain::{
        Block, BlockId,
        dev::{DevChain, DevOptions, Mining, published_accounts},
    };

    fn outbox() -> (DevChain, Arc<Outbox>) {
        let chain = DevChain::new(DevOptions { mining: Mining::Manual, ..DevOptions::default() });
        let key = MarkerKey::new(published_accounts()[0].private_key.0).unwrap();
        let (_, followed) = watch::channel(None);
        let of = (Arc::new(chain.clone()) as Arc<dyn Chain>, 1337);
        (chain, Outbox::new(of, key, u128::MAX, followed))
    }

    fn fields(payload: u8) -> MarkerFields {
        let payload = PayloadKey(B256::repeat_byte(payload));
        MarkerFields { payload, gas_price: 0, gas_limit: 100_000 }
    }

    /// The payloads that the next block marks, in order.
    async fn mined(chain: &DevChain) -> Vec<u8> {
        let hash = chain.mine().hash;
        let block: Block = chain.block(BlockId::Hash(hash)).await.unwrap().unwrap();
        assert_eq!(chain.pool_len(), 0, "nothing waits for a nonce");
        block.markers.iter().map(|marker| marker.input[0]).collect()
    }

    #[tokio::test]
    async fn markers_go_out_in_the_order_in_which_they_came() {
        let (chain, outbox) = outbox();
        let answers: Vec<_> = (0..120).map(|payload| outbox.put(fields(payload))).collect();
        for answer in answers {
            answer.await.unwrap().unwrap();
        }
        assert_eq!(mined(&chain).await, (0..120).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_refused_marker_holds_up_nobody() {
        let (chain, outbox) = outbox();
        let too_much = |payload| MarkerFields { gas_limit: u64::MAX, ..fields(payload) };
        let all = [fields(0), too_much(1), too_much(2), fields(3), fields(4), too_much(5)];
        let answers: Vec<_> = all.into_iter().map(|it| outbox.put(it)).collect();
        let mut refused = Vec::new();
        for answer in answers {
            refused.push(answer.await.unwrap().is_err());
        }
        assert_eq!(refused, [false, true, true, false, false, true]);
        outbox.put(fields(6)).await.unwrap().unwrap();
        let mut marked = mined(&chain).await;
        let mut seen = Vec::new();
        marked.retain(|payload| {
            !seen.contains(payload) && {
                seen.push(*payload);
                true
            }
        });
        assert_eq!(marked, [0, 3, 4, 6]);
    }

    #[tokio::test]
    async fn it_goes_on_when_somebody_else_used_the_key() {
        let (chain, outbox) = outbox();
        outbox.put(fields(0)).await.unwrap().unwrap();
        for nonce in [1, 2] {
            let raw = sign(outbox.key(), 1337, nonce, fields(0xee), 0);
            chain.submit(&raw).await.unwrap();
        }
        assert_eq!(mined(&chain).await, [0, 0xee, 0xee]);
        let answers = [outbox.put(fields(1)), outbox.put(fields(2)), outbox.put(fields(3))];
        for answer in answers {
            answer.await.unwrap().unwrap();
        }
        let mut marked = mined(&chain).await;
        marked.sort_unstable();
        assert_eq!(marked, [1, 2, 3]);
    }
}
