//! Private transactions of a made-up group over a made-up public chain.

mod checks;
mod limits;
mod protection;
mod trace;
mod world;

use std::collections::BTreeMap;

use alloy_primitives::{Signature, TxKind, keccak256};
use coterie_core::{
    EnclaveKey, PayloadKey, PrivateTransaction, Recipients, Restriction, SignedPrivateTransaction,
    definition::Activation,
    management::{MANAGEMENT_PROXY, ManagementCall},
};

use super::*;
use crate::{
    chain::{BlockRef, PublicAccount, PublicValue},
    state::{BlockCommit, GroupBlock, GroupCommit, State, StateOptions},
    store::MemoryStore,
};

const GROUP: GroupId = GroupId(B256::repeat_byte(0x61));
const ALICE: EnclaveKey = EnclaveKey::Nacl([1; 32]);
const BOB: EnclaveKey = EnclaveKey::Nacl([2; 32]);
/// The account that creates the group, and another one.
const OWNER: Address = Address::repeat_byte(0x0e);
const USER: Address = Address::repeat_byte(0x05);

/// Assembles opcodes by name, bytes to push as hex, `:label` and `@label`.
fn asm(source: &str) -> Bytes {
    const OPCODES: &str = "STOP 00 ADD 01 SUB 03 LT 10 EQ 14 SHR 1c SHA3 20 ADDRESS 30 BALANCE 31 CALLER 33 \
        CALLDATALOAD 35 CALLDATASIZE 36 CALLDATACOPY 37 CODESIZE 38 CODECOPY 39 GASPRICE 3a RETURNDATASIZE 3d \
        RETURNDATACOPY 3e BLOCKHASH 40 COINBASE 41 TIMESTAMP 42 NUMBER 43 PREVRANDAO 44 GASLIMIT 45 CHAINID 46 \
        SELFBALANCE 47 BASEFEE 48 POP 50 MSTORE 52 SLOAD 54 SSTORE 55 JUMP 56 JUMPI 57 GAS 5a TSTORE 5d \
        PUSH0 5f DUP1 80 DUP2 81 SWAP1 90 LOG0 a0 CREATE f0 CALL f1 RETURN f3 DELEGATECALL f4 CREATE2 f5 \
        STATICCALL fa REVERT fd INVALID fe SELFDESTRUCT ff";
    let words: Vec<_> = OPCODES.split_whitespace().collect();
    let opcodes: BTreeMap<_, _> = words.chunks(2).map(|pair| (pair[0], pair[1])).collect();
    let (mut code, mut labels, mut fixes) = (Vec::new(), BTreeMap::new(), Vec::new());
    for word in source.split_whitespace() {
        if let Some(label) = word.strip_prefix(':') {
            labels.insert(label, u16::try_from(code.len()).unwrap());
            code.push(0x5b);
        } else if let Some(label) = word.strip_prefix('@') {
            fixes.push((code.len() + 1, label));
            code.extend([0x61, 0, 0]);
        } else {
            let opcode =
                opcodes.get(word).map(|hex| alloy_primitives::hex::decode(hex).unwrap()[0]);
            code.extend(opcode.map_or_else(
                || {
                    let bytes = alloy_primitives::hex::decode(word).unwrap();
                    [vec![0x5f + u8::try_from(bytes.len()).unwrap()], bytes].concat()
                },
                |opcode| vec![opcode],
            ));
        }
    }
    for (place, label) in fixes {
        code[place..place + 2].copy_from_slice(&labels[label].to_be_bytes());
    }
    code.into()
}

/// Returns the stack's top word.
const RETURN_TOP: &str = "PUSH0 MSTORE 20 PUSH0 RETURN";

/// Init code that deploys `runtime`.
fn deploys(runtime: &[u8]) -> Bytes {
    let length = format!("{:04x}", runtime.len());
    // The runtime follows 14 bytes of code.
    let init = asm(&format!("{length} 000e PUSH0 CODECOPY {length} PUSH0 RETURN STOP"));
    assert_eq!(init.len(), 14);
    [&init[..], runtime].concat().into()
}

