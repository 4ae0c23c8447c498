//! The properties, after every step and at the end, against records that are not ours: what clients and upstreams
//! saw, and the journal folded once more (`books`). Each failure is named by the property of the protocol.

use std::collections::HashSet;

use book::Tx as _;
use edge::testing::Holding;
use tariff::compile::CREDITS;
use wire::id::tag;
use wire::{NodeId, Outcome, UsageSource};

use super::Cluster;
use super::books::{self, Fresh, Posted};
use super::market::{self, Model};
use super::report::{Broken, ensure};
use super::schedule::FAULTS;
use super::site::{Reported, Site};
use super::traffic::{Due, Fate, Run, body};

/// How long a request may stay undecided once it is there whole, in microseconds: it waits for a look-up, for
/// credits, for reports or tokens of others, and for the tick that ends it.
const UNDECIDED_US: u64 = 8_000_000;

/// What an account must be worth to be asked for when all is over, in micro-credits.
const PROBE_WORTH: i64 = 20_000;

impl Cluster {
    /// Reads the journal and checks what it says of requests; gives the accounts that changed.
    pub(super) fn read_books(&mut self) -> Result<HashSet<String>, Broken> {
        let changed = self.books.read(&self.ledger.book.journal)?;
        for fresh in std::mem::take(&mut self.books.fresh) {
            self.check_posting(&fresh)?;
        }
        for id in &changed {
            self.check_account(id)?;
        }
        Ok(changed)
    }

    /// All that can be checked at an instant, of what changed.
    pub(super) fn check_step(&mut self, touched: &[usize]) -> Result<(), Broken> {
        let mut due: HashSet<(usize, String)> = HashSet::new();
        for node in touched {
            if let Some(site) = self.sites[*node].as_mut() {
                due.extend(site.look()?.into_iter().map(|account| (*node, account)));
            }
            self.check_undecided(*node)?;
        }
        let changed = self.read_books()?;
        for node in 0..self.sites.len() {
            due.extend(changed.iter().map(|account| (node, account.clone())));
        }
        for (node, account) in due {
            self.check_record(node, &account)?;
        }
        Ok(())
    }

    /// I3, I4, I5: an entry is about a request that a client sent, and says what its upstream delivered.
    fn check_posting(&mut self, fresh: &Fresh) -> Result<(), Broken> {
        let Fresh { account, request, .. } = fresh;
        let known = self.by_request.get(request).and_then(|run| self.runs.get(*run));
        let Some(run) = known else {
            return Err(Broken::new("I5", format!("{account}: {request} was sent by no client")));
        };
        let about =
            || format!("{account}: {request}, {:?} {:?}, posted {:?}", run.fate, run.due, fresh.posted);
        ensure("I5", format!("acct{}", run.ask.account) == *account, about)?;
        let Some(holding) = &run.holding else { return Err(Broken::new("I5", about())) };
        let Posted::Charge { outcome, source, base, input, output, term } = fresh.posted else {
            return ensure("I4", run.due == Due::Nothing && run.fate == Fate::Logged, about);
        };
        ensure("I5", term == holding.term, about)?;
        if outcome == Outcome::Lost {
            // By policy: what it was reckoned to put in, never more than was held.
            let own = i64::try_from(body(&run.ask).len().div_ceil(4)).unwrap_or(i64::MAX);
            let own = if run.ask.model == Model::Search { 0 } else { own };
            let right = (input, output) == (own, 0) && base <= holding.held;
            return ensure("I4", run.fate == Fate::Trapped && right, about);
        }
        ensure("I4", run.fate == Fate::Logged, about)?;
        match run.due {
            Due::Nothing => ensure("I5", false, about)?,
            Due::Counts { .. } if run.ask.model == Model::Search => {
                ensure("I5", source == Some(UsageSource::Counted), about)?;
            }
            Due::Counts { input: own_input, output: own_output } => {
                let same = (input, output) == (own_input, own_output);
                ensure("I5", same && source == Some(UsageSource::Reported), about)?;
            }
            Due::Some => {
                let within = base > 0 && base <= holding.held;
                ensure("I5", within && source == Some(UsageSource::Estimated), about)?;
            }
        }
        *self.overshoot.entry(account.clone()).or_default() += (base - holding.held).max(0);
        self.counts.charged += 1;
        Ok(())
    }

