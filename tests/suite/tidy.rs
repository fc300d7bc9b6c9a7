//! Rules of the project that neither the compiler nor clippy holds, checked by reading the tree.
//!
//! Each rule is a test. A rule collects everything that breaks it, so that one run shows the whole
//! work; each message says what to do. The rules are those of ARCHITECTURE.md and CONTRIBUTING.md.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The modules of `node` by rank: a module names only modules of a higher number.
const LAYERS: &[(u8, &[&str])] = &[
    (1, &["main", "cli", "lib", "node", "config"]),
    (2, &["rpc", "follower"]),
    (3, &["service"]),
    (4, &["executor"]),
    (5, &["state"]),
    (6, &["store", "enclave", "chain"]),
    (7, &["jsonrpc"]),
];

/// Modules that may name one beside or above them, and why. One that is no longer needed fails.
const LAYER_EXCEPTIONS: &[(&str, &str, &str)] = &[(
    "enclave",
    "chain",
    "plain data: a payload's position is a block, a history holds public reads",
)];

/// What a part of the node must not touch, because its results must be the same everywhere or
/// because text forms end above it.
const UNTOUCHABLE: &[(&str, &[&str], &str)] = &[
    ("node/src/executor", IMPURE, "execution depends on its arguments alone"),
    ("node/src/state", IMPURE, "state depends on its arguments alone"),
    ("node/src/follower/machine", IMPURE, "the machine is told what happened; the driver does I/O"),
    ("node/src/executor", TEXT_FORMS, "text forms end at the edges"),
    ("node/src/state", TEXT_FORMS, "text forms end at the edges"),
    ("node/src/store", TEXT_FORMS, "text forms end at the edges"),
];
const IMPURE: &[&str] = &[
    "std::time::",
    "SystemTime",
    "Instant::",
    "tokio::",
    "std::fs",
    "std::net",
    "rand::",
    "getrandom",
];
const TEXT_FORMS: &[&str] = &["serde_json", "base64::", "hex::"];

/// Which of our crates each crate may depend on.
const CRATES: &[(&str, &[&str])] = &[
    ("core", &[]),
    ("wasm-sdk", &["coterie-core"]),
    ("node", &["coterie-core"]),
    ("tests", &["coterie-core", "coterie-node"]),
    ("xtask", &[]),
];

/// The only places of tests that wait for time to pass, each inside a poll with a deadline. What
/// is in a crate cannot use `tests/src`, since nothing depends on the tests.
const POLLS: &[&str] = &[
    "tests/src/",
    "tests/js/lib/wait.mjs",
    "tests/js/lib/process.mjs",
    "node/src/enclave/tests/mod.rs",
];

/// The only places that hold secret keys, all of them published.
const SECRETS: &[&str] = &["tests/vectors/", "node/src/chain/dev/accounts.rs"];

#[test]
fn modules_of_the_node_name_only_lower_layers() {
    let rank = |module: &str| {
        LAYERS.iter().find(|(_, modules)| modules.contains(&module)).map(|(rank, _)| *rank)
    };
    let mut problems = Vec::new();
    let mut used = BTreeSet::new();
    for file in files(&["rs"]).iter().filter(|file| file.starts_with("node/src/")) {
        let module = top_module(file);
        let Some(own) = rank(module) else {
            problems.push(format!("{file}: `{module}` has no rank: put it into LAYERS of tidy.rs"));
            continue;
        };
        for (line, named) in named_modules(&code(file)) {
            let exception =
                LAYER_EXCEPTIONS.iter().find(|(from, to, _)| (*from, *to) == (module, &*named));
            match rank(&named) {
                _ if named == module || own == 1 => {}
                Some(other) if other > own => {}
                // A public item of the crate's root, not a module.
                None => {}
                Some(_) if exception.is_some() => {
                    used.insert((module.to_owned(), named));
                }
                Some(other) => problems.push(format!(
                    "{file}:{line}: `{module}` (rank {own}) names `{named}` (rank {other}): \
                     only lower layers may be named"
                )),
            }
        }
    }
    for (from, to, _) in LAYER_EXCEPTIONS {
        if !used.contains(&((*from).to_owned(), (*to).to_owned())) {
            problems.push(format!("the exception {from} → {to} is not needed: take it out"));
        }
    }
    none(&problems);
}

