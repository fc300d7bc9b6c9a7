//! Why a call was reverted, as far as Solidity's own two errors say it. Errors that a contract
//! defines itself need its ABI and are not here.

use alloc::string::{String, ToString};

use alloy_primitives::U256;
use alloy_sol_types::{Panic, PanicKind, Revert, SolError};

use super::output;

/// What the output of a reverted call says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RevertReason {
    /// `Error(string)`: what `require` and `revert` give.
    Error(String),
    /// `Panic(uint256)`: a failed `assert`, an overflow and the like.
    Panic {
        /// Solidity's number for it.
        code: U256,
        /// The same in words.
        reason: String,
    },
}

impl RevertReason {
    /// Reads the output of a reverted call; `None` when it is neither of the two.
    pub fn decode(reverted: &[u8]) -> Option<Self> {
        let (selector, arguments) = reverted.split_first_chunk::<4>()?;
        match *selector {
            Revert::SELECTOR => output::text(arguments, 0).map(Self::Error),
            Panic::SELECTOR => {
                let code = U256::from_be_bytes(output::word(arguments, 0)?.0);
                let kind = u32::try_from(code).ok().and_then(PanicKind::from_number);
                let reason = kind.map_or("unknown panic", |kind| kind.as_str()).to_string();
                Some(Self::Panic { code, reason })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::strategies;

    #[test]
    fn both_errors_of_solidity_are_read() {
        let revert = Revert::from("Origin not the owner.").abi_encode();
        let want = RevertReason::Error("Origin not the owner.".into());
        assert_eq!(RevertReason::decode(&revert), Some(want));
        let panic = Panic { code: U256::from(0x11) }.abi_encode();
        let want = RevertReason::Panic {
            code: U256::from(0x11),
            reason: "arithmetic underflow or overflow".into(),
        };
        assert_eq!(RevertReason::decode(&panic), Some(want));
        let unknown = Panic { code: U256::MAX }.abi_encode();
        assert_eq!(
            RevertReason::decode(&unknown),
            Some(RevertReason::Panic { code: U256::MAX, reason: "unknown panic".into() })
        );
        for none in [&[][..], &[1, 2, 3], &Revert::SELECTOR, &[0; 36]] {
            assert_eq!(RevertReason::decode(none), None);
        }
    }

    proptest! {
        #![proptest_config(strategies::config(128))]

        #[test]
        fn no_output_panics(
            output in strategies::nearly("[a-z]{0,80}".prop_map(|text| Revert::from(text).abi_encode()))
        ) {
            let _ = RevertReason::decode(&output);
        }
    }
}
