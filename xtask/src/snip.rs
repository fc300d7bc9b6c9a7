//! Takes the making of panic messages out of a WebAssembly module.
//!
//! A panic in the SDK's core is a trap, and nobody prints its message there, but the standard
//! library comes with all the formatting for it. The functions that begin a panic are made to trap
//! at once, and `Debug` output, which only such messages use, is emptied; binaryen then removes
//! what nothing calls any more.

use walrus::{FunctionBuilder, FunctionId, FunctionKind, Module};

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

/// Makes every function that begins or describes a panic trap at once.
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
    walrus::passes::gc::run(module);
}

fn trap(module: &mut Module, id: FunctionId) {
    let (params, results) = module.types.params_results(module.funcs.get(id).ty());
    let (params, results) = (params.to_vec(), results.to_vec());
    let arguments = params.iter().map(|param| module.locals.add(*param)).collect();
    let mut body = FunctionBuilder::new(&mut module.types, &params, &results);
    body.func_body().unreachable();
    module.funcs.get_mut(id).kind = FunctionKind::Local(body.local_func(arguments));
}
