//! Transactions that wait to be mined: in nonce order for each sender, the best tip first between
//! senders, first come first served between equals.
//!
//! It keeps transactions whose nonce is ahead, since concurrent senders deliver out of order. It
//! does not gossip, expire or journal. Bounds: a total, and how far ahead a nonce may be.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, HashMap},
};

use alloy_consensus::{Transaction as _, transaction::TxHashRef as _};
use alloy_primitives::{Address, B256};

use super::{
    state::State,
    transaction::{Transaction, TransactionError},
};

/// Nonces that a sender may be ahead of the state.
const NONCES_AHEAD_MAX: u64 = 16_384;

/// The pool.
#[derive(Debug)]
pub(super) struct Pool {
    senders: HashMap<Address, BTreeMap<u64, Waiting>>,
    places: HashMap<B256, (Address, u64)>,
    arrivals: u64,
    transactions_max: usize,
}

#[derive(Debug)]
struct Waiting {
    transaction: Transaction,
    arrival: u64,
}

impl Pool {
    /// An empty pool for so many transactions.
    pub(super) fn new(transactions_max: usize) -> Self {
        Self { senders: HashMap::new(), places: HashMap::new(), arrivals: 0, transactions_max }
    }

    /// How many transactions wait.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// A waiting transaction.
    pub(super) fn transaction(&self, hash: B256) -> Option<&Transaction> {
        let (sender, nonce) = self.places.get(&hash)?;
        self.senders.get(sender)?.get(nonce).map(|it| &it.transaction)
    }

    /// Takes a transaction that passed the checks against `state`.
    pub(super) fn add(
        &mut self,
        transaction: Transaction,
        state: &State,
    ) -> Result<(), TransactionError> {
        let (hash, sender, nonce) =
            (*transaction.tx_hash(), transaction.signer(), transaction.nonce());
        if self.places.contains_key(&hash) {
            return Err(TransactionError::AlreadyKnown);
        }
        let next = state.nonce(sender);
        if nonce.saturating_sub(next) > NONCES_AHEAD_MAX {
            return Err(TransactionError::NonceTooHigh { next, nonce });
        }
        let old = self.senders.get(&sender).and_then(|it| it.get(&nonce));
        match old {
            Some(old) if !pays_to_replace(&transaction, &old.transaction) => {
                return Err(TransactionError::Underpriced);
            }
            Some(old) => {
                self.places.remove(old.transaction.tx_hash());
            }
            None if self.places.len() >= self.transactions_max => {
                return Err(TransactionError::PoolFull);
            }
            None => {}
        }
        self.places.insert(hash, (sender, nonce));
        self.arrivals += 1;
        let waiting = Waiting { transaction, arrival: self.arrivals };
        self.senders.entry(sender).or_default().insert(nonce, waiting);
        Ok(())
    }

    /// Takes a transaction away.
    pub(super) fn remove(&mut self, hash: B256) {
        let Some((sender, nonce)) = self.places.remove(&hash) else { return };
        if let Some(queue) = self.senders.get_mut(&sender) {
            queue.remove(&nonce);
            if queue.is_empty() {
                self.senders.remove(&sender);
            }
        }
    }

    /// Takes everything away.
    pub(super) fn clear(&mut self) {
        self.senders.clear();
        self.places.clear();
    }

    /// Takes away what `state` has made useless, for one sender.
    pub(super) fn drop_used(&mut self, sender: Address, state: &State) {
        let Some(queue) = self.senders.get_mut(&sender) else { return };
        let left = queue.split_off(&state.nonce(sender));
        for used in std::mem::replace(queue, left).into_values() {
            self.places.remove(used.transaction.tx_hash());
        }
        if queue.is_empty() {
            self.senders.remove(&sender);
        }
    }

    /// Everybody who has a transaction here.
    pub(super) fn senders(&self) -> Vec<Address> {
        self.senders.keys().copied().collect()
    }

    /// The sender's next nonce if everything that can be mined is mined.
    pub(super) fn next_nonce(&self, sender: Address, state: &State) -> u64 {
        let next = state.nonce(sender);
        let queue = self.senders.get(&sender).into_iter().flat_map(|it| it.range(next..));
        queue
            .zip(next..)
            .take_while(|((nonce, _), want)| *nonce == want)
            .last()
            .map_or(next, |(_, last)| last + 1)
    }

    /// What can be mined on `state`, best first.
    pub(super) fn ready<'a>(&'a self, state: &State, base_fee: u64) -> Ready<'a> {
        let mut ready = Ready { pool: self, heap: BinaryHeap::new(), base_fee };
        for sender in self.senders.keys() {
            ready.push(*sender, state.nonce(*sender));
        }
        ready
    }
}

/// geth's rule: ten per cent more, of the fee and of the tip; among free ones the first stays.
fn pays_to_replace(new: &Transaction, old: &Transaction) -> bool {
    let more =
        |new: u128, old: u128| new > old && new.saturating_mul(100) >= old.saturating_mul(110);
    let tip =
        |it: &Transaction| it.max_priority_fee_per_gas().unwrap_or_else(|| it.max_fee_per_gas());
    more(new.max_fee_per_gas(), old.max_fee_per_gas()) && more(tip(new), tip(old))
}

/// The order of mining. The caller says after each transaction whether its sender goes on.
#[derive(Debug)]
pub(super) struct Ready<'a> {
    pool: &'a Pool,
    heap: BinaryHeap<(u128, Reverse<u64>, Address, u64)>,
    base_fee: u64,
}

impl<'a> Ready<'a> {
    fn push(&mut self, sender: Address, nonce: u64) {
        let Some(waiting) = self.pool.senders.get(&sender).and_then(|it| it.get(&nonce)) else {
            return;
        };
        if let Some(tip) = waiting.transaction.effective_tip_per_gas(self.base_fee) {
            self.heap.push((tip, Reverse(waiting.arrival), sender, nonce));
        }
    }

    /// The best transaction; its sender is out until [`Ready::go_on`].
    pub(super) fn pop(&mut self) -> Option<&'a Transaction> {
        let (_, _, sender, nonce) = self.heap.pop()?;
        self.pool.senders.get(&sender)?.get(&nonce).map(|it| &it.transaction)
    }

    /// The transaction was mined: the sender's next one may be, too.
    pub(super) fn go_on(&mut self, mined: &Transaction) {
        self.push(mined.signer(), mined.nonce() + 1);
    }
}
