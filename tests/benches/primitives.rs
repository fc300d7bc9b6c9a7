//! What following cannot do without, each measured alone on one core, on the very transactions that
//! are followed: recover the sender, open the payload, execute the transfer, hash each changed trie
//! node once, write the batches.

use std::{
    collections::HashMap,
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use alloy_primitives::{Address, TxKind, keccak256};
use anyhow::{Context as _, Result, ensure};
use coterie_node::{
    enclave::{
        Opening,
        codec::Envelope,
        crypto::{KeyRing, open_payload},
    },
    executor::recover_sender,
    follower::{Follower, FollowerOptions},
    store::{Batch, Entry, FjallOptions, FjallStore, MemoryStore, Store, StoreError, Table, Value},
};
use parking_lot::Mutex;
use revm::{
    Context, ExecuteCommitEvm, MainBuilder, MainContext,
    context::TxEnv,
    database::{CacheDB, EmptyDB},
};

use crate::{
    network::key_pair,
    workload::{Workload, check, offline, parts},
};

/// Time for all transactions.
#[derive(Clone, Copy, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Primitives {
    pub(crate) recover_s: f64,
    pub(crate) open_s: f64,
    pub(crate) execute_s: f64,
    pub(crate) hash_s: f64,
    pub(crate) write_s: f64,
    pub(crate) nodes: usize,
}

impl Primitives {
    /// Their sum.
    pub(crate) fn sum_s(&self) -> f64 {
        self.recover_s + self.open_s + self.execute_s + self.hash_s + self.write_s
    }

    /// The better of each.
    pub(crate) fn best(self, other: Self) -> Self {
        Self {
            recover_s: self.recover_s.min(other.recover_s),
            open_s: self.open_s.min(other.open_s),
            execute_s: self.execute_s.min(other.execute_s),
            hash_s: self.hash_s.min(other.hash_s),
            write_s: self.write_s.min(other.write_s),
            nodes: other.nodes,
        }
    }
}

/// Measures them once. `batches` are what following writes ([`record`]).
pub(crate) fn measure(workload: &Workload, batches: &[Batch]) -> Result<Primitives> {
    let nodes: Vec<&Value> = batches
        .iter()
        .flat_map(|batch| &batch.writes)
        .filter(|(table, ..)| *table == Table::Nodes)
        .filter_map(|(_, _, node)| node.as_ref())
        .collect();
    let hash = timed(|| {
        for node in &nodes {
            black_box(keccak256(node));
        }
        Ok(())
    })?;
    let recover = timed(|| {
        let recovered = workload.transfers.iter().filter(|it| recover_sender(it).is_some()).count();
        ensure!(recovered == workload.transfers.len(), "a sender was not recovered");
        Ok(())
    })?;
    Ok(Primitives {
        recover_s: recover.as_secs_f64(),
        open_s: open(workload)?.as_secs_f64(),
        execute_s: execute(workload)?.as_secs_f64(),
        hash_s: hash.as_secs_f64(),
        write_s: write(batches)?.as_secs_f64(),
        nodes: nodes.len(),
    })
}

fn timed(work: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let started = Instant::now();
    work()?;
    Ok(started.elapsed())
}

/// The box of the master key, then the payload; shared keys are cached.
fn open(workload: &Workload) -> Result<Duration> {
    let ring = KeyRing::new(vec![key_pair(1)?]);
    let ours = *key_pair(1)?.public();
    timed(|| {
        for bytes in &workload.envelopes {
            let envelope = Envelope::decode(bytes)?;
            let sealed = envelope.boxes.first().context("a box")?;
            let master = ring.open(&ours, &envelope.sender, &envelope.box_nonce, sealed);
            let master_key = master.context("our box")?.as_slice().try_into()?;
            let opening = Opening { master_key, nonce: envelope.nonce };
            black_box(open_payload(&opening, &envelope.cipher_text).context("the payload")?);
        }
        Ok(())
    })
}

