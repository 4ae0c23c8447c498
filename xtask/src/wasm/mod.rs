//! `cargo xtask wasm`: the filter as `target/bursar.wasm`, built for release by a toolchain that can.

mod exports;
mod toolchain;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

pub use toolchain::Choice;
use toolchain::Toolchain;

use crate::process::{run, say};
use crate::workspace::{Workspace, cargo_home, replace};

/// The largest module we ship.
const SIZE_MAX_BYTES: usize = 1 << 20;
/// How large a function may be, in LLVM's measure, to be copied to where it is called, in what is not compiled for size
/// (decision 14). LLVM's own limit is 225.
const INLINED: u32 = 50;
/// The cargo profile of the root manifest that modules are built with.
const PROFILE: &str = "wasm";

/// The feature whose module requests can make trap, and what gives it away.
const TRAP_FEATURE: &str = "trap-for-tests";
const TRAP_MARK: &[u8] = b"x-bursar-trap";

/// Builds the filter and returns the path of the module.
pub fn build(ws: &Workspace, choice: Choice) -> Result<PathBuf> {
    build_with(ws, choice, "bursar.wasm", None)
}

/// Builds the variant for tests that requests can make trap.
pub fn build_trapping(ws: &Workspace, choice: Choice) -> Result<PathBuf> {
    build_with(ws, choice, "bursar-trap.wasm", Some(TRAP_FEATURE))
}

fn build_with(ws: &Workspace, choice: Choice, name: &str, feature: Option<&str>) -> Result<PathBuf> {
    let toolchain = Toolchain::find(ws, choice)?;
    let built = compile(ws, &toolchain, feature)?;
    let module = fs::read(&built).with_context(|| format!("failed to read {}", built.display()))?;
    exports::check(&module)?;
    check_size(&module)?;
    check_paths(ws, &module)?;
    check_trap(&module, feature.is_some())?;
    let path = ws.target.join(name);
    if fs::read(&path).ok().as_deref() != Some(module.as_slice()) {
        replace(&path, &module)?;
    }
    let kibibytes = module.len().div_ceil(1024);
    say(format!("{} {kibibytes} KiB ({})", ws.relative(&path), toolchain.name()));
    Ok(path)
}

fn compile(ws: &Workspace, toolchain: &Toolchain, feature: Option<&str>) -> Result<PathBuf> {
    let mut flags = vec![
        "-Ctarget-feature=+simd128".to_owned(),
        format!("-Cllvm-args=-inlinedefault-threshold={INLINED}"),
        // Without it the linker leaves five bytes for each number that it fills in: a twentieth of the module.
        "-Clink-arg=--compress-relocations".to_owned(),
    ];
    flags.extend(toolchain.flags());
    flags.extend(remapped_paths(ws, toolchain)?);
    let mut cargo = toolchain.cargo(ws);
    cargo
        .args(["build", "--package", "bursar-filter", "--lib", "--profile", PROFILE])
        .args(["--target", toolchain::TARGET])
        .args(feature.map(|feature| format!("--features={feature}")))
        // Stronger than RUSTFLAGS and configuration files: the module is the same whoever builds it.
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
    run(&mut cargo).context("failed to build the filter")?;
    Ok(toolchain.target_folder(ws).join(toolchain::TARGET).join(PROFILE).join("bursar_filter.wasm"))
}

/// Names for the folders whose paths the compiler would write into the module (the last match counts).
fn remapped_paths(ws: &Workspace, toolchain: &Toolchain) -> Result<Vec<String>> {
    let mut folders = vec![(ws.root.clone(), "bursar"), (cargo_home()?, "cargo")];
    if let Some(folder) = toolchain.source_folder() {
        // Cargo names sources below its working folder by their relative path.
        folders.extend(folder.strip_prefix(&ws.root).map(|relative| (relative.to_path_buf(), "rust")));
        folders.push((folder, "rust"));
    }
    Ok(folders
        .iter()
        .map(|(folder, name)| format!("--remap-path-prefix={}={name}", folder.display()))
        .collect())
}

fn check_size(module: &[u8]) -> Result<()> {
    if module.len() > SIZE_MAX_BYTES {
        bail!("the module has {} bytes, more than the {SIZE_MAX_BYTES} it may have", module.len());
    }
    Ok(())
}

/// What is shipped cannot be made to trap; what is built for it can.
fn check_trap(module: &[u8], wanted: bool) -> Result<()> {
    let found = module.windows(TRAP_MARK.len()).any(|window| window == TRAP_MARK);
    if found != wanted {
        bail!("the module {} be made to trap by requests", if found { "can" } else { "cannot" });
    }
    Ok(())
}

/// A path of this machine in the module tells strangers about it and makes two builds differ.
fn check_paths(ws: &Workspace, module: &[u8]) -> Result<()> {
    // Whole folders of ours: a repository at `/src` may not be taken for the `src` of every dependency.
    let ours = ["src", "crates", "target"].map(|folder| ws.root.join(folder));
    for folder in ours.into_iter().chain([cargo_home()?.join("registry")]) {
        let needle = format!("{}/", folder.display());
        if module.windows(needle.len()).any(|window| window == needle.as_bytes()) {
            bail!("the module contains the path {needle}");
        }
    }
    Ok(())
}
