//! Entries as rows.
//!
//! Charges, the many, have columns of their own, so that the journal can be read with SQL; `body`
//! holds the rest of them. All other kinds are whole in `body`.

use std::sync::Arc;

use book::counts::Count;
use book::entry::{Charge, Entry, EntryKind, Slice};
use book::{AccountId, Key, StoreError};
use rusqlite::{CachedStatement, Connection, OptionalExtension as _, Row, params};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tariff::compile::CREDITS;
use tariff::{Micros, Usage};
use wire::{Digest, Lane, NodeId, Outcome, Take, UsageSource, UsageStatus};

use super::{failed, sql, unsql};

/// The columns of [`decode`], in its order: those of the entry, then those of its lane.
pub const COLUMNS: &str = "entry.id, entry.account, entry.prev, entry.at, entry.kind, entry.seq, entry.term, \
     entry.key, entry.model, entry.answered_model, entry.outcome, entry.source, entry.usage_status, entry.usage, \
     entry.slices, entry.amount, entry.request, entry.body, lane.node, lane.slot, lane.incarnation";

/// Where [`COLUMNS`] come from.
pub const FROM: &str = "entry LEFT JOIN lane ON lane.id = entry.lane";

/// Inserts an entry; its parameters are those of [`insert`].
pub const INSERT: &str = "INSERT INTO entry (id, account, prev, at, kind, lane, seq, term, key, model, \
     answered_model, outcome, source, usage_status, usage, slices, amount, request, body) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)";

/// What of a charge has no column of its own.
#[derive(Serialize, Deserialize)]
struct Rest<'a> {
    #[serde(borrow)]
    operation: std::borrow::Cow<'a, str>,
    began_at: i64,
    holder: NodeId,
    epoch: u64,
    takes: std::borrow::Cow<'a, [Take]>,
    base: Micros,
    disputed: Micros,
    debt: Micros,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    recovered: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    auth_class: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    asset: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cost: Option<Micros>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    service_tier: Option<std::borrow::Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    provider_cost: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    receivable: Option<Micros>,
    #[serde(default, skip_serializing_if = "<[Count]>::is_empty")]
    counts: std::borrow::Cow<'a, [Count]>,
}

/// The key of a digest.
pub fn key(connection: &Connection, digest: &Digest) -> Result<Option<Key>, StoreError> {
    let select = "SELECT body FROM api_key WHERE digest = ?1";
    let mut select = connection.prepare_cached(select).map_err(failed)?;
    let body: Option<String> =
        select.query_row(params![digest.0], |row| row.get(0)).optional().map_err(failed)?;
    body.map(|body| parse(&body)).transpose()
}

/// Inserts an entry; `lane` is the row of a charge's lane.
pub fn insert(
    statement: &mut CachedStatement<'_>,
    entry: &Entry,
    lane: Option<i64>,
) -> Result<(), StoreError> {
    let (id, account, prev) = (sql(entry.id), entry.account.as_str(), sql(entry.prev));
    let kind = entry.kind.name();
    let inserted = match &entry.kind {
        EntryKind::Charge(charge) => statement.execute(params![
            id,
            account,
            prev,
            entry.at,
            kind,
            lane,
            sql(charge.seq),
            sql(charge.term),
            charge.key,
            charge.model,
            charge.answered_model,
            outcome(charge.outcome),
            charge.source.map(source),
            charge.status.map(status),
            json(&charge.usage)?,
            json(&charge.slices)?,
            charge.amount.get(),
            charge.request,
            json(&Rest::of(charge))?,
        ]),
        kind_of => {
            let none: Option<i64> = None;
            let request = match kind_of {
                EntryKind::Release(release) => Some(release.request.as_str()),
                _ => None,
            };
            let text: Option<&str> = None;
            statement.execute(params![
                id,
                account,
                prev,
                entry.at,
                kind,
                none,
                none,
                none,
                text,
                text,
                text,
                text,
                text,
                text,
                text,
                text,
                none,
                request,
                json(kind_of)?,
            ])
        }
    };
    inserted.map(|_| ()).map_err(StoreError::new)
}

/// Reads an entry from [`COLUMNS`].
pub fn decode(row: &Row<'_>) -> Result<Entry, StoreError> {
    let kind: String = get(row, 4)?;
    let body: String = get(row, 17)?;
    let kind =
        if kind == "charge" { EntryKind::Charge(Box::new(charge(row, &body)?)) } else { parse(&body)? };
    let account: String = get(row, 1)?;
    Ok(Entry {
        id: unsql(get(row, 0)?),
        account: AccountId::parse(&account).map_err(StoreError::new)?,
        prev: unsql(get(row, 2)?),
        at: get(row, 3)?,
        kind,
    })
}

