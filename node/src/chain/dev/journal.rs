//! The file that keeps a development chain: the genesis block's timestamp, then every block and
//! every change of the head, in their order.
//!
//! It holds what the chain cannot compute again: parents, timestamps, transactions. Replaying it
//! on the same options gives the same hashes, which it checks. It is a sequence of RLP lists, so
//! that each says how long it is; a record that a crash cut off is dropped. It does not survive a
//! failure of the machine (nothing is synced), and does not keep transactions that wait.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use alloy_primitives::{B256, Bytes};
use alloy_rlp::{Encodable, Header, RlpDecodable, RlpEncodable};

/// Marks the file and the version of its form.
const MAGIC: u64 = 0x0063_6f74_6572_6965;

/// An open journal.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
}

/// The first record: what the genesis block has that the options do not say, and its hash.
#[derive(Clone, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub(super) struct Genesis {
    magic: u64,
    pub(super) timestamp: u64,
    pub(super) hash: B256,
}

impl Genesis {
    pub(super) const fn new(timestamp: u64, hash: B256) -> Self {
        Self { magic: MAGIC, timestamp, hash }
    }
}

/// A block; it is not the head by itself.
#[derive(Clone, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub(super) struct BlockRecord {
    pub(super) parent: B256,
    pub(super) timestamp: u64,
    pub(super) transactions: Vec<Bytes>,
    /// What it must come to.
    pub(super) hash: B256,
}

/// A new head.
#[derive(Clone, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub(super) struct HeadRecord {
    hash: B256,
}

/// What happened after the genesis block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Record {
    Block(BlockRecord),
    Head(B256),
}

/// A kept chain cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The disk's.
    #[error("cannot use {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process has it.
    #[error("{0} is in use by another process")]
    InUse(PathBuf),
    /// Not a journal, or damaged before its end.
    #[error("{path} holds no development chain from byte {at} on")]
    Undecodable {
        /// The file.
        path: PathBuf,
        /// Where.
        at: usize,
    },
    /// Replaying gives another block: the options differ, or the version's rules.
    #[error(
        "{path} keeps a chain with block {kept} where this version makes another: start with an empty directory"
    )]
    Differs {
        /// The file.
        path: PathBuf,
        /// The block as it is kept.
        kept: B256,
    },
}

/// What a file held when it was opened.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) genesis: Genesis,
    pub(super) records: Vec<Record>,
}

