//! The programs that the testbed runs, and where its runs leave their files.
//!
//! Paths come from flags or from `BURSAR_TESTBED_*`; nothing is looked up or built here.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, ensure};
use clap::Args;

/// Programs and files that a stack is made of.
#[derive(Args, Clone, Debug)]
pub struct Tools {
    /// The Envoy to run.
    #[arg(long = "envoy-bin", env = "BURSAR_TESTBED_ENVOY", global = true)]
    pub envoy: Option<PathBuf>,
    /// The oldest Envoy that is supported, for the version matrix.
    #[arg(long = "envoy-old-bin", env = "BURSAR_TESTBED_ENVOY_OLD", global = true)]
    pub envoy_old: Option<PathBuf>,
    /// The filter's module.
    #[arg(long = "wasm", env = "BURSAR_TESTBED_WASM", global = true)]
    pub wasm: Option<PathBuf>,
    /// The variant of the module that requests can make trap.
    #[arg(long = "wasm-trap", env = "BURSAR_TESTBED_WASM_TRAP", global = true)]
    pub wasm_trap: Option<PathBuf>,
    /// The `bursar` command.
    #[arg(long = "bursar-bin", env = "BURSAR_TESTBED_BIN", global = true)]
    pub bursar: Option<PathBuf>,
    /// A Python that has the stock clients.
    #[arg(long = "python", env = "BURSAR_TESTBED_PYTHON", global = true)]
    pub python: Option<PathBuf>,
}

impl Tools {
    /// The tools that the environment names.
    #[must_use]
    pub fn from_env() -> Self {
        let path = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        Self {
            envoy: path("BURSAR_TESTBED_ENVOY"),
            envoy_old: path("BURSAR_TESTBED_ENVOY_OLD"),
            wasm: path("BURSAR_TESTBED_WASM"),
            wasm_trap: path("BURSAR_TESTBED_WASM_TRAP"),
            bursar: path("BURSAR_TESTBED_BIN"),
            python: path("BURSAR_TESTBED_PYTHON"),
        }
    }

    /// The Envoy to run.
    ///
    /// # Errors
    /// It is not named or does not exist.
    pub fn envoy(&self) -> Result<&Path> {
        existing(self.envoy.as_deref(), "BURSAR_TESTBED_ENVOY")
    }

    /// The oldest supported Envoy.
    ///
    /// # Errors
    /// It is not named or does not exist.
    pub fn envoy_old(&self) -> Result<&Path> {
        existing(self.envoy_old.as_deref(), "BURSAR_TESTBED_ENVOY_OLD")
    }

    /// The filter's module.
    ///
    /// # Errors
    /// It is not named or does not exist.
    pub fn wasm(&self) -> Result<&Path> {
        existing(self.wasm.as_deref(), "BURSAR_TESTBED_WASM")
    }

    /// The variant of the module that requests can make trap.
    ///
    /// # Errors
    /// It is not named or does not exist.
    pub fn wasm_trap(&self) -> Result<&Path> {
        existing(self.wasm_trap.as_deref(), "BURSAR_TESTBED_WASM_TRAP")
    }

    /// The `bursar` command.
    ///
    /// # Errors
    /// It is not named or does not exist.
    pub fn bursar(&self) -> Result<&Path> {
        existing(self.bursar.as_deref(), "BURSAR_TESTBED_BIN")
    }

    /// A Python that has the stock clients.
    ///
    /// # Errors
    /// It is not named or does not exist.
    pub fn python(&self) -> Result<&Path> {
        existing(self.python.as_deref(), "BURSAR_TESTBED_PYTHON")
    }
}

/// The top folder of this repository.
#[must_use]
pub fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}

/// Makes the folder of one run, below the build's target folder.
///
/// # Errors
/// It cannot be made.
pub fn run_folder(name: &str) -> Result<PathBuf> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let folder = target_folder().join("testbed").join(format!("{name}-{}-{count}", std::process::id()));
    // Tokens and keys are in its files.
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
    made.with_context(|| format!("failed to make {}", folder.display()))?;
    Ok(folder)
}

/// A path as people should see it: relative to the folder they stand in where that is possible.
#[must_use]
pub fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).display().to_string()
}

fn target_folder() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    let tagged = program.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file());
    tagged.map_or_else(|| repository().join("target"), Path::to_path_buf)
}

fn existing<'a>(path: Option<&'a Path>, variable: &str) -> Result<&'a Path> {
    let path = path.with_context(|| format!("{variable} is not set: start this through `cargo xtask`"))?;
    ensure!(path.exists(), "{variable} names {}, which does not exist", path.display());
    Ok(path)
}
