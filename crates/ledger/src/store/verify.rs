//! Checking a store: the journal against itself, and the projections against the journal.
//!
//! Reads one snapshot, so it may run beside a ledger. Every account is folded anew in memory.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use book::entry::{Entry, EntryKind};
use book::{Account, AccountId, StoreError, invariant, posting};
use rusqlite::Connection;

use super::{failed, flush, read, rows, unsql};

/// What was checked and what disagrees.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Entries read.
    pub entries: u64,
    /// Accounts folded.
    pub accounts: u64,
    /// What disagrees, at most `PROBLEMS_MAX` lines.
    pub problems: Vec<String>,
}

/// The most problems listed.
pub const PROBLEMS_MAX: usize = 1_000;

/// An account as folded so far, and what its postings come to.
struct Folded {
    account: Account,
    /// The entry up to which it is written down.
    written: u64,
    /// Sums of the postings to its lots and its debt.
    posted: BTreeMap<String, i128>,
}

/// Checks a store: ids without holes, chains, postings that sum to zero (rule 1), I1 after every entry,
/// lots and debt equal to what was posted, projections equal to the fold (rule 3), one charge per request
/// (I3), lanes not behind their charges.
///
/// # Errors
/// Where the store cannot be read at all.
pub fn verify(path: &Path) -> Result<Report, StoreError> {
    let connection = read::connect(path)?;
    let snapshot = connection.unchecked_transaction().map_err(failed)?;
    let mut report = Report::default();
    let mut accounts: HashMap<AccountId, Folded> = HashMap::new();
    let select = format!("SELECT {} FROM {} ORDER BY entry.id", rows::COLUMNS, rows::FROM);
    let mut select = snapshot.prepare(&select).map_err(failed)?;
    let mut found = select.query([]).map_err(failed)?;
    let (mut charges, mut grants) = (0_u64, 0_u64);
    while let Some(row) = found.next().map_err(failed)? {
        let entry = rows::decode(row)?;
        report.entries = report.entries.saturating_add(1);
        if entry.id != report.entries {
            report.note(format!("entry {}: {} was expected", entry.id, report.entries));
            report.entries = entry.id;
        }
        charges = charges.saturating_add(u64::from(matches!(entry.kind, EntryKind::Charge(_))));
        grants = grants.saturating_add(u64::from(matches!(entry.kind, EntryKind::Grant(_))));
        check_entry(&snapshot, &mut report, &mut accounts, &entry)?;
    }
    for folded in accounts.values() {
        folded.check(&mut report);
    }
    report.accounts = u64::try_from(accounts.len()).unwrap_or(u64::MAX);
    check_counts(&snapshot, &mut report, charges, grants)?;
    Ok(report)
}

fn check_entry(
    connection: &Connection,
    report: &mut Report,
    accounts: &mut HashMap<AccountId, Folded>,
    entry: &Entry,
) -> Result<(), StoreError> {
    if !accounts.contains_key(&entry.account) {
        let written = connection
            .prepare_cached("SELECT entry FROM account WHERE id = ?1")
            .and_then(|mut select| select.query_row([entry.account.as_str()], |row| row.get(0)))
            .map(unsql);
        let written = written.unwrap_or_else(|_| {
            report.note(format!("account {}: has no row", entry.account));
            0
        });
        let account = Account::empty(entry.account.clone());
        accounts.insert(entry.account.clone(), Folded { account, written, posted: BTreeMap::new() });
    }
    let Some(folded) = accounts.get_mut(&entry.account) else { return Ok(()) };
    let prev = if entry.kind.is_line() { folded.account.last_line } else { 0 };
    if entry.prev != prev {
        report.note(format!("entry {}: follows {}, not {prev}", entry.id, entry.prev));
    }
    let sum = posting::balance(entry);
    if sum != 0 {
        report.note(format!("entry {}: postings sum to {sum}", entry.id));
    }
    for posting in posting::postings(entry) {
        let sum = folded.posted.entry(posting.to.into_owned()).or_default();
        *sum = sum.saturating_add(posting.amount);
    }
    folded.account.apply(entry);
    if let Some(broken) = invariant::broken(&folded.account) {
        report.note(format!("account {} after entry {}: {broken}", entry.account, entry.id));
    }
    if folded.written == entry.id {
        let written = flush::read_account(connection, entry.account.as_str())?;
        if written.as_ref() != Some(&folded.account) {
            report.note(format!(
                "account {}: what is written down is not the fold up to {}",
                entry.account, entry.id
            ));
        }
    }
    Ok(())
}

fn check_counts(
    connection: &Connection,
    report: &mut Report,
    charges: u64,
    grants: u64,
) -> Result<(), StoreError> {
    let count = |select: &str| connection.query_row(select, [], |row| row.get(0)).map(unsql).map_err(failed);
    let requests = count("SELECT count(*) FROM request")?;
    if requests != charges {
        report.note(format!("{charges} charges, but {requests} requests that were charged"));
    }
    let references = count("SELECT count(*) FROM reference")?;
    if references != grants {
        report.note(format!("{grants} grants, but {references} references"));
    }
    let behind = count(
        "SELECT count(*) FROM (SELECT lane, max(seq) AS seq FROM entry WHERE lane IS NOT NULL GROUP BY lane) AS posted \
         LEFT JOIN lane ON lane.id = posted.lane WHERE lane.last IS NULL OR lane.last < posted.seq",
    )?;
    if behind > 0 {
        report.note(format!("{behind} lanes are behind what was charged from them"));
    }
    Ok(())
}

// === impl Folded ===

impl Folded {
    /// What was posted is what the fold has.
    fn check(&self, report: &mut Report) {
        let mut posted = self.posted.clone();
        let owed = posted.remove("debt").unwrap_or(0);
        if owed != i128::from(self.account.debt.get()).saturating_neg() {
            report.note(format!(
                "account {}: debt {} but {owed} was posted",
                self.account.id, self.account.debt
            ));
        }
        for (id, lot) in &self.account.lots {
            let sum = posted.remove(&format!("lot:{id}")).unwrap_or(0);
            if sum != i128::from(lot.remaining.get()) {
                report.note(format!(
                    "account {}: lot {id} has {} but {sum} was posted",
                    self.account.id, lot.remaining
                ));
            }
        }
        for (name, sum) in posted.iter().filter(|(name, sum)| name.starts_with("lot:") && **sum != 0) {
            report.note(format!("account {}: {name} is gone but {sum} is posted to it", self.account.id));
        }
        if self.written > self.account.last_entry {
            report.note(format!("account {}: written down beyond the journal", self.account.id));
        }
    }
}

// === impl Report ===

impl Report {
    fn note(&mut self, problem: String) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(problem);
        }
    }
}
