//! `bursar reconcile`: charges from Envoy's access log what no sync has brought.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, BufRead, BufReader, IsTerminal as _};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use serde_json::value::RawValue;
use tariff::Micros;

use super::access_log::{Line, Lines, REPORT_BYTES_MAX, Site};
use super::client::{Answer, Client, ClientArgs};
use super::failure::{Failure, Outcome};
use super::print;
use crate::dto::{Credits, ReconcileResult, Reconciled, ReconciledReport};
use crate::service::RECONCILIATION_BYTES_MAX;

/// Charge from Envoy's access log what the ledger never heard of.
///
/// For what `kill -9` of an Envoy took with it, and for what a restore of the ledger took back. Every request
/// is charged once, whoever tells of it first: it may be run again, and while Envoys serve. Lines without a
/// report of the filter are passed over; a line that is cut off is counted. Lines may stand in the wrappings of
/// Docker (json-file) and of Kubernetes (CRI).
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Reconcile {
    /// The access log; `-` = standard input
    #[arg(long, value_name = "FILE")]
    access_log: PathBuf,
    /// JSON log: the member that holds `%FILTER_STATE(wasm.bursar:PLAIN)%`; within objects with dots (`a.b`),
    /// empty = the line itself. Nothing else in a line is read
    #[arg(long, value_name = "NAME", default_value = "bursar")]
    member: String,
    /// Text log: what stands right before `%FILTER_STATE(wasm.bursar:PLAIN)%`. Its last occurrence counts: safe
    /// where nothing that a client may write (user agent, path, headers) is logged after it
    #[arg(long, value_name = "TEXT", conflicts_with = "member", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    mark: Option<String>,
    /// Change nothing, say what would be charged: each request by itself, so that where several take an account's
    /// last credits, less is said to be debt than will be
    #[arg(long)]
    dry_run: bool,
    /// Also charge requests of Envoys and keys that these books have never heard of: after a restore to a copy
    /// from before they were made
    #[arg(long)]
    unknown_nodes: bool,
    #[command(flatten)]
    client: ClientArgs,
}

const EXAMPLES: &str = "\
Examples:
  After an Envoy was killed: what would be charged, then charge it:
    bursar reconcile --access-log /var/log/envoy/access.log --dry-run
    bursar reconcile --access-log /var/log/envoy/access.log

  Rotated logs:
    zcat /var/log/envoy/access.log.*.gz | bursar reconcile --access-log -

  A text log with `bursar=%FILTER_STATE(wasm.bursar:PLAIN)%` at the end of its format:
    bursar reconcile --access-log access.log --mark ' bursar='

  After the ledger was restored from a copy:
    bursar reconcile --access-log access.log --unknown-nodes

Exit status: 0 done, 1 something was refused or failed, 2 bad input.";

/// Reports of one call: at their longest they fit into its body.
const REPORTS_PER_CALL: usize = 200;
const _: () = assert!(REPORTS_PER_CALL * (REPORT_BYTES_MAX + 1) < RECONCILIATION_BYTES_MAX - 1_024);
/// Lines between two words of progress.
const PROGRESS_LINES: u64 = 100_000;
/// The most refused requests that are named.
const NAMED_MAX: usize = 100;

/// What was done.
#[derive(Debug, Default, Serialize)]
struct Summary {
    /// Lines read.
    lines: u64,
    /// Of these: with a report of the filter.
    reports: u64,
    /// Reports of requests that ended without a charge.
    nothing: u64,
    /// Requests charged by this run; in a dry run, those that would be.
    posted: u64,
    /// What they came to.
    charged: Credits,
    /// What of it no lot could pay.
    debt: Credits,
    /// Requests that were charged before.
    known: u64,
    /// Reports that name what the ledger does not know.
    refused: u64,
    /// Refused reports by reason.
    reasons: BTreeMap<String, u64>,
    /// Lines that are cut off, too long, or hold something else where a report should be.
    unreadable: u64,
    dry_run: bool,
    #[serde(skip)]
    named: Vec<String>,
    #[serde(skip)]
    seen: Seen,
}

/// The requests that a dry run would charge, as a report that comes twice charges once: eight bytes of each.
#[derive(Debug, Default)]
struct Seen {
    hasher: RandomState,
    hashes: HashSet<u64>,
}

#[derive(Serialize)]
struct Body<'a> {
    reports: &'a [Box<RawValue>],
    dry_run: bool,
    unknown_nodes: bool,
}

// === impl Reconcile ===