/// The same transfers on a bare revm over maps in memory, one EVM for all of a group.
fn execute(workload: &Workload) -> Result<Duration> {
    let mut took = Duration::ZERO;
    for group in &workload.groups {
        // The same token, deployed by the same account.
        let mut group = group.clone();
        group.senders.iter_mut().for_each(|(_, nonce)| *nonce = 0);
        let deployer = group.senders.first().context("a sender")?.0.address();
        let mut nonces: HashMap<Address, u64> = HashMap::new();
        let mut evm = Context::mainnet()
            .with_db(CacheDB::new(EmptyDB::default()))
            .modify_cfg_chained(|cfg| cfg.chain_id = group.chain_id)
            .build_mainnet();
        let mut run = |caller: Address, kind: TxKind, data: alloy_primitives::Bytes| {
            let nonce = nonces.entry(caller).or_default();
            let gas_limit = 10_000_000;
            let chain_id = Some(group.chain_id);
            let env = TxEnv {
                caller,
                kind,
                data,
                nonce: *nonce,
                gas_limit,
                chain_id,
                ..TxEnv::default()
            };
            *nonce += 1;
            anyhow::Ok(evm.transact_commit(env)?)
        };
        let setup = group.clone().setup()?;
        let (deploy, pays) =
            (setup.get(1).context("a deployment")?, setup.get(2..).context("pays")?);
        let deployed = run(deployer, TxKind::Create, deploy.transaction.input.clone())?;
        let token = deployed.created_address().context("a token")?;
        for pay in pays {
            run(deployer, TxKind::Call(token), pay.transaction.input.clone())?;
        }
        let senders: Vec<_> = group.senders.iter().map(|(key, _)| key.address()).collect();
        let transfers = workload.transfers.iter().map(|it| &it.transaction);
        let transfers = transfers.filter(|it| it.group_id() == group.id);
        let transfers: Vec<_> = transfers.zip(senders.iter().cycle()).collect();
        took += timed(|| {
            for (transfer, sender) in &transfers {
                let done = run(**sender, TxKind::Call(token), transfer.input.clone())?;
                ensure!(done.is_success(), "a transfer failed");
            }
            Ok(())
        })?;
    }
    Ok(took)
}

/// The same batches into an empty database on disk.
fn write(batches: &[Batch]) -> Result<Duration> {
    let directory = tempfile::tempdir()?;
    let store = FjallStore::open(directory.path(), FjallOptions::default())?;
    let copies: Vec<Batch> = batches.iter().map(copy).collect();
    timed(|| {
        for batch in copies {
            store.commit(batch)?;
        }
        Ok(())
    })
}

/// What following writes.
pub(crate) async fn record(workload: &Workload) -> Result<Vec<Batch>> {
    let enclave = Arc::new(offline(&workload.definition, workload.directory.path(), 1)?);
    let store = Arc::new(Recorder::default());
    let parts = parts(&workload.chain, &workload.definition, &enclave, Arc::clone(&store) as _)?;
    let state = parts.state.clone();
    Follower::new(parts, FollowerOptions::default()).catch_up().await?;
    check(&state, workload.chain.head(), &workload.groups)?;
    let batches = std::mem::take(&mut *store.batches.lock());
    Ok(batches)
}

/// A store in memory that remembers what was written.
#[derive(Default)]
struct Recorder {
    inner: MemoryStore,
    batches: Mutex<Vec<Batch>>,
}

fn copy(batch: &Batch) -> Batch {
    Batch { writes: batch.writes.clone() }
}

impl Store for Recorder {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Value>, StoreError> {
        self.inner.get(table, key)
    }

    fn range(
        &self,
        table: Table,
        start: &[u8],
        end: &[u8],
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        self.inner.range(table, start, end, limit)
    }

    fn range_rev(
        &self,
        table: Table,
        start: &[u8],
        end: &[u8],
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        self.inner.range_rev(table, start, end, limit)
    }

    fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        self.batches.lock().push(copy(&batch));
        self.inner.commit(batch)
    }
}
