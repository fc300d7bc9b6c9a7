//! Takes panic messages out of a WebAssembly module.
//!
//! A panic in the SDK's core is a trap, and nobody prints its message there, but the standard
//! library comes with all the formatting for it. The functions that begin a panic are made to trap
//! at once, and `Debug` output, which only such messages use, is emptied; binaryen then removes
//! what nothing calls any more. The places in source files that such messages name are zeroed.

use std::ops::Range;

use walrus::{ConstExpr, DataKind, FunctionBuilder, FunctionId, FunctionKind, Module, ir::Value};

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
];

/// Makes every function that begins or describes a panic trap at once, and forgets where panics
/// come from.
pub(crate) fn panics(module: &mut Module) {
    let begins_panic = |name: &str| PANICKING.iter().any(|part| name.contains(part));
    let found: Vec<FunctionId> = module
        .funcs
        .iter_local()
        .map(|(id, _)| id)
        .filter(|id| module.funcs.get(*id).name.as_deref().is_some_and(begins_panic))
        .collect();
    for id in found {
        trap(module, id);
    }
    let segments: Vec<_> = module.data.iter().map(walrus::Data::id).collect();
    for segment in segments {
        let data = module.data.get_mut(segment);
        if let DataKind::Active { offset: ConstExpr::Value(Value::I32(offset)), .. } = data.kind {
            zero_locations(&mut data.value, offset.cast_unsigned());
        }
    }
    walrus::passes::gc::run(module);
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
