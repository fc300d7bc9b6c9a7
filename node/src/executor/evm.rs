//! revm, made to run private transactions: no fees, no intrinsic gas, the address of a created
//! contract by the group, and public accounts that cannot be changed.
//!
//! A frame that would change a public account reverts with no data and keeps its gas, like a
//! `REVERT` of its own (protocol specification, 6.7). So nothing that private code does can
//! depend on, or pretend, a change of public state.

use std::marker::PhantomData;

use alloy_primitives::{Address, Bytes, U256};
use revm::{
    bytecode::opcode,
    context::{
        BlockEnv, CfgEnv, Context, ContextTr, FrameStack, Journal, Transaction, TxEnv,
        result::{EVMError, ExecutionResult, HaltReason},
    },
    context_interface::{
        CreateScheme, JournalTr, context::ContextError,
        journaled_state::account::JournaledAccountTr,
    },
    handler::{
        EthFrame, EthPrecompiles, EvmTr, FrameInitOrResult, FrameResult, Handler, ItemOrResult,
        MainBuilder, MainnetContext, MainnetEvm,
        evm::{ContextDbError, FrameInitResult},
        execution::create_init_frame,
        instructions::EthInstructions,
    },
    interpreter::{
        CallOutcome, CallValue, CreateInputs, CreateOutcome, FrameInput, Gas, GasTracker,
        InitialAndFloorGas, Instruction, InstructionContext, InstructionExecResult,
        InstructionResult, InstructionTable, InterpreterResult, SharedMemory, instructions::host,
        interpreter::EthInterpreter, interpreter_action::FrameInit, interpreter_types::InputsTr,
    },
    state::EvmState,
};

use super::{
    environment::Environment,
    view::{View, ViewError},
};

/// An EVM over a private state.
pub(super) struct PrivateEvm<'a> {
    inner: MainnetEvm<Evm<'a>>,
    /// The instructions of frames that run as a public account: those that write revert.
    protected: Box<InstructionTable<EthInterpreter, Evm<'a>>>,
}

type Evm<'a> = MainnetContext<View<'a>>;
type Step<'i, 'a> = InstructionContext<'i, Evm<'a>, EthInterpreter>;

impl<'a> PrivateEvm<'a> {
    pub(super) fn new(view: View<'a>, environment: &Environment, chain_id: u64) -> Self {
        let spec = environment.spec();
        let context: Evm<'a> =
            Context::<BlockEnv, TxEnv, CfgEnv, View<'a>, Journal<View<'a>>, ()>::new(view, spec)
                .with_block(environment.block.clone())
                .with_cfg(CfgEnv::new_with_spec(spec).with_chain_id(chain_id));
        let mut inner = context.build_mainnet();
        let table = inner.instruction.instruction_table_mut();
        replace(table, opcode::GASPRICE, Instruction::new(gas_price));
        replace(table, opcode::SELFDESTRUCT, Instruction::new(selfdestruct));
        let mut protected = Box::new(*inner.instruction.instruction_table());
        for writes in
            [opcode::SSTORE, opcode::TSTORE, opcode::CREATE, opcode::CREATE2, opcode::SELFDESTRUCT]
        {
            replace(&mut protected, writes, Instruction::new(refuse));
        }
        Self { inner, protected }
    }

    /// Runs a transaction, whose sender and gas price the view takes too. `created` is the address
    /// of the contract that a creation makes. The state that comes back is not applied. After an
    /// error the EVM can run another transaction.
    pub(super) fn run(
        &mut self,
        transaction: TxEnv,
        gas_price: U256,
        created: Option<Address>,
    ) -> Result<(ExecutionResult, EvmState), EVMError<ViewError>> {
        let view = self.view();
        view.sender = transaction.caller;
        view.gas_price = gas_price;
        view.read.clear();
        if let Some(recorder) = &mut view.recorder {
            recorder.clear();
        }
        self.inner.ctx.tx = transaction;
        let result = PrivateHandler { created, evm: PhantomData }.run(self);
        // Also after an error: this empties the journal.
        let state = self.inner.ctx.journaled_state.finalize();
        Ok((result?, state))
    }

    pub(super) fn view(&mut self) -> &mut View<'a> {
        &mut self.inner.ctx.journaled_state.database
    }
}

fn replace<'a>(
    table: &mut InstructionTable<EthInterpreter, Evm<'a>>,
    opcode: u8,
    instruction: Instruction<EthInterpreter, Evm<'a>>,
) {
    if let Some(place) = table.get_mut(usize::from(opcode)) {
        *place = instruction;
    }
}

