//! One account, folded anew from its entries, and the sums that its entries come to apart from that fold.

use std::collections::BTreeMap;

use book::account::LotEnd;
use book::counts::{self, Count};
use book::entry::{Entry, EntryKind};
use book::{Account, AccountId, StoreError, invariant, posting};
use rusqlite::{Connection, OptionalExtension as _};
use serde_json::Value;
use tariff::Micros;
use tariff::compile::CREDITS;
use wire::NodeId;

use super::super::{failed, flush, unsql};
use super::{Property, Report};

/// An account as folded so far, and what its entries come to.
pub struct Folded {
    account: Account,
    /// The entry up to which it is written down; absent = it has no row.
    written: Option<u64>,
    /// Sums of the postings to its lots and its debt.
    posted: BTreeMap<String, i128>,
    /// I1's terms, by asset.
    sums: BTreeMap<String, Sums>,
    /// What requests counted, by limit and window.
    counted: BTreeMap<(String, String), i128>,
    leases: BTreeMap<(NodeId, u64, String), Leased>,
}

/// I1's terms, summed up from the entries alone.
#[derive(Default)]
struct Sums {
    granted: i128,
    consumed: i128,
    expired: i128,
    voided: i128,
    owed: i128,
    repaid: i128,
    /// Used on the payment method, paid or not.
    postpaid: i128,
    clawed_back: i128,
}

/// What the entries say of one lease.
#[derive(Default)]
struct Leased {
    granted: i128,
    returned: i128,
    last: u64,
}

/// The most members named of an account that is written down otherwise than it folds.
const MEMBERS_MAX: usize = 20;

// === impl Folded ===

impl Folded {
    pub fn begin(connection: &Connection, report: &mut Report, id: &AccountId) -> Result<Self, StoreError> {
        let written = connection
            .prepare_cached("SELECT entry FROM account WHERE id = ?1")
            .and_then(|mut select| select.query_row([id.as_str()], |row| row.get(0)).optional())
            .map_err(failed)?
            .map(unsql);
        if written.is_none() {
            report.note(Some(id.as_str()), Property::ProjectionIsFold, "a row", "none", &[]);
        }
        Ok(Self {
            account: Account::empty(id.clone()),
            written,
            posted: BTreeMap::new(),
            sums: BTreeMap::new(),
            counted: BTreeMap::new(),
            leases: BTreeMap::new(),
        })
    }

    /// Checks the next entry and folds it in.
    pub fn follow(
        &mut self,
        connection: &Connection,
        report: &mut Report,
        entry: &Entry,
    ) -> Result<(), StoreError> {
        let id = entry.account.as_str();
        let prev = if entry.kind.is_line() { self.account.last_line } else { 0 };
        if entry.prev != prev {
            let (expected, found) = (prev.to_string(), entry.prev.to_string());
            report.note(Some(id), Property::Chained, &expected, &found, &[entry.id]);
        }
        let sum = posting::balance(entry);
        if sum != 0 {
            let found = micros(sum);
            report.note(Some(id), Property::PostingsSumToZero, &micros(0), &found, &[entry.id]);
        }
        for posting in posting::postings(entry) {
            let sum = self.posted.entry(posting.to.into_owned()).or_default();
            *sum = sum.saturating_add(posting.amount);
        }
        if let Some(asset) = asset_of(&entry.kind) {
            self.sums.entry(asset.to_owned()).or_default().add(entry);
        }
        self.count(report, entry);
        self.lease(report, entry);
        self.account.apply(entry);
        if let Some(broken) = invariant::broken(&self.account) {
            report.note(Some(id), Property::Invariant, "sound", &broken, &[entry.id]);
        }
        if self.written == Some(entry.id) {
            self.compare(connection, report, entry.id)?;
        }
        Ok(())
    }

