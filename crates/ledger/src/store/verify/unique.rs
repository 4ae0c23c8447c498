//! What happens once: one charge per request (I3), one grant or adjustment per reference, one reversal per charge.
//!
//! `request` and `reference` are what makes them unique when they are written; here they are held against
//! the journal in both directions.

use book::StoreError;
use rusqlite::Connection;

use super::super::{failed, rows, unsql};
use super::{PROBLEMS_MAX, Property, Report};

/// Charges that are not the one that their request stands for.
const CHARGES: &str = "SELECT entry.account, entry.request, entry.id, request.entry FROM entry \
     LEFT JOIN request ON request.request = entry.request AND request.account = entry.account \
     WHERE entry.kind = 'charge' AND request.entry IS NOT entry.id LIMIT ?1";
/// Requests that stand for no charge of theirs.
const REQUESTS: &str = "SELECT request.account, request.request, request.entry, entry.id FROM request \
     LEFT JOIN entry ON entry.id = request.entry AND entry.kind = 'charge' AND entry.request = request.request \
     AND entry.account = request.account WHERE entry.id IS NULL LIMIT ?1";
/// Grants that are not the one that their reference stands for.
const GRANTS: &str = "SELECT entry.account, entry.body ->> '$.reference', entry.id, reference.entry FROM entry \
     LEFT JOIN reference ON reference.account = entry.account AND reference.source = entry.body ->> '$.source' \
     AND reference.reference = entry.body ->> '$.reference' \
     WHERE entry.kind = 'grant' AND reference.entry IS NOT entry.id LIMIT ?1";
/// Adjustments and reversals that are not the one that their reference stands for.
const CORRECTIONS: &str = "SELECT entry.account, coalesce(entry.body ->> '$.reference', CAST(entry.body ->> '$.of' AS TEXT)), entry.id, \
     reference.entry FROM entry LEFT JOIN reference ON reference.account = entry.account \
     AND reference.source = iif(entry.kind = 'adjusted', 'adjustment', 'reversal') \
     AND reference.reference = coalesce(entry.body ->> '$.reference', CAST(entry.body ->> '$.of' AS TEXT)) \
     WHERE (entry.kind = 'adjusted' OR (entry.kind = 'reversed' AND entry.body ->> '$.part' = 1)) \
     AND reference.entry IS NOT entry.id LIMIT ?1";

/// Charges that were given back by another amount than they took, or that are none.
const REVERSALS: &str = "SELECT part.account, CAST(part.of AS TEXT), max(part.id), charge.id FROM \
     (SELECT account, id, body ->> '$.of' AS of, body ->> '$.amount' AS amount FROM entry WHERE kind = 'reversed') \
     AS part LEFT JOIN entry AS charge ON charge.id = part.of AND charge.kind = 'charge' \
     AND charge.account = part.account GROUP BY part.account, part.of \
     HAVING charge.amount IS NOT sum(part.amount) LIMIT ?1";

/// Payments that are not the one that provider and reference stand for.
const PAYMENTS: &str = "SELECT entry.account, entry.body ->> '$.provider' || '/' || (entry.body ->> '$.reference'), entry.id, \
     reference.entry FROM entry LEFT JOIN reference ON reference.account = entry.account \
     AND reference.source = 'payment' \
     AND reference.reference = entry.body ->> '$.provider' || '/' || (entry.body ->> '$.reference') \
     WHERE entry.kind = 'payment' AND reference.entry IS NOT entry.id LIMIT ?1";

/// References that stand for no grant of theirs.
const REFERENCES: &str = "SELECT reference.account, reference.reference, reference.entry, entry.id FROM reference \
     LEFT JOIN entry ON entry.id = reference.entry AND entry.kind IN ('grant', 'adjusted', 'reversed', 'payment') AND entry.account = reference.account \
     WHERE entry.id IS NULL LIMIT ?1";

pub fn check(connection: &Connection, report: &mut Report) -> Result<(), StoreError> {
    for (select, property, what) in [
        (CHARGES, Property::ChargedOnce, "request"),
        (GRANTS, Property::GrantedOnce, "reference"),
        (CORRECTIONS, Property::CorrectedOnce, "reference"),
        (PAYMENTS, Property::PaidOnce, "payment"),
    ] {
        each(connection, select, |account, name, entry, known| {
            let expected = format!("{what} {name} stands for entry {entry}");
            let found = known.map_or_else(|| "for none".to_owned(), |known| format!("for entry {known}"));
            let entries: Vec<u64> = [Some(entry), known].into_iter().flatten().collect();
            report.note(Some(account), property, &expected, &found, &entries);
        })?;
    }
    each(connection, REVERSALS, |account, of, entry, charge| {
        let expected = format!("the charge {of} is given back exactly");
        let found = charge.map_or("there is no such charge", |_| "another amount");
        report.note(Some(account), Property::CorrectedOnce, &expected, found, &[entry]);
    })?;
    for (select, property, what) in [
        (REQUESTS, Property::ChargedOnce, "charge of request"),
        (REFERENCES, Property::GrantedOnce, "grant of reference"),
    ] {
        each(connection, select, |account, name, entry, _| {
            let expected = format!("entry {entry} is the {what} {name}");
            report.note(Some(account), property, &expected, "it is not", &[entry]);
        })?;
    }
    Ok(())
}

fn each(
    connection: &Connection,
    select: &str,
    mut note: impl FnMut(&str, &str, u64, Option<u64>),
) -> Result<(), StoreError> {
    let limit = i64::try_from(PROBLEMS_MAX).unwrap_or(i64::MAX);
    let mut select = connection.prepare(select).map_err(failed)?;
    let mut found = select.query([limit]).map_err(failed)?;
    while let Some(row) = found.next().map_err(failed)? {
        let (account, name): (String, Option<String>) = (rows::get(row, 0)?, rows::get(row, 1)?);
        let (entry, other): (i64, Option<i64>) = (rows::get(row, 2)?, rows::get(row, 3)?);
        note(&account, &name.unwrap_or_default(), unsql(entry), other.map(unsql));
    }
    Ok(())
}
