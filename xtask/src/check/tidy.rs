//! Checks of the repository that no compiler makes: leftovers, machine paths, links and paths in documents.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{pages, sizes};
use crate::process::{output, say};
use crate::workspace::Workspace;

/// Words that may not stay in a file, in two halves so that this file passes its own check.
const LEFTOVERS: [(&str, &str); 5] =
    [("FIX", "ME"), ("dbg", "!("), ("todo", "!("), ("unimplemented", "!("), ("<<<<", "<<<")];
/// Folders of one machine, in two halves.
const MACHINE_PATHS: [(&str, &str); 3] = [("/wo", "rk/"), ("/ro", "ot/"), ("/ho", "me/")];
/// Folders that documents speak of.
const FOLDERS: [&str; 8] = ["crates", "docs", "envoy", "src", "tests", "xtask", "fuzz", ".ci"];
const ARCHITECTURE: &str = "docs/ARCHITECTURE.md";
/// Bytes as they came over a wire, or as a fuzzer made them: nothing in them is for us to judge.
const RECORDED: [&str; 2] = ["crates/usage/samples/", "fuzz/corpus/"];
/// The only source of dependencies.
const LOCKED_SOURCE: &str = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";

/// Checks every file that git knows or would take; prints what is long, fails on what is wrong.
pub fn tidy(ws: &Workspace) -> Result<()> {
    let mut wrong = Vec::new();
    let mut long = Vec::new();
    let (mut tests, mut pages) = (pages::Found::default(), None);
    for name in files(ws)? {
        if RECORDED.iter().any(|folder| name.starts_with(folder)) {
            continue;
        }
        let path = ws.root.join(&name);
        // Not text, or deleted and not yet committed: not for us.
        let Ok(text) = fs::read_to_string(&path) else { continue };
        wrong.extend(lines(&name, &text));
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("rs") => {
                wrong.extend(rust(&name, &text));
                long.extend(sizes::report(&name, &text));
                tests.add(&name, &text);
            }
            Some("md") => {
                wrong.extend(markdown(&ws.root, &name, &text));
                if name == pages::PAGES {
                    pages = Some(text);
                }
            }
            Some("lock") => wrong.extend(lock(&name, &text)),
            _ => {}
        }
    }
    wrong.extend(tests.check(&pages.unwrap_or_default()));
    for line in &long {
        say(format!("  long: {line}"));
    }
    if !wrong.is_empty() {
        bail!("not tidy:\n  {}", wrong.join("\n  "));
    }
    Ok(())
}

/// The files of the repository, by their paths in it.
pub fn files(ws: &Workspace) -> Result<Vec<String>> {
    let mut git = Command::new("git");
    // A checkout that belongs to another user is still one we may list.
    git.current_dir(&ws.root).args(["-c", "safe.directory=*", "ls-files", "-z"]);
    let list = output(git.args(["--cached", "--others", "--exclude-standard"]))
        .context("failed to list the files")?;
    Ok(list.split_terminator('\0').map(str::to_owned).collect())
}

/// Rules for every text.
fn lines(name: &str, text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let place = format!("{name}:{}", index + 1);
        if line.ends_with([' ', '\t', '\r']) {
            wrong.push(format!("{place}: white space at the end of the line"));
        }
        for (kind, parts) in [("leftover", LEFTOVERS.as_slice()), ("path of one machine", &MACHINE_PATHS)] {
            for (head, tail) in parts {
                if line.match_indices(head).any(|(at, _)| line.split_at(at + head.len()).1.starts_with(tail))
                {
                    wrong.push(format!("{place}: {kind} {head}{tail}"));
                }
            }
        }
    }
    if !text.is_empty() && !text.ends_with('\n') {
        wrong.push(format!("{name}: no end of line at the end"));
    }
    wrong
}

/// Every Rust file says first what it is for.
fn rust(name: &str, text: &str) -> Option<String> {
    (!text.starts_with("//! ")).then(|| format!("{name}: does not start with what it is for (//!)"))
}

