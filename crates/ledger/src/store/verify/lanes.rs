//! Lanes: numbers without holes but declared gaps, each number charged once, and none beyond the lane's last.

use std::collections::HashMap;

use book::StoreError;
use book::entry::{Entry, EntryKind};
use rusqlite::Connection;
use wire::Lane;

use super::super::{failed, rows, unsql};
use super::{Property, Report, count};

/// What the journal has from each lane.
#[derive(Default)]
pub struct Lanes {
    posted: HashMap<Lane, Posted>,
}

#[derive(Clone, Copy, Default)]
struct Posted {
    seq: u64,
    entry: u64,
}

/// A lane's row.
struct Row {
    id: i64,
    lane: Lane,
    last: u64,
    /// Digests of numbers up to this one are not kept.
    forgotten: u64,
}

/// Declared gaps by lane.
struct Gaps {
    of_lane: HashMap<i64, Vec<Span>>,
    /// No incident has been forgotten.
    are_all_kept: bool,
}

/// Numbers of one lane from one to another, both included.
type Span = (u64, u64);

// === impl Lanes ===

impl Lanes {
    /// Notes an entry: within a lane numbers rise with the journal.
    pub fn note(&mut self, report: &mut Report, entry: &Entry) {
        let (lane, seq) = match &entry.kind {
            // Told by the access log: whatever its number, the lane has not brought it.
            EntryKind::Charge(charge) if charge.recovered => return,
            EntryKind::Charge(charge) => (charge.lane, charge.seq),
            EntryKind::Release(release) => (release.lane, release.seq),
            _ => return,
        };
        let posted = self.posted.entry(lane).or_default();
        if seq <= posted.seq {
            let expected = format!("lane {} after {}", lane, posted.seq);
            let found = format!("{seq} again");
            let entries = [posted.entry, entry.id];
            report.note(Some(entry.account.as_str()), Property::LaneNotBehind, &expected, &found, &entries);
        }
        *posted = Posted { seq: seq.max(posted.seq), entry: entry.id };
    }

    pub fn check(&self, connection: &Connection, report: &mut Report) -> Result<(), StoreError> {
        let lanes = lanes(connection)?;
        report.lanes = count(lanes.len());
        let gaps = Gaps::read(connection)?;
        let mut known = HashMap::new();
        for row in &lanes {
            known.insert(row.lane, row.last);
            check_holes(connection, report, row, &gaps)?;
        }
        for (lane, posted) in &self.posted {
            let last = known.get(lane).copied().unwrap_or(0);
            if last < posted.seq {
                let expected = format!("lane {} at {} or later", lane, posted.seq);
                let found = format!("at {last}");
                report.note(None, Property::LaneNotBehind, &expected, &found, &[posted.entry]);
            }
        }
        Ok(())
    }
}

fn lanes(connection: &Connection) -> Result<Vec<Row>, StoreError> {
    let select = "SELECT id, node, slot, incarnation, last, forgotten FROM lane ORDER BY id";
    let mut select = connection.prepare(select).map_err(failed)?;
    let mut found = select.query([]).map_err(failed)?;
    let mut lanes = Vec::new();
    while let Some(row) = found.next().map_err(failed)? {
        lanes.push(Row {
            id: rows::get(row, 0)?,
            lane: rows::lane(row, 1)?,
            last: unsql(rows::get(row, 4)?),
            forgotten: unsql(rows::get(row, 5)?),
        });
    }
    Ok(lanes)
}

/// Digests of applied events and declared gaps together cover a lane's numbers up to its last. Digests of the
/// oldest events are forgotten, and gaps with their incidents: what was before is taken for known then.
fn check_holes(
    connection: &Connection,
    report: &mut Report,
    row: &Row,
    gaps: &Gaps,
) -> Result<(), StoreError> {
    let batches = spans(
        connection,
        "SELECT first, first + length(digests) / 8 - 1 FROM batch WHERE lane = ?1 ORDER BY first",
        row.id,
    )?;
    let begin = batches.first().map_or(row.last, |(first, _)| first.saturating_sub(1));
    let is_forgotten = row.last > super::super::lanes::DIGESTS_KEPT;
    let mut reached = if is_forgotten { begin.max(row.forgotten) } else { row.forgotten };
    let mut spans: Vec<Span> = batches;
    spans.extend(gaps.of_lane.get(&row.id).into_iter().flatten());
    spans.sort_unstable();
    for (from, to) in spans {
        let next = reached.saturating_add(1);
        if from > next && gaps.are_all_kept {
            hole(report, row, (next, from.saturating_sub(1)));
        }
        reached = reached.max(to);
    }
    if reached < row.last && gaps.are_all_kept {
        hole(report, row, (reached.saturating_add(1), row.last));
    }
    if reached > row.last {
        let expected = format!("lane {} at {reached}", row.lane);
        let found = format!("at {}", row.last);
        report.note(None, Property::LaneNotBehind, &expected, &found, &[]);
    }
    Ok(())
}

fn hole(report: &mut Report, row: &Row, (from, to): Span) {
    let expected = format!("lane {}: {from} to {to} applied, refused or declared lost", row.lane);
    report.note(None, Property::LaneWithoutHoles, &expected, "nothing is known of them", &[]);
}

fn spans(connection: &Connection, select: &str, lane: i64) -> Result<Vec<Span>, StoreError> {
    let mut select = connection.prepare_cached(select).map_err(failed)?;
    let span = |row: &rusqlite::Row<'_>| Ok((unsql(row.get(0)?), unsql(row.get(1)?)));
    let found = select.query_map([lane], span).map_err(failed)?;
    found.collect::<Result<_, _>>().map_err(failed)
}

// === impl Gaps ===

impl Gaps {
    /// As their incidents tell: "FROM to TO are lost".
    fn read(connection: &Connection) -> Result<Self, StoreError> {
        let oldest: Option<i64> =
            connection.query_row("SELECT min(id) FROM incident", [], |row| row.get(0)).map_err(failed)?;
        let mut gaps =
            Self { of_lane: HashMap::new(), are_all_kept: oldest.is_none_or(|oldest| oldest <= 1) };
        let select = "SELECT lane, detail FROM incident WHERE code = 'gap' AND lane IS NOT NULL";
        let mut select = connection.prepare(select).map_err(failed)?;
        let mut found = select.query([]).map_err(failed)?;
        while let Some(row) = found.next().map_err(failed)? {
            let (lane, detail): (i64, String) = (rows::get(row, 0)?, rows::get(row, 1)?);
            let span = detail
                .split_once(" to ")
                .and_then(|(from, rest)| Some((from.parse().ok()?, rest.split_once(' ')?.0.parse().ok()?)));
            gaps.of_lane.entry(lane).or_default().extend(span);
        }
        Ok(gaps)
    }
}
