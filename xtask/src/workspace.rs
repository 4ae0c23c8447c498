//! Where things are: the repository, its `target` folder, and the programs on the search path.
//!
//! Everything xtask makes or fetches lies under `target`, so that `cargo clean` removes it. A `CARGO_TARGET_DIR`
//! of the caller is not followed: the paths below are part of what other programs rely on.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

/// The repository that xtask works on.
#[derive(Debug)]
pub struct Workspace {
    /// The folder of the root `Cargo.toml`.
    pub root: PathBuf,
    /// `root/target`.
    pub target: PathBuf,
}

impl Workspace {
    /// Finds the repository from the manifest folder that `cargo run` announces, else from the one xtask was built in.
    pub fn find() -> Result<Self> {
        let manifest =
            env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| OsString::from(env!("CARGO_MANIFEST_DIR")));
        let root =
            Path::new(&manifest).parent().context("xtask's manifest has no parent folder")?.to_path_buf();
        let target = root.join("target");
        fs::create_dir_all(&target).with_context(|| format!("failed to create {}", target.display()))?;
        Ok(Self { root, target })
    }

    /// The cargo that started xtask, working in the repository and its `target` folder.
    pub fn cargo(&self) -> Command {
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.current_dir(&self.root).env("CARGO_TARGET_DIR", &self.target);
        command
    }

    /// The rustc that belongs to [`Workspace::cargo`].
    pub fn rustc(&self) -> Command {
        let mut command = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
        command.current_dir(&self.root);
        command
    }

    /// The log file of one step.
    pub fn log(&self, name: &str) -> PathBuf {
        self.target.join("logs").join(format!("{name}.log"))
    }

    /// A path as seen from the root of the repository, for messages.
    pub fn relative<'a>(&self, path: &'a Path) -> std::path::Display<'a> {
        path.strip_prefix(&self.root).unwrap_or(path).display()
    }
}

/// The first program of that name on the search path.
pub fn on_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(program)).find(|candidate| candidate.is_file())
}

/// Cargo's home folder.
pub fn cargo_home() -> Result<PathBuf> {
    if let Some(home) = env::var_os("CARGO_HOME") {
        return Ok(PathBuf::from(home));
    }
    let home = env::var_os("HOME").context("neither CARGO_HOME nor HOME is set")?;
    Ok(Path::new(&home).join(".cargo"))
}

/// Replaces a file in one step, so that a reader sees the old content or the new one.
pub fn replace(path: &Path, content: &[u8]) -> Result<()> {
    let mut partial = path.as_os_str().to_os_string();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    fs::write(&partial, content).with_context(|| format!("failed to write {}", partial.display()))?;
    fs::rename(&partial, path).with_context(|| format!("failed to replace {}", path.display()))
}
