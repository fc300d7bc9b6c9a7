//! The management contracts' interface: addresses, ABI, member lists, the group's version.
//!
//! Two member ABIs are in use: keys as `bytes` (Besu since 22.10) and, older, as `bytes32` (what
//! web3js-quorum 22.4.0 still sends). Calls and answers are coded by `alloy-sol-types`; Besu's own
//! way to read member lists is in [`besu`]. Fixed by the protocol specification, 4.1 and 5.5, and
//! the design, 2.1. What the contracts do is not here.

pub mod abi;
pub mod besu;
mod call;
mod event;
mod members;
mod output;
mod revert;

use alloy_primitives::{Address, address};

pub use call::{ManagementCall, ManagementCallError, is_adding};
pub use event::{ManagementEvent, ManagementEventError};
pub use members::{
    MembersError, decode_members, decode_members_of_either_abi, decode_members32, encode_members,
    group_version,
};
pub use revert::RevertReason;

/// The proxy that a group is managed through, in the group's private state.
pub const MANAGEMENT_PROXY: Address = address!("000000000000000000000000000000000000007c");
/// The implementation behind the proxy at the group's creation.
pub const MANAGEMENT_DEFAULT: Address = address!("000000000000000000000000000000000000007b");
