//! Bindings of `coterie-core` for JavaScript: convert, call the core, convert back. No logic, no
//! I/O, no classes. The modules are the core's.
//!
//! Values cross in their JSON-RPC form: `0x…` for bytes and numbers, base64 for enclave keys and
//! group ids. Arguments are taken as whatever JavaScript passes and judged here, so that every
//! wrong one is a typed error: a real `Error` with a `name`, a stable `code` and a `hint`. The
//! package's `src/wasm/core.ts` describes these functions to TypeScript.

mod convert;
mod error;
pub mod group;
pub mod management;
pub mod marker;
mod record;
pub mod transaction;