impl Reconcile {
    /// Runs the command.
    pub fn run(self) -> Outcome {
        let client = self.client.client()?;
        let mut summary = Summary { dry_run: self.dry_run, ..Summary::default() };
        let site = self.mark.clone().map_or_else(|| Site::member(&self.member), Site::Mark);
        let outcome = match self.access_log.as_os_str() == "-" {
            true => self.charge(&client, &mut Lines::new(io::stdin().lock(), site), &mut summary),
            false => self.charge(&client, &mut Lines::new(open(&self.access_log)?, site), &mut summary),
        };
        if self.client.json {
            print::json(&summary)?;
        } else {
            print::out(&summary.text())?;
        }
        outcome?;
        match summary.refused {
            0 if summary.unreadable > 0 && summary.reports == 0 => Err(Failure::Refused(format!(
                "bursar: no report found, {} lines cannot be read: see --member and --mark",
                summary.unreadable
            ))),
            0 => Ok(()),
            refused => Err(Failure::Refused(format!("bursar: {refused} reports were refused"))),
        }
    }

    fn charge(&self, client: &Client, lines: &mut Lines<impl BufRead>, summary: &mut Summary) -> Outcome {
        let mut reports = Vec::new();
        let failed =
            |error: io::Error| Failure::Refused(format!("bursar: {}: {error}", self.access_log.display()));
        while let Some(line) = lines.next().map_err(failed)? {
            summary.lines = summary.lines.saturating_add(1);
            if summary.lines.is_multiple_of(PROGRESS_LINES) && io::stderr().is_terminal() {
                print::note(&format!("{} lines, {} charged", summary.lines, summary.posted))?;
            }
            match line {
                Line::Other => {}
                Line::Unreadable => summary.unreadable = summary.unreadable.saturating_add(1),
                Line::Report(report) => {
                    summary.reports = summary.reports.saturating_add(1);
                    if is_charged(&report) {
                        reports.push(report);
                    } else {
                        summary.nothing = summary.nothing.saturating_add(1);
                    }
                }
            }
            if reports.len() >= REPORTS_PER_CALL {
                self.send(client, &mut reports, summary)?;
            }
        }
        self.send(client, &mut reports, summary)
    }

    fn send(&self, client: &Client, reports: &mut Vec<Box<RawValue>>, summary: &mut Summary) -> Outcome {
        if reports.is_empty() {
            return Ok(());
        }
        let body = Body { reports, dry_run: self.dry_run, unknown_nodes: self.unknown_nodes };
        let answer: Answer<Reconciled> = client.post("/v1/reconcile", &body)?;
        answer.value.data.iter().for_each(|report| summary.add(report));
        reports.clear();
        Ok(())
    }
}

fn open(path: &Path) -> Outcome<BufReader<File>> {
    let bad = |error| Failure::BadInput(format!("bursar: {}: {error}", path.display()));
    File::open(path).map(BufReader::new).map_err(bad)
}

/// Whether the ledger need see it: what it cannot read either way is for the ledger to say.
fn is_charged(report: &RawValue) -> bool {
    serde_json::from_str::<wire::Report>(report.get()).map_or(true, |report| report.is_charged())
}

// === impl Seen ===

impl Seen {
    /// Whether a request is seen for the first time.
    fn note(&mut self, request: Option<&str>) -> bool {
        request.is_none_or(|request| self.hashes.insert(self.hasher.hash_one(request)))
    }
}

// === impl Summary ===

impl Summary {
    fn add(&mut self, report: &ReconciledReport) {
        let again = self.dry_run
            && report.result == ReconcileResult::Posted
            && !self.seen.note(report.request_id.as_deref());
        if again {
            self.known = self.known.saturating_add(1);
            return;
        }
        let count = match report.result {
            ReconcileResult::Posted => &mut self.posted,
            ReconcileResult::Known => &mut self.known,
            ReconcileResult::Nothing => &mut self.nothing,
            ReconcileResult::Refused => &mut self.refused,
            ReconcileResult::Unreadable => &mut self.unreadable,
        };
        *count = count.saturating_add(1);
        let add = |sum: &mut Credits, amount: Option<Credits>| {
            let amount = amount.map_or(0, |amount| amount.0.get());
            *sum = Micros(sum.0.get().saturating_add(amount)).into();
        };
        add(&mut self.charged, report.charged);
        add(&mut self.debt, report.debt);
        if report.result == ReconcileResult::Refused {
            let reason = report.reason.clone().unwrap_or_default();
            if self.named.len() < NAMED_MAX {
                let request = report.request_id.as_deref().unwrap_or("-");
                self.named.push(format!("refused: {request}: {reason}"));
            }
            let count = self.reasons.entry(reason).or_default();
            *count = count.saturating_add(1);
        }
    }

    fn text(&self) -> String {
        let mut text: String =
            self.named.iter().map(|line| format!("{}\n", print::printable(line))).collect();
        let posted = if self.dry_run { "would be charged" } else { "charged" };
        text.push_str(&print::facts(&[
            ("lines", self.lines.to_string()),
            ("reports", self.reports.to_string()),
            (posted, self.posted.to_string()),
            ("credits", self.charged.to_string()),
            ("of these debt", self.debt.to_string()),
            ("known already", self.known.to_string()),
            ("not charged", self.nothing.to_string()),
            ("refused", self.refused.to_string()),
            ("unreadable", self.unreadable.to_string()),
        ]));
        text
    }
}