    /// What a request counts towards limits, reckoned again under the term of its admission (rule 11).
    fn count(&mut self, report: &mut Report, entry: &Entry) {
        let (no, stated) = match &entry.kind {
            EntryKind::Charge(charge) => (charge.term, &charge.counts),
            EntryKind::Release(release) => (release.term, &release.counts),
            _ => return,
        };
        let Some(term) = self.account.term_of_settlement(no) else { return };
        let rules = self.account.rules(term);
        let reckoned = match &entry.kind {
            EntryKind::Charge(charge) => counts::of_charge(term, rules, charge),
            EntryKind::Release(release) => counts::of_release(term, rules, release),
            _ => return,
        };
        if reckoned != *stated {
            let id = Some(entry.account.as_str());
            let text = |counts: &[Count]| {
                let all = counts.iter().map(|own| format!("{} {} {}", own.limit, own.key, own.amount));
                all.collect::<Vec<_>>().join(", ")
            };
            report.note(id, Property::CountsAreReckoned, &text(&reckoned), &text(stated), &[entry.id]);
        }
        for count in stated {
            let sum = self.counted.entry((count.limit.to_string(), count.key.to_string())).or_default();
            *sum = sum.saturating_add(count.amount.get().into());
        }
    }

    /// Grants and returns of leases.
    fn lease(&mut self, report: &mut Report, entry: &Entry) {
        let id = entry.account.as_str();
        match &entry.kind {
            EntryKind::Leased { node, epoch, bucket, amount, .. } => {
                let lease = self.leases.entry((*node, *epoch, bucket.to_string())).or_default();
                lease.granted = lease.granted.saturating_add(amount.get().into());
                lease.last = entry.id;
                if *amount <= Micros::ZERO {
                    let found = amount.to_string();
                    report.note(Some(id), Property::LeasesAreCumulative, "above zero", &found, &[entry.id]);
                }
            }
            EntryKind::Returned { node, epoch, bucket, returned } => {
                let lease = self.leases.entry((*node, *epoch, bucket.to_string())).or_default();
                let (least, most) = (lease.returned, lease.granted);
                let returned = i128::from(returned.get());
                if returned < least || returned > most {
                    let expected = format!("returned {} to {} in all", micros(least), micros(most));
                    let entries = [lease.last, entry.id];
                    let property = Property::LeasesAreCumulative;
                    report.note(Some(id), property, &expected, &micros(returned), &entries);
                }
                lease.returned = returned;
                lease.last = entry.id;
            }
            EntryKind::NodeClosed { node, .. } => self.leases.retain(|(own, ..), _| own != node),
            EntryKind::LeaseClosed { .. }
            | EntryKind::Opened { .. }
            | EntryKind::Plan { .. }
            | EntryKind::Status { .. }
            | EntryKind::Settings { .. }
            | EntryKind::Pending { .. }
            | EntryKind::Lapsed { .. }
            | EntryKind::Payment(_)
            | EntryKind::Recharge { .. }
            | EntryKind::RechargeDue { .. }
            | EntryKind::RechargeDropped { .. }
            | EntryKind::Consent
            | EntryKind::Resource { .. }
            | EntryKind::Term { .. }
            | EntryKind::Cycle { .. }
            | EntryKind::Grant(_)
            | EntryKind::LotClosed { .. }
            | EntryKind::LotEnded { .. }
            | EntryKind::LotTrimmed { .. }
            | EntryKind::Charge(_)
            | EntryKind::Release(_)
            | EntryKind::Adjusted(_)
            | EntryKind::Reversed(_)
            | EntryKind::Extended(_)
            | EntryKind::Clipped(_) => {}
        }
    }

    /// The row against the fold up to the same entry, member by member.
    fn compare(&self, connection: &Connection, report: &mut Report, entry: u64) -> Result<(), StoreError> {
        let id = self.account.id.as_str();
        let written = match flush::read_account(connection, id) {
            Ok(written) => written,
            Err(error) => {
                let found = error.to_string();
                report.note(Some(id), Property::ProjectionIsFold, "an account", &found, &[entry]);
                return Ok(());
            }
        };
        if written.as_ref() == Some(&self.account) {
            return Ok(());
        }
        let json = |account: &Account| serde_json::to_value(account).map_err(StoreError::new);
        let expected = json(&self.account)?;
        let found = written.as_ref().map(json).transpose()?.unwrap_or(Value::Null);
        let mut members = Vec::new();
        differences("", &expected, &found, &mut members);
        for (path, expected, found) in members.into_iter().take(MEMBERS_MAX) {
            let (expected, found) = (format!("{path} {expected}"), format!("{path} {found}"));
            report.note(Some(id), Property::ProjectionIsFold, &expected, &found, &[entry]);
        }
        Ok(())
    }

