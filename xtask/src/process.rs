//! Child processes: run one with its output shown, captured, or kept in a log.
//!
//! What xtask itself has to say goes to standard error, so that standard output stays free for what a command
//! is asked for (`up` prints one line of JSON there).

use std::fmt::Display;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Lines of a log shown when the command that wrote it failed.
const TAIL_LINES: usize = 60;

/// One line of progress for the person who waits.
pub fn say(message: impl Display) {
    eprintln!("xtask: {message}");
}

/// Runs a command with its output on the terminal; any other status than success is an error.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("failed to start {}", display(command)))?;
    if !status.success() {
        bail!("{} failed ({status})", display(command));
    }
    Ok(())
}

/// Runs a command and returns what it wrote to standard output; standard error becomes part of the error.
pub fn output(command: &mut Command) -> Result<String> {
    let out = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("failed to start {}", display(command)))?;
    if !out.status.success() {
        let reason = String::from_utf8_lossy(&out.stderr);
        bail!("{} failed ({}): {}", display(command), out.status, reason.trim());
    }
    String::from_utf8(out.stdout)
        .with_context(|| format!("{} wrote something that is not UTF-8", display(command)))
}

/// Runs a command with all its output in `log` (replaced); the end of the log becomes part of the error.
pub fn logged(command: &mut Command, log: &Path) -> Result<()> {
    if let Some(folder) = log.parent() {
        fs::create_dir_all(folder).with_context(|| format!("failed to create {}", folder.display()))?;
    }
    let file = File::create(log).with_context(|| format!("failed to create {}", log.display()))?;
    let status = command
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .status()
        .with_context(|| format!("failed to start {}", display(command)))?;
    if !status.success() {
        bail!("{} failed ({status})\n{}\nthe whole log: {}", display(command), tail(log), log.display());
    }
    Ok(())
}

/// The last lines of a log file; empty when it cannot be read.
pub fn tail(log: &Path) -> String {
    let text = fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let skipped = lines.len().saturating_sub(TAIL_LINES);
    lines.into_iter().skip(skipped).collect::<Vec<_>>().join("\n")
}

/// The command as a person would type it (for messages; not quoted for a shell).
pub fn display(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let mut text = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
    for argument in command.get_args() {
        text.push(' ');
        text.push_str(&argument.to_string_lossy());
    }
    text
}
