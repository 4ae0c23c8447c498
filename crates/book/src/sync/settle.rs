//! Events as entries: settlements charge lots, and leases that a record gives up end.

use std::sync::Arc;

use tariff::Micros;
use tariff::compile::CREDITS;
use tariff::meter::COUNT_MAX;
use wire::id::names_bucket;
use wire::{Lane, LeaseClosed, NodeId, Outcome, Settle, Take};

use super::charge::{self, Priced};
use crate::account::Account;
use crate::amount::less;
use crate::command::{post, touch};
use crate::counts;
use crate::draw::draw;
use crate::entry::{Charge, EntryKind, Release};
use crate::error::StoreError;
use crate::id::{is_name, is_title};
use crate::limits::{
    AMOUNT_MAX, BUCKET_ID_MAX, KEY_ID_MAX, MODEL_MAX, OPERATION_MAX, REQUEST_ID_MAX, TOTAL_MAX,
};
use crate::standing::has_turned;
use crate::tx::{Incident, Now, Tx};

/// The code of incidents about settlements that the edge priced otherwise.
pub const PRICE_MISMATCH: &str = "price_mismatch";

/// Who reports.
#[derive(Clone, Copy)]
pub struct Caller {
    /// The node that sends.
    pub node: NodeId,
    /// Its wall clock at sending.
    pub clock: i64,
    /// It knows these books by another generation: they went back in time since.
    pub knew_others: bool,
}

/// Why an event was refused.
pub type Refused = &'static str;

/// Posts a settlement. A charge is posted however late it comes, under the term of its admission.
pub fn settle(
    tx: &mut impl Tx,
    now: Now,
    caller: Caller,
    (lane, seq): (Lane, u64),
    settle: &Settle,
) -> Result<Result<(), Refused>, StoreError> {
    if !is_sound(settle) {
        return Ok(Err("invalid"));
    }
    let Some(account) = tx.account(&settle.account)? else { return Ok(Err("unknown_account")) };
    let holder = holder(account, lane, caller, settle);
    let id = account.id.clone();
    let charged = matches!(settle.outcome, Outcome::Settled | Outcome::Lost);
    let duplicate = charged && tx.is_charged(&settle.account, &settle.request)?;
    let kind = if charged && !duplicate {
        match charge(tx, now, caller, (lane, seq), holder, settle)? {
            Some(charge) => EntryKind::Charge(Box::new(charge)),
            None => return Ok(Err("unknown_term")),
        }
    } else {
        let auth_class = auth_class(tx, settle)?;
        let Some(account) = tx.account(id.as_str())? else { return Ok(Err("unknown_account")) };
        EntryKind::Release(Box::new(release(account, (lane, seq), holder, (settle, auth_class), duplicate)))
    };
    // A settlement does not change what nodes know of the account, unless the standing turns with it.
    crate::notice::append(tx, &id, now, [kind])?;
    count_overshoot(tx, settle);
    if tx.account(id.as_str())?.is_some_and(|account| account.is_closing_lots() || has_turned(account)) {
        touch(tx, id.as_str(), now)?;
    }
    Ok(if duplicate { Err("duplicate_request") } else { Ok(()) })
}

