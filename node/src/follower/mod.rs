//! Follows the public chain and turns it into private state.
//!
//! `machine` says which block comes next, `sort` what its markers mean, `run` executes them by
//! group; all three are pure. `prepare` decodes payloads when they arrive. `driver` does the I/O:
//! it alone writes private state, one commit a block. `join` takes over a group's history
//! from another member, and `install` makes it ours.
//!
//! Rules: design 2 to 2.4, protocol specification 6. An unreadable payload is a decision; an
//! enclave or chain that does not answer is waited for.

mod ahead;
mod driver;
mod histories;
mod install;
mod join;
mod machine;
mod prepare;
mod run;
mod sort;
mod source;
mod verify;

pub use self::{
    driver::{FollowError, Follower, FollowerOptions, FollowerParts},
    histories::Histories,
    machine::{Action, Machine},
    prepare::{Opened, Preparer},
};