/// Whether a loaded account is a public one. Its id came with it from the view.
fn is_public(context: &Evm<'_>, address: Address) -> bool {
    let account = context.journaled_state.inner.state.get(&address);
    account.is_some_and(|account| account.info.account_id.is_some() && !account.is_created())
}

/// The frame reverts without data and keeps its gas.
fn refuse(_: Step<'_, '_>) -> InstructionExecResult {
    Err(InstructionResult::Revert)
}

fn gas_price(step: Step<'_, '_>) -> InstructionExecResult {
    let price = step.host.journaled_state.database.gas_price;
    if step.interpreter.stack.push(price) { Ok(()) } else { Err(InstructionResult::StackOverflow) }
}

/// SELFDESTRUCT of a private contract: its beneficiary must not be a public account.
fn selfdestruct(step: Step<'_, '_>) -> InstructionExecResult {
    let target = step.interpreter.stack.data().last();
    let Some(target) = target.map(|target| Address::from_word((*target).into())) else {
        return host::selfdestruct(step);
    };
    match step.host.journaled_state.database.is_public_only(target) {
        Ok(true) => return Err(InstructionResult::Revert),
        Err(error) => {
            step.host.error = Err(ContextError::Db(error));
            return Err(InstructionResult::FatalExternalError);
        }
        Ok(false) => {}
    }
    let address = step.interpreter.input.target_address();
    let account = step.host.journaled_state.inner.state.get(&address);
    let balance = account.map_or(U256::ZERO, |account| account.info.balance);
    let InstructionContext { interpreter, host } = step;
    let ended = host::selfdestruct(InstructionContext { interpreter, host });
    if ended == Err(InstructionResult::SelfDestruct)
        && let Some(recorder) = &mut host.journaled_state.database.recorder
    {
        recorder.destroy(address, balance, target);
    }
    ended
}

fn reverted(gas_limit: u64, reservoir: u64) -> InterpreterResult {
    let gas = Gas::new_with_regular_gas_and_reservoir(gas_limit, reservoir);
    InterpreterResult::new(InstructionResult::Revert, Bytes::new(), gas)
}

impl<'a> PrivateEvm<'a> {
    /// Whether a creation would be at the address of a public account, for instance a funded one.
    fn creates_onto_public(
        &mut self,
        create: &CreateInputs,
    ) -> Result<bool, ContextDbError<Evm<'a>>> {
        let journal = &mut self.inner.ctx.journaled_state;
        let nonce = journal.load_account(create.caller())?.info.nonce;
        let address = create.created_address(nonce);
        journal.load_account(address)?;
        Ok(is_public(&self.inner.ctx, address))
    }

    /// A frame ended.
    fn left(&mut self, result: &FrameResult) {
        if let Some(recorder) = &mut self.view().recorder {
            recorder.leave(result);
        }
    }

    /// Begins a frame, or says how it ends at once.
    fn begin(
        &mut self,
        frame: FrameInit,
    ) -> Result<FrameInitResult<'_, EthFrame>, ContextDbError<Evm<'a>>> {
        match &frame.frame_input {
            FrameInput::Call(call) => {
                let moves = matches!(call.value, CallValue::Transfer(value) if !value.is_zero());
                let context = &self.inner.ctx;
                if moves
                    && (is_public(context, call.caller) || is_public(context, call.target_address))
                {
                    let result = reverted(call.gas_limit, call.reservoir);
                    let outcome = CallOutcome::new(result, call.return_memory_offset.clone());
                    return Ok(ItemOrResult::Result(FrameResult::Call(outcome)));
                }
            }
            FrameInput::Create(create) => {
                if self.creates_onto_public(create)? {
                    // As with any failed creation, the creator's nonce is used up.
                    self.inner.ctx.journaled_state.load_account_mut(create.caller())?.bump_nonce();
                    let result = reverted(create.gas_limit(), create.reservoir());
                    return Ok(ItemOrResult::Result(FrameResult::Create(CreateOutcome::new(
                        result, None,
                    ))));
                }
            }
            FrameInput::Empty => {}
        }
        self.inner.frame_init(frame)
    }
}

impl<'a> EvmTr for PrivateEvm<'a> {
    type Context = Evm<'a>;
    type Instructions = EthInstructions<EthInterpreter, Evm<'a>>;
    type Precompiles = EthPrecompiles;
    type Frame = EthFrame;

