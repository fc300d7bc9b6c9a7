//! Enclaves without a network: what they send each other is carried in process, as the test likes.
//!
//! Cryptography, payload store and decisions are the real ones.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicU32, Ordering},
    },
};

use alloy_primitives::{B256, Bytes};
use async_trait::async_trait;
use coterie_core::{EnclaveKey, GroupId, NetworkDefinition, PayloadKey};
use coterie_node::{
    chain::{BlockRef, PublicRead, PublicValue},
    enclave::{
        AcceptedHistory, ArrivalHook, AskError, Carrier, Decided, DistributeError, Distribution,
        EmbeddedEnclave, Enclave, EnclaveUnavailable, MemberHandler, Payload, SealedPayload,
        keys::KeyPair,
        options::{EnclaveLimits, Storage},
    },
};

/// Changes the answer of a giver to a kind of message.
pub(crate) type Tamper =
    Arc<dyn Fn(&EnclaveKey, &str, Bytes) -> Result<Bytes, String> + Send + Sync>;

/// An envelope that is pushed to the holder of a key.
pub(crate) type Push = (EnclaveKey, Vec<u8>);

/// Who holds which key, and what happens to messages between them.
#[derive(Default)]
pub(crate) struct Network {
    enclaves: Mutex<BTreeMap<EnclaveKey, Weak<SimEnclave>>>,
    tamper: Mutex<Option<Tamper>>,
    /// Pushes that were acknowledged and not brought, while they are held.
    held: Mutex<Option<Vec<Push>>>,
}

impl Network {
    /// Makes an enclave that holds these keys, with an empty payload store in memory.
    pub(crate) fn enclave(
        self: &Arc<Self>,
        pairs: &[KeyPair],
        definition: &NetworkDefinition,
    ) -> Arc<SimEnclave> {
        let inner = EmbeddedEnclave::offline(
            pairs.to_vec(),
            &Storage::Memory,
            definition.clone(),
            &EnclaveLimits::default(),
            Arc::clone(self) as Arc<dyn Carrier>,
        );
        let enclave = Arc::new(SimEnclave {
            inner: Arc::new(inner.expect("an enclave")),
            writing: Arc::default(),
            outage: AtomicU32::new(0),
            refusals: AtomicU32::new(0),
        });
        for pair in pairs {
            let known = Arc::downgrade(&enclave);
            self.enclaves.lock().unwrap().insert(pair.enclave_key(), known);
        }
        enclave
    }

    /// From now on answers go through `tamper`.
    pub(crate) fn tamper(&self, tamper: Option<Tamper>) {
        *self.tamper.lock().unwrap() = tamper;
    }

    /// From now on pushes are acknowledged and held.
    pub(crate) fn hold_pushes(&self) {
        *self.held.lock().unwrap() = Some(Vec::new());
    }

    /// The pushes that were held; from now on they are brought again.
    pub(crate) fn held_pushes(&self) -> Vec<Push> {
        self.held.lock().unwrap().take().unwrap_or_default()
    }

    fn holder(&self, key: &EnclaveKey) -> Option<Arc<SimEnclave>> {
        self.enclaves.lock().unwrap().get(key).and_then(Weak::upgrade)
    }
}

#[async_trait]
impl Carrier for Network {
    async fn push(&self, to: EnclaveKey, envelope: Vec<u8>) -> Result<(), String> {
        let holder = self.holder(&to).ok_or("nobody holds this key")?;
        if let Some(held) = &mut *self.held.lock().unwrap() {
            held.push((to, envelope));
            return Ok(());
        }
        holder.inner.store_envelope(&envelope).await.map_err(|error| error.to_string())?;
        Ok(())
    }

    async fn ask(
        &self,
        from: EnclaveKey,
        to: EnclaveKey,
        kind: &str,
        body: Bytes,
    ) -> Result<Bytes, AskError> {
        let Some(holder) = self.holder(&to) else { return Err(AskError::UnknownPeer(to)) };
        let answer = holder.inner.answer_member(from, to.clone(), kind, body).await;
        let tamper = self.tamper.lock().unwrap().clone();
        let answer = match (answer, tamper) {
            (Ok(answer), Some(tamper)) => tamper(&to, kind, answer),
            (answer, _) => answer,
        };
        answer.map_err(|reason| AskError::Refused { key: to, reason })
    }
}

/// An embedded enclave that can be made unavailable.
pub(crate) struct SimEnclave {
    inner: Arc<EmbeddedEnclave>,
    /// Shared with everything that is being written.
    writing: Arc<()>,
    /// How many of the next calls fail.
    outage: AtomicU32,
    /// How many of the next histories are not stored.
    refusals: AtomicU32,
}

impl SimEnclave {
    /// The next `calls` calls fail.
    pub(crate) fn fail(&self, calls: u32) {
        self.outage.store(calls, Ordering::SeqCst);
    }

    /// The next `count` histories are not stored.
    pub(crate) fn refuse_histories(&self, count: u32) {
        self.refusals.store(count, Ordering::SeqCst);
    }

    /// Calls that are still to fail.
    pub(crate) fn failures_left(&self) -> u32 {
        self.outage.load(Ordering::SeqCst)
    }

    /// Seals and stores a payload here: its id, and an envelope for each other recipient.
    pub(crate) async fn seal(&self, distribution: &Distribution) -> (PayloadKey, Vec<Push>) {
        self.inner.seal_for(distribution).await.expect("sealed")
    }

