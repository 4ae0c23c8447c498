//! The tables, and how older ones become these.

use rusqlite::Connection;

use super::OpenError;

/// Each brings the schema from its index to the next number; never changed once released.
const MIGRATIONS: &[&str] = &[V1];

/// Brings the schema up to date, in one transaction per step.
pub fn migrate(connection: &Connection) -> Result<(), OpenError> {
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found > known {
        return Err(OpenError::TooNew { found, known });
    }
    let done = usize::try_from(found).unwrap_or(0);
    for (step, migration) in (found.saturating_add(1)..).zip(MIGRATIONS.iter().skip(done)) {
        let sql = format!("BEGIN IMMEDIATE;\n{migration}\nPRAGMA user_version = {step};\nCOMMIT;");
        connection.execute_batch(&sql)?;
    }
    Ok(())
}

/// `entry` is the journal: statement lines of an account are chained by `prev`, so that the hot path
/// keeps no secondary index on it. `account` holds projections: `state` is the fold up to `entry`,
/// which may lie behind the journal's end (see `meta.folded`). `request` and `reference` are what makes
/// charges and grants unique. Instants are milliseconds since 1970, amounts micro-credits.
const V1: &str = "
CREATE TABLE meta (
  name TEXT NOT NULL PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE catalog (
  version INTEGER PRIMARY KEY CHECK (version > 0),
  at INTEGER NOT NULL,
  body TEXT NOT NULL
) STRICT;

CREATE TABLE entry (
  id INTEGER PRIMARY KEY CHECK (id > 0),
  account TEXT NOT NULL,
  prev INTEGER NOT NULL CHECK (prev >= 0 AND prev < id),
  at INTEGER NOT NULL,
  kind TEXT NOT NULL,
  lane INTEGER,
  seq INTEGER,
  term INTEGER,
  key TEXT,
  model TEXT,
  answered_model TEXT,
  outcome TEXT,
  source TEXT,
  usage_status TEXT,
  usage TEXT,
  slices TEXT,
  amount INTEGER CHECK (amount >= 0),
  request TEXT,
  body TEXT NOT NULL
) STRICT;

CREATE TABLE request (
  request TEXT NOT NULL,
  account TEXT NOT NULL,
  entry INTEGER NOT NULL,
  PRIMARY KEY (request, account)
) STRICT, WITHOUT ROWID;

CREATE TABLE reference (
  account TEXT NOT NULL,
  source TEXT NOT NULL,
  reference TEXT NOT NULL,
  entry INTEGER NOT NULL,
  PRIMARY KEY (account, source, reference)
) STRICT, WITHOUT ROWID;

CREATE TABLE account (
  id TEXT NOT NULL PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 64),
  entry INTEGER NOT NULL CHECK (entry > 0),
  due INTEGER,
  leased INTEGER NOT NULL CHECK (leased IN (0, 1)),
  debt INTEGER NOT NULL CHECK (debt >= 0),
  state TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX account_due ON account (due) WHERE due IS NOT NULL;
CREATE INDEX account_leased ON account (leased) WHERE leased = 1;
CREATE INDEX account_debt ON account (debt) WHERE debt > 0;

CREATE TABLE api_key (
  digest BLOB NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
  account TEXT NOT NULL REFERENCES account (id) DEFERRABLE INITIALLY DEFERRED,
  id TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER,
  revoked_at INTEGER,
  body TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX api_key_id ON api_key (account, id);

CREATE TABLE node (
  id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
  label TEXT NOT NULL,
  opened_at INTEGER NOT NULL,
  closed_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE lane (
  id INTEGER PRIMARY KEY,
  node BLOB NOT NULL CHECK (length(node) = 16),
  slot INTEGER NOT NULL,
  incarnation INTEGER NOT NULL,
  last INTEGER NOT NULL CHECK (last >= 0),
  closed INTEGER NOT NULL CHECK (closed IN (0, 1)),
  UNIQUE (node, slot, incarnation)
) STRICT;

CREATE TABLE batch (
  lane INTEGER NOT NULL REFERENCES lane (id),
  first INTEGER NOT NULL CHECK (first > 0),
  digests BLOB NOT NULL,
  PRIMARY KEY (lane, first)
) STRICT, WITHOUT ROWID;

CREATE TABLE change (
  id INTEGER PRIMARY KEY,
  body TEXT NOT NULL
) STRICT;

CREATE TABLE incident (
  id INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  code TEXT NOT NULL,
  account TEXT,
  lane INTEGER,
  seq INTEGER,
  detail TEXT NOT NULL
) STRICT;

CREATE TABLE idempotency (
  key TEXT NOT NULL PRIMARY KEY,
  at INTEGER NOT NULL,
  fingerprint BLOB NOT NULL CHECK (length(fingerprint) = 32),
  answer BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_at ON idempotency (at);
";