    /// I1, I2: the book's account is what its journal says, by our own sums, and its overspend is explained.
    fn check_account(&self, id: &str) -> Result<(), Broken> {
        self.ledger.check(id)?;
        let (Some(own), Some(account)) = (self.books.accounts.get(id), self.ledger.book.accounts.get(id))
        else {
            return Err(Broken::new("I1", format!("{id} is not in both books")));
        };
        let remaining: i64 = account.lots.values().map(|lot| lot.remaining.get()).sum();
        let totals = account.totals;
        let theirs = [
            remaining,
            account.debt.get(),
            totals.granted.get(),
            totals.charged.get(),
            totals.expired.get(),
            totals.voided.get(),
            account.outstanding(CREDITS).get(),
        ];
        let ours =
            [own.remaining(), own.debt, own.granted, own.charged, own.expired, own.voided, own.outstanding()];
        ensure("I1", theirs == ours, || format!("{id}: the book has {theirs:?}, its journal {ours:?}"))?;
        let accounted = own.remaining() + own.charged + own.expired + own.voided - own.debt;
        ensure("I1", own.granted == accounted, || {
            format!("{id}: granted {}, of it {accounted}", own.granted)
        })?;
        let overshoot = self.overshoot.get(id).copied().unwrap_or(0);
        let bound = overshoot + own.lost + own.carried + own.dearer + own.lines;
        // What nodes still lease of a ledger that is gone is bounded by nothing that this one knows.
        ensure("I2", own.overspent <= bound || self.restores > 0, || {
            format!(
                "{id}: overspent {}, of it beyond holds {overshoot}, by closed nodes {}, carried over {}, by older terms {}",
                own.overspent, own.lost, own.carried, own.dearer
            )
        })
    }

    /// I1 per node and bucket, and I6's "nothing else is held": a record against the ledger's lease, the ring and
    /// the open requests.
    fn check_record(&mut self, node: usize, account: &str) -> Result<(), Broken> {
        let Some(site) = self.sites[node].as_ref() else { return Ok(()) };
        let Some(record) = site.records.get(account) else { return Ok(()) };
        let Some(cell) = record.cell(tag(CREDITS)) else { return Ok(()) };
        let of_record = |node: u64, epoch| node == record.node && epoch == Some(record.epoch);
        let (mut held, mut open) = (0, 0);
        for holding in site.holdings().iter().filter(|holding| holding.account == account) {
            if of_record(holding.node, holding.epoch) {
                (held, open) = (held + holding.held, open + 1);
            }
        }
        ensure("I1", cell.held == held && record.open == open, || {
            format!("node {node}, {account}: {open} requests hold {held}, the record says {record:?}")
        })?;
        let (cell, epoch) = (*cell, record.epoch);
        let Some(id) = site.ids.get(&record.node).copied() else { return Ok(()) };
        let is_last = site.ids.keys().all(|generation| *generation <= record.node);
        if !is_last || !self.is_open(id)? || self.void.contains(&id) {
            return Ok(());
        }
        let (Some(site), Some(own)) = (self.sites[node].as_ref(), self.books.accounts.get(account)) else {
            return Ok(());
        };
        let lease = own.leases.iter().find(|lease| lease.node == id && lease.epoch == epoch);
        let Some(lease) = lease else { return Ok(()) };
        let is_unreported = |lane, seq| !self.books.posted.get(lane).is_some_and(|seqs| seqs.contains(seq));
        let of_lease = |event: &&Reported| event.account == account && event.epoch == epoch;
        let unreported: i64 = site
            .events
            .iter()
            .filter(|((lane, seq), _)| is_unreported(lane, seq))
            .map(|(_, event)| event)
            .filter(of_lease)
            .map(|event| event.used)
            .sum();
        let agree = cell.granted <= lease.granted
            && cell.returned >= lease.returned
            && (lease.used.is_some() || cell.used == lease.settled + unreported);
        ensure("I1", agree, || {
            format!("node {node}, {account}: {cell:?} but {lease:?} and {unreported} in rings")
        })
    }