/// Calls the address in the first word of the calldata with the value in the second, and returns
/// whether it succeeded, how long its answer was, and the first word of the answer.
const FORWARD: &str = "20 40 PUSH0 PUSH0 20 CALLDATALOAD PUSH0 CALLDATALOAD GAS CALL \
    PUSH0 MSTORE RETURNDATASIZE 20 MSTORE 60 PUSH0 RETURN";

/// Calldata for [`FORWARD`].
fn forward(to: Address, value: u64) -> Vec<u8> {
    [to.into_word(), word(U256::from(value))].concat()
}

fn word(value: U256) -> B256 {
    B256::from(value)
}

fn at(byte: u8) -> Address {
    Address::repeat_byte(byte)
}

/// A public chain of one state.
#[derive(Clone, Debug, Default)]
struct Public {
    accounts: BTreeMap<Address, PublicAccount>,
    slots: BTreeMap<(Address, U256), U256>,
}

impl Public {
    fn with(mut self, address: Address, code: &str) -> Self {
        let account = PublicAccount { nonce: 1, balance: U256::from(50), code: asm(code) };
        self.accounts.insert(address, account);
        self
    }

    fn answer(&self, read: PublicRead) -> PublicValue {
        match read {
            PublicRead::Account(address) => {
                let nobody = PublicAccount { nonce: 0, balance: U256::ZERO, code: Bytes::new() };
                PublicValue::Account(self.accounts.get(&address).cloned().unwrap_or(nobody))
            }
            PublicRead::Slot(address, slot) => {
                PublicValue::Slot(self.slots.get(&(address, slot)).copied().unwrap_or_default())
            }
            PublicRead::BlockHash(number) => PublicValue::BlockHash(word(U256::from(number))),
        }
    }
}

fn definition() -> NetworkDefinition {
    NetworkDefinition {
        forks: vec![(Fork::Osaka, Activation::Block(0))],
        private_gas_cap: 30_000_000,
        public_reads_max: 100,
        ..NetworkDefinition::coterie("test", 1337, contracts::CODE_HASHES)
    }
}

fn contract(address: Address, balance: u64, code: &str) -> GenesisAccount {
    GenesisAccount {
        address,
        nonce: 1,
        balance: U256::from(balance),
        code: asm(code),
        storage: Vec::new(),
    }
}

fn header(number: u64) -> Header {
    Header {
        number,
        hash: word(U256::from(number)),
        parent_hash: word(U256::from(number - 1)),
        timestamp: 1_700_000_000 + number,
        beneficiary: at(0xc0),
        gas_limit: 30_000_000,
        base_fee: Some(7),
        difficulty: U256::ZERO,
        mix_hash: B256::repeat_byte(0x3a),
        excess_blob_gas: Some(0),
    }
}

fn transaction(nonce: u64, to: TxKind, input: impl Into<Bytes>) -> PrivateTransaction {
    PrivateTransaction {
        nonce,
        gas_price: U256::from(1_000),
        gas_limit: 21_000,
        to,
        value: U256::ZERO,
        input: input.into(),
        chain_id: Some(1337),
        private_from: ALICE,
        recipients: Recipients::Group(GROUP),
        restriction: Restriction::Restricted,
    }
}

fn prepared(sender: Address, version: B256, transaction: PrivateTransaction) -> Prepared {
    let signature = Signature::new(U256::ONE, U256::ONE, false);
    let signature_hash = transaction.signature_hash();
    Prepared {
        key: PayloadKey(signature_hash),
        transaction: SignedPrivateTransaction { transaction, signature, signature_hash },
        version,
        group: GROUP,
        sender: Some(sender),
    }
}

/// A group with its state, and the block that is being executed.
struct Scene {
    executor: Executor,
    state: State,
    public: Public,
    reads: PublicReads,
    /// What was asked for, in order.
    asked: Vec<PublicRead>,
    execution: GroupExecution,
    header: Header,
}

