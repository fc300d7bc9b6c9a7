//! The frames of an execution, as they are entered and left: what `priv_traceTransaction` tells.
//!
//! Flat, in the order in which frames begin, each with its place in the tree; calls of precompiles
//! that move no value are left out, except as a transaction. That is the form of `trace_transaction`
//! (the OpenEthereum trace module); names and texts are made elsewhere.

use alloy_primitives::{Address, Bytes, U256};
use revm::{
    handler::FrameResult,
    interpreter::{
        CallScheme, CallValue, CreateInputs, FrameInput, InstructionResult, InterpreterResult,
    },
};

/// Limits of one recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceLimits {
    /// Frames.
    pub frames_max: usize,
    /// Bytes of inputs, outputs and places, together.
    pub bytes_max: usize,
}

impl Default for TraceLimits {
    fn default() -> Self {
        Self { frames_max: 10_000, bytes_max: 8 << 20 }
    }
}

/// What happened in one frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceFrame {
    /// What was tried.
    pub action: TraceAction,
    /// How it ended.
    pub end: TraceEnd,
    /// Gas that it used, with the frames below it.
    pub gas_used: u64,
    /// How many frames are right below it.
    pub subtraces: u32,
    /// The way to it: the position among its siblings, from the top down.
    pub place: Vec<u32>,
}

/// What a frame tries to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TraceAction {
    /// A call.
    Call {
        /// Which instruction.
        kind: CallKind,
        /// Who calls; with delegation, the contract that delegates.
        from: Address,
        /// Whose code runs.
        to: Address,
        /// The value that the callee sees.
        value: U256,
        /// Gas that it has.
        gas: u64,
        /// Call data.
        input: Bytes,
    },
    /// A creation.
    Create {
        /// Who creates.
        from: Address,
        /// The value that comes with it.
        value: U256,
        /// Gas that it has.
        gas: u64,
        /// Creation code.
        init: Bytes,
    },
    /// SELFDESTRUCT.
    Destroy {
        /// Which contract.
        address: Address,
        /// What it held.
        balance: U256,
        /// Who is given it.
        beneficiary: Address,
    },
}

/// The instruction of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallKind {
    /// CALL, or a transaction.
    Call,
    /// CALLCODE.
    CallCode,
    /// DELEGATECALL.
    DelegateCall,
    /// STATICCALL.
    StaticCall,
}

/// How a frame ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TraceEnd {
    /// It has not; nobody sees this.
    Running,
    /// A call returned this.
    Returned(Bytes),
    /// A contract is there, with this code.
    Created(Address, Bytes),
    /// The contract is marked.
    Destroyed,
    /// It changed nothing, and gave this back.
    Reverted(Bytes),
    /// It changed nothing, and its gas is used up.
    Failed(TraceFailure),
}

/// Why a frame failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceFailure {
    /// Out of gas.
    OutOfGas,
    /// An instruction that is none, or not yet.
    BadInstruction,
    /// A jump to where none may go.
    BadJump,
    /// Too few items on the stack.
    StackUnderflow,
    /// Too many.
    StackOverflow,
    /// Too many frames in each other.
    TooDeep,
    /// The caller has less than it would give.
    OutOfFunds,
    /// A change in a static call.
    StaticChange,
    /// A precompile failed.
    Precompile,
    /// There is a contract at the new one's address.
    Collision,
    /// Code that may not be deployed, or is too large.
    BadCode,
    /// Public state did not answer, or more of it was read than is allowed; anything else.
    Other,
}

/// All frames of an execution; `None` when there were more than the limits allow.
pub type Trace = Option<Vec<TraceFrame>>;

/// Records frames.
#[derive(Debug)]
pub(super) struct Recorder {
    limits: TraceLimits,
    frames: Vec<TraceFrame>,
    /// The open frames, by index.
    open: Vec<usize>,
    bytes: usize,
    overflown: bool,
}

impl Recorder {
    pub(super) const fn new(limits: TraceLimits) -> Self {
        Self { limits, frames: Vec::new(), open: Vec::new(), bytes: 0, overflown: false }
    }

