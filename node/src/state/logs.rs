//! Where a group's logs are: an index, so that looking for some costs what is found and not what is
//! searched.
//!
//! An entry says that a block with this number, on some branch, has a log with this address or topic
//! in this group. It may say too much (another branch, or two values with the same short hash), so
//! whoever asks looks at the logs themselves.

use std::collections::{BTreeSet, VecDeque};

use alloy_primitives::{Address, B256, Log, keccak256};
use coterie_core::GroupId;

use super::{Receipt, State, StateError, schema};
use crate::store::{Batch, Table};

/// Accepted values of one address or topic up to which the index is asked for each.
const ALTERNATIVES_MAX: usize = 256;
/// Values that are looked at in one search, about: then others have their turn.
const STEPS_MAX: usize = 16_384;
/// Entries read at a time: at first, and in the end.
const PAGE_FIRST: usize = 4;
const PAGE: usize = 64;

/// Stands for a value that logs have, in keys of the index.
pub(super) type Short = [u8; 8];

/// What is looked for: logs by any of the addresses, with for each topic position any of the values;
/// an empty list accepts all.
#[derive(Clone, Copy, Debug)]
pub struct LogsWanted<'a> {
    /// By any of these contracts.
    pub addresses: &'a [Address],
    /// Accepted values of each topic position.
    pub topics: &'a [Vec<B256>],
}

/// Blocks that a search came upon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogBlocks {
    /// Their numbers, ascending.
    pub blocks: Vec<u64>,
    /// Where to go on; `None` when there are no more.
    pub next: Option<u64>,
}

impl State {
    /// Numbers of blocks that may have such logs of the group, with `from <= number <= to`,
    /// ascending, at most `limit`. Ends early after some steps; then there is a `next`.
    ///
    /// # Errors
    ///
    /// When the store fails or is corrupt.
    pub fn log_blocks(
        &self,
        group: GroupId,
        wanted: LogsWanted<'_>,
        from: u64,
        to: u64,
        limit: usize,
    ) -> Result<LogBlocks, StateError> {
        let alternatives = criteria(wanted).into_iter();
        let mut criteria: Vec<_> =
            alternatives.map(|values| Criterion::new(self, group, values, to)).collect();
        let mut steps = STEPS_MAX;
        let (mut blocks, mut next) = (Vec::new(), Some(from).filter(|from| *from <= to));
        while let Some(at) = next.filter(|_| blocks.len() < limit) {
            match first_of_all(&mut criteria, at, &mut steps)? {
                Step::Found(number) => {
                    blocks.push(number);
                    next = number.checked_add(1).filter(|next| *next <= to);
                }
                Step::Tired(at) => return Ok(LogBlocks { blocks, next: Some(at) }),
                Step::End => next = None,
            }
        }
        Ok(LogBlocks { blocks, next })
    }
}

/// Writes the entries of a block's receipts.
pub(super) fn put_log_index<'a>(
    batch: &mut Batch,
    receipts: impl IntoIterator<Item = (u64, &'a Receipt)>,
) {
    // A block has most values many times.
    let mut entries = BTreeSet::new();
    for (number, receipt) in receipts {
        let Some(group) = receipt.group else { continue };
        for log in &receipt.logs {
            entries.extend(values(log).map(|value| (group, value, number)));
        }
    }
    for (group, value, number) in entries {
        batch.put(Table::LogIndex, schema::log_index_key(group, value, number), [0; 0]);
    }
}

/// The values under which a log is found.
fn values(log: &Log) -> impl Iterator<Item = Short> {
    let topics =
        log.topics().iter().enumerate().map(|(position, topic)| short_topic(position, topic));
    [any(), short_address(&log.address)].into_iter().chain(topics)
}

/// Every log has it.
const fn any() -> Short {
    [0; 8]
}

fn short_address(address: &Address) -> Short {
    short(1, address.as_slice())
}

fn short_topic(position: usize, topic: &B256) -> Short {
    short(u8::try_from(position).map_or(u8::MAX, |it| it.saturating_add(2)), topic.as_slice())
}

fn short(kind: u8, value: &[u8]) -> Short {
    let hash = keccak256([&[kind], value].concat());
    std::array::from_fn(|at| hash.0.get(at).copied().unwrap_or_default())
}