impl Scene {
    /// Before the group's creation.
    fn empty(definition: NetworkDefinition, public: Public) -> Self {
        let genesis = Genesis::of(&definition);
        let executor = Executor::new(Arc::new(definition), genesis).unwrap();
        let state = State::open(Arc::new(MemoryStore::new()), StateOptions::default()).unwrap();
        let header = header(1);
        let execution = executor.begin(GROUP, state.group_snapshot(GROUP), &header);
        Self {
            executor,
            state,
            public,
            reads: PublicReads::new(),
            asked: Vec::new(),
            execution,
            header,
        }
    }

    /// With the group created by OWNER, with ALICE as its member, and the given genesis contracts.
    fn new(contracts: Vec<GenesisAccount>, public: Public) -> Self {
        Self::with(NetworkDefinition { genesis_accounts: contracts, ..definition() }, public)
    }

    fn with(definition: NetworkDefinition, public: Public) -> Self {
        let mut scene = Self::empty(definition, public);
        let done = scene.manage(ManagementCall::AddParticipants(vec![ALICE]));
        assert_eq!((done.reason, &done.after.members), (Reason::Executed, &vec![ALICE]));
        scene
    }

    fn manage(&mut self, call: ManagementCall) -> Execution {
        self.send(OWNER, TxKind::Call(MANAGEMENT_PROXY), call.encode())
    }

    /// Sends what will be valid, and executes it.
    fn send(&mut self, sender: Address, to: TxKind, input: impl Into<Bytes>) -> Execution {
        let facts = self.facts();
        let nonce = self.nonce(sender);
        self.execute(&prepared(sender, facts.version, transaction(nonce, to, input)))
    }

    fn call(&mut self, to: Address, input: impl Into<Bytes>) -> Execution {
        self.send(USER, TxKind::Call(to), input)
    }

    /// Executes, fetching what is asked for.
    fn execute(&mut self, prepared: &Prepared) -> Execution {
        loop {
            match self.execution.execute(prepared, &self.reads) {
                Ok(execution) => return execution,
                Err(Fault::Missing(read)) => self.fetch(read),
                Err(fault) => panic!("{fault}"),
            }
        }
    }

    fn fetch(&mut self, read: PublicRead) {
        assert!(!self.reads.contains(&read), "{read:?} asked for twice");
        self.asked.push(read);
        self.reads.insert(read, self.public.answer(read));
    }

    fn facts(&mut self) -> Arc<GroupFacts> {
        self.execution.facts(&self.reads).unwrap()
    }

    fn nonce(&mut self, address: Address) -> u64 {
        self.execution.nonce(address).unwrap()
    }

    /// Ends the block and begins the next one; the root.
    fn next_block(&mut self) -> B256 {
        let next = header(self.header.number + 1);
        let begun = self.executor.begin(GROUP, self.state.snapshot(EMPTY_ROOT), &next);
        let header = std::mem::replace(&mut self.header, next);
        let changes = std::mem::replace(&mut self.execution, begun).finish();
        let snapshot = self.state.group_snapshot(GROUP).apply(&changes).unwrap();
        let (root, block) =
            (snapshot.root(), BlockRef { number: header.number, hash: header.hash });
        let record = GroupBlock {
            block,
            root,
            digest: B256::ZERO,
            counted: 0,
            created: block,
            markers: Vec::new(),
        };
        let facts = Arc::new(GroupFacts::before_creation());
        let groups = vec![GroupCommit { group: GROUP, record, snapshot: Some(snapshot), facts }];
        let commit = BlockCommit {
            header,
            groups,
            receipts: Vec::new(),
            decisions: Vec::new(),
            meta: Vec::new(),
        };
        self.state.commit(commit).unwrap();
        self.execution = self.executor.begin(GROUP, self.state.group_snapshot(GROUP), &self.header);
        self.reads = PublicReads::new();
        root
    }

    /// The state after all so far.
    fn snapshot(mut self) -> Snapshot {
        let root = self.next_block();
        self.state.snapshot(root)
    }
}

/// The words of an output.
fn words(output: &[u8]) -> Vec<U256> {
    output.chunks(32).map(U256::from_be_slice).collect()
}

fn number(execution: &Execution) -> u64 {
    assert_eq!((execution.reason, execution.output.len()), (Reason::Executed, 32), "{execution:?}");
    words(&execution.output)[0].to()
}
