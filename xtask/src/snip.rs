//! Takes panic messages out of a WebAssembly module.
//!
//! A panic in the SDK's core is a trap, and nobody prints its message there, but the standard
//! library comes with all the formatting for it. The functions that begin a panic are made to trap
//! at once, and so are those that format values, after a look that nothing else calls them;
//! binaryen then removes what nothing calls any more. The places in source files that such messages
//! name are zeroed.

use std::collections::BTreeSet;
use std::ops::Range;

use anyhow::{Result, bail};
use walrus::ir::{Call, Value, Visitor, dfs_in_order};
use walrus::{ConstExpr, DataKind, FunctionBuilder, FunctionId, FunctionKind, Module};

/// Parts of the names of functions that run only when a panic is on its way.
const PANICKING: &[&str] = &[
    "::panicking::",
    "core::fmt::Debug>::fmt",
    "fmt::Debug>::fmt",
    "fmt::builders::",
    "unwrap_failed",
    "expect_failed",
    "slice_index_fail",
    "slice_error_fail",
    "mismatch_fail",
    "length_fail",
    "escape_debug",
    "rust_panic",
    "panic_hook",
    "default_hook",
    "panic_count",
    // Not a panic, but as unreachable: a thread that waits for another one.
    "::thread::current::",
];

/// Parts of the names of functions that format values: the standard library's, and others' with the
/// exception of our own errors.
const FORMATTING: &[&str] = &[
    "]::fmt::write",
    "fmt::Write::write_fmt",
    "]::fmt::Formatter>::write_fmt",
    "fmt::Formatter>::pad",
    "]::fmt::Display>::fmt",
    "]::fmt::LowerHex>::fmt",
    "]::fmt::UpperHex>::fmt",
    " as core::fmt::Display>::fmt",
];

/// What the core's own functions are called.
const OURS: &str = "<coterie_";

/// Makes every function that begins or describes a panic trap at once, and forgets where panics
/// come from.
///
/// # Errors
///
/// Something formats a value that is not on its way to a panic: it would trap.
pub(crate) fn panics(module: &mut Module) -> Result<()> {
    let panicking = named(module, |name| has_part(name, PANICKING));
    let formatting = named(module, |name| has_part(name, FORMATTING) && !name.starts_with(OURS));
    for (id, function) in module.funcs.iter_local() {
        if panicking.contains(&id) || formatting.contains(&id) {
            continue;
        }
        let mut calls = Calls(Vec::new());
        dfs_in_order(&mut calls, function, function.entry_block());
        if let Some(called) = calls.0.iter().find(|called| formatting.contains(called)) {
            let name = |id| module.funcs.get(id).name.clone().unwrap_or_default();
            bail!("{} formats by {}: write the text out", name(id), name(*called));
        }
    }
    for id in panicking.union(&formatting) {
        trap(module, *id);
    }
    let segments: Vec<_> = module.data.iter().map(walrus::Data::id).collect();
    for segment in segments {
        let data = module.data.get_mut(segment);
        if let DataKind::Active { offset: ConstExpr::Value(Value::I32(offset)), .. } = data.kind {
            zero_locations(&mut data.value, offset.cast_unsigned());
        }
    }
    walrus::passes::gc::run(module);
    Ok(())
}

fn has_part(name: &str, parts: &[&str]) -> bool {
    parts.iter().any(|part| name.contains(part))
}

fn named(module: &Module, wanted: impl Fn(&str) -> bool) -> BTreeSet<FunctionId> {
    let functions = module.funcs.iter_local().map(|(id, _)| id);
    functions.filter(|id| module.funcs.get(*id).name.as_deref().is_some_and(&wanted)).collect()
}

/// The functions that a function calls by name.
struct Calls(Vec<FunctionId>);

impl Visitor<'_> for Calls {
    fn visit_call(&mut self, call: &Call) {
        self.0.push(call.func);
    }
}

/// Zeroes every `core::panic::Location` in memory that starts at this address, and the paths that
/// they name. Only functions that trap now took them.
fn zero_locations(memory: &mut [u8], address: u32) {
    const SIZE: usize = 16;
    let mut unused: Vec<Range<usize>> = Vec::new();
    let aligned = (address.next_multiple_of(4) - address) as usize;
    for start in (aligned..memory.len()).step_by(4) {
        let location = memory.get(start..start + SIZE);
        if let Some(path) = location.and_then(|it| path_of(it, memory, address)) {
            unused.push(start..start + SIZE);
            unused.push(path);
        }
    }
    for range in unused {
        if let Some(bytes) = memory.get_mut(range) {
            bytes.fill(0);
        }
    }
}

/// Where the path of a location is, if these 16 bytes are one: address and length of the path,
/// line, column.
fn path_of(location: &[u8], memory: &[u8], address: u32) -> Option<Range<usize>> {
    let (words, []) = location.as_chunks::<4>() else { return None };
    let &[path, length, line, column] = words.iter().collect::<Vec<_>>().as_slice() else {
        return None;
    };
    let number = |word: &[u8; 4]| u32::from_le_bytes(*word);
    let start = number(path).checked_sub(address)? as usize;
    let range = start..start.checked_add(number(length) as usize)?;
    let path = memory.get(range.clone())?;
    let is_path = path.ends_with(b".rs") && path.iter().all(u8::is_ascii_graphic);
    let is_place = (1..100_000).contains(&number(line)) && (1..1000).contains(&number(column));
    (is_path && is_place && range.len() < 300).then_some(range)
}

fn trap(module: &mut Module, id: FunctionId) {
    let (params, results) = module.types.params_results(module.funcs.get(id).ty());
    let (params, results) = (params.to_vec(), results.to_vec());
    let arguments = params.iter().map(|param| module.locals.add(*param)).collect();
    let mut body = FunctionBuilder::new(&mut module.types, &params, &results);
    body.func_body().unreachable();
    module.funcs.get_mut(id).kind = FunctionKind::Local(body.local_func(arguments));
}
