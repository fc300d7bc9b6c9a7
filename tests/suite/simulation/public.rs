//! The public chain besides markers: a contract and an account that nearly every block changes, so
//! that private code sees something else at each.

use alloy_primitives::{Address, Bytes, TxKind, U256};
use alloy_sol_types::SolCall as _;

use super::transactions::{Emitter, Look, account};
use crate::artifacts::creation_code;

/// The number of the account that changes public state.
pub(crate) const CHANGER: u64 = 500;
/// Who gets ether.
const WATCHED: Address = Address::repeat_byte(0xba);

/// Public state after a block, as far as it is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PublicState {
    /// The number in the emitter; `None` before it is deployed.
    pub(crate) value: Option<u64>,
    /// The watched account's balance in wei.
    pub(crate) balance: u64,
}

/// Recipient, wei and input.
type Fields = (TxKind, u64, Bytes);

impl PublicState {
    /// Where the emitter is: the changer's first transaction deploys it, on every branch.
    pub(crate) fn emitter() -> Address {
        account(CHANGER).address().create(0)
    }

    /// What can be looked at in the block after this state: an emitter, an account that has ether,
    /// one that has none, and the blocks before.
    pub(crate) fn looks(number: u64) -> [Look; 4] {
        [
            Look::Value(Self::emitter()),
            Look::Balance(WATCHED),
            Look::Balance(Address::repeat_byte(0xbb)),
            Look::Hash(number.saturating_sub(2)),
        ]
    }

    /// The transaction of the `made`-th block that was made, whatever branch it is on, and the
    /// state after it.
    pub(crate) fn change(self, made: u64) -> (Fields, Self) {
        match self.value {
            None => {
                let fields = (TxKind::Create, 0, creation_code("EventEmitter"));
                (fields, Self { value: Some(0), ..self })
            }
            Some(_) if made.is_multiple_of(3) => {
                let fields = (TxKind::Call(WATCHED), made, Bytes::new());
                (fields, Self { balance: self.balance + made, ..self })
            }
            Some(_) => {
                let call = Emitter::storeCall { newValue: U256::from(made) };
                let fields = (TxKind::Call(Self::emitter()), 0, call.abi_encode().into());
                (fields, Self { value: Some(made), ..self })
            }
        }
    }

    /// What an observer sees; `None` when its call fails. Hashes are not here.
    pub(crate) fn look(self, look: Look) -> Option<U256> {
        match look {
            Look::Value(emitter) if emitter == Self::emitter() => self.value.map(U256::from),
            Look::Balance(WATCHED) => Some(U256::from(self.balance)),
            Look::Balance(_) => Some(U256::ZERO),
            Look::Value(_) | Look::Hash(_) => None,
        }
    }
}
