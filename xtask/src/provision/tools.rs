//! The load generator and the plain upstream of `bench`: those on the search path, else Debian's, unpacked.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use super::debian;
use crate::workspace::{Workspace, on_path};

/// The programs; each is also the name of the Debian package that has it.
const PROGRAMS: [&str; 2] = ["wrk", "nginx"];

/// The environment in which a child finds `wrk` and `nginx` by name.
#[derive(Debug, Default)]
pub struct BenchTools {
    folders: Vec<PathBuf>,
    libraries: Vec<PathBuf>,
}

impl BenchTools {
    /// Looks on the search path (and where Debian keeps daemons), else unpacks the packages into `target/debian-bench`.
    pub fn find(ws: &Workspace) -> Result<Self> {
        let daemons = PathBuf::from("/usr/sbin");
        let there = |program: &&str| on_path(program).is_some() || daemons.join(program).is_file();
        if PROGRAMS.iter().all(there) {
            return Ok(Self { folders: vec![daemons], libraries: Vec::new() });
        }
        let folder = ws.target.join("debian-bench");
        debian::unpack(ws, &PROGRAMS, &[], &folder)
            .context("bench needs wrk and nginx: put them on the PATH and try again")?;
        let folders = ["usr/bin", "usr/sbin"].map(|part| folder.join(part)).to_vec();
        Ok(Self { folders, libraries: debian::library_folders(&folder) })
    }

    /// Adds the tools to a command's environment.
    pub fn apply(&self, command: &mut Command) -> Result<()> {
        for (variable, added) in [("PATH", &self.folders), ("LD_LIBRARY_PATH", &self.libraries)] {
            if added.is_empty() {
                continue;
            }
            let present = env::var_os(variable).unwrap_or_default();
            let all = env::split_paths(&present).filter(|part| !part.as_os_str().is_empty());
            command.env(variable, env::join_paths(all.chain(added.iter().cloned()))?);
        }
        Ok(())
    }
}