/// The charge of a settlement; nothing where the account has no term or its catalog is gone.
pub fn charge(
    tx: &mut impl Tx,
    now: Now,
    caller: Caller,
    (lane, seq): (Lane, u64),
    holder: NodeId,
    settle: &Settle,
) -> Result<Option<Charge>, StoreError> {
    let account = tx.account(&settle.account)?;
    let Some(term) = account.and_then(|account| account.term_of_settlement(settle.term)).cloned() else {
        return Ok(None);
    };
    let Some(catalog) = tx.catalog(term.catalog)? else { return Ok(None) };
    if term.no != settle.term {
        // Restored from a backup, or older than the terms kept: the nearest one stands in.
        let detail = format!("request {}: term {} is not known", settle.request, settle.term);
        tx.incident(incident(now, (lane, seq), settle, "unknown_term", detail))?;
    }
    let auth_class = auth_class(tx, settle)?;
    let Some(account) = tx.account(&settle.account)? else { return Ok(None) };
    let Some(class) = account.rules(&term).class(&settle.model).cloned() else { return Ok(None) };
    let priced = charge::price(&catalog, &term, &class, settle);
    note_price(tx, now, (lane, seq), (settle, charge::taken(&class, settle)), &priced)?;
    let Some(account) = tx.account(&settle.account)? else { return Ok(None) };
    // The debt is bounded as everything is; a request beyond it would take a million others.
    let drawn = draw(account, &term, &class, priced.exact);
    let asset: Arc<str> = Arc::from(class.asset.as_str());
    let debt = drawn.debt.min(less(TOTAL_MAX, account.owed(&asset)));
    let receivable = drawn.receivable.min(less(TOTAL_MAX, account.receivable));
    let drawn = crate::draw::Drawn { debt, receivable, ..drawn };
    let mut charge = Charge {
        lane,
        seq,
        request: settle.request.clone(),
        key: settle.key.clone(),
        auth_class,
        term: settle.term,
        model: settle.model.clone(),
        answered_model: settle.answered_model.clone(),
        service_tier: settle.service_tier.clone(),
        provider_cost: settle.provider_cost,
        operation: settle.operation.clone(),
        outcome: settle.outcome,
        source: settle.source,
        status: settle.status,
        usage: settle.usage.clone(),
        began_at: began_at(now, caller, settle),
        holder,
        epoch: settle.lease,
        takes: settle.takes.clone(),
        asset,
        base: less(priced.whole, priced.disputed),
        cost: priced.cost,
        disputed: priced.disputed,
        amount: drawn.amount(),
        slices: drawn.slices,
        debt: drawn.debt,
        receivable: drawn.receivable,
        counts: Vec::new(),
        recovered: false,
    };
    charge.counts = counts::of_charge(&term, account.rules(&term), &charge);
    let counters = tx.counters();
    counters.charged = counters.charged.saturating_add(charge.amount.get().into());
    counters.debt_charged = counters.debt_charged.saturating_add(charge.debt.get().into());
    counters.disputed = counters.disputed.saturating_add(charge.disputed.get().into());
    Ok(Some(charge))
}

/// The class of a request's key, where the rules of its term leave some classes out (L11).
fn auth_class(tx: &mut impl Tx, settle: &Settle) -> Result<Option<Arc<str>>, StoreError> {
    let asks = tx.account(&settle.account)?.is_some_and(|account| {
        account.term_of_settlement(settle.term).is_some_and(|term| !account.rules(term).exempt.is_empty())
    });
    if !asks {
        return Ok(None);
    }
    Ok(tx.key_by_id(&settle.account, &settle.key)?.map(|key| key.auth_class))
}

/// What a settlement would be charged now, and what of it no lot could pay; nothing as [`charge`].
pub fn preview(tx: &mut impl Tx, settle: &Settle) -> Result<Option<(Micros, Micros)>, StoreError> {
    let account = tx.account(&settle.account)?;
    let Some(term) = account.and_then(|account| account.term_of_settlement(settle.term)).cloned() else {
        return Ok(None);
    };
    let Some(catalog) = tx.catalog(term.catalog)? else { return Ok(None) };
    let Some(account) = tx.account(&settle.account)? else { return Ok(None) };
    let Some(class) = account.rules(&term).class(&settle.model) else { return Ok(None) };
    let priced = charge::price(&catalog, &term, class, settle);
    let drawn = draw(account, &term, class, priced.exact);
    Ok(Some((drawn.amount(), drawn.debt)))
}

fn release(
    account: &Account,
    (lane, seq): (Lane, u64),
    holder: NodeId,
    (settle, auth_class): (&Settle, Option<Arc<str>>),
    duplicate: bool,
) -> Release {
    let mut release = Release {
        lane,
        seq,
        request: settle.request.clone(),
        key: settle.key.clone(),
        auth_class,
        term: settle.term,
        model: settle.model.clone(),
        outcome: settle.outcome,
        holder,
        epoch: settle.lease,
        takes: settle.takes.clone(),
        duplicate,
        counts: Vec::new(),
    };
    if let Some(term) = account.term_of_settlement(settle.term) {
        release.counts = counts::of_release(term, account.rules(term), &release);
    }
    release
}

/// Notes the end of a record's leases.
pub fn close_lease(
    tx: &mut impl Tx,
    now: Now,
    caller: Caller,
    lane: Lane,
    closed: &LeaseClosed,
) -> Result<Result<(), Refused>, StoreError> {
    let sound = closed.used.iter().all(|used| is_bucket(&used.bucket) && is_amount(used.used));
    if !sound || closed.used.len() > tariff::policy::BUCKETS_MAX {
        return Ok(Err("invalid"));
    }
    let Some(account) = tx.account(&closed.account)? else { return Ok(Err("unknown_account")) };
    let of =
        |node: NodeId| account.leases.iter().any(|lease| lease.node == node && lease.epoch == closed.lease);
    let node = if of(lane.node) || !of(caller.node) { lane.node } else { caller.node };
    let id = account.id.clone();
    let kind = EntryKind::LeaseClosed { node, epoch: closed.lease, used: closed.used.clone() };
    post(tx, &id, now, [kind])?;
    if tx.account(id.as_str())?.is_some_and(Account::is_closing_lots) {
        touch(tx, id.as_str(), now)?;
    }
    Ok(Ok(()))
}

