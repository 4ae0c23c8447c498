//! Wants: how much a node is leased, and what its waiting requests are told (protocol §5).
//!
//! Waiting requests come first, in their order; what is plentiful is leased ahead by the sizing rule.
//! Near zero each request gets its need and no more; idle leases of other nodes are called back; the
//! very last of it goes to one request alone, below its need (M9).

use std::collections::BTreeSet;
use std::sync::Arc;

use tariff::compile::CREDITS;
use tariff::{Admission, Micros};
use wire::{
    AccountStatus, Ask, Change, Denial, DenialCode, Grant, Need, NodeId, ParkedRequest, SyncResponse,
    Verdict, VerdictKind, Want,
};

use super::pot::{Pot, first_term};
use crate::account::{Account, Clip};
use crate::amount::{less, plus};
use crate::command::{post, touch};
use crate::entry::EntryKind;
use crate::error::StoreError;
use crate::funds::{Funds, IN_FORCE};
use crate::id::AccountId;
use crate::lease::{Lease, Stated};
use crate::limits::{AMOUNT_MAX, LEASES_MAX, TOTAL_MAX, WAIT_AGAIN_MS, WAIT_MS, WAIT_MS_MAX};
use crate::snapshot;
use crate::tx::{Now, Tx};

/// Answers one want.
pub fn answer(
    tx: &mut impl Tx,
    now: Now,
    (node, sent_at): (NodeId, i64),
    want: &Want,
    answer: &mut SyncResponse,
    asked: &mut BTreeSet<AccountId>,
) -> Result<(), StoreError> {
    touch(tx, &want.account, now)?;
    let Some(account) = tx.account(&want.account)? else {
        answer.verdicts.extend(want.requests.iter().map(|request| unknown(want, request)));
        return Ok(());
    };
    let id = account.id.clone();
    if !is_sound(want) || is_over(account, node, want) {
        asked.insert(id);
        return Ok(());
    }
    // Leases in use and nothing to explain: the node has the snapshot. Else it may lack it.
    let in_use = |bucket: &str| {
        account.lease(node, want.lease, bucket).is_some_and(|lease| lease.granted > Micros::ZERO)
    };
    let is_in_use = want.asks.iter().all(|ask| in_use(&ask.bucket));
    for ask in &want.asks {
        super::return_lease(tx, now, node, (&want.account, want.lease, &ask.bucket), ask.returned)?;
    }
    let Some(version) = tx.account(id.as_str())?.and_then(Account::term).map(|term| term.catalog) else {
        return Ok(());
    };
    let admission = tx.catalog(version)?.map_or(Admission::Full, |catalog| catalog.exhaustion.admission);
    state(tx, id.as_str(), (node, sent_at), want)?;
    super::rate::answer(tx, now, node, want, answer)?;
    let Some(account) = tx.account(id.as_str())? else { return Ok(()) };

    let mut desk = Desk::new(account, node, want, admission, now.up);
    let lacks = |ask: &&Ask| account.lease(node, want.lease, &ask.bucket).is_none();
    let more = want.asks.iter().filter(lacks).count();
    let has_room = more == 0 || account.leases.len().saturating_add(more) <= LEASES_MAX;
    if account.status == AccountStatus::Active && has_room {
        desk.serve();
    } else {
        // The snapshot in the same answer says what the standing is: the node refuses by that.
        desk.put_off();
    }
    let Desk { funds, pots, verdicts, clip, recall, waits, .. } = desk;

    let term = Some(first_term(account, want)).filter(|term| *term != IN_FORCE).unwrap_or(0);
    let leased = pots.iter().filter(|pot| pot.granted > Micros::ZERO).map(|pot| EntryKind::Leased {
        node,
        epoch: want.lease,
        bucket: pot.bucket.clone(),
        asset: pot.asset.clone(),
        amount: plus(pot.granted, pot.behind),
        term,
    });
    let kinds: Vec<EntryKind> = leased.chain(clip.map(EntryKind::Clipped)).collect();
    post(tx, &id, now, kinds)?;
    note_wait(tx, id.as_str(), now, recall, waits)?;
    let Some(account) = tx.account(id.as_str())? else { return Ok(()) };
    if !verdicts.is_empty() || !is_in_use {
        asked.insert(id.clone());
    }
    answer.grants.extend(pots.iter().map(|pot| pot.grant(account, &funds, node, want)));
    let exact = pots.last().is_none_or(|pot| pot.exact);
    answer.grants.extend(unheard(account, &funds, (node, want), exact));
    answer.verdicts.extend(verdicts.into_iter().map(|(request, kind)| Verdict {
        account: want.account.clone(),
        request,
        version: account.version,
        kind,
    }));
    Ok(())
}

