//! Comparing: each account against the fold of its facts, after every step of a storm.

use std::collections::BTreeMap;

use tariff::Micros;
use wire::{AccountStatus, NodeId, SyncResponse, Want};

use super::facts::{NaiveLot, Standing, fold};
use super::storm::{ACCOUNTS, Storm};
use super::world::Subject;
use crate::account::{Account, LotEnd};
use crate::balance::balance;
use crate::entry::{Entry, EntryKind};

/// Everything that must hold of every account, and of what was posted since the last look.
pub fn check<S: Subject>(storm: &mut Storm<S>) {
    let journal = storm.subject.journal();
    for entry in &journal[storm.journal_read..] {
        assert_eq!(crate::posting::balance(entry), 0, "{entry:?}");
        if let EntryKind::Charge(charge) = &entry.kind {
            assert!(charge.slices.iter().all(|slice| slice.amount > Micros::ZERO), "{entry:?}");
            let paid: i64 = charge.slices.iter().map(|slice| slice.amount.get()).sum();
            assert_eq!(charge.amount.get(), paid + charge.debt.get(), "rule 9");
        }
    }
    storm.journal_read = journal.len();
    for id in ACCOUNTS {
        let Some(account) = storm.subject.account(id) else {
            assert!(!storm.facts.contains_key(id));
            continue;
        };
        assert_eq!(crate::invariant::broken(&account), None);
        let rebuilt = storm.subject.rebuilt(id).unwrap();
        let bytes = |account: &Account| serde_json::to_string(account).unwrap();
        assert_eq!(bytes(&rebuilt), bytes(&account), "the fold of the journal");
        let version = storm.versions.insert(id.to_owned(), account.version);
        assert!(version.is_none_or(|version| version <= account.version), "I11");
        let standing = fold(&storm.facts[id], &storm.catalogs);
        compare(&account, &standing);
        postings(&account, journal.iter().filter(|entry| entry.account.as_str() == id));
        balances(&account, &standing, standing.worth(&storm.catalogs));
        assert!(account.soft.stated.len() <= account.leases.len(), "what is remembered is bounded");
    }
}

fn compare(account: &Account, standing: &Standing) {
    let lots: Vec<NaiveLot> = account
        .lots
        .values()
        .map(|lot| NaiveLot {
            pool: lot.pool.to_string(),
            amount: lot.amount.get().into(),
            left: lot.remaining.get().into(),
            ends: lot.expires_at,
            granted_at: lot.created_at,
            term: lot.term,
            of_plan: lot.of_plan,
            closed: lot
                .closing
                .map(|closing| (closing.last_term, closing.at, closing.end == LotEnd::Expired)),
        })
        .collect();
    assert_eq!(lots, standing.lots, "lots");
    let term = account.term().unwrap();
    let naive = standing.terms.last().unwrap();
    assert_eq!((term.no, &*term.plan, term.catalog), (naive.0, &*naive.1, naive.2 as u64 + 1), "the term");
    let cycle = account.cycle.as_ref().map(|cycle| (cycle.anchor, cycle.number, cycle.period, cycle.end));
    assert_eq!(cycle, standing.cycle, "the cycle");
    assert_eq!(Some(account.status), standing.status);
    let sums = [
        account.debt,
        account.totals.granted,
        account.totals.charged,
        account.totals.expired,
        account.totals.voided,
    ];
    let naive = [standing.owed, standing.granted, standing.charged, standing.expired, standing.voided];
    assert_eq!(sums.map(|sum| i128::from(sum.get())), naive, "owed, granted, charged, expired, voided");
    let leases: Vec<_> = account
        .leases
        .iter()
        .map(|lease| super::facts::NaiveLease {
            node: lease.node,
            epoch: lease.epoch,
            granted: lease.granted.get().into(),
            returned: lease.returned.get().into(),
            settled: lease.settled.get().into(),
            used: lease.used.map(|used| used.get().into()),
        })
        .collect();
    assert_eq!(leases, standing.leases, "leases");
}

