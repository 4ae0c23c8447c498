//! Python: virtual environments under `target`, and the stock clients that the tests drive.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::debian;
use crate::process::{logged, output, say};
use crate::workspace::{Workspace, replace};

/// The stock clients and their exact versions.
const REQUIREMENTS: &str = "tests/clients/requirements.txt";
/// Written into an environment when it is whole: the requirements it was made of.
const STAMP: &str = ".requirements.txt";

/// The interpreter of an environment with the clients of `tests/clients/requirements.txt`.
pub fn clients(ws: &Workspace) -> Result<PathBuf> {
    let requirements = fs::read_to_string(ws.root.join(REQUIREMENTS))
        .with_context(|| format!("failed to read {REQUIREMENTS}"))?;
    let venv = ws.target.join("python");
    if !holds(&venv, &requirements) {
        say(format!("fetching the Python clients of {REQUIREMENTS} into {}", ws.relative(&venv)));
        create(ws, &venv, &requirements)?;
    }
    Ok(venv.join("bin/python"))
}

/// Was this environment made, to the end, of exactly these requirements?
pub fn holds(venv: &Path, requirements: &str) -> bool {
    fs::read_to_string(venv.join(STAMP)).is_ok_and(|made_of| made_of == requirements)
        && venv.join("bin/python").exists()
}

/// Makes an environment anew with packages from PyPI; `requirements` in the format of pip's requirements files.
pub fn create(ws: &Workspace, venv: &Path, requirements: &str) -> Result<()> {
    if venv.exists() {
        fs::remove_dir_all(venv).with_context(|| format!("failed to clear {}", venv.display()))?;
    }
    if output(Command::new("python3").args(["-c", "import venv, ensurepip"])).is_err() {
        debian::install(ws, &["python3", "python3-venv"], "a Python virtual environment")?;
    }
    output(Command::new("python3").args(["-m", "venv"]).arg(venv))?;
    let list = venv.join("requested.txt");
    fs::write(&list, requirements).with_context(|| format!("failed to write {}", list.display()))?;
    let mut pip = Command::new(venv.join("bin/python"));
    pip.args(["-m", "pip", "--no-input", "--disable-pip-version-check", "install", "--requirement"])
        .arg(&list);
    logged(&mut pip, &ws.log("pip"))?;
    replace(&venv.join(STAMP), requirements.as_bytes())
}
