//! The Coterie node as a library; see ARCHITECTURE.md for the map.

pub mod chain;
pub mod config;
pub mod enclave;
pub mod executor;
pub mod follower;
pub mod jsonrpc;
pub mod node;
pub mod rpc;
pub mod service;
pub mod state;
pub mod store;