fn charge(row: &Row<'_>, body: &str) -> Result<Charge, StoreError> {
    let rest: Rest<'_> = serde_json::from_str(body).map_err(StoreError::new)?;
    let optional = |index: usize| get::<Option<String>>(row, index);
    let usage: Usage = parse(&get::<String>(row, 13)?)?;
    let slices: Vec<Slice> = parse(&get::<String>(row, 14)?)?;
    Ok(Charge {
        lane: lane(row, 18)?,
        seq: unsql(get(row, 5)?),
        request: get(row, 16)?,
        key: get(row, 7)?,
        term: unsql(get(row, 6)?),
        model: get(row, 8)?,
        answered_model: get(row, 9)?,
        operation: rest.operation.into_owned(),
        outcome: unword::<Outcome>(&get::<String>(row, 10)?)?,
        source: optional(11)?.map(|text| unword::<UsageSource>(&text)).transpose()?,
        status: optional(12)?.map(|text| unword::<UsageStatus>(&text)).transpose()?,
        usage,
        began_at: rest.began_at,
        holder: rest.holder,
        epoch: rest.epoch,
        takes: rest.takes.into_owned(),
        base: rest.base,
        disputed: rest.disputed,
        slices,
        debt: rest.debt,
        service_tier: rest.service_tier.map(std::borrow::Cow::into_owned),
        provider_cost: rest.provider_cost,
        receivable: rest.receivable.unwrap_or_default(),
        counts: rest.counts.into_owned(),
        auth_class: rest.auth_class,
        asset: rest.asset.unwrap_or_else(|| Arc::from(CREDITS)),
        cost: rest.cost.unwrap_or_default(),
        recovered: rest.recovered,
        amount: Micros(get(row, 15)?),
    })
}

/// Reads a lane from three columns.
pub fn lane(row: &Row<'_>, first: usize) -> Result<Lane, StoreError> {
    Ok(Lane {
        node: NodeId(get(row, first)?),
        slot: get(row, first.saturating_add(1))?,
        incarnation: get(row, first.saturating_add(2))?,
    })
}

// === impl Rest ===

impl<'a> Rest<'a> {
    fn of(charge: &'a Charge) -> Self {
        Self {
            operation: charge.operation.as_str().into(),
            began_at: charge.began_at,
            holder: charge.holder,
            epoch: charge.epoch,
            takes: charge.takes.as_slice().into(),
            base: charge.base,
            disputed: charge.disputed,
            debt: charge.debt,
            recovered: charge.recovered,
            auth_class: charge.auth_class.clone(),
            asset: Some(&charge.asset).filter(|asset| &***asset != CREDITS).cloned(),
            cost: Some(charge.cost).filter(|cost| *cost > Micros::ZERO),
            service_tier: charge.service_tier.as_deref().map(std::borrow::Cow::Borrowed),
            provider_cost: charge.provider_cost,
            receivable: Some(charge.receivable).filter(|owed| *owed > Micros::ZERO),
            counts: charge.counts.as_slice().into(),
        }
    }
}

/// A column's value.
pub fn get<T: rusqlite::types::FromSql>(row: &Row<'_>, index: usize) -> Result<T, StoreError> {
    row.get(index).map_err(StoreError::new)
}

/// A value as JSON.
pub fn json(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(StoreError::new)
}

/// A value from JSON.
pub fn parse<T: DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(StoreError::new)
}

/// A unit variant's name, as the wire and the API write it.
pub fn word(value: &impl Serialize) -> Result<String, StoreError> {
    match serde_json::to_value(value).map_err(StoreError::new)? {
        serde_json::Value::String(word) => Ok(word),
        other => Err(StoreError::new(format!("{other} is no word"))),
    }
}

/// How a request ended, as the wire writes it; written for every charge, so without detours.
const fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Settled => "settled",
        Outcome::Released => "released",
        Outcome::NoUpstream => "no_upstream",
        Outcome::Lost => "lost",
    }
}

const fn source(source: UsageSource) -> &'static str {
    match source {
        UsageSource::Reported => "reported",
        UsageSource::Counted => "counted",
        UsageSource::Estimated => "estimated",
    }
}

const fn status(status: UsageStatus) -> &'static str {
    match status {
        UsageStatus::Complete => "complete",
        UsageStatus::Partial => "partial",
        UsageStatus::Failed => "failed",
    }
}

fn unword<T: DeserializeOwned>(word: &str) -> Result<T, StoreError> {
    serde_json::from_value(serde_json::Value::String(word.to_owned())).map_err(StoreError::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_the_wire() {
        for value in [Outcome::Settled, Outcome::Released, Outcome::NoUpstream, Outcome::Lost] {
            assert_eq!(word(&value).unwrap(), outcome(value));
        }
        for value in [UsageSource::Reported, UsageSource::Counted, UsageSource::Estimated] {
            assert_eq!(word(&value).unwrap(), source(value));
        }
        for value in [UsageStatus::Complete, UsageStatus::Partial, UsageStatus::Failed] {
            assert_eq!(word(&value).unwrap(), status(value));
        }
    }
}