/// The sums of the postings, by name, are the account's state (I1).
fn postings<'a>(account: &Account, journal: impl Iterator<Item = &'a Entry>) {
    let mut sums: BTreeMap<String, i128> = BTreeMap::new();
    for posting in journal.flat_map(crate::posting::postings) {
        *sums.entry(posting.to.into_owned()).or_default() += posting.amount;
    }
    let sum = |name: &str| sums.get(name).copied().unwrap_or(0);
    let micros = |amount: Micros| i128::from(amount.get());
    assert_eq!(sum("issuance"), -micros(account.totals.granted));
    assert_eq!(sum("revenue"), micros(account.totals.charged));
    assert_eq!(sum("debt"), -micros(account.debt));
    assert_eq!(sum("breakage"), micros(account.totals.expired) + micros(account.totals.voided));
    for (name, left) in sums.iter().filter_map(|(name, sum)| Some((name.strip_prefix("lot:")?, *sum))) {
        let lot = account.lots.get(&name.parse().unwrap());
        assert_eq!(left, lot.map_or(0, |lot| micros(lot.remaining)), "lot {name}");
    }
}

/// What the owner reads.
fn balances(account: &Account, standing: &Standing, worth: i128) {
    let micros = |amount: Micros| i128::from(amount.get());
    assert_eq!(micros(account.worth()), worth);
    let outstanding = standing.outstanding();
    let read = balance(account);
    let in_flight = micros(read.in_flight);
    assert!((0..=outstanding).contains(&in_flight));
    let leased = (outstanding - in_flight).min((worth - in_flight).max(0));
    assert_eq!(micros(read.leased), leased);
    assert_eq!(micros(read.available), (worth - outstanding).max(0) + leased);
    assert_eq!(micros(read.debt), standing.owed);
    let mut names: Vec<&str> = Vec::new();
    for listed in &read.pools {
        assert!(listed.lots.iter().all(|(_, lot)| lot.pool == listed.pool), "{:?}", listed.pool);
        assert!(!names.contains(&&*listed.pool), "{:?} twice", listed.pool);
        names.push(&listed.pool);
    }
    let mut listed: Vec<i128> =
        read.pools.iter().flat_map(|pool| &pool.lots).map(|(_, lot)| micros(lot.remaining)).collect();
    let open = standing.lots.iter().filter(|lot| lot.closed.is_none() && lot.left > 0);
    let mut open: Vec<i128> = open.map(|lot| lot.left).collect();
    listed.sort_unstable();
    open.sort_unstable();
    assert_eq!(listed, open);
}

/// What nodes are told of accounts in one answer.
pub fn snapshots<S: Subject>(storm: &mut Storm<S>, answer: &SyncResponse) {
    for snapshot in &answer.snapshots {
        let standing = storm.standing(&snapshot.account).unwrap();
        let (no, _, catalog) = standing.terms.last().unwrap();
        assert_eq!((snapshot.term, snapshot.catalog), (*no, *catalog as u64 + 1));
        assert_eq!(Some(snapshot.status), standing.status);
        let is_empty = standing.worth(&storm.catalogs) == 0 && standing.outstanding() == 0;
        assert_eq!(!snapshot.deny.is_empty(), is_empty);
        let account = storm.subject.account(&snapshot.account).unwrap();
        assert_eq!(snapshot.version, account.version);
        let until_end = standing.cycle.map_or(i64::MAX, |(_, _, _, end)| end - storm.now.wall);
        assert_eq!(snapshot.valid_for_ms as i64, until_end.min(60_000));
        assert_eq!(snapshot.policy.help.resets_at.is_some(), standing.cycle.is_some());
    }
}

/// What may be leased, and when one request may get all (I9, I10): before it is noted among the facts.
pub fn leased<S: Subject>(storm: &mut Storm<S>, node: NodeId, want: &Want, kind: &EntryKind) {
    let standing = storm.standing(&want.account).unwrap();
    match kind {
        EntryKind::Leased { node: holder, epoch, bucket, amount, .. } => {
            assert_eq!((*holder, *epoch, &**bucket), (node, want.lease, "credits"));
            assert_eq!(standing.status, Some(AccountStatus::Active));
            let free = standing.worth(&storm.catalogs) - standing.outstanding();
            let lease = standing.leases.iter().find(|lease| (lease.node, lease.epoch) == (node, want.lease));
            let behind = lease.map_or(0, |lease| lease.returned + lease.settled - lease.granted).max(0);
            let more = i128::from(amount.get()) - behind;
            assert!((1..=free).contains(&more), "leased {more} of {free}");
        }
        EntryKind::Clipped(clip) => {
            let outstanding = standing.outstanding();
            assert_eq!(i128::from(clip.hold.get()), outstanding, "I9: nothing else is leased");
            let needs = want.requests.iter().find(|request| request.request == clip.request);
            assert!(needs.is_some_and(|request| request.needs[0].need > clip.hold));
        }
        _ => {}
    }
}
