//! What the holder of an enclave key may see of a group on a node that several tenants share.
//!
//! The rule of the documentation that Besu published (protocol specification, 8.4, last paragraph):
//! members see everything, also what happened before they were added and while they were out;
//! removed members see receipts, transactions, calls and logs up to and including the block that
//! removed them, and nothing else; others see nothing, not even that the group exists. Whether a
//! transaction is executed is decided elsewhere ([`check_execution`](super::check_execution)).

/// What a key is to a group, on the followed branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Relation {
    /// A member at the head, whether or not it was one all the time.
    Member,
    /// It was a member and is none at the head.
    Removed {
        /// The last block that took it out.
        at: u64,
    },
    /// It never was a member, or there is no such group: nobody must be able to tell which.
    Stranger,
}

/// What a tenant asks of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Use {
    /// The receipt of a marker.
    Receipt,
    /// The private transaction of a marker.
    Transaction,
    /// Running code on the state after a block, and forgetting what it changed.
    Call,
    /// Logs of a range of blocks.
    Logs,
    /// The next private nonce of an account.
    Count,
    /// Accounts as they are stored after a block: code, balance, storage, proofs, the state root.
    State,
    /// How much gas a transaction would use.
    EstimateGas,
    /// The steps of a transaction's execution.
    Trace,
    /// All transactions of a range of blocks.
    Transactions,
    /// The group itself: its members, owner and head.
    Group,
    /// A filter or a subscription: logs as they come.
    Watch,
    /// Sending a transaction to it.
    Send,
}

impl Use {
    /// All uses.
    pub const ALL: [Self; 12] = [
        Self::Receipt,
        Self::Transaction,
        Self::Call,
        Self::Logs,
        Self::Count,
        Self::State,
        Self::EstimateGas,
        Self::Trace,
        Self::Transactions,
        Self::Group,
        Self::Watch,
        Self::Send,
    ];

    /// Whether a removed member keeps it for the time of its membership.
    const fn outlives_membership(self) -> bool {
        match self {
            Self::Receipt | Self::Transaction | Self::Call | Self::Logs => true,
            Self::Count
            | Self::State
            | Self::EstimateGas
            | Self::Trace
            | Self::Transactions
            | Self::Group
            | Self::Watch
            | Self::Send => false,
        }
    }
}

/// Which blocks a tenant may see for some use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sight {
    /// All.
    All,
    /// Those up to this number, which is included; for this tenant it is the head.
    Until(u64),
    /// None.
    Nothing,
}

impl Sight {
    /// What a key with this relation to a group may see of it.
    pub const fn of(relation: Relation, what: Use) -> Self {
        match relation {
            Relation::Member => Self::All,
            Relation::Removed { at } if what.outlives_membership() => Self::Until(at),
            Relation::Removed { .. } | Relation::Stranger => Self::Nothing,
        }
    }

    /// Whether the block with this number may be seen.
    pub const fn covers(self, number: u64) -> bool {
        match self {
            Self::All => true,
            Self::Until(last) => number <= last,
            Self::Nothing => false,
        }
    }

    /// What the head is to this tenant, where it is at `head`; `None` where nothing may be seen.
    pub const fn head(self, head: u64) -> Option<u64> {
        match self {
            Self::All => Some(head),
            Self::Until(last) if last < head => Some(last),
            Self::Until(_) => Some(head),
            Self::Nothing => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEPT: [Use; 4] = [Use::Receipt, Use::Transaction, Use::Call, Use::Logs];

    #[test]
    fn a_member_sees_everything() {
        for what in Use::ALL {
            assert_eq!(Sight::of(Relation::Member, what), Sight::All, "{what:?}");
        }
    }

    #[test]
    fn a_removed_member_keeps_what_it_could_see_then() {
        for what in Use::ALL {
            let want = if KEPT.contains(&what) { Sight::Until(7) } else { Sight::Nothing };
            assert_eq!(Sight::of(Relation::Removed { at: 7 }, what), want, "{what:?}");
        }
    }

    #[test]
    fn a_stranger_sees_nothing() {
        for what in Use::ALL {
            assert_eq!(Sight::of(Relation::Stranger, what), Sight::Nothing, "{what:?}");
        }
    }

    #[track_caller]
    fn check(sight: Sight, covered: [bool; 3], head: Option<u64>) {
        assert_eq!([6, 7, 8].map(|number| sight.covers(number)), covered);
        assert_eq!(sight.head(8), head);
    }

    #[test]
    fn the_removal_block_is_the_last_that_is_seen_and_the_head() {
        check(Sight::All, [true, true, true], Some(8));
        check(Sight::Until(7), [true, true, false], Some(7));
        check(Sight::Nothing, [false, false, false], None);
        // After a reorg the head may be below.
        assert_eq!(Sight::Until(7).head(5), Some(5));
    }
}