/// The node whose leases a settlement took from: the lane's, unless only the caller has such a lease
/// (a lane that outlived its node's id).
fn holder(account: &Account, lane: Lane, caller: Caller, settle: &Settle) -> NodeId {
    let of =
        |node: NodeId| account.leases.iter().any(|lease| lease.node == node && lease.epoch == settle.lease);
    if !of(lane.node) && of(caller.node) { caller.node } else { lane.node }
}

/// When a request began, by the ledger's clock: only distances of the node's clock are believed, and
/// none into the future.
fn began_at(now: Now, caller: Caller, settle: &Settle) -> i64 {
    let ago = caller.clock.saturating_sub(settle.at).max(0);
    now.wall.saturating_sub(ago).max(0)
}

fn note_price(
    tx: &mut impl Tx,
    now: Now,
    event: (Lane, u64),
    (settle, stated): (&Settle, Option<&Take>),
    priced: &Priced,
) -> Result<(), StoreError> {
    if let Some(take) = stated.filter(|take| take.used != priced.whole) {
        let counters = tx.counters();
        counters.price_mismatches = counters.price_mismatches.saturating_add(1);
        let (request, model) = (&settle.request, &settle.model);
        let detail =
            format!("request {request}: {model} is {} here, {} at the edge", priced.whole, take.used);
        tx.incident(incident(now, event, settle, PRICE_MISMATCH, detail))?;
    }
    if let Some(compared) = priced.compared {
        let counters = tx.counters();
        let add = |sum: i128, nanos: i64| sum.saturating_add(nanos.into());
        counters.provider_cost = add(counters.provider_cost, compared.stated);
        counters.card_cost = add(counters.card_cost, compared.own);
        counters.cost_mismatches = counters.cost_mismatches.saturating_add(u64::from(compared.mismatch));
    }
    if let Some(problem) = &priced.problem {
        let detail = format!("request {}: {problem}", settle.request);
        tx.incident(incident(now, event, settle, "unpriced", detail))?;
    }
    if priced.disputed > Micros::ZERO {
        let detail = format!("request {}: {} beyond the bound", settle.request, priced.disputed);
        tx.incident(incident(now, event, settle, "disputed", detail))?;
    }
    Ok(())
}

fn incident(now: Now, event: (Lane, u64), settle: &Settle, code: &str, detail: String) -> Incident {
    let account = Some(settle.account.clone());
    Incident { at: now.wall, account, event: Some(event), code: code.to_owned(), detail }
}

fn count_overshoot(tx: &mut impl Tx, settle: &Settle) {
    let over = |take: &Take| less(take.used, take.held);
    let over = settle.takes.iter().filter(|take| names_bucket(&take.bucket, CREDITS)).map(over);
    let over = crate::amount::total(over);
    let counters = tx.counters();
    counters.overshoot = counters.overshoot.saturating_add(over.get().into());
}

/// Whether a settlement can be believed at all: names that can stand in the journal, no negative or
/// oversized number.
pub fn is_sound(settle: &Settle) -> bool {
    let names = is_name(&settle.request, REQUEST_ID_MAX)
        && is_name(&settle.key, KEY_ID_MAX)
        && !settle.model.is_empty()
        && is_title(&settle.model, MODEL_MAX)
        && is_name(&settle.operation, OPERATION_MAX)
        && settle.answered_model.as_ref().is_none_or(|model| is_title(model, MODEL_MAX))
        && settle.service_tier.as_ref().is_none_or(|tier| is_name(tier, OPERATION_MAX))
        && settle.provider_cost.is_none_or(|cost| cost <= COUNT_MAX);
    let takes = settle.takes.len() <= tariff::policy::BUCKETS_MAX
        && settle
            .takes
            .iter()
            .all(|take| is_bucket(&take.bucket) && is_amount(take.held) && is_amount(take.used));
    let counts = settle.usage.iter().all(|(_, count)| count <= COUNT_MAX);
    names && takes && counts && (settle.source.is_some() || settle.usage.is_empty())
}

fn is_bucket(id: &str) -> bool {
    is_name(id, BUCKET_ID_MAX)
}

fn is_amount(amount: Micros) -> bool {
    (Micros::ZERO..=AMOUNT_MAX).contains(&amount)
}