    fn all(&self) -> (&Evm<'a>, &Self::Instructions, &EthPrecompiles, &FrameStack<EthFrame>) {
        self.inner.all()
    }

    fn all_mut(
        &mut self,
    ) -> (&mut Evm<'a>, &mut Self::Instructions, &mut EthPrecompiles, &mut FrameStack<EthFrame>)
    {
        self.inner.all_mut()
    }

    fn frame_init(
        &mut self,
        frame: FrameInit,
    ) -> Result<FrameInitResult<'_, EthFrame>, ContextDbError<Evm<'a>>> {
        let Context { journaled_state, local, .. } = &mut self.inner.ctx;
        if let Some(recorder) = &mut journaled_state.database.recorder {
            recorder.enter(&frame.frame_input, || match &frame.frame_input {
                FrameInput::Call(call) => call.input.bytes_local(local),
                FrameInput::Create(_) | FrameInput::Empty => Bytes::new(),
            });
        }
        let ended = match self.begin(frame)? {
            ItemOrResult::Item(_) => None,
            ItemOrResult::Result(result) => Some(result),
        };
        match ended {
            None => Ok(ItemOrResult::Item(self.inner.frame_stack.get())),
            Some(result) => {
                self.left(&result);
                Ok(ItemOrResult::Result(result))
            }
        }
    }

    fn frame_run(&mut self) -> Result<FrameInitOrResult<EthFrame>, ContextDbError<Evm<'a>>> {
        let evm = &mut self.inner;
        let frame = evm.frame_stack.get();
        let table = if is_public(&evm.ctx, frame.interpreter.input.target_address()) {
            &self.protected
        } else {
            evm.instruction.instruction_table()
        };
        let action = frame.interpreter.run_plain(table, evm.instruction.gas_table(), &mut evm.ctx);
        let next: Result<_, ContextDbError<Evm<'a>>> =
            frame.process_next_action(&mut evm.ctx, action);
        if let Ok(ItemOrResult::Result(result)) = &next {
            frame.set_finished(true);
            self.left(result);
        }
        next
    }

    fn frame_return_result(
        &mut self,
        result: FrameResult,
    ) -> Result<Option<FrameResult>, ContextDbError<Evm<'a>>> {
        self.inner.frame_return_result(result)
    }
}

/// Besides what it overrides, the mainnet's way to run a transaction.
struct PrivateHandler<'a> {
    /// Where the contract goes that a creation makes.
    created: Option<Address>,
    evm: PhantomData<PrivateEvm<'a>>,
}

impl<'a> Handler for PrivateHandler<'a> {
    type Evm = PrivateEvm<'a>;
    type Error = EVMError<ViewError>;
    type HaltReason = HaltReason;

    /// The checks that count were made before. No intrinsic gas: this also by-passes the chain's
    /// limit of a transaction's gas (EIP-7825).
    fn validate(&self, evm: &mut PrivateEvm<'a>) -> Result<InitialAndFloorGas, Self::Error> {
        let (_, transaction, _, journal, _, _) = evm.ctx().all_mut();
        let mut caller = journal.load_account_with_code_mut(transaction.caller())?.data;
        if transaction.kind().is_call() {
            caller.bump_nonce();
        } else {
            // Creations bump it themselves.
            caller.touch();
        }
        Ok(InitialAndFloorGas::new(0, 0))
    }

    fn first_frame_input(
        &mut self,
        evm: &mut PrivateEvm<'a>,
        gas: &mut GasTracker,
    ) -> Result<Option<FrameInit>, Self::Error> {
        let context = evm.ctx_mut();
        let memory = SharedMemory::new_with_buffer(context.local.shared_memory_buffer.clone());
        let Some(mut frame_input) = create_init_frame(context, gas)? else { return Ok(None) };
        if let (FrameInput::Create(create), Some(address)) = (&mut frame_input, self.created) {
            create.set_scheme(CreateScheme::Custom { address });
        }
        Ok(Some(FrameInit { depth: 0, memory, frame_input }))
    }

    fn reimburse_caller(
        &self,
        _: &mut PrivateEvm<'a>,
        _: &mut FrameResult,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    fn reward_beneficiary(
        &self,
        _: &mut PrivateEvm<'a>,
        _: &mut FrameResult,
    ) -> Result<(), Self::Error> {
        Ok(())
    }
}
