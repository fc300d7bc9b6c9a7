//! `cargo xtask sdk`: the npm package.
//!
//! The core is compiled twice, for speed and for size, bound by wasm-bindgen (as a library, so
//! that its version is that of the lock file) and optimised by npm's binaryen; then the TypeScript
//! around it is bundled. `pkg/wasm` and `pkg/dist` are generated and not in git.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use wasm_bindgen_cli_support::Bindgen;

use crate::require;
use crate::snip;
use crate::step::Step;
use crate::workspace::Workspace;

const TARGET: &str = "wasm32-unknown-unknown";
const WASM_FEATURES: &str = "--enable-bulk-memory --enable-sign-ext --enable-mutable-globals \
     --enable-nontrapping-float-to-int --enable-reference-types --enable-multivalue";

/// One way to compile the core.
struct Build {
    /// File name without `.wasm`.
    name: &'static str,
    /// Profile of the workspace manifest.
    profile: &'static str,
    /// Further arguments of cargo.
    cargo: &'static str,
    /// Level of wasm-opt.
    level: &'static str,
}

/// The first one's glue is the one that is shipped: both must have the same.
const BUILDS: &[Build] = &[
    Build { name: "core", profile: "wasm", cargo: "", level: "-Oz" },
    Build {
        name: "core_slim",
        profile: "wasm-slim",
        cargo: "--no-default-features --features slim",
        level: "-Oz",
    },
];

/// Builds the package. With `check_reproducible` builds the core once more, in another target
/// directory, and compares.
///
/// # Errors
///
/// Something is missing and cannot be installed, a build failed, or two builds differ.
pub(crate) fn run(check_reproducible: bool) -> Result<()> {
    let workspace = Workspace::locate()?;
    require::wasm_target(&workspace.root)?;
    let pkg = workspace.pkg();
    require::npm_packages(&pkg)?;
    let out = pkg.join("wasm");
    build_core(&workspace, workspace.target(), &out)?;
    if check_reproducible {
        let elsewhere = workspace.target().join("reproduce");
        let copy = elsewhere.join("wasm");
        build_core(&workspace, &elsewhere, &copy)?;
        compare(&out, &copy)?;
    }
    bundle(&pkg)
}

fn build_core(workspace: &Workspace, target: &Path, out: &Path) -> Result<()> {
    if out.exists() {
        fs::remove_dir_all(out)?;
    }
    fs::create_dir_all(out)?;
    let mut glues = Vec::new();
    for build in BUILDS {
        let work = target.join("bindgen").join(build.name);
        compile(workspace, target, build)?;
        let input = target.join(TARGET).join(build.profile).join("coterie_wasm.wasm");
        bind(&input, &work)?;
        let optimise = Step::new(workspace.pkg(), "node", "node_modules/binaryen/bin/wasm-opt")
            .arg(build.level)
            .args(WASM_FEATURES)
            .arg("--strip-debug")
            .arg("--strip-producers")
            .arg("--strip-target-features")
            .arg(work.join("core_bg.wasm"))
            .arg("-o")
            .arg(out.join(build.name).with_extension("wasm"));
        println!("{optimise}");
        optimise.run()?;
        glues.push(read(&work.join("core.js"))?);
    }
    ensure!(
        glues.iter().all(|glue| Some(glue) == glues.first()),
        "the builds of the core need different glue: they must import and export the same"
    );
    let work = target.join("bindgen/core");
    for file in ["core.js", "core.d.ts"] {
        fs::copy(work.join(file), out.join(file)).with_context(|| format!("no {file}"))?;
    }
    Ok(())
}

fn compile(workspace: &Workspace, target: &Path, build: &Build) -> Result<()> {
    let compile = Step::new(&workspace.root, "cargo", "build --locked -p coterie-wasm")
        .args(&format!("--target {TARGET} --profile {} {}", build.profile, build.cargo))
        .env("CARGO_TARGET_DIR", target)
        .env("RUSTFLAGS", remap(workspace)?);
    println!("{compile}");
    compile.run()?;
    Ok(())
}

/// Where the sources lie must not show in panic messages, or two machines build different bytes.
fn remap(workspace: &Workspace) -> Result<String> {
    let root = workspace.root.display();
    let registry = workspace.registry()?;
    Ok(format!(
        "--remap-path-prefix={}=registry --remap-path-prefix={root}=coterie",
        registry.display()
    ))
}

fn bind(input: &Path, out: &Path) -> Result<()> {
    let context = || format!("wasm-bindgen cannot bind {}", input.display());
    let mut bindgen = Bindgen::new();
    bindgen
        .input_path(input)
        .web(true)
        .with_context(context)?
        .typescript(true)
        .out_name("core")
        .omit_default_module_path(true)
        .remove_producers_section(true);
    let mut output = bindgen.generate_output().with_context(context)?;
    snip::panics(output.wasm_mut())?;
    output.emit(out).with_context(context)
}

fn compare(left: &Path, right: &Path) -> Result<()> {
    for entry in fs::read_dir(left)? {
        let name = entry?.file_name();
        let same = read(&left.join(&name))? == read(&right.join(&name))?;
        ensure!(same, "two builds of pkg/wasm/{} differ", name.display());
    }
    println!("two builds of the core are the same, byte for byte");
    Ok(())
}

/// Bundles the TypeScript and puts the core beside it.
fn bundle(pkg: &Path) -> Result<()> {
    let dist = pkg.join("dist");
    if dist.exists() {
        fs::remove_dir_all(&dist)?;
    }
    for step in ["node_modules/tsdown/dist/run.mjs", "build/embed.mjs"] {
        let step = Step::new(pkg, "node", step);
        println!("{step}   (in {})", pkg.display());
        step.run()?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}