/// What the record has been leased of buckets that it does not speak of: the answer that said so was lost, and until
/// the node hears of it nobody can spend it, nor can it come home.
fn unheard<'a>(
    account: &'a Account,
    funds: &'a Funds,
    (node, want): (NodeId, &'a Want),
    exact: bool,
) -> impl Iterator<Item = Grant> + 'a {
    let leases = account.leases.iter().filter(move |lease| lease.node == node && lease.epoch == want.lease);
    let silent = |lease: &&Lease| {
        lease.outstanding() > Micros::ZERO && !want.asks.iter().any(|ask| *ask.bucket == *lease.bucket)
    };
    leases.filter(silent).map(move |lease| Grant {
        account: want.account.clone(),
        lease: want.lease,
        bucket: lease.bucket.to_string(),
        granted: lease.granted,
        unleased: funds.left(&lease.bucket).unwrap_or_default(),
        exact,
    })
}

/// One want being served.
pub(super) struct Desk<'a> {
    account: &'a Account,
    node: NodeId,
    want: &'a Want,
    admission: Admission,
    /// Nodes that share the account, the asking one included.
    sharers: i64,
    /// Askers have waited long enough: they are refused.
    impatient: bool,
    /// What is leased to nobody, while the want is being served.
    funds: Funds,
    pots: Vec<Pot>,
    /// What requests are told that did not get all they need.
    pub(super) verdicts: Vec<(String, VerdictKind)>,
    clip: Option<Clip>,
    recall: bool,
    waits: bool,
}

// === impl Desk ===

impl<'a> Desk<'a> {
    pub(super) fn new(
        account: &'a Account,
        node: NodeId,
        want: &'a Want,
        admission: Admission,
        up: i64,
    ) -> Self {
        let mut sharers = account.holders();
        sharers.push(node);
        sharers.sort_unstable();
        sharers.dedup();
        // Only where somebody has been waiting until a moment ago: who comes later is patient anew.
        let since = account.soft.waiting_since.filter(|_| is_waited_for(account.soft.waited_at, up));
        let waited = since.is_some_and(|since| up.saturating_sub(since) >= WAIT_MS_MAX);
        let funds = Funds::since(account, first_term(account, want));
        let mut pots: Vec<Pot> = Vec::new();
        for ask in &want.asks {
            // A bucket that is none of the term's has nothing.
            if !pots.iter().any(|pot| *pot.bucket == ask.bucket) {
                pots.extend(Pot::new(account, &funds, node, want, ask));
            }
        }
        Self {
            account,
            node,
            want,
            admission,
            sharers: i64::try_from(sharers.len()).unwrap_or(1).max(1),
            impatient: waited,
            funds,
            pots,
            verdicts: Vec::new(),
            clip: None,
            recall: false,
            waits: false,
        }
    }

    pub(super) fn serve(&mut self) {
        let want = self.want;
        for request in &want.requests {
            if !self.serve_one(request) {
                let kind = self.refuse(request);
                self.verdicts.push((request.request.clone(), kind));
            }
        }
        let is_short = !self.verdicts.is_empty();
        for pot in &mut self.pots {
            pot.lease_ahead(&mut self.funds, self.sharers, is_short);
        }
    }

