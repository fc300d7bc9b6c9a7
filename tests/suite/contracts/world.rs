//! An EVM that holds one group and a few accounts.

use crate::artifacts::creation_code;
use alloy_primitives::{Address, B256, Bytes, Log, TxKind, U256, address};
use alloy_sol_types::{Revert, SolCall, SolError as _, SolEvent, SolValue as _, sol};
use coterie_core::{
    contracts::management_genesis,
    management::{MANAGEMENT_DEFAULT, MANAGEMENT_PROXY},
};
use revm::{
    Context, ExecuteCommitEvm as _, MainBuilder as _, MainContext as _,
    context::{BlockEnv, TxEnv, result::ExecutionResult},
    database::InMemoryDB,
    primitives::hardfork::SpecId,
    state::{AccountInfo, Bytecode},
};

sol! {
    /// The ABI of clients since 2022.
    interface Management {
        event ParticipantAdded(bool success, bytes publicEnclaveKey, string message);
        event ParticipantRemoved(bytes publicEnclaveKey);
        event Upgraded(address indexed implementation);
        event OwnershipTransferStarted(address indexed previousOwner, address indexed newOwner);
        event OwnershipTransferred(address indexed previousOwner, address indexed newOwner);

        function addParticipants(bytes[] publicEnclaveKeys) returns (bool);
        function removeParticipant(bytes publicEnclaveKey) returns (bool);
        function getParticipants() returns (bytes[]);
        function lock();
        function unlock();
        function canExecute() returns (bool);
        function getVersion() returns (bytes32);
        function canUpgrade() returns (bool);
        function upgradeTo(address implementation);
        function implementation() returns (address);

        function members() returns (bytes[]);
        function definition() returns (bytes32);
        function membersMax() returns (uint256);
        function owner() returns (address);
        function pendingOwner() returns (address);
        function transferOwnership(address newOwner);
        function acceptOwnership();
    }

    /// What differs in the older ABI, which web3js-quorum 22.4.0 uses.
    interface OldManagement {
        event ParticipantAdded(bool success, bytes32 publicEnclaveKey, string message);
        event ParticipantRemoved(bytes32 publicEnclaveKey);

        function addParticipants(bytes32[] publicEnclaveKeys) returns (bool);
        function removeParticipant(bytes32 publicEnclaveKey) returns (bool);
        function getParticipants() returns (bytes32[]);
    }

    interface Forwarder {
        function forward(address target, bytes data) returns (bytes);
    }

    interface Council {
        function vote(address target, bytes data) returns (bool);
    }
}

/// Makes the group and owns it.
pub(crate) const OWNER: Address = address!("a000000000000000000000000000000000000001");
/// Somebody else with an account in the group.
pub(crate) const STRANGER: Address = address!("a000000000000000000000000000000000000002");
/// A third account.
pub(crate) const THIRD: Address = address!("a000000000000000000000000000000000000003");

/// The definition hash of the group's genesis.
pub(crate) const DEFINITION: B256 = B256::repeat_byte(0xde);

/// The text that everybody but the owner gets.
pub(crate) const NOT_OWNER: &str = "Origin not the owner.";

const GAS: u64 = 100_000_000;

/// The `n`th enclave key.
pub(crate) fn key(n: u8) -> B256 {
    B256::repeat_byte(n)
}

/// A call that adds keys in the ABI of today.
pub(crate) fn add(keys: &[B256]) -> Management::addParticipantsCall {
    Management::addParticipantsCall { publicEnclaveKeys: bytes_list(keys) }
}

/// The same in the older ABI.
pub(crate) fn add_old(keys: &[B256]) -> OldManagement::addParticipantsCall {
    OldManagement::addParticipantsCall { publicEnclaveKeys: keys.to_vec() }
}

/// A call that removes a key in the ABI of today.
pub(crate) fn remove(key: B256) -> Management::removeParticipantCall {
    Management::removeParticipantCall { publicEnclaveKey: key.to_vec().into() }
}

/// The same in the older ABI.
pub(crate) fn remove_old(key: B256) -> OldManagement::removeParticipantCall {
    OldManagement::removeParticipantCall { publicEnclaveKey: key }
}

/// Keys as the ABI's `bytes[]`.
pub(crate) fn bytes_list(keys: &[B256]) -> Vec<Bytes> {
    keys.iter().map(|key| key.to_vec().into()).collect()
}

/// What a call came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) success: bool,
    pub(crate) output: Bytes,
    pub(crate) logs: Vec<Log>,
    pub(crate) gas: u64,
}

impl Answer {
    /// The return value of a successful call.
    #[track_caller]
    pub(crate) fn returns<C: SolCall>(&self) -> C::Return {
        assert!(self.success, "{self:?}");
        C::abi_decode_returns(&self.output).expect("an answer in shape")
    }

    /// Checks that the call failed with this text.
    #[track_caller]
    pub(crate) fn fails_with(&self, reason: &str) {
        assert!(!self.success, "succeeded instead of: {reason}");
        let revert = Revert::abi_decode(&self.output).expect("Error(string)");
        assert_eq!(revert.reason, reason);
    }

    /// Checks that the call failed without any data.
    #[track_caller]
    pub(crate) fn fails_silently(&self) {
        assert!(!self.success, "succeeded");
        assert_eq!(self.output, Bytes::new());
    }

    /// The logs, all of which must be this event of the proxy.
    #[track_caller]
    pub(crate) fn events<E: SolEvent>(&self) -> Vec<E> {
        let decode = |log: &Log| {
            assert_eq!(log.address, MANAGEMENT_PROXY);
            E::decode_log_validate(log).expect("another event").data
        };
        self.logs.iter().map(decode).collect()
    }
}

