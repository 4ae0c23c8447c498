//! Checking a store: the journal against itself, and the projections against the journal.
//!
//! Reads one snapshot, so it may run beside a ledger. Every account is folded anew in memory; sums are taken
//! from the entries apart from that fold, so that a fault of the fold shows too.

mod account;
mod lanes;
mod unique;

use std::collections::HashMap;
use std::path::Path;

use book::entry::Entry;
use book::{AccountId, StoreError};
use rusqlite::{Connection, Row};
use serde::Serialize;

use self::account::Folded;
use self::lanes::Lanes;
use super::{failed, read, rows, unsql};

/// What was checked and what disagrees.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Entries read.
    pub entries: u64,
    /// Accounts folded.
    pub accounts: u64,
    /// Lanes looked at.
    pub lanes: u64,
    /// What disagrees, at most `PROBLEMS_MAX`.
    pub problems: Vec<Disagreement>,
    /// How many more disagree than are listed.
    pub unlisted: u64,
}

/// Two figures that should be one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Disagreement {
    /// The account, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// What does not hold.
    pub property: Property,
    /// What should be there.
    pub expected: String,
    /// What is there.
    pub found: String,
    /// The entries that it is about.
    pub entries: Vec<u64>,
}

/// What must hold of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Property {
    /// Every entry can be read.
    Readable,
    /// Entries are numbered without holes.
    Numbered,
    /// Each statement line names the one before it.
    Chained,
    /// The postings of an entry sum to zero (rule 1).
    PostingsSumToZero,
    /// What lots and debt have is what was posted to them.
    PostedIsKept,
    /// I1: granted = available + leased + consumed + expired + voided + clawed back - debt.
    Conservation,
    /// What holds of an account after every entry (no lot below zero, terms rise …).
    Invariant,
    /// What a request counts towards limits is what its term says (rule 11).
    CountsAreReckoned,
    /// Grants and returns of leases are cumulative: sums of the entries, returns never above grants.
    LeasesAreCumulative,
    /// What is written down of an account is the fold of its entries (rule 3).
    ProjectionIsFold,
    /// I3: one original charge per request.
    ChargedOnce,
    /// One grant per reference.
    GrantedOnce,
    /// One payment per provider and reference.
    PaidOnce,
    /// One adjustment per reference, and each charge given back once at most, exactly.
    CorrectedOnce,
    /// The numbers of a lane have no holes but those declared as gaps.
    LaneWithoutHoles,
    /// A lane has come as far as what was charged from it, each number once.
    LaneNotBehind,
}

/// The most disagreements listed.
pub const PROBLEMS_MAX: usize = 1_000;

/// Checks a store, whether or not a ledger runs on it.
///
/// # Errors
/// Where the store cannot be read at all.
pub fn verify(path: &Path) -> Result<Report, StoreError> {
    let connection = read::connect(path)?;
    let snapshot = connection.unchecked_transaction().map_err(failed)?;
    let mut report = Report::default();
    let mut accounts: HashMap<AccountId, Folded> = HashMap::new();
    let mut lanes = Lanes::default();
    let select = format!("SELECT {} FROM {} ORDER BY entry.id", rows::COLUMNS, rows::FROM);
    let mut select = snapshot.prepare(&select).map_err(failed)?;
    let mut found = select.query([]).map_err(failed)?;
    let mut last = 0_u64;
    while let Some(row) = found.next().map_err(failed)? {
        report.entries = report.entries.saturating_add(1);
        let id = unsql(rows::get(row, 0)?);
        let next = last.saturating_add(1);
        if id != next {
            report.note(None, Property::Numbered, &format!("entry {next}"), &format!("entry {id}"), &[id]);
        }
        last = id;
        let Some(entry) = readable(&mut report, row, id) else { continue };
        lanes.note(&mut report, &entry);
        match accounts.get_mut(&entry.account) {
            Some(folded) => folded.follow(&snapshot, &mut report, &entry)?,
            None => {
                let mut folded = Folded::begin(&snapshot, &mut report, &entry.account)?;
                folded.follow(&snapshot, &mut report, &entry)?;
                accounts.insert(entry.account.clone(), folded);
            }
        }
    }
    accounts.values().for_each(|folded| folded.check(&mut report));
    report.accounts = count(accounts.len());
    check_rows(&snapshot, &mut report, &accounts)?;
    unique::check(&snapshot, &mut report)?;
    lanes.check(&snapshot, &mut report)?;
    Ok(report)
}