#[test]
fn pure_parts_of_the_node_touch_nothing_else() {
    let mut problems = Vec::new();
    for file in files(&["rs"]) {
        for (prefix, needles, why) in UNTOUCHABLE {
            if !file.starts_with(prefix) {
                continue;
            }
            let text = code(&file);
            let (production, _) = split_tests(&file, &text);
            for needle in needles.iter().filter(|needle| production.contains(**needle)) {
                problems.push(format!("{file}: `{needle}` does not belong here: {why}"));
            }
        }
    }
    none(&problems);
}

#[test]
fn crates_depend_only_downwards() {
    let mut problems = Vec::new();
    for (krate, allowed) in CRATES {
        let manifest: toml::Table = read(&format!("{krate}/Cargo.toml")).parse().unwrap();
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(dependencies) = manifest.get(section).and_then(toml::Value::as_table) else {
                continue;
            };
            for name in dependencies.keys().filter(|name| name.starts_with("coterie")) {
                if !allowed.contains(&name.as_str()) {
                    problems.push(format!("{krate}/Cargo.toml: {section} must not have {name}"));
                }
            }
        }
        let lints = manifest.get("lints").and_then(|lints| lints.get("workspace"));
        if lints.and_then(toml::Value::as_bool) != Some(true) {
            problems.push(format!("{krate}/Cargo.toml: `[lints] workspace = true` is missing"));
        }
    }
    let workspace: toml::Table = read("Cargo.toml").parse().unwrap();
    let members = workspace["workspace"]["members"].as_array().unwrap();
    for member in members.iter().filter_map(toml::Value::as_str) {
        if !CRATES.iter().any(|(krate, _)| *krate == member) {
            problems
                .push(format!("crate `{member}` has no place yet: put it into CRATES of tidy.rs"));
        }
    }
    none(&problems);
}

#[test]
fn core_has_no_standard_library() {
    let text = read("core/src/lib.rs");
    assert!(
        text.lines().any(|line| line == "#![no_std]"),
        "core/src/lib.rs: `#![no_std]` must stand alone on its line"
    );
}

#[test]
fn modules_say_what_they_are() {
    let problems: Vec<_> = files(&["rs"])
        .into_iter()
        .filter(|file| !read(file).starts_with("//! "))
        .map(|file| format!("{file}: starts with `//!`: what it is and what it does not do"))
        .collect();
    none(&problems);
}

#[test]
fn tests_neither_sleep_nor_hide() {
    let everywhere: &[(&str, &str)] = &[
        (concat!("#[", "ignore"), "a test runs or is deleted"),
        (concat!("#[", "should_panic"), "test the error instead"),
        (concat!("thread::", "sleep"), "poll with a deadline"),
        (concat!("test.", "skip("), "a test runs or is deleted"),
        (concat!("test.", "only("), "the others must run too"),
        (concat!("test.", "todo("), "a test runs or is deleted"),
    ];
    let in_tests: &[(&str, &str)] = &[
        (concat!("time::", "sleep"), "poll with a deadline"),
        (concat!("set", "Timeout"), "use eventually()"),
    ];
    let mut problems = Vec::new();
    for file in files(&["rs", "mjs", "ts"]) {
        if POLLS.iter().any(|poll| file.starts_with(poll)) {
            continue;
        }
        let text = code(&file);
        let (_, tests) = split_tests(&file, &text);
        let found = |text: &str, rules: &[(&str, &str)]| -> Vec<String> {
            rules
                .iter()
                .filter(|(needle, _)| text.contains(needle))
                .map(|(needle, advice)| format!("{file}: `{needle}`: {advice}"))
                .collect()
        };
        problems.extend(found(&text, everywhere));
        problems.extend(found(tests, in_tests));
    }
    none(&problems);
}

#[test]
fn only_commands_write_to_the_terminal() {
    let needles = [concat!("print", "ln!("), concat!("eprint", "!("), concat!("db", "g!(")];
    let mut problems = Vec::new();
    for file in files(&["rs"]) {
        let speaks = ["node/src/main.rs", "node/src/cli/", "xtask/", "tests/"];
        if speaks.iter().any(|it| file.starts_with(it)) {
            continue;
        }
        let text = code(&file);
        for needle in needles.iter().filter(|needle| text.contains(**needle)) {
            problems.push(format!("{file}: `{needle}…)`: use tracing, keys and payloads excepted"));
        }
    }
    none(&problems);
}