    fn put_off(&mut self) {
        let waits =
            self.want.requests.iter().map(|request| (request.request.clone(), VerdictKind::Wait(WAIT_MS)));
        self.verdicts.extend(waits);
    }

    /// Grants what a request lacks of each bucket, or of none.
    fn serve_one(&mut self, request: &ParkedRequest) -> bool {
        let fits = request.needs.iter().all(|need| {
            let pot = self.pots.iter().find(|pot| *pot.bucket == need.bucket);
            pot.is_some_and(|pot| !pot.is_short(&self.funds, need.need))
        });
        if fits {
            self.take(request, None);
        }
        fits
    }

    /// Takes a request's holds: all that it needs, but of one bucket what it is clipped to.
    fn take(&mut self, request: &ParkedRequest, clipped: Option<(usize, Micros)>) {
        for need in &request.needs {
            let Some(index) = self.pots.iter().position(|pot| *pot.bucket == need.bucket) else { continue };
            let hold = clipped.filter(|(at, _)| *at == index).map_or(need.need, |(_, hold)| hold);
            if let Some(pot) = self.pots.get_mut(index) {
                pot.take(&mut self.funds, hold, less(hold, pot.free));
            }
        }
    }

    /// What a request is told that cannot be served.
    fn refuse(&mut self, request: &ParkedRequest) -> VerdictKind {
        let at = |need: &Need| self.pots.iter().position(|pot| *pot.bucket == need.bucket);
        if request.needs.iter().any(|need| at(need).is_none()) {
            // A bucket that is none of the account's: the snapshot in the same answer says which are.
            return VerdictKind::Wait(WAIT_MS);
        }
        let mut short: Vec<(usize, &Need)> = request
            .needs
            .iter()
            .filter_map(|need| Some((at(need)?, need)))
            .filter(|(index, need)| {
                self.pots.get(*index).is_some_and(|pot| pot.is_short(&self.funds, need.need))
            })
            .collect();
        // Of several the one that nothing can be had of: waiting for the others is in vain.
        short.sort_by_key(|(index, _)| self.pots.get(*index).is_some_and(|pot| pot.comes_back(&self.funds)));
        let Some((index, need)) = short.first().copied() else { return VerdictKind::Wait(WAIT_MS) };
        let Some(pot) = self.pots.get(index) else { return VerdictKind::Wait(WAIT_MS) };
        let available = plus(pot.capacity(&self.funds), pot.free);
        let mut denial = snapshot::denial(self.account, &self.funds, &need.bucket, available);
        let in_flight = |denial: Denial| VerdictKind::Deny(Denial { code: DenialCode::InFlight, ..denial });
        let is_barred = pot.is_barred(&self.funds);
        if pot.elsewhere.idle > Micros::ZERO || (is_barred && pot.free > Micros::ZERO) {
            self.recall = true;
        }
        let coming = [pot.elsewhere.idle, pot.elsewhere.under_way, pot.under_way];
        if is_barred || coming.iter().any(|amount| *amount > Micros::ZERO) {
            self.waits = true;
            return if self.impatient { in_flight(denial) } else { VerdictKind::Wait(WAIT_MS) };
        }
        if pot.held > Micros::ZERO || pot.elsewhere.held > Micros::ZERO {
            return in_flight(denial);
        }
        if available == Micros::ZERO {
            return VerdictKind::Deny(denial);
        }
        let clips = pot.is_clipped && self.admission == Admission::Clip && short.len() == 1;
        if !clips || self.clip.is_some() || is_clip_open(self.account, &pot.bucket) {
            // Not `Empty`: a smaller request may well pass.
            denial.code = DenialCode::InFlight;
            return VerdictKind::Deny(denial);
        }
        // Nothing of it is held or under way anywhere, and no clip is open: this request gets all (I9).
        self.clip = Some(Clip {
            request: request.request.clone(),
            node: self.node,
            lease: self.want.lease,
            bucket: pot.bucket.clone(),
            hold: available,
        });
        self.take(request, Some((index, available)));
        VerdictKind::Clip(Need { bucket: need.bucket.clone(), need: available })
    }
}

