//! Sending private transactions (protocol specification, 5.1 and 5.3).

use alloy_primitives::{Address, B256, Bytes, U256};
use coterie_core::{
    EnclaveKey, GroupId, PayloadKey, PrivateTransaction, Recipients, Restriction,
    SignedPrivateTransaction,
    access::{self, Sight, Use},
    management::{ManagementCall, is_adding},
    transaction::DecodeError,
    wire::VersionedPrivateTransaction,
};

use super::{
    MarkerRefused, Reach, ReadError, SendError, Service, Tenant,
    error::marker_refused,
    markers::{Marked, MarkerFields},
    messages::{self, GroupRequest, KnownReply},
    unmined::Sent,
    view::GroupView,
};
use crate::{
    chain::ChainError,
    enclave::{DistributeError, Distribution},
    executor::{GroupFacts, Prepared, PublicReads, recover_sender},
    state::StateError,
};

/// Gas of a transaction before its data (yellow paper, G_transaction), and of 32 non-zero bytes
/// (EIP-2028): what every marker needs at least.
const MARKER_GAS_MIN: u64 = 21_000 + 32 * 16;
/// What a marker is given at least: the same, or what EIP-7623 asks for 32 non-zero bytes if that is
/// more. With less, clients may keep it in their pools for ever, and all later ones of its key.
pub(super) const MARKER_GAS: u64 = 21_000 + 32 * 4 * 10;

/// A transaction that may be sent.
struct Accepted {
    signed: SignedPrivateTransaction,
    group: GroupId,
    version: B256,
    recipients: Vec<EnclaveKey>,
}

impl Service {
    /// Checks, distributes and marks a signed private transaction (protocol, 5.1).
    ///
    /// Returns the marker's transaction hash.
    pub async fn send_raw_transaction(
        &self,
        tenant: &Tenant,
        raw: &[u8],
    ) -> Result<B256, SendError> {
        let signed = decode(raw)?;
        match signed.transaction.restriction {
            Restriction::Restricted => {}
            Restriction::Unrestricted | Restriction::Unsupported(_) => {
                return Err(SendError::UnsupportedRestriction);
            }
        }
        if tenant.reach == Reach::Key && signed.transaction.private_from != tenant.key {
            return Err(SendError::PrivateFromMismatch(signed.transaction.private_from));
        }
        let sender = self.validate(tenant, &signed)?;
        let gas_price = u128::try_from(signed.transaction.gas_price).map_err(|_| {
            SendError::Marker(MarkerRefused::Other {
                code: -32000,
                message: "gas price exceeds 128 bits".into(),
            })
        })?;
        let gas_limit = signed.transaction.gas_limit;
        let accepted = self.accept(tenant, signed, sender).await?;
        if gas_limit < MARKER_GAS_MIN {
            return Err(MarkerRefused::IntrinsicGas.into());
        }
        // From here on, markers of the group go out in this order.
        let ticket = self.markers.ticket(accepted.group);
        let signer = ticket.signer();
        let distribution = distribution(&accepted, signer);
        let payload = self.view.enclave.distribute(distribution).await?;
        let gas_limit = gas_limit.max(MARKER_GAS);
        let fields = MarkerFields { payload, gas_price, gas_limit };
        let marked = self.markers.submit(ticket, fields).await.map_err(|error| match error {
            ChainError::Refused { code, message, .. } => {
                let refused = marker_refused(code, message);
                tracing::warn!(%signer, %refused, "the chain refused a marker");
                SendError::Marker(refused)
            }
            error @ (ChainError::Unavailable { .. }
            | ChainError::StatePruned(_)
            | ChainError::NoSubscriptions) => SendError::Chain(error),
        })?;
        let hash = marked.hash;
        self.look_after(payload, accepted.recipients, Some(marked));
        Ok(hash)
    }

    /// Sees to it that what was sent is mined before its recipients drop it.
    fn look_after(&self, payload: PayloadKey, recipients: Vec<EnclaveKey>, marker: Option<Marked>) {
        let at = self.view.followed().map_or(0, |followed| followed.number);
        self.unmined.add(Sent { payload, recipients, marker }, at);
    }

    /// Checks and distributes a signed private transaction, leaving the marker to the caller
    /// (protocol, 5.3; design, 2.3).
    ///
    /// `marker_signer` is the account that will sign the marker; `None` lets anyone mark it.
    /// Returns the marker's call data.
    pub async fn distribute_raw_transaction(
        &self,
        tenant: &Tenant,
        raw: &[u8],
        marker_signer: Option<Address>,
    ) -> Result<Bytes, SendError> {
        let signed = decode(raw)?;
        if signed.transaction.private_from != tenant.key {
            return Err(SendError::PrivateFromMismatch(signed.transaction.private_from));
        }
        if matches!(signed.transaction.recipients, Recipients::Members(_)) {
            return Err(SendError::MissingGroupId);
        }
        self.check_group(tenant, &signed.transaction)?;
        let sender = self.validate(tenant, &signed)?;
        let accepted = self.accept(tenant, signed, sender).await?;
        let payload = self
            .view
            .enclave
            .distribute(distribution(&accepted, marker_signer.unwrap_or_default()))
            .await?;
        self.look_after(payload, accepted.recipients, None);
        Ok(Bytes::copy_from_slice(payload.0.as_slice()))
    }