fn readable(report: &mut Report, row: &Row<'_>, id: u64) -> Option<Entry> {
    match rows::decode(row) {
        Ok(entry) => Some(entry),
        Err(error) => {
            let account: Option<String> = row.get(1).ok();
            report.note(account.as_deref(), Property::Readable, "an entry", &error.to_string(), &[id]);
            None
        }
    }
}

/// No account without entries.
fn check_rows(
    connection: &Connection,
    report: &mut Report,
    accounts: &HashMap<AccountId, Folded>,
) -> Result<(), StoreError> {
    let mut select = connection.prepare("SELECT id, entry FROM account ORDER BY id").map_err(failed)?;
    let mut found = select.query([]).map_err(failed)?;
    while let Some(row) = found.next().map_err(failed)? {
        let (id, entry): (String, u64) = (rows::get(row, 0)?, unsql(rows::get(row, 1)?));
        if !AccountId::parse(&id).is_ok_and(|id| accounts.contains_key(&id)) {
            let found = format!("a row written down up to entry {entry}");
            report.note(Some(&id), Property::ProjectionIsFold, "entries", &found, &[entry]);
        }
    }
    Ok(())
}

// === impl Report ===

impl Report {
    /// Whether everything agrees.
    #[must_use]
    pub const fn agrees(&self) -> bool {
        self.problems.is_empty()
    }

    fn note(
        &mut self,
        account: Option<&str>,
        property: Property,
        expected: &str,
        found: &str,
        entries: &[u64],
    ) {
        if self.problems.len() >= PROBLEMS_MAX {
            self.unlisted = self.unlisted.saturating_add(1);
            return;
        }
        self.problems.push(Disagreement {
            account: account.map(str::to_owned),
            property,
            expected: expected.to_owned(),
            found: found.to_owned(),
            entries: entries.to_vec(),
        });
    }
}

// === impl Property ===

impl Property {
    /// In words.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Readable => "every entry can be read",
            Self::Numbered => "entries are numbered without holes",
            Self::Chained => "each statement line names the one before it",
            Self::PostingsSumToZero => "postings sum to zero",
            Self::PostedIsKept => "lots and debt have what was posted to them",
            Self::Conservation => {
                "granted = available + leased + consumed + expired + voided + clawed back - debt"
            }
            Self::Invariant => "the account is sound after every entry",
            Self::CountsAreReckoned => "requests count what their terms say",
            Self::LeasesAreCumulative => "leases are the sums of their grants and returns",
            Self::ProjectionIsFold => "what is written down is the fold of the entries",
            Self::ChargedOnce => "one original charge per request",
            Self::GrantedOnce => "one grant per reference",
            Self::PaidOnce => "one payment per provider and reference",
            Self::CorrectedOnce => "one adjustment per reference, charges given back once and exactly",
            Self::LaneWithoutHoles => "lanes have no holes but declared gaps",
            Self::LaneNotBehind => "lanes have come as far as what was charged from them",
        }
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_bounded_and_says_how_many_more_there_are() {
        let mut report = Report::default();
        for n in 0..PROBLEMS_MAX + 5 {
            report.note(None, Property::Numbered, &n.to_string(), "x", &[]);
        }
        assert_eq!((report.problems.len(), report.unlisted), (PROBLEMS_MAX, 5));
        assert!(!report.agrees());
    }
}