impl Journal {
    /// Opens or makes the file and reads what it holds; nothing when it is new. What a crash cut
    /// off at its end is gone after this.
    ///
    /// # Errors
    ///
    /// The disk's, or the file is no journal.
    pub(super) fn open(path: &Path) -> Result<(Self, Option<Kept>), JournalError> {
        let failed = |source| JournalError::Io { path: path.to_owned(), source };
        let mut options = OpenOptions::new();
        let mut file = options.create(true).read(true).append(true).open(path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(JournalError::InUse(path.to_owned())),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(failed)?;
        let (kept, whole) =
            read(&bytes).map_err(|at| JournalError::Undecodable { path: path.to_owned(), at })?;
        file.set_len(whole as u64).map_err(failed)?;
        Ok((Self { file }, kept))
    }

    /// Writes the first record.
    pub(super) fn begin(&mut self, genesis: &Genesis) -> io::Result<()> {
        self.file.write_all(&alloy_rlp::encode(genesis))
    }

    /// Adds records, in one write.
    pub(super) fn append(&mut self, records: &[Record]) -> io::Result<()> {
        let mut bytes = Vec::new();
        for record in records {
            match record {
                Record::Block(block) => block.encode(&mut bytes),
                Record::Head(hash) => HeadRecord { hash: *hash }.encode(&mut bytes),
            }
        }
        self.file.write_all(&bytes)
    }
}

/// What a file holds, and how many of its bytes are whole records. The error is the place of the
/// first record that is none.
fn read(bytes: &[u8]) -> Result<(Option<Kept>, usize), usize> {
    let mut rest = bytes;
    let place = |rest: &[u8]| bytes.len() - rest.len();
    let Some(first) = next(&mut rest).map_err(|()| 0_usize)? else { return Ok((None, 0)) };
    let genesis = alloy_rlp::decode_exact::<Genesis>(first).ok();
    let genesis = genesis.filter(|it| it.magic == MAGIC).ok_or(0_usize)?;
    let mut records = Vec::new();
    loop {
        let at = place(rest);
        let Some(bytes) = next(&mut rest).map_err(|()| at)? else {
            return Ok((Some(Kept { genesis, records }), at));
        };
        let record = alloy_rlp::decode_exact::<HeadRecord>(bytes)
            .map(|it| Record::Head(it.hash))
            .or_else(|_| alloy_rlp::decode_exact::<BlockRecord>(bytes).map(Record::Block));
        records.push(record.map_err(|_| at)?);
    }
}

/// The next whole list; `None` at the end or when the rest is the beginning of one.
fn next<'a>(rest: &mut &'a [u8]) -> Result<Option<&'a [u8]>, ()> {
    let mut after = *rest;
    match Header::decode(&mut after) {
        Ok(header) if header.list => {
            let length = rest.len() - after.len() + header.payload_length;
            Ok(rest.split_off(..length))
        }
        Err(alloy_rlp::Error::InputTooShort) => Ok(None),
        Ok(_) | Err(_) => Err(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal(bytes: &[u8]) -> Result<(Option<Kept>, u64), JournalError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("chain");
        std::fs::write(&path, bytes).unwrap();
        let (_, kept) = Journal::open(&path)?;
        Ok((kept, std::fs::metadata(&path).unwrap().len()))
    }

    fn records() -> Vec<Record> {
        let hash = B256::repeat_byte(2);
        let transactions = vec![Bytes::from_static(b"one"), Bytes::from(vec![7; 300])];
        let block = BlockRecord { parent: B256::repeat_byte(1), timestamp: 5, transactions, hash };
        vec![Record::Block(block), Record::Head(hash)]
    }

    fn bytes() -> Vec<u8> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("chain");
        let (mut journal, kept) = Journal::open(&path).unwrap();
        assert!(kept.is_none());
        journal.begin(&Genesis::new(9, B256::repeat_byte(3))).unwrap();
        journal.append(&records()).unwrap();
        std::fs::read(path).unwrap()
    }

    #[test]
    fn what_was_written_is_read() {
        let bytes = bytes();
        let (kept, length) = journal(&bytes).unwrap();
        let kept = kept.unwrap();
        assert_eq!(kept.genesis, Genesis::new(9, B256::repeat_byte(3)));
        assert_eq!(kept.records, records());
        assert_eq!(length, bytes.len() as u64);
    }

    #[test]
    fn a_record_that_was_cut_off_is_dropped_wherever_it_was_cut() {
        let bytes = bytes();
        let genesis = alloy_rlp::encode(Genesis::new(9, B256::repeat_byte(3))).len();
        let head = bytes.len() - 34;
        for cut in 0..bytes.len() {
            let (kept, length) = journal(&bytes[..cut]).unwrap();
            let want = [0, genesis, head].into_iter().filter(|it| *it <= cut).max().unwrap();
            assert_eq!(length, want as u64, "{cut}");
            let records = kept.map_or(0, |it| it.records.len());
            assert_eq!(records, usize::from(cut >= head), "{cut}");
        }
    }

    #[test]
    fn other_files_are_refused() {
        for foreign in [b"{\"a\": 1}".as_slice(), &[0xc0], &alloy_rlp::encode(B256::ZERO)] {
            assert!(matches!(journal(foreign), Err(JournalError::Undecodable { at: 0, .. })));
        }
        let mut bytes = bytes();
        bytes.extend_from_slice(&[0xc1, 0x80]);
        assert!(matches!(journal(&bytes), Err(JournalError::Undecodable { at: 1.., .. })));
    }

    #[test]
    fn one_process_has_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("chain");
        let first = Journal::open(&path).unwrap();
        assert!(matches!(Journal::open(&path), Err(JournalError::InUse(_))));
        drop(first);
        Journal::open(&path).unwrap();
    }
}
