//! `docs/price-pages.md`: every rule of the price pages with the tests that hold it.
//!
//! A test belongs to a rule by its name: `m3_included_credits_go_first` is M3's, `p12_p13_switch` that of both. The
//! column of tests is written by `cargo xtask pages`; that what it names exists, that no rule is missing, and that a rule
//! without a test says why, is part of `cargo xtask tidy`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context, Result, bail};

use super::tidy;
use crate::process::say;
use crate::workspace::Workspace;

/// The document.
pub const PAGES: &str = "docs/price-pages.md";

/// Pages by their letters, and how many rules each has.
const RULES: [(char, u32); 5] = [('M', 14), ('C', 13), ('P', 14), ('L', 15), ('W', 8)];

/// Where tests lie, and what they run against.
const LEVELS: [(&str, &str); 7] = [
    ("tests/", "Envoy"),
    ("crates/ledger/", "ledger"),
    ("crates/book/", "book"),
    ("crates/sim/", "simulation"),
    ("crates/edge/", "edge"),
    ("crates/usage/", "edge"),
    ("crates/tariff/", "catalog"),
];

/// Statuses that follow from where a rule has tests; any other one is written by hand and stays.
const ENFORCED: &str = "enforced";
const NOT_BY_ENVOY: &str = "enforced; no test through Envoy";
const LEDGER_PART: &str = "enforced in the ledger; no test at the edge";
const CATALOG_ALONE: &str = "in the catalog; what enforces it has no test by this name";
const OPEN: &str = "open: no test by this name yet";
const DERIVED: [&str; 5] = [ENFORCED, NOT_BY_ENVOY, LEDGER_PART, CATALOG_ALONE, OPEN];

/// A status that needs no test must say why, in so many characters at least.
const REASON_CHARS: usize = 20;

/// The tests of a rule: levels in the order of [`LEVELS`], with the names of tests.
type Tests = BTreeMap<usize, BTreeSet<String>>;

/// Tests by rule, in the lower-case form of their names (`m3`).
#[derive(Default)]
pub struct Found(BTreeMap<String, Tests>);

/// Writes the column of tests anew.
///
/// # Errors
/// The document is not readable, or cannot be written.
pub fn update(ws: &Workspace) -> Result<()> {
    let mut found = Found::default();
    for name in tidy::files(ws)?.iter().filter(|name| name.ends_with(".rs")) {
        // Deleted and not yet committed: not for us.
        if let Ok(text) = fs::read_to_string(ws.root.join(name)) {
            found.add(name, &text);
        }
    }
    let path = ws.root.join(PAGES);
    let text = fs::read_to_string(&path).with_context(|| format!("failed to read {PAGES}"))?;
    let lines: Vec<String> = text.lines().map(|line| found.rewritten(line)).collect();
    fs::write(path, lines.join("\n") + "\n")?;
    let wrong = found.check(&lines.join("\n"));
    if !wrong.is_empty() {
        bail!("written; and wrong in it:\n  {}", wrong.join("\n  "));
    }
    Ok(())
}

impl Found {
    /// Takes the tests of a file.
    pub fn add(&mut self, file: &str, text: &str) {
        let Some(level) = LEVELS.iter().position(|(folder, _)| file.starts_with(folder)) else { return };
        for line in text.lines() {
            let line = line.trim_start();
            // Scenarios of the book's suite are public: each store's crate plays them.
            let line = line.strip_prefix("pub ").unwrap_or(line);
            let line = line.strip_prefix("async ").unwrap_or(line);
            let Some(name) = line.strip_prefix("fn ").and_then(|rest| rest.split(['(', '<']).next()) else {
                continue;
            };
            for rule in rules_of(name) {
                let tests = self.0.entry(rule).or_default();
                tests.entry(level).or_default().insert(name.to_owned());
            }
        }
    }

    /// What is wrong with the document.
    pub fn check(&self, text: &str) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut missing: BTreeSet<String> = all_rules().collect();
        for (index, line) in text.lines().enumerate() {
            let Some((id, cells)) = row(line) else { continue };
            let mut report = |message: String| wrong.push(format!("{PAGES}:{}: {message}", index + 1));
            if !missing.remove(&id) {
                report(format!("{id} is no rule, or a second row of it"));
            }
            let [_, _, tests, status] = cells.as_slice() else {
                report(format!("{id} has {} columns, not 5", cells.len() + 1));
                continue;
            };
            let named: BTreeSet<&str> = tests.split('`').skip(1).step_by(2).collect();
            let known = self.names(&id);
            for name in named.iter().filter(|name| !known.contains(**name)) {
                report(format!("{id} names {name}, and there is no such test"));
            }
            if named.is_empty() && status.chars().count() < REASON_CHARS {
                report(format!("{id} has no test, and its status does not say why"));
            }
            let unnamed: Vec<&String> = known.iter().filter(|name| !named.contains(name.as_str())).collect();
            if !unnamed.is_empty() {
                say(format!("  {PAGES} does not name {unnamed:?} yet: `cargo xtask pages` adds them"));
            }
        }
        wrong.extend(missing.iter().map(|id| format!("{PAGES}: {id} has no row")));
        wrong
    }

    fn names(&self, id: &str) -> BTreeSet<String> {
        let tests = self.0.get(&id.to_ascii_lowercase());
        tests.into_iter().flat_map(BTreeMap::values).flatten().cloned().collect()
    }

    /// A line of the document, with the tests of its rule where it is a row.
    fn rewritten(&self, line: &str) -> String {
        let Some((id, cells)) = row(line) else { return line.to_owned() };
        let [rule, place, _, status] = cells.as_slice() else { return line.to_owned() };
        let tests = self.0.get(&id.to_ascii_lowercase());
        let levels = tests.into_iter().flatten().map(|(level, names)| {
            let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
            let level = LEVELS.get(*level).map_or("", |(_, level)| level);
            format!("{level}: {}", names.join(", "))
        });
        let joined = levels.collect::<Vec<_>>().join("; ");
        let derived = DERIVED.contains(&status.as_str());
        let status = if derived { derived_status(place, tests) } else { status.as_str() };
        let tests = joined;
        format!("| {id} | {rule} | {place} | {tests} | {status} |").replace("|  |", "| |")
    }
}

