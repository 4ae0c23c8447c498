//! Projections: writing accounts down behind the journal, and reading them back at a start.
//!
//! `meta.folded` is the entry up to which every account is written down. A start reads the accounts
//! that it needs and folds all later entries in; an account that was written down later than that skips
//! what it has. So the order in which accounts are written does not matter, nor where it is cut.

use std::sync::Arc;

use book::{Account, Fleet, StoreError};
use rusqlite::{Connection, OptionalExtension as _, params};
use tariff::Catalog;
use tariff::compile::CREDITS;
use wire::{Health, NodeId};

use super::cache::{Cache, FeedEnd, KnownNode, Sums};
use super::mark::Mark;
use super::tx::{SqliteTx, fold};
use super::{CACHED_ACCOUNTS_MAX, FLUSH_ACCOUNTS_MAX, FLUSH_MS, OpenError, failed, rows, sql, unsql};

const UPSERT: &str = "INSERT INTO account (id, entry, due, leased, debt, state, plan, status) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) \
     ON CONFLICT (id) DO UPDATE SET entry = excluded.entry, due = excluded.due, leased = excluded.leased, \
     debt = excluded.debt, state = excluded.state, plan = excluded.plan, status = excluded.status";

/// Writes down accounts, oldest difference first; gives whether more are waiting in this round.
pub fn flush(tx: &mut SqliteTx<'_>, now: i64, at_once: bool) -> Result<bool, StoreError> {
    let upto = match tx.cache.flush {
        Some(upto) if !at_once => upto,
        _ if at_once || now.saturating_sub(tx.cache.flushed_at) >= FLUSH_MS => tx.cache.last_entry,
        _ => return Ok(false),
    };
    let mut written = 0_usize;
    while let Some((entry, id)) = tx.cache.dirty.first_key_value() {
        if *entry > upto || written >= FLUSH_ACCOUNTS_MAX {
            break;
        }
        let (entry, id) = (*entry, id.clone());
        write(tx, id.as_str())?;
        tx.cache.dirty.remove(&entry);
        if let Some(cached) = tx.cache.accounts.get_mut(&id) {
            cached.dirty_since = None;
        }
        written = written.saturating_add(1);
    }
    if written > 0 {
        tx.put_meta("folded", &tx.cache.folded().to_string())?;
    }
    let more = tx.cache.dirty.first_key_value().is_some_and(|(entry, _)| *entry <= upto);
    tx.cache.flush = more.then_some(upto);
    if !more {
        tx.cache.flushed_at = now;
        tx.cache.evict(CACHED_ACCOUNTS_MAX);
    }
    Ok(more)
}

/// Writes down accounts that have no row yet: lists and references find them at once.
pub fn write(tx: &SqliteTx<'_>, id: &str) -> Result<(), StoreError> {
    let Some(cached) = tx.cache.accounts.get(id) else { return Ok(()) };
    let account = &cached.account;
    let state = rows::json(account)?;
    let (entry, leased) = (sql(account.last_entry), !account.leases.is_empty());
    let (plan, status) = (account.plan(), rows::word(&account.status)?);
    tx.run(UPSERT, params![id, entry, cached.due, leased, account.debt.get(), state, plan, status])
}

/// An account as it was written down.
pub fn read_account(connection: &Connection, id: &str) -> Result<Option<Account>, StoreError> {
    let mut select = connection.prepare_cached("SELECT state FROM account WHERE id = ?1").map_err(failed)?;
    let state: Option<String> = select.query_row([id], |row| row.get(0)).optional().map_err(failed)?;
    state.map(|state| rows::parse(&state)).transpose()
}