    /// What was posted is what the fold has, and I1.
    pub fn check(&self, report: &mut Report) {
        let (id, last) = (self.account.id.as_str(), self.account.last_entry);
        let mut posted = self.posted.clone();
        let mut owed = |name: &str| posted.remove(name).unwrap_or(0).saturating_neg();
        let debts: Vec<(String, i128, i128)> = self
            .account
            .assets()
            .map(|asset| {
                let name = if asset == CREDITS { "debt".to_owned() } else { format!("debt:{asset}") };
                let owed = owed(&name);
                (name, owed, self.account.owed(asset).get().into())
            })
            .collect();
        let receivable = owed("receivable");
        let mut kept = |name: &str, posted: i128, kept: i128, entry: u64| {
            if posted != kept {
                let (posted, kept) =
                    (format!("{name} {}", micros(posted)), format!("{name} {}", micros(kept)));
                report.note(Some(id), Property::PostedIsKept, &posted, &kept, &[entry]);
            }
        };
        for (name, owed, has) in debts {
            kept(&name, owed, has, last);
        }
        kept("receivable", receivable, self.account.receivable.get().into(), last);
        for count in &self.account.used {
            let counted = self.counted.get(&(count.limit.to_string(), count.key.to_string()));
            let name = format!("{} in {}", count.limit, count.key);
            kept(&name, counted.copied().unwrap_or(0), count.amount.get().into(), last);
        }
        for (lot, has) in &self.account.lots {
            let name = format!("lot:{lot}");
            kept(&name, posted.remove(&name).unwrap_or(0), has.remaining.get().into(), *lot);
        }
        for (name, sum) in posted.iter().filter(|(name, _)| name.starts_with("lot:")) {
            kept(name, *sum, 0, last);
        }
        self.account.assets().for_each(|asset| self.check_conservation(report, asset));
        self.check_leases(report);
        if let Some(written) = self.written.filter(|written| *written > last) {
            let (expected, found) = (format!("up to entry {last}"), format!("up to entry {written}"));
            report.note(Some(id), Property::ProjectionIsFold, &expected, &found, &[last]);
        }
    }

    /// I1, with the leases as what the lots would give: available and leased are what is left in the lots.
    fn check_conservation(&self, report: &mut Report, asset: &str) {
        let lots = self.account.lots.values().filter(|lot| *lot.asset == *asset);
        let left = lots.fold(0_i128, |sum, lot| sum.saturating_add(lot.remaining.get().into()));
        let none = Sums::default();
        let sums = self.sums.get(asset).unwrap_or(&none);
        let debt = sums.owed.saturating_sub(sums.repaid);
        let beyond = debt.saturating_add(sums.postpaid);
        let all = [left, sums.consumed, sums.expired, sums.voided, sums.clawed_back, beyond.saturating_neg()];
        let all = all.into_iter().fold(0_i128, i128::saturating_add);
        if all == sums.granted {
            return;
        }
        let postpaid = match sums.postpaid {
            0 => String::new(),
            postpaid => format!(" - {} postpaid", micros(postpaid)),
        };
        let found = format!(
            "{} = {} available and leased + {} consumed + {} expired + {} voided + {} clawed back - {} debt{postpaid}",
            micros(all),
            micros(left),
            micros(sums.consumed),
            micros(sums.expired),
            micros(sums.voided),
            micros(sums.clawed_back),
            micros(debt),
        );
        let of = if asset == CREDITS { String::new() } else { format!(" {asset}") };
        let expected = format!("{}{of} granted", micros(sums.granted));
        let id = Some(self.account.id.as_str());
        report.note(id, Property::Conservation, &expected, &found, &[self.account.last_entry]);
    }

    fn check_leases(&self, report: &mut Report) {
        for lease in &self.account.leases {
            let key = (lease.node, lease.epoch, lease.bucket.to_string());
            let none = Leased::default();
            let own = self.leases.get(&key).unwrap_or(&none);
            let kept = (i128::from(lease.granted.get()), i128::from(lease.returned.get()));
            if (own.granted, own.returned) != kept {
                let text = |(granted, returned): (i128, i128)| {
                    let (granted, returned) = (micros(granted), micros(returned));
                    format!("node {} lease {}: granted {granted}, returned {returned}", key.0, key.1)
                };
                let (expected, found) = (text((own.granted, own.returned)), text(kept));
                let id = Some(self.account.id.as_str());
                report.note(id, Property::LeasesAreCumulative, &expected, &found, &[own.last]);
            }
        }
    }
}

