//! The committed code is what the sources compile to, and uses nothing that it should not.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use alloy_primitives::{B256, Bytes, hex, keccak256};
use coterie_core::contracts::{
    DEFINITION_SLOT, GROUP_SLOT, IMPLEMENTATION_SLOT, MANAGEMENT_CODE_HASH, MANAGEMENT_RUNTIME,
    MEMBERS_MAX_SLOT, PROXY_CODE_HASH, PROXY_RUNTIME,
};
use revm::bytecode::opcode;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/contracts")
}

#[track_caller]
fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(directory())
        .output()
        .unwrap_or_else(|error| panic!("{program} is needed (Node 20 or later): {error}"));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {text}");
}

/// Installs what the lock file names, unless it is there: judged by a copy of the lock file beside
/// the packages, as `cargo xtask` does, and without install scripts.
#[track_caller]
fn install() {
    let lock = fs::read(directory().join("package-lock.json")).expect("the lock file");
    let stamp = directory().join("node_modules/.installed-lock.json");
    if fs::read(&stamp).is_ok_and(|installed| installed == lock) {
        return;
    }
    run("npm", &["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
    fs::write(&stamp, lock).expect("the packages' directory");
}

#[test]
fn committed_code_is_what_the_sources_compile_to() {
    install();
    run("node", &["compile.mjs", "--check"]);
}

#[test]
fn core_carries_the_committed_code() {
    let text = include_str!("../../../core/contracts/management.json");
    let built: serde_json::Value = serde_json::from_str(text).expect("JSON");
    let check = |name: &str, runtime: &[u8], code_hash: B256| {
        let contract = &built["contracts"][name];
        let code: Bytes = contract["runtime"].as_str().expect("code").parse().expect("hex");
        assert_eq!(code.as_ref(), runtime);
        assert_eq!(contract["codeHash"], hex::encode_prefixed(code_hash));
        assert_eq!(keccak256(runtime), code_hash);
    };
    check("proxy", PROXY_RUNTIME, PROXY_CODE_HASH);
    check("management", MANAGEMENT_RUNTIME, MANAGEMENT_CODE_HASH);
    let slots = [
        ("implementation", IMPLEMENTATION_SLOT),
        ("definition", DEFINITION_SLOT),
        ("membersMax", MEMBERS_MAX_SLOT),
        ("group", GROUP_SLOT),
    ];
    for (name, slot) in slots {
        assert_eq!(built["slots"][name], hex::encode_prefixed(slot), "{name}");
    }
}

/// The opcodes of a code, without the data of its pushes.
fn opcodes(code: &[u8]) -> Vec<u8> {
    let mut found = Vec::new();
    let mut rest = code.iter();
    while let Some(&opcode) = rest.next() {
        found.push(opcode);
        if (opcode::PUSH1..=opcode::PUSH32).contains(&opcode) {
            rest.nth((opcode - opcode::PUSH1).into());
        }
    }
    found
}

#[test]
fn the_code_knows_neither_its_origin_nor_its_block() {
    let forbidden = [
        opcode::ORIGIN,
        opcode::GASPRICE,
        opcode::BLOCKHASH,
        opcode::COINBASE,
        opcode::TIMESTAMP,
        opcode::NUMBER,
        opcode::DIFFICULTY,
        opcode::GASLIMIT,
        opcode::BASEFEE,
        opcode::BALANCE,
        opcode::SELFBALANCE,
        opcode::CREATE,
        opcode::CREATE2,
        opcode::CALL,
        opcode::CALLCODE,
        opcode::SELFDESTRUCT,
        // Later than the oldest fork.
        opcode::PUSH0,
        opcode::TLOAD,
        opcode::TSTORE,
        opcode::MCOPY,
    ];
    for code in [PROXY_RUNTIME, MANAGEMENT_RUNTIME] {
        let found = opcodes(code);
        assert!(found.contains(&opcode::SLOAD));
        for opcode in forbidden {
            assert!(!found.contains(&opcode), "{opcode:#x}");
        }
    }
    // Only the proxy runs code of others.
    let found = opcodes(MANAGEMENT_RUNTIME);
    assert!(!found.contains(&opcode::DELEGATECALL) && !found.contains(&opcode::STATICCALL));
}
