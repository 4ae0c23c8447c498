//! The engine as [`Access`]: tokens in memory for every call, and the audit log.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use book::{Refusal, StoreError};
use jiff::Timestamp;

use super::{Engine, report, view};
use crate::audit::{Act, Rest};
use crate::dto;
use crate::service::{Access, AuditQuery, Caller, Idempotency, NewToken, Page, PageRequest, Reply, Written};
use crate::store::{AuditFilter, AuditRow, StoredToken};

/// Tokens by digest, as every call looks them up.
#[derive(Clone, Default)]
pub struct TokenShelf(Arc<RwLock<HashMap<[u8; 32], StoredToken>>>);

/// The most tokens that work.
const TOKENS_MAX: usize = 256;

// === impl TokenShelf ===

impl TokenShelf {
    /// The stored tokens.
    pub fn new(tokens: Vec<StoredToken>) -> Self {
        let by_digest = tokens.into_iter().map(|token| (token.digest, token)).collect();
        Self(Arc::new(RwLock::new(by_digest)))
    }

    /// Adds or replaces a token. Done just before the commit: should it fail, the process ends.
    fn put(&self, token: StoredToken) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(token.digest, token);
    }

    fn caller(&self, digest: &[u8; 32], now: i64) -> Option<Caller> {
        let tokens = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let token = tokens.get(digest).filter(|token| token.is_live(now))?;
        Some(Caller { name: token.name.clone(), scopes: token.scopes.clone() })
    }
}

impl Access for Engine {
    fn caller(&self, digest: &[u8; 32]) -> Option<Caller> {
        self.tokens.caller(digest, Timestamp::now().as_millisecond())
    }

    fn tokens(&self) -> Reply<'_, Vec<dto::AdminToken>> {
        self.look(|tx, _| Ok(tx.tokens()?.iter().map(shown).collect()))
    }

    fn create_token(&self, write: Option<Idempotency>, new: NewToken) -> Reply<'_, Written<dto::AdminToken>> {
        let shelf = self.tokens.clone();
        self.write(write, move |tx, now| {
            let live: Vec<StoredToken> =
                tx.tokens()?.into_iter().filter(|token| token.is_live(now.wall)).collect();
            if live.iter().any(|token| token.name == new.name) {
                let detail = format!("there is a token with the name \"{}\": revoke it first", new.name);
                return Err(Refusal::conflict("token_exists", detail).into());
            }
            if live.len() >= TOKENS_MAX {
                let detail = format!("there are {TOKENS_MAX} tokens: revoke one");
                return Err(Refusal::conflict("too_many_tokens", detail).into());
            }
            let expires_at = new.expires_at.map(Timestamp::as_millisecond);
            if expires_at.is_some_and(|end| end <= now.wall) {
                return Err(Refusal::invalid("expires_at", "is not in the future").into());
            }
            let token = StoredToken {
                id: new.id,
                digest: new.digest,
                name: new.name,
                scopes: new.scopes,
                created_at: now.wall,
                expires_at,
                revoked_at: None,
            };
            tx.put_token(&token)?;
            let answer = shown(&token);
            shelf.put(token);
            Ok(Written::Done(answer))
        })
    }

    fn revoke_token(&self, write: Option<Idempotency>, id: String) -> Reply<'_, Written<dto::AdminToken>> {
        let shelf = self.tokens.clone();
        self.write(write, move |tx, now| {
            let found = tx.tokens()?.into_iter().find(|token| token.id == id);
            let mut token = found.ok_or_else(|| Refusal::unknown("token", id))?;
            if token.revoked_at.is_some() {
                return Ok(Written::Existing(shown(&token)));
            }
            token.revoked_at = Some(now.wall);
            tx.put_token(&token)?;
            let answer = shown(&token);
            shelf.put(token);
            Ok(Written::Done(answer))
        })
    }

    fn note_refusal(&self, act: Arc<Act>, code: String) -> Reply<'_, ()> {
        self.look(move |tx, now| Ok(tx.audit(&act, now.wall, &code)?))
    }

    fn audit(&self, query: AuditQuery, page: PageRequest<u64>) -> Reply<'_, Page<dto::AuditLine, u64>> {
        Box::pin(async move {
            let AuditQuery { account, who, outcome, from, to } = query;
            let span = (from.map(Timestamp::as_millisecond), to.map(Timestamp::as_millisecond));
            let filter = AuditFilter { account, who, outcome, span };
            let limit = page.limit.saturating_add(1);
            let read = report::read(&self.reader, move |reader| reader.audit(&filter, page.after, limit));
            Ok(Page::cut(read.await?, page.limit, |row| row.id).map(line))
        })
    }
}

/// The tokens of a store.
pub fn load(reader: &crate::store::Reader) -> Result<TokenShelf, StoreError> {
    Ok(TokenShelf::new(reader.tokens()?))
}

fn shown(token: &StoredToken) -> dto::AdminToken {
    dto::AdminToken {
        id: token.id.clone(),
        name: token.name.clone(),
        scopes: token.scopes.clone(),
        created_at: view::time(token.created_at),
        expires_at: token.expires_at.map(view::time),
        revoked_at: token.revoked_at.map(view::time),
    }
}

fn line(row: AuditRow) -> dto::AuditLine {
    let Rest { path, body } = row.rest;
    dto::AuditLine {
        id: row.id.to_string(),
        time: view::time(row.at),
        who: row.who,
        operation: row.operation,
        path,
        account: row.account,
        request_id: row.request,
        outcome: row.outcome,
        body,
    }
}
