//! Tokens of the management API, as digests, and the audit log.

use book::StoreError;
use rusqlite::{Connection, Row, params};
use serde::{Deserialize, Serialize};

use super::read::Reader;
use super::tx::SqliteTx;
use super::{failed, rows, sql, unsql};
use crate::audit::{Act, Rest};
use crate::dto::Scope;

/// A token as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredToken {
    /// Its id.
    pub id: String,
    /// SHA-256 of it.
    pub digest: [u8; 32],
    /// Its name.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// When it was made.
    pub created_at: i64,
    /// When it stops working.
    pub expires_at: Option<i64>,
    /// When it was revoked.
    pub revoked_at: Option<i64>,
}

/// A line of the audit log.
pub struct AuditRow {
    /// Its number.
    pub id: u64,
    /// When.
    pub at: i64,
    /// The token's name.
    pub who: String,
    /// Method and route.
    pub operation: String,
    /// The account.
    pub account: Option<String>,
    /// The call's id.
    pub request: String,
    /// What became of it.
    pub outcome: String,
    /// The rest.
    pub rest: Rest,
}

/// Which lines.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// About this account.
    pub account: Option<String>,
    /// By this token.
    pub who: Option<String>,
    /// With this outcome.
    pub outcome: Option<String>,
    /// In this span.
    pub span: (Option<i64>, Option<i64>),
}

/// What became of a call that changed something.
pub const DONE: &str = "done";
/// The most lines kept of calls that changed something.
const DONE_KEPT: i64 = 1_000_000;
/// The most lines kept of refused calls: whoever is refused cannot push the others out.
const REFUSED_KEPT: i64 = 10_000;
/// How long tokens are listed that work no more, in milliseconds: 400 days.
const ENDED_TOKENS_KEPT_MS: i64 = 400 * 86_400_000;

// === impl StoredToken ===

impl StoredToken {
    /// Whether it opens anything.
    #[must_use]
    pub fn is_live(&self, now: i64) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

// === impl SqliteTx ===

impl SqliteTx<'_> {
    /// All tokens.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn tokens(&self) -> Result<Vec<StoredToken>, StoreError> {
        tokens(self.connection)
    }

    /// Adds or replaces a token.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn put_token(&self, token: &StoredToken) -> Result<(), StoreError> {
        let upsert = "INSERT INTO admin_token (id, digest, body) VALUES (?1, ?2, ?3) \
             ON CONFLICT (id) DO UPDATE SET body = excluded.body";
        self.run(upsert, params![token.id, token.digest, rows::json(token)?])
    }

    /// Notes a call in the audit log.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn audit(&self, act: &Act, at: i64, outcome: &str) -> Result<(), StoreError> {
        let insert = "INSERT INTO audit (at, who, operation, account, request, outcome, body) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        let rest = rows::json(&act.rest())?;
        self.run(insert, params![at, act.who, act.operation, act.account(), act.request_id, outcome, rest])
    }

    /// Forgets lines of the audit log beyond their bounds, and tokens that ended long ago.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn prune_access(&self, now: i64) -> Result<(), StoreError> {
        // Each kind by its own number: refusals are many where somebody tries.
        let done = "DELETE FROM audit WHERE outcome = 'done' AND id <= \
             (SELECT id FROM audit WHERE outcome = 'done' ORDER BY id DESC LIMIT 1 OFFSET ?1)";
        self.run(done, params![DONE_KEPT])?;
        let refused = "DELETE FROM audit WHERE outcome <> 'done' AND id <= \
             (SELECT id FROM audit WHERE outcome <> 'done' ORDER BY id DESC LIMIT 1 OFFSET ?1)";
        self.run(refused, params![REFUSED_KEPT])?;
        let before = now.saturating_sub(ENDED_TOKENS_KEPT_MS);
        for token in self.tokens()?.iter().filter(|token| !token.is_live(before)) {
            self.run("DELETE FROM admin_token WHERE id = ?1", params![token.id])?;
        }
        Ok(())
    }
}

// === impl Reader ===

impl Reader {
    /// All tokens.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn tokens(&self) -> Result<Vec<StoredToken>, StoreError> {
        tokens(&self.connection())
    }

    /// Lines of the audit log, latest first, before one.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn audit(
        &self,
        filter: &AuditFilter,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<AuditRow>, StoreError> {
        let connection = self.connection();
        let select = match filter.account {
            Some(_) => "WHERE account = ?1",
            None => "WHERE ?1 IS NULL",
        };
        let select = format!(
            "SELECT id, at, who, operation, account, request, outcome, body FROM audit {select} AND id < ?2 \
             AND (?3 IS NULL OR who = ?3) AND (?4 IS NULL OR outcome = ?4) AND (?5 IS NULL OR at >= ?5) \
             AND (?6 IS NULL OR at < ?6) ORDER BY id DESC LIMIT ?7"
        );
        let mut select = connection.prepare_cached(&select).map_err(failed)?;
        let read = |row: &Row<'_>| -> Result<AuditRow, StoreError> {
            Ok(AuditRow {
                id: unsql(rows::get(row, 0)?),
                at: rows::get(row, 1)?,
                who: rows::get(row, 2)?,
                operation: rows::get(row, 3)?,
                account: rows::get(row, 4)?,
                request: rows::get(row, 5)?,
                outcome: rows::get(row, 6)?,
                rest: rows::parse(&rows::get::<String>(row, 7)?)?,
            })
        };
        let (before, limit) = (before.map_or(i64::MAX, sql), i64::try_from(limit).unwrap_or(i64::MAX));
        let (from, to) = filter.span;
        let mut found = select
            .query(params![filter.account, before, filter.who, filter.outcome, from, to, limit])
            .map_err(failed)?;
        let mut lines = Vec::new();
        while let Some(row) = found.next().map_err(failed)? {
            lines.push(read(row)?);
        }
        Ok(lines)
    }
}

fn tokens(connection: &Connection) -> Result<Vec<StoredToken>, StoreError> {
    let mut select = connection.prepare_cached("SELECT body FROM admin_token").map_err(failed)?;
    let mut found = select.query([]).map_err(failed)?;
    let mut tokens = Vec::new();
    while let Some(row) = found.next().map_err(failed)? {
        tokens.push(rows::parse::<StoredToken>(&rows::get::<String>(row, 0)?)?);
    }
    tokens.sort_by(|a, b| (b.created_at, &b.id).cmp(&(a.created_at, &a.id)));
    Ok(tokens)
}