/// For each thing that is asked for, the values that are accepted.
fn criteria(wanted: LogsWanted<'_>) -> Vec<Vec<Short>> {
    let addresses = wanted.addresses.iter().map(short_address).collect();
    let topics = wanted.topics.iter().enumerate().map(|(position, accepted)| {
        accepted.iter().map(|topic| short_topic(position, topic)).collect()
    });
    let mut criteria: Vec<Vec<_>> = std::iter::once(addresses)
        .chain(topics)
        .filter(|values: &Vec<_>| (1..=ALTERNATIVES_MAX).contains(&values.len()))
        .collect();
    if criteria.is_empty() {
        criteria.push(vec![any()]);
    }
    criteria
}

/// What looking for the next block came to.
enum Step {
    Found(u64),
    /// It took too long: go on here.
    Tired(u64),
    End,
}

/// The first block from `at` on that all criteria accept. Each value that is looked at is a step.
fn first_of_all(
    criteria: &mut [Criterion<'_>],
    mut at: u64,
    steps: &mut usize,
) -> Result<Step, StateError> {
    loop {
        let (before, mut rarest) = (at, 0);
        for (place, criterion) in criteria.iter_mut().enumerate() {
            *steps = steps.saturating_sub(criterion.values.len());
            let Some(number) = criterion.seek(at)? else { return Ok(Step::End) };
            if number > at {
                (at, rarest) = (number, place);
            }
        }
        // What leads furthest is asked first the next time; then the others only confirm.
        criteria.swap(0, rarest);
        if at == before {
            return Ok(Step::Found(at));
        }
        if *steps == 0 {
            return Ok(Step::Tired(at));
        }
    }
}

/// Blocks that have any of some values.
struct Criterion<'a> {
    values: Vec<Scan<'a>>,
}

impl<'a> Criterion<'a> {
    fn new(state: &'a State, group: GroupId, values: Vec<Short>, to: u64) -> Self {
        let scan = |value| Scan {
            state,
            group,
            value,
            to,
            read: VecDeque::new(),
            next: Some(0),
            page: PAGE_FIRST,
        };
        Self { values: values.into_iter().map(scan).collect() }
    }

    /// The first such block from `at` on.
    fn seek(&mut self, at: u64) -> Result<Option<u64>, StateError> {
        let mut first = None;
        for scan in &mut self.values {
            let found = scan.seek(at)?;
            first = first.into_iter().chain(found).min();
        }
        Ok(first)
    }
}

/// Blocks that have one value, read page by page where one after the other is asked for.
struct Scan<'a> {
    state: &'a State,
    group: GroupId,
    value: Short,
    to: u64,
    read: VecDeque<u64>,
    /// Where the next page begins; `None` after the last.
    next: Option<u64>,
    /// Entries of the next page: few after a leap, when most may be leapt over.
    page: usize,
}

impl Scan<'_> {
    /// The first such block from `at` on, which may not be before the last call's.
    fn seek(&mut self, at: u64) -> Result<Option<u64>, StateError> {
        while self.read.front().is_some_and(|number| *number < at) {
            self.read.pop_front();
        }
        if self.read.is_empty()
            && let Some(next) = self.next
        {
            if at > next {
                self.page = PAGE_FIRST;
                // Whoever leaps asks whether this block has it, too; that costs less than a page.
                if at <= self.to && self.has(at)? {
                    self.read.push_back(at);
                    self.next = at.checked_add(1);
                    return Ok(Some(at));
                }
            }
            self.read_page(next.max(at))?;
        }
        Ok(self.read.front().copied())
    }

    fn has(&self, number: u64) -> Result<bool, StateError> {
        let key = schema::log_index_key(self.group, self.value, number);
        Ok(self.state.inner.store.get(Table::LogIndex, &key)?.is_some())
    }

    fn read_page(&mut self, from: u64) -> Result<(), StateError> {
        let start = schema::log_index_key(self.group, self.value, from);
        let end = schema::after(&schema::log_index_key(self.group, self.value, self.to));
        let entries = self.state.inner.store.range(Table::LogIndex, &start, &end, self.page)?;
        let numbers = entries.iter().map(|(key, _)| schema::parse_log_index_number(key));
        self.read = numbers.collect::<Result<_, _>>()?;
        let full = entries.len() == self.page;
        self.next = self.read.back().filter(|_| full).and_then(|last| last.checked_add(1));
        self.page = self.page.saturating_mul(4).min(PAGE);
        Ok(())
    }
}