/// Whether a request may yet run on a clip of another bucket: what it was granted is still out. Of the bucket
/// itself nothing is held where this is asked.
fn is_clip_open(account: &Account, bucket: &str) -> bool {
    let lease = |clip: &Clip| account.lease(clip.node, clip.lease, &clip.bucket);
    let clip = account.clip.as_ref().filter(|clip| *clip.bucket != *bucket);
    clip.and_then(lease).is_some_and(|lease| lease.outstanding() > Micros::ZERO)
}

/// Remembers what the node says of its record, where the record has a lease: what is kept is bounded by
/// the leases.
fn state(tx: &mut impl Tx, id: &str, (node, at): (NodeId, i64), want: &Want) -> Result<(), StoreError> {
    let Some(account) = tx.account(id)? else { return Ok(()) };
    let leased =
        |ask: &&Ask| account.lease(node, want.lease, &ask.bucket).is_some_and(|l| *l.bucket == *ask.bucket);
    let stated = want.asks.iter().filter(leased).map(|ask| {
        let bucket: Arc<str> = Arc::from(ask.bucket.as_str());
        Stated { node, epoch: want.lease, bucket, free: ask.free, held: ask.held, at }
    });
    let stated: Vec<Stated> = stated.collect();
    let Some(soft) = tx.soft(id)? else { return Ok(()) };
    stated.into_iter().for_each(|stated| soft.state(stated));
    Ok(())
}

/// Remembers since when askers wait, and calls idle leases back, not too often.
fn note_wait(tx: &mut impl Tx, id: &str, now: Now, recall: bool, waits: bool) -> Result<(), StoreError> {
    let Some(soft) = tx.soft(id)? else { return Ok(()) };
    let is_fresh = is_waited_for(soft.waited_at, now.up);
    if waits {
        soft.waiting_since = soft.waiting_since.filter(|_| is_fresh).or(Some(now.up));
        soft.waited_at = Some(now.up);
    } else if !is_fresh {
        soft.waiting_since = None;
    }
    if recall && soft.is_recall_due(now.up) {
        tx.change(Change::Recall { account: id.to_owned() })?;
    }
    Ok(())
}

/// Whether an asker has had to wait a moment ago.
fn is_waited_for(waited_at: Option<i64>, up: i64) -> bool {
    waited_at.is_some_and(|last| up.saturating_sub(last) < WAIT_AGAIN_MS)
}

fn unknown(want: &Want, request: &ParkedRequest) -> Verdict {
    let bucket = request.needs.first().map_or_else(|| CREDITS.to_owned(), |need| need.bucket.clone());
    let denial = Denial { bucket, code: DenialCode::Empty, available: Micros::ZERO, resets_at: None };
    Verdict {
        account: want.account.clone(),
        request: request.request.clone(),
        version: 0,
        kind: VerdictKind::Deny(denial),
    }
}

/// Whether the record was given up already: this want was overtaken. Of long ago only the leases tell that
/// still wait for settlements.
fn is_over(account: &Account, node: NodeId, want: &Want) -> bool {
    let mut of_record = account.leases.iter().filter(|lease| lease.node == node && lease.epoch == want.lease);
    account.leases_ended.contains(&(node, want.lease)) || of_record.any(|lease| lease.used.is_some())
}

/// Whether every amount is one: neither negative nor oversized.
fn is_sound(want: &Want) -> bool {
    let is_amount = |amount: Micros| (Micros::ZERO..=AMOUNT_MAX).contains(&amount);
    let asks = want.asks.iter().all(|ask| {
        // `returned` is cumulative.
        is_amount(ask.ask) && is_amount(ask.free) && is_amount(ask.held) && ask.returned <= TOTAL_MAX
    });
    let needs = want.requests.iter().flat_map(|request| &request.needs);
    let mut needs = needs.map(|need| need.need);
    asks && needs.all(|need| is_amount(need) && need > Micros::ZERO)
}
