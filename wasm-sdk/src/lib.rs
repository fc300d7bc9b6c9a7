//! Bindings of `coterie-core` for JavaScript: convert, call the core, convert back. No logic, no
//! I/O, no classes. The modules are the core's.
//!
//! Only text and bytes cross, since an object would cross field by field: a record is its fields
//! in a fixed order, one a line, with `-` for one that is missing; a list is joined by commas.
//! The package's `src/wasm/core.ts` is the other side: it takes JavaScript's objects apart, judges
//! their types, and puts answers together. Values are in their JSON-RPC form: `0x…` for bytes and
//! numbers, base64 for enclave keys and group ids. Whatever is wrong with them is thrown as an
//! `Error` with a `name`, a stable `code` and a `hint`.
#![no_std]

extern crate alloc;
#[cfg(any(not(feature = "slim"), not(target_arch = "wasm32")))]
extern crate std;

mod convert;
mod error;
pub mod group;
pub mod management;
pub mod marker;
mod record;
#[cfg(test)]
mod tests;
pub mod transaction;

/// What the standard library would bring; the slim build has none, to be small.
#[cfg(all(feature = "slim", target_arch = "wasm32"))]
mod bare {
    use core::panic::PanicInfo;

    #[global_allocator]
    static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

    /// Unreachable, as in every build; if it were reached, JavaScript gets a trap without a text.
    #[panic_handler]
    fn panic(_: &PanicInfo<'_>) -> ! {
        core::arch::wasm32::unreachable()
    }
}