fn lock(name: &str, text: &str) -> Vec<String> {
    let sources = text.lines().filter(|line| line.starts_with("source = "));
    sources.filter(|line| *line != LOCKED_SOURCE).map(|line| format!("{name}: foreign {line}")).collect()
}

/// Links lead to files; paths that the architecture names exist.
fn markdown(root: &Path, name: &str, text: &str) -> Vec<String> {
    let folder = root.join(name).parent().map(Path::to_path_buf).unwrap_or_default();
    let mut wrong = Vec::new();
    let mut fenced = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        let mut missing: Vec<&str> = Vec::new();
        if !fenced {
            missing.extend(links(line).filter(|link| !folder.join(link).exists()));
        }
        if name == ARCHITECTURE {
            missing.extend(named_paths(line).filter(|path| !root.join(path).exists()));
        }
        wrong.extend(missing.iter().map(|path| format!("{name}:{}: {path} does not exist", index + 1)));
    }
    wrong
}

/// Targets of `[text](target)` that are files, without their anchors.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| {
        let target = rest.split([')', ' ']).next()?;
        let file = target.split('#').next()?;
        let elsewhere = file.is_empty() || file.contains("://") || file.starts_with("mailto:");
        (!elsewhere).then_some(file)
    })
}

/// Paths of the repository in `code spans`; `crates/edge/src/x.rs::Item` names the file.
fn named_paths(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2).filter_map(|span| {
        let path = span.split("::").next()?;
        let plain = !path.contains([' ', '*', '<', '{', '…', '$']);
        let first = PathBuf::from(path).components().next()?.as_os_str().to_str()?.to_owned();
        (plain && path.contains('/') && FOLDERS.contains(&first.as_str())).then_some(path)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftovers_and_machine_paths_are_found_with_their_line() {
        for (head, tail) in LEFTOVERS.into_iter().chain(MACHINE_PATHS) {
            let found = lines("a.rs", &format!("fine\nnot {head}{tail} fine\n"));
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].starts_with("a.rs:2: "), "{found:?}");
        }
    }

    #[test]
    fn white_space_at_ends_is_found() {
        assert_eq!(lines("a", "x \ny\t\nz").len(), 3);
        assert!(lines("a", "x\n\n  y\n").is_empty());
    }

    #[test]
    fn links_to_files_only() {
        let line = "see [a](docs/a.md#part), [b](#b), [c](https://example.com/x), [d](../d.md \"title\")";
        assert_eq!(links(line).collect::<Vec<_>>(), ["docs/a.md", "../d.md"]);
    }

    #[test]
    fn paths_in_code_spans() {
        let line = "`crates/edge/src/limits.rs::BODY` and `src/` but not `application/json`, `/v1/edge`, crates/x, `tests/*.rs`";
        assert_eq!(named_paths(line).collect::<Vec<_>>(), ["crates/edge/src/limits.rs", "src/"]);
    }

    #[test]
    fn markdown_names_what_is_missing() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let text = "[here](Cargo.toml)\n[gone](gone.md)\n```\n[not a link](x.md)\n```\n";
        assert_eq!(markdown(root, "a.md", text), ["a.md:2: gone.md does not exist"]);
        assert_eq!(markdown(root, ARCHITECTURE, "`src/main.rs` `src/gone.rs`\n").len(), 1);
    }

    #[test]
    fn locked_sources() {
        assert!(lock("Cargo.lock", &format!("{LOCKED_SOURCE}\n")).is_empty());
        assert_eq!(lock("Cargo.lock", "source = \"git+https://example.com/x\"\n").len(), 1);
    }

    #[test]
    fn rust_files_say_what_they_are_for() {
        assert!(rust("a.rs", "//! A thing.\n").is_none());
        assert!(rust("a.rs", "use std::fmt;\n").is_some());
    }
}
