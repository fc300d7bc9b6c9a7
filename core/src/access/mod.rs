//! Who may have a private transaction executed in a group.
//!
//! Every member must reach the same verdict for the same marker, or their private states diverge:
//! so these functions are pure, total, and take all they judge by as arguments. Fixed by the
//! protocol specification, 6.4, and the table of rule sets in the design. What the tenants of one
//! node may see is local policy, in [`Sight`].

mod tenant;

use alloc::vec::Vec;

use alloy_primitives::{Address, B256, TxKind};

use crate::{
    EnclaveKey, PrivateTransaction, SignedPrivateTransaction,
    definition::Rules,
    management::{self, MANAGEMENT_PROXY, ManagementCall, besu},
};

pub use self::tenant::{Relation, Sight, Use};

/// What the checks need to know of a group's private state, read from its management contracts
/// immediately before the transaction. Before its creation a group is locked, at version zero,
/// without members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupFacts {
    /// `canExecute()` answers false.
    pub locked: bool,
    /// The version that a payload must name: `getVersion()` under `besu` rules,
    /// [`group_version`](crate::management::group_version) under `coterie` rules.
    pub version: B256,
    /// The members, in the contract's order.
    pub members: Vec<EnclaveKey>,
    /// The group's owner, if it is a contract in private state. Ignored under `besu` rules.
    pub owner: Option<Address>,
}

/// Why a private transaction has no effect. Members skip it; nothing has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Denied {
    /// Members can be added only while the group is locked.
    #[error("the group is not locked; lock it before adding members")]
    NotLocked,
    /// A locked group accepts management calls only.
    #[error("the group is locked; only management calls are executed")]
    Locked,
    /// The group's membership has changed since the transaction was sent.
    #[error("the group has another version than the one the transaction was sent for")]
    Version,
    /// `privateFrom` is neither a member nor, in a new group, among those added.
    #[error("privateFrom is not a member of the group")]
    NotAMember,
}

impl GroupFacts {
    /// What is known of a group that does not exist yet.
    pub const fn before_creation() -> Self {
        Self { locked: true, version: B256::ZERO, members: Vec::new(), owner: None }
    }

    /// Whether this key is a member.
    pub fn has_member(&self, key: &EnclaveKey) -> bool {
        self.members.contains(key)
    }
}

impl Denied {
    /// A stable word for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotLocked => "GROUP_NOT_LOCKED",
            Self::Locked => "GROUP_LOCKED",
            Self::Version => "GROUP_VERSION",
            Self::NotAMember => "NOT_A_MEMBER",
        }
    }
}

/// Decides whether a transaction that was sent for `payload_version` may run.
///
/// # Errors
///
/// That the sender is no member of the group, else the first rule broken in the order of the
/// protocol specification, 6.4. The order changes no verdict. This one tells the markers of
/// strangers, which are nobody's but their recipients', from the group's own.
pub fn check_execution(
    rules: Rules,
    group: &GroupFacts,
    signed: &SignedPrivateTransaction,
    payload_version: B256,
) -> Result<(), Denied> {
    let transaction = &signed.transaction;
    if !group.members.is_empty() && !group.has_member(&transaction.private_from) {
        return Err(Denied::NotAMember);
    }
    let adding = is_adding(rules, transaction);
    if adding && !group.locked {
        return Err(Denied::NotLocked);
    }
    if group.locked && !runs_while_locked(rules, group, transaction.to) {
        return Err(Denied::Locked);
    }
    if payload_version != group.version {
        return Err(Denied::Version);
    }
    if !group.members.is_empty() {
        return Ok(());
    }
    let founds = adding && added_keys(rules, transaction).contains(&transaction.private_from);
    if founds { Ok(()) } else { Err(Denied::NotAMember) }
}

/// Whether the calldata is a top-level `addParticipants` to the group's proxy. Only the selector
/// counts, also if what follows is not decodable.
pub fn is_adding(rules: Rules, transaction: &PrivateTransaction) -> bool {
    transaction.to == TxKind::Call(MANAGEMENT_PROXY)
        && match rules {
            Rules::Besu => besu::is_adding(&transaction.input),
            Rules::Coterie => management::is_adding(&transaction.input),
        }
}