/// Reads what a start needs and folds what was not written down.
pub fn load(
    connection: &Connection,
    catalog: Catalog,
    generation: &str,
    now: i64,
) -> Result<Cache, OpenError> {
    let folded = number(connection, "folded")?;
    let mut cache = Cache {
        accounts: std::collections::HashMap::new(),
        dirty: std::collections::BTreeMap::new(),
        due: std::collections::BTreeSet::new(),
        holders: std::collections::HashMap::new(),
        nodes: std::collections::HashMap::new(),
        fleet: Fleet::default(),
        nodes_open: 0,
        lanes: std::collections::HashMap::new(),
        feed: feed(connection)?,
        catalogs: catalogs(connection)?,
        catalog: 0,
        generation: Arc::from(generation),
        last_entry: folded,
        last_at: last_at(connection)?,
        account_count: 0,
        sums: Sums::default(),
        flush: None,
        flushed_at: now,
    };
    put_generation(connection, &mut cache)?;
    publish(connection, &mut cache, catalog, now)?;
    nodes(connection, &mut cache)?;
    accounts(connection, &mut cache)?;
    replay(connection, &mut cache, folded)?;
    Ok(cache)
}

/// Folds the journal after an entry.
fn replay(connection: &Connection, cache: &mut Cache, folded: u64) -> Result<(), OpenError> {
    let select =
        format!("SELECT {} FROM {} WHERE entry.id > ?1 ORDER BY entry.id", rows::COLUMNS, rows::FROM);
    let mut select = connection.prepare(&select)?;
    let mut found = select.query([sql(folded)])?;
    while let Some(row) = found.next()? {
        let entry = rows::decode(row)?;
        let id = entry.account.as_str();
        if !cache.accounts.contains_key(id)
            && let Some(account) = read_account(connection, id)?
        {
            cache.insert(account);
        }
        fold(cache, &entry);
    }
    Ok(())
}

/// Accounts with leases, so that a closed node's leases can be found; and sums over all.
fn accounts(connection: &Connection, cache: &mut Cache) -> Result<(), OpenError> {
    let count: i64 = connection.query_row("SELECT count(*) FROM account", [], |row| row.get(0))?;
    cache.account_count = unsql(count);
    let mut select = connection.prepare("SELECT debt FROM account WHERE debt > 0")?;
    let mut found = select.query([])?;
    while let Some(row) = found.next()? {
        cache.sums.debt = cache.sums.debt.saturating_add(row.get::<_, i64>(0)?.into());
    }
    let mut select = connection.prepare("SELECT state FROM account WHERE leased = 1")?;
    let mut found = select.query([])?;
    while let Some(row) = found.next()? {
        let account: Account = rows::parse(&row.get::<_, String>(0)?)?;
        let leased = i128::from(account.leased(CREDITS).get());
        cache.sums.leased = cache.sums.leased.saturating_add(leased);
        cache.insert(account);
    }
    Ok(())
}

/// Nodes that were open stay open: the time that the ledger was down does not count (protocol §5).
fn nodes(connection: &Connection, cache: &mut Cache) -> Result<(), OpenError> {
    let mut select = connection.prepare("SELECT id, label, opened_at, closed_at FROM node")?;
    let mut found = select.query([])?;
    while let Some(row) = found.next()? {
        let node = book::Node {
            id: NodeId(row.get(0)?),
            label: row.get(1)?,
            opened_at: row.get(2)?,
            closed_at: row.get(3)?,
        };
        cache.nodes_open = cache.nodes_open.saturating_add(usize::from(node.closed_at.is_none()));
        cache.nodes.insert(node.id, KnownNode { node, called_at: 0, health: Health::default() });
    }
    let open = cache.nodes.values().filter(|known| known.node.closed_at.is_none());
    cache.fleet = Fleet::new(open.map(|known| known.node.id).collect());
    Ok(())
}

fn feed(connection: &Connection) -> Result<FeedEnd, OpenError> {
    let floor = number(connection, "feed_floor")?;
    let mut feed = FeedEnd { last: floor, floor, ..FeedEnd::default() };
    let mut select = connection.prepare("SELECT id, body FROM change WHERE id > ?1 ORDER BY id")?;
    let mut found = select.query([sql(floor)])?;
    while let Some(row) = found.next()? {
        let position = unsql(row.get(0)?);
        feed.changes.push_back((position, rows::parse(&row.get::<_, String>(1)?)?));
        feed.last = position;
    }
    Ok(feed)
}