    /// Forgets everything: the execution begins again.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.limits);
    }

    pub(super) fn finish(mut self) -> Trace {
        // An execution that public state ended left its frames open.
        for index in self.open {
            if let Some(frame) = self.frames.get_mut(index) {
                frame.end = TraceEnd::Failed(TraceFailure::Other);
            }
        }
        (!self.overflown).then_some(self.frames)
    }

    /// A call begins. `input` is asked for only when it is kept.
    pub(super) fn enter(&mut self, frame: &FrameInput, input: impl FnOnce() -> Bytes) {
        match frame {
            FrameInput::Call(call) => {
                let (kind, delegates) = match call.scheme {
                    CallScheme::Call => (CallKind::Call, false),
                    CallScheme::CallCode => (CallKind::CallCode, true),
                    CallScheme::DelegateCall => (CallKind::DelegateCall, true),
                    CallScheme::StaticCall => (CallKind::StaticCall, false),
                };
                let (CallValue::Transfer(value) | CallValue::Apparent(value)) = call.value;
                let from = if delegates { call.target_address } else { call.caller };
                let (to, gas) = (call.bytecode_address, call.gas_limit);
                self.begin(|| TraceAction::Call { kind, from, to, value, gas, input: input() });
            }
            FrameInput::Create(create) => self.begin(|| creation(create)),
            FrameInput::Empty => {}
        }
    }

    /// The frame that was entered last and not left yet ends.
    pub(super) fn leave(&mut self, result: &FrameResult) {
        if self.overflown {
            return;
        }
        let Some(index) = self.open.pop() else { return };
        let deep = !self.open.is_empty();
        let (result, created, precompile) = match result {
            FrameResult::Call(call) => (&call.result, None, call.was_precompile_called),
            FrameResult::Create(create) => (&create.result, create.address, false),
        };
        let Some(frame) = self.frames.get_mut(index) else { return };
        let moves_nothing =
            matches!(&frame.action, TraceAction::Call { value, .. } if value.is_zero());
        if precompile && moves_nothing && deep {
            self.frames.truncate(index);
            let parent = self.open.last().and_then(|parent| self.frames.get_mut(*parent));
            if let Some(parent) = parent {
                parent.subtraces -= 1;
            }
            return;
        }
        let creates = matches!(frame.action, TraceAction::Create { .. });
        frame.end = end(result, created.filter(|_| creates));
        let spends_all = result.result.is_halt();
        frame.gas_used = if spends_all { result.gas.limit() } else { result.gas.total_gas_spent() };
        self.count(result.output.len());
    }

    /// A contract destroyed itself.
    pub(super) fn destroy(&mut self, address: Address, balance: U256, beneficiary: Address) {
        self.begin(|| TraceAction::Destroy { address, balance, beneficiary });
        if let Some(frame) = self.open.pop().and_then(|index| self.frames.get_mut(index)) {
            frame.end = TraceEnd::Destroyed;
        }
    }

    fn begin(&mut self, action: impl FnOnce() -> TraceAction) {
        self.overflown |= self.frames.len() >= self.limits.frames_max;
        if self.overflown {
            return;
        }
        let parent = self.open.last().and_then(|parent| self.frames.get_mut(*parent));
        let place = parent.map_or_else(Vec::new, |parent| {
            let place = parent.place.iter().copied().chain([parent.subtraces]).collect();
            parent.subtraces += 1;
            place
        });
        let action = action();
        let data = match &action {
            TraceAction::Call { input, .. } => input.len(),
            TraceAction::Create { init, .. } => init.len(),
            TraceAction::Destroy { .. } => 0,
        };
        self.count(data + place.len() * size_of::<u32>());
        self.open.push(self.frames.len());
        let end = TraceEnd::Running;
        self.frames.push(TraceFrame { action, end, gas_used: 0, subtraces: 0, place });
    }

    fn count(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > self.limits.bytes_max {
            // Nothing of it will be shown.
            self.overflown = true;
            self.frames = Vec::new();
            self.open = Vec::new();
        }
    }
}

fn creation(create: &CreateInputs) -> TraceAction {
    TraceAction::Create {
        from: create.caller(),
        value: create.value(),
        gas: create.gas_limit(),
        init: create.init_code().clone(),
    }
}

fn end(result: &InterpreterResult, created: Option<Address>) -> TraceEnd {
    use InstructionResult as Code;
    let failure = match result.result {
        Code::Stop | Code::Return | Code::SelfDestruct => {
            let output = result.output.clone();
            return created.map_or_else(
                || TraceEnd::Returned(output.clone()),
                |address| TraceEnd::Created(address, output.clone()),
            );
        }
        Code::Revert => return TraceEnd::Reverted(result.output.clone()),
        Code::CallTooDeep => TraceFailure::TooDeep,
        Code::OutOfFunds | Code::OverflowPayment => TraceFailure::OutOfFunds,
        Code::OutOfGas
        | Code::MemoryOOG
        | Code::MemoryLimitOOG
        | Code::PrecompileOOG
        | Code::InvalidOperandOOG
        | Code::ReentrancySentryOOG => TraceFailure::OutOfGas,
        Code::OpcodeNotFound
        | Code::InvalidFEOpcode
        | Code::NotActivated
        | Code::InvalidImmediateEncoding => TraceFailure::BadInstruction,
        Code::InvalidJump => TraceFailure::BadJump,
        Code::StackUnderflow => TraceFailure::StackUnderflow,
        Code::StackOverflow => TraceFailure::StackOverflow,
        Code::CallNotAllowedInsideStatic | Code::StateChangeDuringStaticCall => {
            TraceFailure::StaticChange
        }
        Code::PrecompileError => TraceFailure::Precompile,
        Code::CreateCollision => TraceFailure::Collision,
        Code::CreateContractSizeLimit
        | Code::CreateContractStartingWithEF
        | Code::CreateInitCodeSizeLimit
        | Code::CreateInitCodeStartingEF00
        | Code::InvalidEOFInitCode => TraceFailure::BadCode,
        Code::Suspend
        | Code::InvalidExtDelegateCallTarget
        | Code::OutOfOffset
        | Code::NonceOverflow
        | Code::FatalExternalError => TraceFailure::Other,
    };
    TraceEnd::Failed(failure)
}
