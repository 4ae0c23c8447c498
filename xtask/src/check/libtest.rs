//! Runs `cargo test` and reads from its log how many tests passed and failed.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::Counts;
use crate::process::{display, say, tail};

/// How often a step that takes long says how far it is.
const PROGRESS_EVERY: Duration = Duration::from_secs(20);
const POLL_EVERY: Duration = Duration::from_millis(100);

/// Runs a test command with its output in `log`. Failed tests are counted and shown, not an error; anything else that
/// goes wrong (such as code that does not compile) is one.
pub fn run(command: &mut Command, log: &Path) -> Result<Counts> {
    if let Some(folder) = log.parent() {
        fs::create_dir_all(folder).with_context(|| format!("failed to create {}", folder.display()))?;
    }
    let file = File::create(log).with_context(|| format!("failed to create {}", log.display()))?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .spawn()
        .with_context(|| format!("failed to start {}", display(command)))?;
    let mut last = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        sleep(POLL_EVERY);
        if last.elapsed() >= PROGRESS_EVERY {
            last = Instant::now();
            say(format!("  {}", progress(&read(log))));
        }
    };
    let text = read(log);
    let counts = count(&text);
    if !status.success() && counts.failed == 0 {
        bail!("{} failed ({status})\n{}\nthe whole log: {}", display(command), tail(log), log.display());
    }
    if counts.failed > 0 {
        say(format!("{}\nthe whole log: {}", failures(&text), log.display()));
    }
    Ok(counts)
}

fn read(log: &Path) -> String {
    fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// Adds up the lines `test result: ok. 3 passed; 0 failed; …`.
fn count(text: &str) -> Counts {
    let mut counts = Counts::default();
    for result in text.lines().filter_map(|line| line.strip_prefix("test result: ")) {
        let number = |word: &str| -> u64 {
            let before = result.split_once(word).map_or("", |(before, _)| before);
            before.rsplit([' ', ';']).find_map(|part| part.parse().ok()).unwrap_or(0)
        };
        counts.passed += number(" passed;");
        counts.failed += number(" failed;");
    }
    counts
}

fn progress(text: &str) -> String {
    let done = text.lines().filter(|line| line.starts_with("test ") && line.contains(" ... ")).count();
    match text.lines().rev().find(|line| line.trim_start().starts_with("Compiling")) {
        Some(line) if done == 0 => line.trim().to_owned(),
        _ => format!("{done} tests done"),
    }
}

/// What the failed tests printed: each `failures:` section up to its result line.
fn failures(text: &str) -> String {
    let mut shown = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        inside = (inside || line == "failures:") && !line.starts_with("test result: ");
        if inside {
            shown.push(line);
        }
    }
    shown.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
running 2 tests
test a ... ok
test b ... FAILED

failures:

---- b stdout ----
left is not right

failures:
    b

test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s

     Running unittests src/lib.rs

running 12 tests
test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 1.20s
";

    #[test]
    fn results_of_all_binaries_add_up() {
        assert_eq!(count(LOG), Counts { passed: 13, failed: 1 });
        assert_eq!(count("error: could not compile"), Counts::default());
    }

    #[test]
    fn only_failures_are_shown() {
        let shown = failures(LOG);
        assert!(shown.contains("left is not right"));
        assert!(!shown.contains("test a ... ok") && !shown.contains("running 12"));
    }

    #[test]
    fn progress_names_the_crate_until_tests_run() {
        assert_eq!(progress("   Compiling wire v0.1.0\n"), "Compiling wire v0.1.0");
        assert_eq!(progress(LOG), "2 tests done");
    }
}