#[test]
fn secret_keys_are_published_test_keys() {
    let mut problems = Vec::new();
    for file in files(&["rs", "mjs", "ts", "toml", "json", "md", "sol"]) {
        if SECRETS.iter().any(|allowed| file.starts_with(allowed)) {
            continue;
        }
        for (number, line) in read(&file).lines().enumerate() {
            let lower = line.to_lowercase();
            let names_secret = ["secret", "private_key", "privatekey", "private key"]
                .iter()
                .any(|word| lower.contains(word));
            if names_secret && has_32_bytes_of_hex(line) {
                problems.push(format!(
                    "{file}:{}: looks like a secret key: only {} may hold published ones",
                    number + 1,
                    SECRETS.join(" and ")
                ));
            }
        }
    }
    none(&problems);
}

#[test]
fn text_files_are_clean() {
    let mut problems = Vec::new();
    for file in files(&["md", "toml", "mjs", "ts", "sol"]) {
        for (number, line) in read(&file).lines().enumerate() {
            if line.ends_with([' ', '\t']) {
                problems.push(format!("{file}:{}: blank at the end of the line", number + 1));
            }
        }
    }
    for file in files(&["rs", "md", "toml", "mjs", "ts", "sol", "json"]) {
        for place in [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")] {
            if read(&file).contains(place) {
                problems.push(format!("{file}: names a directory of one machine (`{place}`)"));
            }
        }
    }
    none(&problems);
}

#[test]
fn documents_keep_up() {
    let mut problems = Vec::new();
    let changelog = read("CHANGELOG.md");
    if !changelog.lines().any(|line| line.trim_matches(['#', ' ', '[', ']']) == "Unreleased") {
        problems.push("CHANGELOG.md: no section `Unreleased`".to_owned());
    }
    let readme = read("README.md");
    for command in xtask_commands() {
        if !readme.contains(&format!("cargo xtask {command}")) {
            problems.push(format!("README.md: does not mention `cargo xtask {command}`"));
        }
    }
    let gate = "cargo xtask test";
    if !read(".ci/run").lines().any(|line| line == gate) {
        problems.push(format!(".ci/run: the gate is the README's `{gate}`"));
    }
    for file in files(&["md"]) {
        for target in links(&read(&file)) {
            let base = Path::new(&file).parent().unwrap_or_else(|| Path::new(""));
            if !root().join(base).join(&target).exists() {
                problems.push(format!("{file}: links to {target}, which is not there"));
            }
        }
    }
    none(&problems);
}

/// Fails with one problem a line.
#[track_caller]
fn none(problems: &[String]) {
    assert!(problems.is_empty(), "{} to mend:\n  {}", problems.len(), problems.join("\n  "));
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The project's files with one of these extensions, as paths from the root with `/`, by name.
/// What is generated or installed is not the project's.
fn files(extensions: &[&str]) -> Vec<String> {
    const FOREIGN: &[&str] = &["target", "node_modules", ".git", "pkg/wasm", "pkg/dist"];
    let root = root();
    let mut found = Vec::new();
    let mut open = vec![root.clone()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/");
            if FOREIGN
                .iter()
                .any(|foreign| name == *foreign || name.ends_with(&format!("/{foreign}")))
            {
                continue;
            }
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|it| extensions.iter().any(|want| it == *want)) {
                found.push(name);
            }
        }
    }
    found.sort();
    found
}

/// A file without its comment lines, which stay as empty lines.
fn code(file: &str) -> String {
    let keep = |line: &str| {
        if line.trim_start().starts_with("//") { String::new() } else { line.to_owned() }
    };
    read(file).lines().map(keep).collect::<Vec<_>>().join("\n")
}

/// A file's code apart from its tests, and its tests: both, one of them empty, for a file that has
/// only one of the two. Inline tests are at the foot, as everywhere here.
fn split_tests<'a>(file: &str, text: &'a str) -> (&'a str, &'a str) {
    const INLINE: &str = "\n#[cfg(test)]\nmod tests {\n";
    let name = file.rsplit('/').next().unwrap_or(file);
    let in_directory = file.starts_with("tests/") || file.contains("/tests/");
    if in_directory || ["tests.rs", "testing.rs"].contains(&name) {
        return ("", text);
    }
    text.find(INLINE).map_or((text, ""), |at| text.split_at(at))
}

