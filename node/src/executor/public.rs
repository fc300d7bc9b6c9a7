//! Public state as an argument of private execution.

use std::{collections::HashMap, fmt, sync::Arc};

use alloy_primitives::{Address, B256, KECCAK256_EMPTY, U256, keccak256};
use parking_lot::Mutex;
use revm::{
    bytecode::Bytecode,
    state::{AccountId, AccountInfo},
};

use crate::chain::{PublicAccount, PublicRead, PublicValue};

/// Public state at the end of one block, as far as it was fetched. For the execution of a block
/// that is its parent, for a call the block that the call names.
///
/// With a source, what is not here is asked for in the middle of the execution. Without one, or
/// when the source has no answer, the execution ends with a fault that names the read, and is begun
/// again when the answer was added: right, but a transaction that computes for long and then reads
/// much would be executed once for each read.
#[derive(Clone, Default)]
pub struct PublicReads {
    answers: HashMap<PublicRead, Answer>,
    source: Option<Source>,
    /// What the source answered.
    fetched: Arc<Mutex<HashMap<PublicRead, Answer>>>,
}

/// Answers a read, or not (now). Must give what the chain has, whenever it is asked.
pub type Source = Arc<dyn Fn(PublicRead) -> Option<PublicValue> + Send + Sync>;

#[derive(Clone, Debug)]
struct Answer {
    value: PublicValue,
    /// For an account that is not empty.
    info: Option<AccountInfo>,
}

impl PublicReads {
    /// Nothing fetched yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Nothing fetched yet; `source` is asked for what is not here.
    pub fn with_source(source: Source) -> Self {
        Self { source: Some(source), ..Self::default() }
    }

    /// Adds the answer to `read`. An answer of another kind than the question is ignored.
    pub fn insert(&mut self, read: PublicRead, value: PublicValue) {
        if let Some(answer) = Answer::new(&read, value) {
            self.answers.insert(read, answer);
        }
    }

    /// What the source answered since this was asked last, by read; it is here from now on.
    pub fn take_fetched(&mut self) -> Vec<(PublicRead, PublicValue)> {
        let fetched = std::mem::take(&mut *self.fetched.lock());
        let mut reads: Vec<_> =
            fetched.iter().map(|(read, answer)| (*read, answer.value.clone())).collect();
        reads.sort_unstable_by_key(|(read, _)| *read);
        self.answers.extend(fetched);
        reads
    }

    fn answer(&self, read: PublicRead) -> Result<Answer, PublicRead> {
        if let Some(answer) = self.answers.get(&read) {
            return Ok(answer.clone());
        }
        let source = self.source.as_ref().ok_or(read)?;
        let mut fetched = self.fetched.lock();
        if let Some(answer) = fetched.get(&read) {
            return Ok(answer.clone());
        }
        let answer = source(read).and_then(|value| Answer::new(&read, value)).ok_or(read)?;
        fetched.insert(read, answer.clone());
        Ok(answer)
    }

    /// Whether the answer is here.
    pub fn contains(&self, read: &PublicRead) -> bool {
        self.answers.contains_key(read)
    }

    /// All questions with their answers, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&PublicRead, &PublicValue)> {
        self.answers.iter().map(|(read, answer)| (read, &answer.value))
    }

    /// How many answers are here.
    pub fn len(&self) -> usize {
        self.answers.len()
    }

    /// Whether no answer is here.
    pub fn is_empty(&self) -> bool {
        self.answers.is_empty()
    }

    /// A public account, or `None` where there is none or an empty one.
    pub(super) fn account(&self, address: Address) -> Result<Option<AccountInfo>, PublicRead> {
        Ok(self.answer(PublicRead::Account(address))?.info)
    }

    pub(super) fn slot(&self, address: Address, slot: U256) -> Result<U256, PublicRead> {
        let read = PublicRead::Slot(address, slot);
        match self.answer(read)?.value {
            PublicValue::Slot(value) => Ok(value),
            PublicValue::Account(_) | PublicValue::BlockHash(_) => Err(read),
        }
    }

    pub(super) fn block_hash(&self, number: u64) -> Result<B256, PublicRead> {
        let read = PublicRead::BlockHash(number);
        match self.answer(read)?.value {
            PublicValue::BlockHash(hash) => Ok(hash),
            PublicValue::Account(_) | PublicValue::Slot(_) => Err(read),
        }
    }
}

impl fmt::Debug for PublicReads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublicReads").field("answers", &self.answers).finish_non_exhaustive()
    }
}

impl Answer {
    /// `None` for an answer of another kind than the question.
    fn new(read: &PublicRead, value: PublicValue) -> Option<Self> {
        let info = match (read, &value) {
            (PublicRead::Account(_), PublicValue::Account(account)) => info(account),
            (PublicRead::Slot(..), PublicValue::Slot(_))
            | (PublicRead::BlockHash(_), PublicValue::BlockHash(_)) => None,
            (PublicRead::Account(_) | PublicRead::Slot(..) | PublicRead::BlockHash(_), _) => {
                return None;
            }
        };
        Some(Self { value, info })
    }
}

/// What the EVM knows of a public account. `account_id` marks where it comes from: revm keeps it,
/// so it tells public accounts from private ones wherever one is met.
fn info(account: &PublicAccount) -> Option<AccountInfo> {
    if account.nonce == 0 && account.balance.is_zero() && account.code.is_empty() {
        return None;
    }
    let code_hash =
        if account.code.is_empty() { KECCAK256_EMPTY } else { keccak256(&account.code) };
    // A delegation (EIP-7702) is decoded; code that only looks like one is code.
    let code = Bytecode::new_raw_checked(account.code.clone())
        .unwrap_or_else(|_| Bytecode::new_legacy(account.code.clone()));
    Some(AccountInfo {
        balance: account.balance,
        nonce: account.nonce,
        code_hash,
        account_id: AccountId::new(0),
        code: Some(code),
    })
}
