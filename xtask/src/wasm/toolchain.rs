//! The toolchain that builds for `wasm32-wasip1`: the active one with rustup's target, or Debian's own Rust.
//!
//! Debian packages a rustc, its sources and a C library for WASI but no standard library for this target: cargo builds
//! that too (`-Zbuild-std`). Its artefacts stay in a target folder of their own, since a library that one rustc
//! built is refused by another.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::process::{logged, output, say};
use crate::provision::debian;
use crate::workspace::{Workspace, on_path};

/// The target of the filter.
pub const TARGET: &str = "wasm32-wasip1";

const PACKAGES: [&str; 5] = ["rustc-web", "cargo-web", "rust-web-src", "wasi-libc", "lld-19"];
/// Of Rust's sources the standard library is enough (70 of 430 MB).
const LIBRARY_ONLY: (&str, &[&str]) = ("rust-web-src", &["./usr/src/*/library/*", "./usr/lib/rustlib/src/*"]);
/// The oldest rustc that the workspace's `rust-version` allows.
const RUSTC_MINOR_MIN: u32 = 95;

/// Which toolchain to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Choice {
    /// What is there: the active toolchain's target, Debian's packages; else what can be fetched: by rustup, from Debian.
    Auto,
    /// The active toolchain, whose target `rustup` may add.
    Rustup,
    /// Debian's packages, installed (as root) where they are missing.
    Debian,
    /// Debian's packages, unpacked under `target` (no root).
    DebianUnpacked,
}

/// A toolchain that can build for [`TARGET`].
#[derive(Debug)]
pub enum Toolchain {
    /// The one that runs xtask.
    Active,
    /// Debian's.
    Debian(DebianRust),
}

/// Debian's Rust below some folder: `/` or where the packages were unpacked.
#[derive(Debug)]
pub struct DebianRust {
    root: PathBuf,
    name: &'static str,
}

impl Toolchain {
    /// Finds or fetches a toolchain, and says which.
    pub fn find(ws: &Workspace, choice: Choice) -> Result<Self> {
        match choice {
            Choice::Rustup => active(ws),
            Choice::Debian => DebianRust::installed().or_else(|_| DebianRust::install(ws)).map(Self::Debian),
            Choice::DebianUnpacked => DebianRust::unpacked(ws).map(Self::Debian),
            Choice::Auto => automatic(ws),
        }
        .inspect(|toolchain| say(toolchain.description()))
    }

    /// A short name for the summary.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Active => "rustup",
            Self::Debian(rust) => rust.name,
        }
    }

    /// Where cargo puts what this toolchain builds.
    pub fn target_folder(&self, ws: &Workspace) -> PathBuf {
        match self {
            Self::Active => ws.target.clone(),
            Self::Debian(_) => ws.target.join("wasm-debian"),
        }
    }

    /// Flags for rustc that this toolchain needs.
    pub fn flags(&self) -> Vec<String> {
        match self {
            Self::Active => Vec::new(),
            Self::Debian(rust) => vec![
                format!("-Clinker={}", rust.linker().display()),
                format!("-Lnative={}", rust.libc_folder().display()),
            ],
        }
    }

    /// Where the sources of the standard library are, if it is built from source.
    pub fn source_folder(&self) -> Option<PathBuf> {
        match self {
            Self::Active => None,
            Self::Debian(rust) => Some(rust.sources()),
        }
    }

    /// Cargo with this toolchain's rustc.
    pub fn cargo(&self, ws: &Workspace) -> Command {
        match self {
            Self::Active => ws.cargo(),
            Self::Debian(rust) => {
                let mut command = rust.program("cargo");
                command
                    .current_dir(&ws.root)
                    .env_remove("RUSTUP_TOOLCHAIN")
                    .env_remove("RUSTC_WORKSPACE_WRAPPER")
                    .env("RUSTC", rust.root.join("usr/bin/rustc"))
                    // `-Z` flags on a released cargo.
                    .env("RUSTC_BOOTSTRAP", "1")
                    .env("CARGO_UNSTABLE_BUILD_STD", "std,panic_abort")
                    .env("CARGO_TARGET_DIR", self.target_folder(ws));
                command
            }
        }
    }

    fn description(&self) -> String {
        match self {
            Self::Active => format!("building the filter with the active Rust toolchain's {TARGET}"),
            Self::Debian(rust) => {
                let place = if rust.root == Path::new("/") { "installed" } else { "unpacked under target" };
                format!(
                    "building the filter with Debian's Rust ({place}) and its standard library from source"
                )
            }
        }
    }
}