/// The asset that an entry moves, where it moves any.
fn asset_of(kind: &EntryKind) -> Option<&str> {
    match kind {
        EntryKind::Grant(granted) => Some(&granted.asset),
        EntryKind::LotEnded { asset, .. } | EntryKind::LotTrimmed { asset, .. } => Some(asset),
        EntryKind::Charge(charge) => Some(&charge.asset),
        EntryKind::Adjusted(adjusted) => Some(&adjusted.asset),
        EntryKind::Reversed(reversed) => Some(&reversed.asset),
        _ => None,
    }
}

// === impl Sums ===

impl Sums {
    fn add(&mut self, entry: &Entry) {
        let add = |sum: &mut i128, amount: Micros| *sum = sum.saturating_add(amount.get().into());
        match &entry.kind {
            EntryKind::Grant(granted) => {
                add(&mut self.granted, granted.amount);
                add(&mut self.repaid, granted.repaid);
            }
            EntryKind::Charge(charge) => {
                add(&mut self.consumed, charge.amount);
                add(&mut self.owed, charge.debt);
                add(&mut self.postpaid, charge.receivable);
            }
            EntryKind::LotEnded { end: LotEnd::Expired, rest: lost, .. }
            | EntryKind::LotTrimmed { amount: lost, .. } => add(&mut self.expired, *lost),
            EntryKind::LotEnded { end: LotEnd::Void, rest, .. } => add(&mut self.voided, *rest),
            EntryKind::Adjusted(adjusted) if adjusted.amount > Micros::ZERO => {
                add(&mut self.granted, adjusted.amount);
                add(&mut self.repaid, adjusted.repaid);
            }
            EntryKind::Adjusted(adjusted) => {
                self.clawed_back = self.clawed_back.saturating_sub(adjusted.amount.get().into());
                add(&mut self.owed, adjusted.debt);
            }
            EntryKind::Reversed(reversed) => {
                self.consumed = self.consumed.saturating_sub(reversed.amount.get().into());
                self.owed = self.owed.saturating_sub(reversed.debt.get().into());
                self.postpaid = self.postpaid.saturating_sub(reversed.receivable.get().into());
            }
            EntryKind::Opened { .. }
            | EntryKind::Plan { .. }
            | EntryKind::Status { .. }
            | EntryKind::Settings { .. }
            | EntryKind::Pending { .. }
            | EntryKind::Lapsed { .. }
            | EntryKind::Payment(_)
            | EntryKind::Recharge { .. }
            | EntryKind::RechargeDue { .. }
            | EntryKind::RechargeDropped { .. }
            | EntryKind::Consent
            | EntryKind::Resource { .. }
            | EntryKind::Term { .. }
            | EntryKind::Cycle { .. }
            | EntryKind::LotClosed { .. }
            | EntryKind::Release(_)
            | EntryKind::Leased { .. }
            | EntryKind::Returned { .. }
            | EntryKind::LeaseClosed { .. }
            | EntryKind::NodeClosed { .. }
            | EntryKind::Extended(_)
            | EntryKind::Clipped(_) => {}
        }
    }
}

/// The members in which two values differ: path, first, second.
fn differences(path: &str, a: &Value, b: &Value, out: &mut Vec<(String, String, String)>) {
    if a == b {
        return;
    }
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            let names = a.keys().chain(b.keys().filter(|name| !a.contains_key(*name)));
            for name in names {
                let of = |members: &serde_json::Map<String, Value>| members.get(name).cloned();
                let (a, b) = (of(a).unwrap_or_default(), of(b).unwrap_or_default());
                differences(&below(name), &a, &b, out);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                differences(&below(&index.to_string()), a, b, out);
            }
        }
        _ => out.push((path.to_owned(), a.to_string(), b.to_string())),
    }
}

/// Micro-credits as credits; beyond 64 bits as they are.
fn micros(amount: i128) -> String {
    i64::try_from(amount)
        .map_or_else(|_| format!("{amount} micro-credits"), |amount| Micros(amount).to_string())
}