/// What the places of a rule's tests say of it.
fn derived_status(place: &str, tests: Option<&Tests>) -> &'static str {
    let at = |wanted: &[&str]| {
        let mut levels = tests.into_iter().flat_map(BTreeMap::keys).filter_map(|level| LEVELS.get(*level));
        levels.any(|(_, level)| wanted.contains(level))
    };
    let at_edge = at(&["Envoy", "simulation", "edge"]);
    match place {
        _ if tests.is_none_or(BTreeMap::is_empty) => OPEN,
        _ if !at_edge && !at(&["ledger", "book"]) => CATALOG_ALONE,
        "ledger" => ENFORCED,
        _ if at(&["Envoy"]) => ENFORCED,
        _ if at_edge => NOT_BY_ENVOY,
        _ => LEDGER_PART,
    }
}

/// A row's id and its other cells.
fn row(line: &str) -> Option<(String, Vec<String>)> {
    let inner = line.strip_prefix("| ")?.strip_suffix('|')?;
    let mut cells = inner.split('|').map(|cell| cell.trim().to_owned());
    let id = cells.next()?;
    let is_rule = id.len() > 1
        && RULES.iter().any(|(page, _)| id.starts_with(*page))
        && id.chars().skip(1).all(|digit| digit.is_ascii_digit());
    is_rule.then(|| (id, cells.collect()))
}

/// The rules that a test's name begins with, in lower case.
fn rules_of(name: &str) -> impl Iterator<Item = String> {
    name.split('_').map_while(|part| {
        let (page, number) = part.split_at_checked(1)?;
        let (_, most) = RULES.iter().find(|(own, _)| own.to_ascii_lowercase().to_string() == page)?;
        let number: u32 = number.parse().ok()?;
        (1..=*most).contains(&number).then(|| format!("{page}{number}"))
    })
}

fn all_rules() -> impl Iterator<Item = String> {
    RULES.iter().flat_map(|(page, most)| (1..=*most).map(move |number| format!("{page}{number}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found() -> Found {
        let mut found = Found::default();
        found.add("crates/book/tests/x.rs", "#[test]\nfn m3_draws() {\n#[test]\npub fn p12_p13_switch() {\n");
        found.add("tests/page.rs", "async fn m3_through_envoy() {\nfn m99_is_none() {\nfn message() {\n");
        found.add("xtask/src/x.rs", "fn m3_elsewhere() {\n");
        found
    }

    #[test]
    fn tests_are_found_by_their_names_and_places() {
        let found = found();
        let row = found.rewritten("| M3 | rule | ledger | old | enforced |");
        assert_eq!(row, "| M3 | rule | ledger | Envoy: `m3_through_envoy`; book: `m3_draws` | enforced |");
        assert_eq!(found.rewritten("| P13 | r | w | | e |"), "| P13 | r | w | book: `p12_p13_switch` | e |");
        assert_eq!(found.rewritten("| M1 | r | w | x | e |"), "| M1 | r | w | | e |");
        // A status follows from the tests unless it was written by hand.
        assert_eq!(
            found.rewritten("| P13 | r | both | | enforced |"),
            "| P13 | r | both | book: `p12_p13_switch` | enforced in the ledger; no test at the edge |"
        );
        assert_eq!(found.rewritten("text"), "text");
    }

    #[test]
    fn what_is_missing_stale_or_unexplained_is_wrong() {
        let rows = "| M3 | r | w | `m3_draws`, `m3_gone` | enforced |\n| M3 | r | w | `m3_draws` | enforced |\n| M4 | r | w | | enforced |\n\
                    | M5 | r | w | | not built: payments stay outside |\n| M6 | r | w | `m3_draws` |\n";
        let wrong = found().check(rows).join("\n");
        for said in [
            "M3 names m3_gone",
            "M3 is no rule, or a second",
            "M4 has no test",
            "M6 has 4 columns",
            "W8 has no row",
        ] {
            assert!(wrong.contains(said), "{said} is missing in {wrong}");
        }
        assert!(!wrong.contains("M5"), "{wrong}");
        assert_eq!(all_rules().count(), 64);
    }
}
