//! Debian packages: unpacked into a folder of our own (no root, the machine stays as it is), or installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process::{logged, output, say};
use crate::workspace::{Workspace, on_path, replace};

/// Written into an unpacked folder when it is whole.
const STAMP: &str = ".complete";

/// Is this a machine where Debian packages can be fetched and unpacked?
pub fn available() -> bool {
    on_path("apt-get").is_some() && on_path("dpkg").is_some()
}

/// Fetches packages, and what they need that this machine lacks, and unpacks them into `folder`.
///
/// Nothing is installed: the package lists live under `target/apt`, so neither root nor a fresh `apt-get update` of the
/// machine is needed. A folder that holds exactly these packages already is left as it is, without network.
/// `only` restricts a package to the files under some folders (patterns of `tar --wildcards`).
pub fn unpack(ws: &Workspace, packages: &[&str], only: &[(&str, &[&str])], folder: &Path) -> Result<()> {
    let stamp = folder.join(STAMP);
    if fs::read_to_string(&stamp).is_ok_and(|text| text == packages.join("\n")) {
        return Ok(());
    }
    if !available() {
        bail!("apt-get and dpkg are needed to fetch {}", packages.join(", "));
    }
    say(format!(
        "fetching Debian's {} into {} (nothing is installed)",
        packages.join(", "),
        ws.relative(folder)
    ));
    let apt = PrivateApt::new(ws)?;
    logged(apt.command().arg("update"), &ws.log("apt-update"))?;
    let wanted = apt.with_missing_dependencies(packages)?;
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("failed to clear {}", folder.display()))?;
    }
    let downloads = folder.join("packages");
    fs::create_dir_all(&downloads).with_context(|| format!("failed to create {}", downloads.display()))?;
    logged(apt.command().current_dir(&downloads).arg("download").args(&wanted), &ws.log("apt-download"))?;
    for package in files_in(&downloads)? {
        extract(ws, &package, only, folder)?;
    }
    fs::remove_dir_all(&downloads)?;
    replace(&stamp, packages.join("\n").as_bytes())
}

/// Installs packages on the machine, as root or by a `sudo` that asks no password.
///
/// Refuses rather than removing a package that is already there.
pub fn install(ws: &Workspace, packages: &[&str], why: &str) -> Result<()> {
    let list = packages.join(" ");
    let Some(apt) = RootApt::find() else {
        bail!("{why} needs the Debian packages {list}: install them (apt-get install {list}) and try again");
    };
    say(format!("installing Debian's {} for {why}", packages.join(", ")));
    logged(apt.command().arg("update"), &ws.log("apt-update"))?;
    logged(
        apt.command().args(["install", "--yes", "--no-install-recommends", "--no-remove"]).args(packages),
        &ws.log("apt-install"),
    )
    .with_context(|| format!("failed to install {list}, which {why} needs"))
}

/// Folders with shared libraries inside an unpacked folder.
pub fn library_folders(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder.join("usr/lib")) else { return Vec::new() };
    entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().contains("-linux-gnu")))
        .collect()
}

/// An apt that keeps its lists and its cache under `target`, and only reads what dpkg knows of the machine.
struct PrivateApt {
    folder: PathBuf,
}

impl PrivateApt {
    fn new(ws: &Workspace) -> Result<Self> {
        let folder = ws.target.join("apt");
        for part in ["state/lists/partial", "cache/archives/partial"] {
            let path = folder.join(part);
            fs::create_dir_all(&path).with_context(|| format!("failed to create {}", path.display()))?;
        }
        Ok(Self { folder })
    }

    fn command(&self) -> Command {
        let mut command = Command::new("apt-get");
        command
            .arg(format!("-oDir::State={}", self.folder.join("state").display()))
            .arg("-oDir::State::status=/var/lib/dpkg/status")
            .arg(format!("-oDir::Cache={}", self.folder.join("cache").display()))
            // Root may not hand a folder below its home to apt's own user.
            .arg("-oAPT::Sandbox::User=root")
            .arg("-oDebug::NoLocking=1")
            .env("LC_ALL", "C");
        command
    }

    /// The packages themselves, installed or not, and whatever a simulated installation would add for them.
    fn with_missing_dependencies(&self, packages: &[&str]) -> Result<Vec<String>> {
        let plan =
            output(self.command().args(["--simulate", "--no-install-recommends", "install"]).args(packages))?;
        let added = plan.lines().filter_map(|line| line.strip_prefix("Inst ")?.split_whitespace().next());
        let mut wanted: Vec<String> = packages.iter().copied().chain(added).map(str::to_owned).collect();
        wanted.sort();
        wanted.dedup();
        Ok(wanted)
    }
}

/// An apt that may change the machine.
struct RootApt {
    sudo: bool,
}

impl RootApt {
    fn find() -> Option<Self> {
        on_path("apt-get")?;
        let root = output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
        let sudo =
            !root && on_path("sudo").is_some() && output(Command::new("sudo").args(["-n", "true"])).is_ok();
        (root || sudo).then_some(Self { sudo })
    }

    fn command(&self) -> Command {
        let mut command = Command::new(if self.sudo { "sudo" } else { "env" });
        if self.sudo {
            command.args(["-n", "env"]);
        }
        command.args(["DEBIAN_FRONTEND=noninteractive", "LC_ALL=C", "apt-get", "-oDPkg::Lock::Timeout=120"]);
        command
    }
}

/// Unpacks one package file; `only` as in [`unpack`].
fn extract(ws: &Workspace, package: &Path, only: &[(&str, &[&str])], folder: &Path) -> Result<()> {
    let file = package.file_name().unwrap_or_default().to_string_lossy();
    let name = file.split('_').next().unwrap_or_default();
    let log = ws.log("dpkg");
    match only.iter().find(|(restricted, _)| *restricted == name) {
        None => logged(Command::new("dpkg").arg("--extract").args([package, folder]), &log),
        Some((_, patterns)) => {
            let content = package.with_extension("tar");
            let tar = fs::File::create(&content)?;
            let status = Command::new("dpkg").arg("--fsys-tarfile").arg(package).stdout(tar).status()?;
            if !status.success() {
                bail!("dpkg could not read {file} ({status})");
            }
            let mut command = Command::new("tar");
            command.arg("--extract").arg("--directory").arg(folder).arg("--file").arg(&content);
            logged(command.arg("--wildcards").args(*patterns), &log)
        }
    }
}

fn files_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("failed to read {}", folder.display()))? {
        files.push(entry?.path());
    }
    files.sort();
    Ok(files)
}