    /// I9, I10, I11: a request was admitted.
    pub(super) fn check_admission(
        &mut self,
        node: usize,
        run: usize,
        holding: Holding,
    ) -> Result<(), Broken> {
        let (ask, vm) = (self.runs[run].ask, self.runs[run].vm);
        let Some(site) = self.sites[node].as_mut() else { return Ok(()) };
        let last = site.admitted.insert((vm, holding.account.clone()), (holding.version, holding.term));
        let (version, term) = last.unwrap_or_default();
        let rises = holding.version >= version && holding.term >= term;
        ensure("I11", rises || self.restores > 0, || {
            format!("{holding:?} after version {version}, term {term}")
        })?;
        let id = site.ids.get(&holding.node).copied();
        if let Some(id) = id {
            // A ledger that was restored closes nodes that hold another's leases, before their workers know.
            let may_admit = self.is_known_open(id)? || self.void.contains(&id);
            ensure("I10", may_admit, || format!("{holding:?} on node {id}, which is closed"))?;
        }
        self.read_books()?;
        let Some(account) = self.books.accounts.get(&holding.account) else { return Ok(()) };
        let Some((_, version, _)) = account.term(holding.term) else { return Ok(()) };
        let bytes = body(&ask).len() as u64;
        let output = ask.max_tokens.unwrap_or(market::OUTPUT_DEFAULT);
        let estimate = market::estimate(*version, ask.model, bytes, output);
        let right = holding.estimate == estimate && holding.held <= estimate;
        ensure("I2", right || self.restores > 0, || format!("{holding:?}, but it may cost {estimate}"))?;
        if holding.held < estimate {
            let clip = account.clipped.contains(&holding.request);
            let is_open = match id {
                Some(id) => self.is_open(id)? && !self.void.contains(&id),
                None => false,
            };
            ensure("I9", clip || !is_open, || {
                format!("{holding:?} is below {estimate}, and was not clipped")
            })?;
        }
        Ok(())
    }

    fn check_undecided(&self, node: usize) -> Result<(), Broken> {
        let Some(site) = self.sites[node].as_ref() else { return Ok(()) };
        for run in site.undecided.iter().map(|run| &self.runs[*run]) {
            let since = run.whole_us.unwrap_or(self.now_us).max(site.stopped_until_us);
            let waited = self.now_us.saturating_sub(since);
            ensure("I4", waited < UNDECIDED_US, || format!("{} waits for {waited} us", run.request))?;
        }
        Ok(())
    }

    /// Whether the ledger has a node open; one that it has never heard of is not.
    fn is_open(&mut self, id: NodeId) -> Result<bool, Broken> {
        let node = self.ledger.book.node(id).map_err(|error| Broken::new("host", error.to_string()))?;
        Ok(node.is_some_and(|node| node.closed_at.is_none()))
    }

    /// Whether the ledger has not closed a node.
    fn is_known_open(&mut self, id: NodeId) -> Result<bool, Broken> {
        let node = self.ledger.book.node(id).map_err(|error| Broken::new("host", error.to_string()))?;
        Ok(node.is_none_or(|node| node.closed_at.is_none()))
    }

