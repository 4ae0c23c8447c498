//! The tables, and how older ones become these.

use rusqlite::Connection;

use super::OpenError;

/// Each brings the schema from its index to the next number; never changed once released.
const MIGRATIONS: &[&str] = &[V1, V2, V3];

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

/// What the operator's day needs. `notice` is the outbox: a row per event, written with what it tells;
/// `noticed` has what is told once only. A `delivery` is one event on its way to one endpoint. `audit` has
/// every management call that changed something, in the transaction of the change. Of tokens only digests
/// are here; an endpoint's secret signs and must be readable. `entry_context` finds the entries that say how
/// an account stood, beside its statement lines; none of those that requests make are in it.
const V2: &str = "
CREATE TABLE notice (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  event TEXT NOT NULL UNIQUE,
  at INTEGER NOT NULL,
  account TEXT NOT NULL,
  type TEXT NOT NULL,
  body TEXT NOT NULL
) STRICT;
CREATE INDEX notice_account ON notice (account, id);
CREATE INDEX notice_at ON notice (at);

CREATE TABLE noticed (
  account TEXT NOT NULL,
  once TEXT NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY (account, once)
) STRICT, WITHOUT ROWID;
CREATE INDEX noticed_at ON noticed (at);

CREATE TABLE endpoint (
  id TEXT NOT NULL PRIMARY KEY,
  created_at INTEGER NOT NULL,
  enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)),
  events TEXT NOT NULL,
  body TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE delivery (
  id INTEGER PRIMARY KEY,
  endpoint TEXT NOT NULL REFERENCES endpoint (id) ON DELETE CASCADE,
  notice INTEGER NOT NULL REFERENCES notice (id) ON DELETE CASCADE,
  state TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'dead')),
  attempts INTEGER NOT NULL,
  due_at INTEGER NOT NULL,
  tried_at INTEGER,
  status INTEGER,
  error TEXT,
  UNIQUE (endpoint, notice)
) STRICT;
CREATE INDEX delivery_due ON delivery (endpoint, due_at) WHERE state = 'pending';
CREATE INDEX delivery_notice ON delivery (notice);
CREATE INDEX delivery_state ON delivery (endpoint, state, id);

CREATE TABLE admin_token (
  id TEXT NOT NULL PRIMARY KEY,
  digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
  body TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
  id INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  who TEXT NOT NULL,
  operation TEXT NOT NULL,
  account TEXT,
  request TEXT NOT NULL,
  outcome TEXT NOT NULL,
  body TEXT NOT NULL
) STRICT;
CREATE INDEX audit_account ON audit (account, id) WHERE account IS NOT NULL;
CREATE INDEX audit_outcome ON audit (outcome, id);

CREATE TABLE profile (
  account TEXT NOT NULL PRIMARY KEY REFERENCES account (id) DEFERRABLE INITIALLY DEFERRED,
  reference TEXT,
  labels TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX profile_reference ON profile (reference, account) WHERE reference IS NOT NULL;

CREATE TABLE label (
  name TEXT NOT NULL,
  value TEXT NOT NULL,
  account TEXT NOT NULL,
  PRIMARY KEY (name, value, account)
) STRICT, WITHOUT ROWID;

ALTER TABLE account ADD COLUMN plan TEXT;
ALTER TABLE account ADD COLUMN status TEXT;
UPDATE account SET plan = json_extract(state, '$.terms[#-1].plan'), status = json_extract(state, '$.status');
CREATE INDEX account_plan ON account (plan, id);
CREATE INDEX account_status ON account (status, id);

CREATE INDEX entry_context ON entry (account, id)
  WHERE kind NOT IN ('charge', 'release', 'leased', 'returned', 'lease_closed', 'node_closed');
CREATE INDEX incident_code ON incident (code, id);
CREATE INDEX incident_account ON incident (account, id) WHERE account IS NOT NULL;
";

/// `lane.day` is that of the last events whose digests are kept, counted from 1970; `lane.forgotten` the number up to
/// which none are kept any more.
const V3: &str = "
ALTER TABLE lane ADD COLUMN day INTEGER;
ALTER TABLE lane ADD COLUMN forgotten INTEGER NOT NULL DEFAULT 0;
UPDATE lane SET day = (SELECT at / 86400000 FROM entry ORDER BY id DESC LIMIT 1);
CREATE INDEX lane_day ON lane (day) WHERE day IS NOT NULL;
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_of_an_older_schema_are_found_by_plan_and_standing() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(&format!("{V1} PRAGMA user_version = 1;")).unwrap();
        let state = r#"{"status": "suspended", "terms": [{"plan": "starter"}, {"plan": "pro"}]}"#;
        let insert = "INSERT INTO account (id, entry, leased, debt, state) VALUES ('acme', 1, 0, 0, ?1)";
        connection.execute(insert, [state]).unwrap();
        migrate(&connection).unwrap();
        let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?));
        let found = connection.query_row("SELECT plan, status FROM account", [], read).unwrap();
        assert_eq!(found, ("pro".to_owned(), "suspended".to_owned()));
    }
}