/// The module right below the crate's root that a file of `node/src` belongs to.
fn top_module(file: &str) -> &str {
    let path = file.trim_start_matches("node/src/");
    path.split('/').next().unwrap_or(path).trim_end_matches(".rs")
}

/// What follows `crate::` or `coterie_node::` in this text, with the line: one name, or the first
/// names of a list in braces.
fn named_modules(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, prefix) in ["crate::", "coterie_node::"].iter().flat_map(|it| text.match_indices(it)) {
        let line = text[..at].matches('\n').count() + 1;
        let rest = &text[at + prefix.len()..];
        match rest.strip_prefix('{') {
            Some(list) => found.extend(first_names(list).into_iter().map(|name| (line, name))),
            None => found.push((line, identifier(rest))),
        }
    }
    found
}

/// The first name of each item of a use list whose opening brace has been read.
fn first_names(list: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut depth = 0_usize;
    let mut expected = true;
    for (at, character) in list.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => expected = true,
            _ if expected && !character.is_whitespace() => {
                names.push(identifier(&list[at..]));
                expected = false;
            }
            _ => {}
        }
    }
    names
}

fn identifier(text: &str) -> String {
    text.chars().take_while(|it| it.is_alphanumeric() || *it == '_').collect()
}

/// Whether a line has a run of exactly 64 hexadecimal digits.
fn has_32_bytes_of_hex(line: &str) -> bool {
    line.split(|it: char| !it.is_ascii_hexdigit() && it != 'x')
        .any(|word| word.trim_start_matches("0x").len() == 64)
}

/// The commands of xtask, from the enum that defines them.
fn xtask_commands() -> Vec<String> {
    let text = code("xtask/src/main.rs");
    let body = text.split("enum Command {").nth(1).and_then(|rest| rest.split("\n}").next());
    let commands: Vec<_> = body
        .expect("xtask/src/main.rs has an enum `Command`")
        .lines()
        .filter_map(|line| line.strip_prefix("    "))
        .filter(|line| line.starts_with(|it: char| it.is_ascii_uppercase()))
        .map(|line| identifier(line).to_lowercase())
        .collect();
    assert!(commands.len() >= 3, "found only the commands {commands:?}");
    commands
}

/// Relative targets of links in a markdown text, without anchors.
fn links(text: &str) -> Vec<String> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .filter(|target| !target.contains("://") && !target.starts_with('#'))
        .filter_map(|target| target.split('#').next())
        .map(str::to_owned)
        .collect()
}

#[test]
fn names_are_read_from_all_forms_of_use() {
    let names = |text| named_modules(text).into_iter().map(|(_, name)| name).collect::<Vec<_>>();
    assert_eq!(names("use crate::store::Store;"), ["store"]);
    assert_eq!(names("use crate::{chain::{A, B}, state, rpc::C};"), ["chain", "state", "rpc"]);
    assert_eq!(names("use crate::{\n    chain::A,\n    state::{B, C},\n};"), ["chain", "state"]);
    assert_eq!(names("let x = crate::rpc::run(crate::state::Y);"), ["rpc", "state"]);
}

#[test]
fn tests_are_told_from_the_code_beside_them() {
    let text = "#[cfg(test)]\nmod testing;\n\nfn f() {}\n\n#[cfg(test)]\nmod tests {\n}";
    let (production, tests) = split_tests("node/src/a.rs", text);
    assert!(production.ends_with("fn f() {}\n"), "{production}");
    assert!(tests.contains("mod tests {") && !tests.contains("fn f"), "{tests}");
    assert_eq!(split_tests("node/src/a.rs", "fn f() {}"), ("fn f() {}", ""));
    for file in ["node/src/a/tests.rs", "node/src/a/tests/b.rs", "tests/suite/a.rs"] {
        assert_eq!(split_tests(file, text), ("", text), "{file}");
    }
}

#[test]
fn secrets_are_recognised_by_length() {
    let digits = "0123456789abcdef".repeat(4);
    assert!(has_32_bytes_of_hex(&format!("key: \"0x{digits}\"")));
    assert!(has_32_bytes_of_hex(&format!("key = '{digits}'")));
    assert!(!has_32_bytes_of_hex(&format!("hash {digits}00")));
    assert!(!has_32_bytes_of_hex("private_key: B256"));
}