    /// When all faults are over and time has passed: everything is where it belongs.
    pub(super) fn check_at_rest(&mut self) -> Result<(), Broken> {
        self.check_step(&(0..self.sites.len()).collect::<Vec<_>>())?;
        for (node, site) in self.sites.iter().enumerate() {
            let Some(site) = site else { continue };
            for vm in site.all_vms() {
                let edge = site.node.workers[vm].borrow();
                let left = edge.unacknowledged();
                ensure("I6", left == 0, || {
                    format!("node {node} vm {vm}: {left} events are not acknowledged")
                })?;
                let orphans = &site.orphans;
                ensure("I6", orphans.is_empty(), || format!("node {node}: still held: {orphans:?}"))?;
                ensure("I6", edge.open() == 0, || format!("node {node} vm {vm}: {} requests", edge.open()))?;
            }
            for ((lane, seq), event) in &site.events {
                let posted = self.books.posted.get(lane).is_some_and(|seqs| seqs.contains(seq));
                ensure("I6", posted || event.request.is_none() || self.restores > 0, || {
                    format!("node {node}: event {seq} of {lane:?} was never posted")
                })?;
            }
            let bad = site.node.warnings.iter().find(|text| text.contains("refused event"));
            // A ledger that was restored twice does not know ids that a node has left in between.
            ensure("I13", bad.is_none() || self.restores > 0, || format!("node {node}: {bad:?}"))?;
        }
        for run in &self.runs {
            self.check_run(run)?;
        }
        for (id, account) in &self.ledger.book.accounts {
            let rebuilt = self.ledger.book.rebuilt(id.as_str());
            ensure("I1", rebuilt.as_ref() == Some(account), || format!("{id} is not its fold"))?;
        }
        Ok(())
    }

    /// Whether an account is to be served: it is active, its key is good, no rate is near, and its lots pay more
    /// than a few small requests, beside what nodes lease that are gone and not closed.
    pub(super) fn can_pay(&mut self, number: usize) -> bool {
        let id = format!("acct{number}");
        let key = self.ledger.book.key_by_id(&id, &format!("k1-{id}")).ok().flatten();
        let account = self.ledger.book.accounts.get(id.as_str());
        let active = account.is_some_and(|account| account.status == wire::AccountStatus::Active);
        let Some(own) = self.books.accounts.get(&id) else { return false };
        let alive: HashSet<NodeId> = self.sites.iter().flatten().filter_map(Site::last_id).collect();
        let elsewhere = own.leases.iter().filter(|lease| !alive.contains(&lease.node));
        let out_of_reach: i64 = elsewhere.map(books::Lease::outstanding).sum();
        let rich = own.worth() - out_of_reach > PROBE_WORTH;
        let fast = own.terms.last().is_some_and(|(_, _, plan)| plan != "slow");
        active && rich && fast && key.is_some_and(|key| key.revoked_at.is_none())
    }

    /// When all is over everything serves again: no node is stuck, no lease and no denial is.
    pub(super) fn check_probes(&self) -> Result<(), Broken> {
        for run in self.runs.get(self.probes.clone().unwrap_or_default()).unwrap_or_default() {
            // Rates that had to be counted anew, or that a node holds which is gone, begin with nothing.
            let limited = matches!(run.fate, Fate::Refused { status: 429, .. }) && self.counts_anew();
            // A node that has rested for a minute calls no more, and is closed a few seconds later: until then
            // nothing can be called back from it.
            let out_of_reach = matches!(run.fate, Fate::Refused { status: 402 | 403, .. }) && run.others_rest;
            ensure("I6", limited || out_of_reach || run.fate == Fate::Logged, || {
                format!("all is well again, but {run:?}")
            })?;
        }
        Ok(())
    }

    fn counts_anew(&self) -> bool {
        let faults = ["kill -9", "ledger restart", "ledger restore", "cut", "node freeze", "ledger freeze"];
        let had = |name: &&str| FAULTS.iter().zip(self.counts.faults).any(|(own, n)| own == name && n > 0);
        faults.iter().any(had)
    }

    /// I4: a request has ended in exactly one way.
    fn check_run(&self, run: &Run) -> Result<(), Broken> {
        let (charged, released) =
            (self.books.charged.contains_key(&run.request), self.books.released.contains(&run.request));
        let about = || format!("{run:?}: charged {charged}, released {released}");
        let is_gone = self.sites[run.ask.node].as_ref().is_none_or(|site| site.process != run.process);
        let is_settled = match (&run.fate, &run.holding) {
            (Fate::Logged, Some(_)) => charged != released || (!charged && (is_gone || run.rolled_back)),
            (Fate::Trapped, Some(_)) => !released && (charged || is_gone || run.rolled_back),
            (Fate::Killed, _) | (_, None) => !charged && !released,
            (Fate::Open | Fate::Refused { .. }, Some(_)) => false,
        };
        ensure("I4", is_settled, about)
    }
}
