//! The compiled contracts of `tests/contracts`, written by `cargo xtask contracts`.

use alloy_primitives::Bytes;
use serde_json::Value;

/// Creation code of a general test contract; constructor arguments go behind it.
#[track_caller]
pub(crate) fn creation_code(name: &str) -> Bytes {
    read(&artifacts(), &format!("/contracts/{name}/bytecode"))
}

/// Creation code of a contract in `Implementations.sol`, to upgrade a group to.
#[track_caller]
pub(crate) fn implementation(name: &str) -> Bytes {
    let text = include_str!("../contracts/implementations.json");
    read(&serde_json::from_str(text).expect("JSON"), &format!("/{name}"))
}

fn artifacts() -> Value {
    serde_json::from_str(include_str!("../contracts/artifacts.json")).expect("JSON")
}

#[track_caller]
fn read(artifacts: &Value, pointer: &str) -> Bytes {
    let code = artifacts.pointer(pointer).and_then(Value::as_str).expect("a known contract");
    code.parse().expect("hex")
}