    /// Refuses a group that is not known and not founded by this (protocol, 5.3: before all else).
    fn check_group(
        &self,
        tenant: &Tenant,
        transaction: &PrivateTransaction,
    ) -> Result<(), SendError> {
        let Recipients::Group(group) = transaction.recipients else {
            return Err(SendError::MissingGroupId);
        };
        self.check_following()?;
        let added = self.added(transaction)?;
        let founds = added.is_some_and(|added| added.contains(&transaction.private_from));
        let exists = self.view.is_joining(group) || self.view.group_at_head(group)?.is_some();
        match founds || (exists && self.may_send(tenant, group)?) {
            true => Ok(()),
            false => Err(SendError::GroupUnknown(group)),
        }
    }

    /// Refuses to judge by a state that is not there yet, or that nothing moves any more: nobody here
    /// would see what becomes of the transaction.
    fn check_following(&self) -> Result<(), SendError> {
        self.view.following.check()?;
        if self.view.followed().is_none() { Err(SendError::Behind) } else { Ok(()) }
    }

    /// Whether the caller may send to the group; if not, it is treated as unknown.
    fn may_send(&self, tenant: &Tenant, group: GroupId) -> Result<bool, StateError> {
        Ok(self.sight(tenant, group, Use::Send)? == Sight::All)
    }

    /// The checks that need no group state but the nonce (protocol, 1.6). The sender.
    fn validate(
        &self,
        tenant: &Tenant,
        signed: &SignedPrivateTransaction,
    ) -> Result<Address, SendError> {
        let transaction = &signed.transaction;
        if transaction.value != U256::ZERO {
            return Err(SendError::ValueNotZero);
        }
        let expected = self.view.definition.chain_id;
        if let Some(found) = transaction.chain_id.filter(|found| *found != expected) {
            return Err(SendError::WrongChainId { expected, found });
        }
        let sender = recover_sender(signed).ok_or(SendError::InvalidSignature)?;
        let group = transaction.group_id();
        let expected = if self.may_send(tenant, group)? { self.nonce(sender, group)? } else { 0 };
        if transaction.nonce < expected {
            return Err(SendError::NonceTooLow { expected, found: transaction.nonce });
        }
        Ok(sender)
    }

    /// Finds the group and who receives the transaction.
    async fn accept(
        &self,
        tenant: &Tenant,
        signed: SignedPrivateTransaction,
        sender: Address,
    ) -> Result<Accepted, SendError> {
        let transaction = &signed.transaction;
        let Recipients::Group(group) = transaction.recipients else {
            return Err(SendError::MissingGroupId);
        };
        self.check_following()?;
        let added = self.added(transaction)?;
        let founds = added.as_ref().is_some_and(|added| added.contains(&transaction.private_from));
        let may_send = self.may_send(tenant, group)?;
        if !founds && !may_send {
            return Err(SendError::GroupUnknown(group));
        }
        if self.view.is_joining(group) {
            let exists = SendError::GroupExists { group, known_to: None };
            return Err(if may_send { SendError::Joining(group) } else { exists });
        }
        let view = self.view.group_at_head(group)?;
        let facts = match &view {
            Some(view) => Some(self.view.facts(view).await.map_err(read_error)?),
            None => None,
        };
        let mut recipients = match (&facts, &added) {
            (Some(_), _) if founds => return Err(SendError::GroupExists { group, known_to: None }),
            (Some(facts), added) => {
                let members = facts.members.iter().chain(added.iter().flatten());
                members.cloned().collect()
            }
            (None, Some(added)) if founds => added.clone(),
            (None, _) => return Err(SendError::GroupUnknown(group)),
        };
        if !recipients.contains(&transaction.private_from) || !recipients.contains(&tenant.key) {
            return Err(SendError::NotAMember(group));
        }
        // Before any other node is asked in its name.
        if !self.view.enclave.holds(&transaction.private_from) {
            return Err(DistributeError::NotOurKey(transaction.private_from.clone()).into());
        }
        if let (Some(view), Some(facts)) = (&view, &facts) {
            recipients.extend(self.added_by_owner(view, facts, &signed, sender).await?);
        }
        dedup(&mut recipients);
        let count = recipients.len();
        let limit = self.view.definition.members_max;
        if count > usize::try_from(limit).unwrap_or(usize::MAX) {
            return Err(SendError::TooManyMembers { count, limit });
        }
        if facts.is_none() {
            self.ask_unknown(group, &transaction.private_from, &recipients).await?;
        }
        let version = facts.map_or(B256::ZERO, |facts| facts.version);
        Ok(Accepted { signed, group, version, recipients })
    }