    /// Stores an envelope as if it had been pushed.
    pub(crate) async fn store(&self, envelope: &[u8]) -> PayloadKey {
        self.inner.store_envelope(envelope).await.expect("an envelope for this key")
    }

    /// Whether something is being written for a follower that may be gone.
    pub(crate) fn is_writing(&self) -> bool {
        Arc::strong_count(&self.writing) > 1
    }

    /// Writes to the end, whoever waits for it: a process that stops takes its threads with it, but
    /// here they go on.
    async fn write<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
        &self,
        work: impl FnOnce(Arc<EmbeddedEnclave>) -> F,
    ) -> T {
        let (writing, work) = (Arc::clone(&self.writing), work(Arc::clone(&self.inner)));
        let task = async move {
            let written = work.await;
            drop(writing);
            written
        };
        tokio::spawn(task).await.expect("written")
    }

    fn available(&self) -> Result<(), EnclaveUnavailable> {
        Self::count_down(&self.outage)
    }

    /// Fails as long as something is left to count.
    fn count_down(left: &AtomicU32) -> Result<(), EnclaveUnavailable> {
        let counted =
            left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        match counted {
            Ok(_) => Err(EnclaveUnavailable { reason: "switched off by the test".to_owned() }),
            Err(_) => Ok(()),
        }
    }
}

#[async_trait]
impl Enclave for SimEnclave {
    fn keys(&self) -> Vec<EnclaveKey> {
        self.inner.keys()
    }

    fn peers(&self) -> Vec<EnclaveKey> {
        self.inner.peers()
    }

    async fn receive(&self, key: PayloadKey) -> Result<Option<Payload>, EnclaveUnavailable> {
        self.available()?;
        self.inner.receive(key).await
    }

    async fn recipients(&self, key: PayloadKey) -> Result<Vec<EnclaveKey>, EnclaveUnavailable> {
        self.available()?;
        self.inner.recipients(key).await
    }

    async fn decide(
        &self,
        block: BlockRef,
        keys: &[PayloadKey],
    ) -> Result<Vec<Decided>, EnclaveUnavailable> {
        self.available()?;
        let keys = keys.to_vec();
        self.write(|inner| async move { inner.decide(block, &keys).await }).await
    }

    async fn reorg(
        &self,
        common: BlockRef,
        orphaned: &[BlockRef],
    ) -> Result<(), EnclaveUnavailable> {
        self.available()?;
        let orphaned = orphaned.to_vec();
        self.write(|inner| async move { inner.reorg(common, &orphaned).await }).await
    }

    async fn set_position_at_least(&self, head: BlockRef) -> Result<(), EnclaveUnavailable> {
        self.inner.set_position_at_least(head).await
    }

    async fn position(&self) -> Result<Option<BlockRef>, EnclaveUnavailable> {
        self.inner.position().await
    }

    async fn distribute(&self, distribution: Distribution) -> Result<PayloadKey, DistributeError> {
        self.available()?;
        self.inner.distribute(distribution).await
    }

    async fn push_again(&self, key: PayloadKey, to: &[EnclaveKey]) -> Result<(), DistributeError> {
        self.available()?;
        self.inner.push_again(key, to).await
    }

    async fn sealed(&self, key: PayloadKey) -> Result<Option<SealedPayload>, EnclaveUnavailable> {
        self.available()?;
        self.inner.sealed(key).await
    }

    async fn accept_history(
        &self,
        history: AcceptedHistory,
        payloads: Vec<SealedPayload>,
        reads: Vec<(BlockRef, Vec<(PublicRead, PublicValue)>)>,
    ) -> Result<(), EnclaveUnavailable> {
        self.available()?;
        Self::count_down(&self.refusals)?;
        let work = |inner: Arc<EmbeddedEnclave>| async move {
            inner.accept_history(history, payloads, reads).await
        };
        self.write(work).await
    }

    async fn histories(&self) -> Result<Vec<AcceptedHistory>, EnclaveUnavailable> {
        self.available()?;
        self.inner.histories().await
    }

    async fn record_reads(
        &self,
        group: GroupId,
        block: B256,
        reads: &[(PublicRead, PublicValue)],
    ) -> Result<(), EnclaveUnavailable> {
        self.available()?;
        let reads = reads.to_vec();
        self.write(|inner| async move { inner.record_reads(group, block, &reads).await }).await
    }

    async fn recorded_reads(
        &self,
        group: GroupId,
        block: B256,
    ) -> Result<Vec<(PublicRead, PublicValue)>, EnclaveUnavailable> {
        self.available()?;
        self.inner.recorded_reads(group, block).await
    }

    async fn ask(
        &self,
        from: &EnclaveKey,
        to: &EnclaveKey,
        kind: &str,
        body: Bytes,
    ) -> Result<Bytes, AskError> {
        self.inner.ask(from, to, kind, body).await
    }

    fn set_handler(&self, handler: Arc<dyn MemberHandler>) {
        self.inner.set_handler(handler);
    }

    fn set_arrival_hook(&self, hook: ArrivalHook) {
        self.inner.set_arrival_hook(hook);
    }

    fn set_co_members(&self, keys: Vec<EnclaveKey>) {
        self.inner.set_co_members(keys);
    }
}