/// The keys that a top-level `addParticipants` names; empty for every other transaction and for
/// calldata that cannot be decoded.
pub fn added_keys(rules: Rules, transaction: &PrivateTransaction) -> Vec<EnclaveKey> {
    if !is_adding(rules, transaction) {
        return Vec::new();
    }
    match rules {
        Rules::Besu => besu::parse_calldata_keys(&transaction.input),
        Rules::Coterie => ManagementCall::parse_lenient(&transaction.input)
            .ok()
            .and_then(ManagementCall::into_added_keys)
            .unwrap_or_default(),
    }
}

fn runs_while_locked(rules: Rules, group: &GroupFacts, to: TxKind) -> bool {
    match (to, rules) {
        (TxKind::Create, _) => false,
        (TxKind::Call(to), _) if to == MANAGEMENT_PROXY => true,
        (TxKind::Call(to), Rules::Coterie) => group.owner == Some(to),
        (TxKind::Call(_), Rules::Besu) => false,
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use alloy_primitives::{Bytes, Signature, U256};
    use proptest::prelude::*;

    use super::*;
    use crate::{GroupId, Recipients, Restriction, strategies};

    const ALICE: EnclaveKey = EnclaveKey::Nacl([1; 32]);
    const BOB: EnclaveKey = EnclaveKey::Nacl([2; 32]);
    const CONTRACT: Address = Address::repeat_byte(9);
    const VERSION: B256 = B256::repeat_byte(7);

    fn sent(from: EnclaveKey, to: TxKind, input: Vec<u8>) -> SignedPrivateTransaction {
        PrivateTransaction {
            nonce: 0,
            gas_price: U256::ZERO,
            gas_limit: 3_000_000,
            to,
            value: U256::ZERO,
            input: Bytes::from(input),
            chain_id: Some(1337),
            private_from: from,
            recipients: Recipients::Group(GroupId(B256::repeat_byte(1))),
            restriction: Restriction::Restricted,
        }
        .into_signed(Signature::new(U256::ONE, U256::ONE, false))
    }

    fn managed(from: EnclaveKey, call: &ManagementCall) -> SignedPrivateTransaction {
        sent(from, TxKind::Call(MANAGEMENT_PROXY), call.encode())
    }

    fn adding(keys: &[EnclaveKey]) -> ManagementCall {
        ManagementCall::AddParticipants(keys.to_vec())
    }

    fn group(locked: bool, members: &[EnclaveKey]) -> GroupFacts {
        GroupFacts { locked, version: VERSION, members: members.to_vec(), owner: None }
    }

    /// Checks under both rule sets.
    #[track_caller]
    fn check(group: &GroupFacts, signed: &SignedPrivateTransaction, want: Result<(), Denied>) {
        for rules in [Rules::Coterie, Rules::Besu] {
            assert_eq!(check_execution(rules, group, signed, group.version), want, "{rules}");
        }
    }

    #[test]
    fn founder_must_add_itself() {
        let new = GroupFacts::before_creation();
        check(&new, &managed(ALICE, &adding(&[ALICE, BOB])), Ok(()));
        check(&new, &managed(ALICE, &adding(&[BOB])), Err(Denied::NotAMember));
        check(&new, &managed(ALICE, &adding(&[])), Err(Denied::NotAMember));
        check(&new, &managed(ALICE, &ManagementCall::Unlock), Err(Denied::NotAMember));
        check(&new, &sent(ALICE, TxKind::Create, vec![]), Err(Denied::Locked));
    }

    #[test]
    fn naming_oneself_in_calldata_does_not_help_in_an_existing_group() {
        check(&group(true, &[BOB]), &managed(ALICE, &adding(&[ALICE])), Err(Denied::NotAMember));
    }

    #[test]
    fn members_are_added_only_while_locked() {
        check(&group(true, &[ALICE]), &managed(ALICE, &adding(&[BOB])), Ok(()));
        check(&group(false, &[ALICE]), &managed(ALICE, &adding(&[BOB])), Err(Denied::NotLocked));
    }

    #[test]
    fn a_locked_group_runs_management_calls_only() {
        let locked = group(true, &[ALICE]);
        check(&locked, &sent(ALICE, TxKind::Call(CONTRACT), vec![]), Err(Denied::Locked));
        check(&locked, &sent(ALICE, TxKind::Create, vec![]), Err(Denied::Locked));
        check(&locked, &managed(ALICE, &ManagementCall::Lock), Ok(()));
        check(&locked, &managed(ALICE, &ManagementCall::RemoveParticipant(BOB)), Ok(()));
        check(&group(false, &[ALICE]), &sent(ALICE, TxKind::Create, vec![]), Ok(()));
    }

    #[test]
    fn an_owner_contract_can_be_called_while_locked_under_coterie_rules() {
        let locked = GroupFacts { owner: Some(CONTRACT), ..group(true, &[ALICE]) };
        let call = sent(ALICE, TxKind::Call(CONTRACT), vec![]);
        assert_eq!(check_execution(Rules::Coterie, &locked, &call, VERSION), Ok(()));
        assert_eq!(check_execution(Rules::Besu, &locked, &call, VERSION), Err(Denied::Locked));
        let other = sent(ALICE, TxKind::Call(Address::ZERO), vec![]);
        check(&locked, &other, Err(Denied::Locked));
    }

    #[test]
    fn the_payload_names_the_groups_version() {
        let unlocked = group(false, &[ALICE]);
        let call = sent(ALICE, TxKind::Call(CONTRACT), vec![]);
        assert_eq!(
            check_execution(Rules::Coterie, &unlocked, &call, B256::ZERO),
            Err(Denied::Version)
        );
        check(&unlocked, &call, Ok(()));
    }

    #[test]
    fn a_stranger_is_told_nothing_of_the_group() {
        let call = sent(BOB, TxKind::Call(CONTRACT), vec![]);
        let add = managed(BOB, &adding(&[BOB]));
        for locked in [true, false] {
            for version in [VERSION, B256::ZERO] {
                for signed in [&call, &add] {
                    let group = group(locked, &[ALICE]);
                    assert_eq!(
                        check_execution(Rules::Coterie, &group, signed, version),
                        Err(Denied::NotAMember)
                    );
                }
            }
        }
    }

    #[test]
    fn the_older_abi_adds_under_coterie_rules_only() {
        let call = ManagementCall::AddParticipants32(vec![B256::repeat_byte(1)]);
        let founding = managed(ALICE, &call);
        let new = GroupFacts::before_creation();
        assert_eq!(check_execution(Rules::Coterie, &new, &founding, B256::ZERO), Ok(()));
        assert_eq!(
            check_execution(Rules::Besu, &new, &founding, B256::ZERO),
            Err(Denied::NotAMember)
        );
        assert!(!is_adding(Rules::Besu, &founding.transaction));
        assert_eq!(added_keys(Rules::Coterie, &founding.transaction), vec![ALICE]);
    }

    #[test]
    fn additions_are_calls_to_the_proxy() {
        let elsewhere = sent(ALICE, TxKind::Call(CONTRACT), adding(&[BOB]).encode());
        let cut = sent(ALICE, TxKind::Call(MANAGEMENT_PROXY), vec![0x96, 0x5a, 0x25, 0xef]);
        for rules in [Rules::Coterie, Rules::Besu] {
            assert!(!is_adding(rules, &elsewhere.transaction));
            assert!(added_keys(rules, &elsewhere.transaction).is_empty());
            assert!(is_adding(rules, &cut.transaction));
            assert!(added_keys(rules, &cut.transaction).is_empty());
        }
    }

    proptest! {
        #![proptest_config(strategies::config(128))]

        #[test]
        fn no_calldata_panics(
            input in strategies::nearly(
                proptest::collection::vec(strategies::enclave_key(), 0..4)
                    .prop_map(|keys| adding(&keys).encode())
            ),
            locked in any::<bool>(),
        ) {
            let signed = sent(ALICE, TxKind::Call(MANAGEMENT_PROXY), input);
            for rules in [Rules::Coterie, Rules::Besu] {
                let facts = GroupFacts { locked, ..GroupFacts::before_creation() };
                let _ = check_execution(rules, &facts, &signed, B256::ZERO);
            }
        }
    }
}