fn catalogs(connection: &Connection) -> Result<std::collections::BTreeMap<u64, Arc<Catalog>>, OpenError> {
    let mut catalogs = std::collections::BTreeMap::new();
    let mut select = connection.prepare("SELECT version, body FROM catalog")?;
    let mut found = select.query([])?;
    while let Some(row) = found.next()? {
        let catalog: Catalog = rows::parse(&row.get::<_, String>(1)?)?;
        catalogs.insert(unsql(row.get(0)?), Arc::new(catalog));
    }
    Ok(catalogs)
}

/// Puts the catalog of a start in force: as the next version where it differs from the last one. Every reader of the
/// feed begins anew then, so that nodes learn of it within one call.
fn publish(connection: &Connection, cache: &mut Cache, catalog: Catalog, now: i64) -> Result<(), OpenError> {
    if let Some((version, latest)) = cache.catalogs.last_key_value()
        && **latest == catalog
    {
        cache.catalog = *version;
        return Ok(());
    }
    let version = cache.catalogs.last_key_value().map_or(0, |(version, _)| *version).saturating_add(1);
    let floor = cache.feed.last.saturating_add(1);
    let insert = "INSERT INTO catalog (version, at, body) VALUES (?1, ?2, ?3)";
    let transaction = connection.unchecked_transaction()?;
    transaction.execute(insert, params![sql(version), now, rows::json(&catalog)?])?;
    transaction.execute("DELETE FROM change", [])?;
    put(connection, "feed_floor", &floor.to_string())?;
    transaction.commit()?;
    cache.feed = FeedEnd { last: floor, floor, ..FeedEnd::default() };
    cache.catalogs.insert(version, Arc::new(catalog));
    cache.catalog = version;
    Ok(())
}

/// Whether the books are the ones that stood here when the mark was made. Books without a run were never marked.
pub fn is_marked(connection: &Connection, cache: &Cache, mark: Option<&Mark>) -> Result<bool, OpenError> {
    Ok(match (meta(connection, "run")?, mark) {
        (None, None) => true,
        (Some(run), Some(mark)) => mark.fits(&run, cache.last_entry),
        (Some(_), None) | (None, Some(_)) => false,
    })
}

/// Nodes that call learn that these are not the books they knew.
pub fn renew_generation(connection: &Connection, cache: &mut Cache, fresh: &str) -> Result<(), OpenError> {
    tracing::warn!(
        before = &*cache.generation,
        entry = cache.last_entry,
        "these books are older than those that stood here, or from elsewhere: the generation is renewed"
    );
    put(connection, "generation", fresh)?;
    cache.generation = Arc::from(fresh);
    Ok(())
}

pub fn put_run(connection: &Connection, run: &str) -> Result<(), OpenError> {
    Ok(put(connection, "run", run)?)
}

fn put_generation(connection: &Connection, cache: &mut Cache) -> Result<(), OpenError> {
    let known = meta(connection, "generation")?;
    match known {
        Some(known) => cache.generation = Arc::from(known),
        None => put(connection, "generation", &cache.generation)?,
    }
    Ok(())
}

fn last_at(connection: &Connection) -> Result<i64, OpenError> {
    let last = connection.query_row("SELECT at FROM entry ORDER BY id DESC LIMIT 1", [], |row| row.get(0));
    Ok(last.optional()?.unwrap_or(i64::MIN))
}

pub fn meta(connection: &Connection, name: &str) -> Result<Option<String>, rusqlite::Error> {
    connection.query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| row.get(0)).optional()
}

fn number(connection: &Connection, name: &str) -> Result<u64, OpenError> {
    let text = meta(connection, name)?.unwrap_or_else(|| "0".to_owned());
    text.parse().map_err(|error| StoreError::new(format!("meta.{name} is \"{text}\": {error}")).into())
}

pub fn put(connection: &Connection, name: &str, value: &str) -> Result<(), rusqlite::Error> {
    connection.execute("INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2)", [name, value]).map(|_| ())
}