    /// The keys that a management call adds; `None` for any other transaction.
    fn added(
        &self,
        transaction: &PrivateTransaction,
    ) -> Result<Option<Vec<EnclaveKey>>, SendError> {
        if !access::is_adding(self.view.definition.rules, transaction)
            || !is_adding(&transaction.input)
        {
            return Ok(None);
        }
        let invalid = |reason: String| SendError::InvalidMembers { reason };
        let call = ManagementCall::parse(&transaction.input)
            .map_err(|error| invalid(error.to_string()))?;
        let keys = call.into_added_keys().unwrap_or_default();
        if let Some(key) = keys.iter().find(|key| key.as_nacl().is_none()) {
            return Err(invalid(format!("key {key} has not 32 bytes; only such keys can sign")));
        }
        Ok(Some(keys))
    }

    /// Members that a transaction adds through the contract that owns the group.
    async fn added_by_owner(
        &self,
        view: &GroupView,
        facts: &GroupFacts,
        signed: &SignedPrivateTransaction,
        sender: Address,
    ) -> Result<Vec<EnclaveKey>, SendError> {
        if facts.owner.is_none() {
            return Ok(Vec::new());
        }
        let Some(followed) = self.view.followed() else { return Ok(Vec::new()) };
        let header = self.view.header(followed).await.map_err(read_error)?;
        let Recipients::Group(group) = signed.transaction.recipients else { return Ok(Vec::new()) };
        let prepared = Prepared {
            key: PayloadKey(B256::ZERO),
            transaction: signed.clone(),
            version: facts.version,
            group,
            sender: Some(sender),
        };
        let mut execution = self.view.executor.begin(group, view.snapshot.clone(), &header);
        let run = move |reads: &PublicReads| execution.execute(&prepared, reads);
        let outcome = self.view.execute(followed.hash, run).await.map_err(read_error)?;
        Ok(outcome.after.members.clone())
    }

    /// Refuses to create a group whose id a listed member knows.
    async fn ask_unknown(
        &self,
        group: GroupId,
        from: &EnclaveKey,
        members: &[EnclaveKey],
    ) -> Result<(), SendError> {
        let request = messages::encode(&GroupRequest { group: group.0 });
        let others = members.iter().filter(|key| !self.view.enclave.holds(key));
        let asks = others.map(|key| {
            let request = request.clone();
            async move { (key, self.view.enclave.ask(from, key, messages::KNOWN, request).await) }
        });
        for (key, reply) in futures::future::join_all(asks).await {
            // Who does not answer now would not store the payload either: the error is the same.
            let reply = reply?;
            if messages::decode::<KnownReply>(&reply).is_ok_and(|reply| reply.known) {
                return Err(SendError::GroupExists { group, known_to: Some(key.clone()) });
            }
        }
        Ok(())
    }
}

fn decode(raw: &[u8]) -> Result<SignedPrivateTransaction, SendError> {
    SignedPrivateTransaction::decode(raw).map_err(|error| {
        if error == DecodeError::RecoveryId {
            SendError::InvalidV
        } else {
            SendError::Undecodable { reason: error.to_string() }
        }
    })
}

fn distribution(accepted: &Accepted, marker_signer: Address) -> Distribution {
    let Accepted { signed, group, version, recipients } = accepted;
    let payload = VersionedPrivateTransaction { transaction: signed.clone(), version: *version };
    Distribution {
        from: signed.transaction.private_from.clone(),
        to: recipients.clone(),
        text: payload.to_text().into_bytes().into(),
        marker_signer,
        group: *group,
    }
}

/// Keeps the first of equal keys.
fn dedup(keys: &mut Vec<EnclaveKey>) {
    let mut seen = std::collections::HashSet::new();
    keys.retain(|key| seen.insert(key.clone()));
}

/// A read that failed while sending.
fn read_error(error: ReadError) -> SendError {
    match error {
        ReadError::Chain(error) => error.into(),
        ReadError::State(error) => error.into(),
        ReadError::Enclave(error) => error.into(),
        ReadError::FollowingStopped(error) => error.into(),
        ReadError::GroupUnknown(group)
        | ReadError::NotAMember(group)
        | ReadError::Joining(group) => SendError::GroupUnknown(group),
        ReadError::BlockUnknown
        | ReadError::NotTheCallersKey(_)
        | ReadError::OwnKeyMissing(_)
        | ReadError::NotAMarker(_)
        | ReadError::ValueNotZero
        | ReadError::TooMuch { .. } => SendError::Behind,
    }
}