/// The state of one group.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) db: InMemoryDB,
    spec: SpecId,
    block: u64,
}

impl World {
    /// A group's genesis under the rules of `spec`.
    pub(crate) fn genesis(spec: SpecId, members_max: u32) -> Self {
        let mut db = InMemoryDB::default();
        for account in management_genesis(DEFINITION, members_max) {
            let info = AccountInfo {
                nonce: account.nonce,
                balance: account.balance,
                ..AccountInfo::from_bytecode(Bytecode::new_raw(account.code))
            };
            db.insert_account_info(account.address, info);
            for (slot, value) in account.storage {
                let Ok(()) = db.insert_account_storage(account.address, slot, value);
            }
        }
        Self { db, spec, block: 1 }
    }

    /// A genesis for tests that do not depend on the fork.
    pub(crate) fn empty() -> Self {
        Self::genesis(SpecId::PRAGUE, 1_000)
    }

    /// A group that `OWNER` made of these members.
    pub(crate) fn group(members: &[B256]) -> Self {
        let mut world = Self::empty();
        assert!(world.send(OWNER, &add(members)).success);
        world
    }

    /// The same, made with the older ABI.
    pub(crate) fn old_group(members: &[B256]) -> Self {
        let mut world = Self::empty();
        assert!(world.send(OWNER, &add_old(members)).success);
        world
    }

    /// Executes a call of the proxy, in a block of its own.
    pub(crate) fn send<C: SolCall>(&mut self, from: Address, call: &C) -> Answer {
        self.send_raw(from, TxKind::Call(MANAGEMENT_PROXY), call.abi_encode().into())
    }

    /// Executes a call of any contract.
    pub(crate) fn send_to<C: SolCall>(&mut self, from: Address, to: Address, call: &C) -> Answer {
        self.send_raw(from, TxKind::Call(to), call.abi_encode().into())
    }

    /// Executes a transaction.
    pub(crate) fn send_raw(&mut self, from: Address, to: TxKind, data: Bytes) -> Answer {
        self.execute(from, to, data, U256::ZERO)
    }

    /// Executes a transaction that carries value.
    pub(crate) fn execute(
        &mut self,
        from: Address,
        to: TxKind,
        data: Bytes,
        value: U256,
    ) -> Answer {
        self.block += 1;
        let block = BlockEnv { number: U256::from(self.block), ..BlockEnv::default() };
        let tx = TxEnv {
            caller: from,
            kind: to,
            data,
            value,
            gas_limit: GAS,
            chain_id: None,
            ..TxEnv::default()
        };
        let mut evm = Context::mainnet()
            .with_db(&mut self.db)
            .with_block(block)
            .modify_cfg_chained(|cfg| {
                cfg.set_spec_and_mainnet_gas_params(self.spec);
                cfg.disable_nonce_check = true;
                cfg.tx_gas_limit_cap = Some(u64::MAX);
            })
            .build_mainnet();
        let result = evm.transact_commit(tx).expect("a valid transaction");
        let (success, gas) = (result.is_success(), result.tx_gas_used());
        match result {
            ExecutionResult::Success { logs, output, .. } => {
                Answer { success, output: output.into_data(), logs, gas }
            }
            ExecutionResult::Revert { output, .. } => {
                Answer { success, output, logs: Vec::new(), gas }
            }
            ExecutionResult::Halt { reason, .. } => panic!("halted: {reason:?}"),
        }
    }

    /// Asks the proxy without changing anything, as nobody in particular.
    #[track_caller]
    pub(crate) fn ask<C: SolCall>(&self, call: &C) -> C::Return {
        self.ask_as(Address::ZERO, call)
    }

    /// Asks the proxy as somebody.
    #[track_caller]
    pub(crate) fn ask_as<C: SolCall>(&self, from: Address, call: &C) -> C::Return {
        self.clone().send(from, call).returns::<C>()
    }

    /// The raw answer of `getParticipants()`.
    pub(crate) fn participants(&self) -> Bytes {
        self.clone().send(Address::ZERO, &Management::getParticipantsCall {}).output
    }

    /// The members, checked to be keys of 32 bytes.
    #[track_caller]
    pub(crate) fn members(&self) -> Vec<B256> {
        let keys = self.ask(&Management::membersCall {});
        keys.iter().map(|key| B256::try_from(key.as_ref()).expect("32 bytes")).collect()
    }

    /// The version.
    #[track_caller]
    pub(crate) fn version(&self) -> B256 {
        self.ask(&Management::getVersionCall {})
    }

    /// Whether the group is unlocked.
    #[track_caller]
    pub(crate) fn can_execute(&self) -> bool {
        self.ask(&Management::canExecuteCall {})
    }

    /// Puts a contract of `tests/contracts` into the state.
    #[track_caller]
    pub(crate) fn deploy(&mut self, creation_code: Bytes) -> Address {
        let nonce = self.db.load_account(THIRD).expect("never fails").info.nonce;
        assert!(self.send_raw(THIRD, TxKind::Create, creation_code).success);
        THIRD.create(nonce)
    }

    /// A council of these voters as a contract.
    pub(crate) fn deploy_council(&mut self, voters: &[Address], threshold: u64) -> Address {
        let arguments = (voters.to_vec(), U256::from(threshold)).abi_encode_params();
        self.deploy([creation_code("Council").as_ref(), &arguments].concat().into())
    }
}

/// The default management contract, called without the proxy.
pub(crate) const DEFAULT: Address = MANAGEMENT_DEFAULT;