fn automatic(ws: &Workspace) -> Result<Toolchain> {
    if has_target(ws) {
        return Ok(Toolchain::Active);
    }
    // Tried before rustup, which may wait for a network that is not there each time.
    if let Ok(rust) =
        DebianRust::installed().or_else(|_| DebianRust::at(&unpacked_folder(ws), "Debian, unpacked"))
    {
        return Ok(Toolchain::Debian(rust));
    }
    let rustup = match active(ws) {
        Ok(toolchain) => return Ok(toolchain),
        Err(reason) => reason,
    };
    say(format!("{rustup:#}"));
    let unpacked = match DebianRust::unpacked(ws) {
        Ok(rust) => return Ok(Toolchain::Debian(rust)),
        Err(reason) => reason,
    };
    say(format!("{unpacked:#}"));
    DebianRust::install(ws).map(Toolchain::Debian).with_context(|| {
        format!(
            "no Rust toolchain for {TARGET}: install one with `rustup target add {TARGET}`, \
             or Debian's packages {}",
            PACKAGES.join(" ")
        )
    })
}

/// The active toolchain, with rustup adding the target where it is missing.
fn active(ws: &Workspace) -> Result<Toolchain> {
    if has_target(ws) {
        return Ok(Toolchain::Active);
    }
    if on_path("rustup").is_none() {
        bail!("the active Rust toolchain lacks {TARGET}, and there is no rustup to add it");
    }
    say(format!("the active Rust toolchain lacks {TARGET}: asking rustup to add it"));
    let mut rustup = Command::new("rustup");
    rustup.current_dir(&ws.root).args(["target", "add", TARGET]).env("RUST_BACKTRACE", "0");
    logged(&mut rustup, &ws.log("rustup")).with_context(|| format!("rustup could not add {TARGET}"))?;
    if !has_target(ws) {
        bail!("rustup added {TARGET}, but not to the active toolchain");
    }
    Ok(Toolchain::Active)
}

/// Does the active toolchain have a standard library for the target, whoever put it there?
fn has_target(ws: &Workspace) -> bool {
    let folder = output(ws.rustc().args(["--print", "target-libdir", "--target", TARGET]));
    let Ok(mut files) = folder.and_then(|folder| Ok(fs::read_dir(folder.trim())?)) else { return false };
    files.any(|file| file.is_ok_and(|file| file.file_name().to_string_lossy().starts_with("libstd-")))
}

fn unpacked_folder(ws: &Workspace) -> PathBuf {
    ws.target.join("debian-wasm")
}

impl DebianRust {
    fn installed() -> Result<Self> {
        Self::at(Path::new("/"), "Debian")
    }

    fn install(ws: &Workspace) -> Result<Self> {
        debian::install(ws, &PACKAGES, "building the filter")?;
        Self::installed()
    }

    fn unpacked(ws: &Workspace) -> Result<Self> {
        let folder = unpacked_folder(ws);
        debian::unpack(ws, &PACKAGES, &[LIBRARY_ONLY], &folder)?;
        Self::at(&folder, "Debian, unpacked")
    }

    fn at(root: &Path, name: &'static str) -> Result<Self> {
        let rust = Self { root: root.to_path_buf(), name };
        let parts =
            [rust.sources().join("library/std/Cargo.toml"), rust.libc_folder().join("libc.a"), rust.linker()];
        if let Some(missing) = parts.iter().find(|part| !part.exists()) {
            bail!("{} is missing", missing.display());
        }
        // A rustc of another package may stand in the same place.
        let version = output(rust.program("rustc").arg("--version"))?;
        let minor =
            version.strip_prefix("rustc 1.").and_then(|rest| rest.split('.').next()?.parse::<u32>().ok());
        if minor.is_none_or(|minor| minor < RUSTC_MINOR_MIN) {
            bail!("{} is older than Rust 1.{RUSTC_MINOR_MIN}", version.trim());
        }
        output(rust.program("cargo").arg("--version"))?;
        Ok(rust)
    }

    /// One of the programs, with the shared libraries that were unpacked beside it.
    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.root.join("usr/bin").join(name));
        command.env_remove("LD_LIBRARY_PATH");
        if self.root != Path::new("/") {
            let folders = debian::library_folders(&self.root);
            let list: Vec<_> = folders.iter().map(|folder| folder.to_string_lossy()).collect();
            command.env("LD_LIBRARY_PATH", list.join(":"));
        }
        command
    }

    fn sources(&self) -> PathBuf {
        self.root.join("usr/lib/rustlib/src/rust")
    }

    fn libc_folder(&self) -> PathBuf {
        self.root.join("usr/lib/wasm32-wasi")
    }

    fn linker(&self) -> PathBuf {
        self.root.join("usr/bin/wasm-ld-19")
    }
}
