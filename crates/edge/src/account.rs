//! What a VM knows of accounts and keys: snapshots, policies (shared between accounts), the key table.

pub(crate) mod learn;

use std::rc::Rc;
use std::sync::Arc;

use codec::Write;
use tariff::{Bucket, Help, Policy, Rate, glob};
use wire::id::tag;
use wire::{AccountStatus, Denial, Digest, KeyEntry, Snapshot};

use crate::bounded::Bounded;
use crate::limits::{MISS_US, MISSES_MAX, POLICIES_MAX};

/// An account as admission reads it.
#[derive(Debug)]
pub struct Account {
    /// Its id.
    pub id: Box<str>,
    /// The snapshot's version.
    pub version: u64,
    /// The term that requests are admitted under.
    pub term: u64,
    /// The catalog version that the term prices by.
    pub catalog: u64,
    /// Its standing.
    pub status: AccountStatus,
    /// What the plan compiles to.
    pub policy: Rc<Compiled>,
    /// What a refusal may tell.
    pub help: Help,
    /// Buckets known to be empty.
    pub deny: Vec<Denial>,
    /// Until when it is good, in microseconds; past it the node refreshes but goes on.
    pub fresh_until_us: u64,
    /// This worker has it from the ledger, and hears of changes; else another worker left it in shared data.
    pub heard: bool,
}

/// A policy with what the hot path needs precomputed.
#[derive(Debug)]
pub struct Compiled {
    /// As received, without the account's own help.
    pub policy: Policy,
    /// Tags of its buckets, in the same order.
    pub tags: Vec<u64>,
    /// Their ids, in the same order, for every request that takes of them to share.
    pub ids: Vec<Rc<str>>,
    /// `RateLimit-Policy` header, where there are rates.
    pub rate_policy: String,
}

/// A bucket of a request's class.
#[derive(Clone, Copy, Debug)]
pub struct ClassBucket<'a> {
    /// Its tag.
    pub tag: u64,
    /// Its id.
    pub id: &'a Rc<str>,
    /// As the policy has it.
    pub bucket: &'a Bucket,
}

impl Account {
    /// As a snapshot says; not fresh.
    pub(crate) fn new(mut snapshot: Snapshot, compile: impl FnOnce(Policy) -> Rc<Compiled>) -> Self {
        let help = std::mem::take(&mut snapshot.policy.help);
        Self {
            id: snapshot.account.into(),
            version: snapshot.version,
            term: snapshot.term,
            catalog: snapshot.catalog,
            status: snapshot.status,
            policy: compile(snapshot.policy),
            help,
            deny: snapshot.deny,
            fresh_until_us: 0,
            heard: false,
        }
    }
}

impl Compiled {
    pub(crate) fn new(policy: Policy) -> Self {
        let tags = policy.buckets.iter().map(|bucket| tag(&bucket.id)).collect();
        let ids = policy.buckets.iter().map(|bucket| Rc::from(bucket.id.as_str())).collect();
        let describe =
            |rate: &Rate| format!("\"{}\";q={};w={}", rate.id, rate.amount, rate.per_ms.div_ceil(1_000));
        let rate_policy = policy.rates.iter().map(describe).collect::<Vec<_>>().join(", ");
        Self { policy, tags, ids, rate_policy }
    }

    /// The buckets that a request for this model by a key of this class takes.
    pub fn buckets<'a>(&'a self, model: &str, auth_class: &'a str) -> impl Iterator<Item = ClassBucket<'a>> {
        let class = self.policy.classes.iter().find(|class| glob::matches_any(&class.models, model));
        let ids: &[String] = class.map_or(&[], |class| &class.buckets);
        let all = self.policy.buckets.iter().zip(self.tags.iter().zip(&self.ids));
        let exempt = move |own: &Bucket| own.unless_auth_class.iter().any(|class| class == auth_class);
        let taken = all.filter(move |(bucket, _)| ids.contains(&bucket.id) && !exempt(bucket));
        taken.map(|(bucket, (tag, id))| ClassBucket { tag: *tag, id, bucket })
    }

    /// The rates that count a request for this model; none where the plan bypasses them (P10).
    pub fn rates<'a>(&'a self, model: &'a str) -> impl Iterator<Item = &'a Rate> {
        self.enforced_rates().filter(move |rate| glob::matches_any(&rate.models, model))
    }

    /// The rates that count every request, so that they can be taken before its model is known.
    pub fn common_rates(&self) -> impl Iterator<Item = &Rate> {
        self.enforced_rates().filter(|rate| is_common(rate))
    }

    /// The rates whose tokens the ledger leases.
    pub fn leased_rates(&self) -> impl Iterator<Item = &Rate> + Clone {
        self.policy.rates.iter().filter(|rate| !rate.sole && !self.policy.bypass_rates)
    }

    /// The rates that are enforced: none where the plan bypasses them (P10).
    pub fn enforced_rates(&self) -> impl Iterator<Item = &Rate> {
        self.policy.rates.iter().filter(|_| !self.policy.bypass_rates)
    }

    /// The bucket that a tag stands for.
    #[must_use]
    pub fn bucket(&self, tag: u64) -> Option<&Bucket> {
        let place = self.tags.iter().position(|own| *own == tag)?;
        self.policy.buckets.get(place)
    }

    /// The id of a bucket that a tag stands for.
    #[must_use]
    pub fn bucket_id(&self, tag: u64) -> Option<&str> {
        self.bucket(tag).map(|bucket| bucket.id.as_str())
    }

    /// Whether every request by a key of this class takes of a bucket, whatever its model.
    #[must_use]
    pub fn is_taken_by_all(&self, tag: u64, auth_class: &str) -> bool {
        let Some(bucket) = self.bucket(tag) else {
            return false;
        };
        let exempt = bucket.unless_auth_class.iter().any(|class| class == auth_class);
        !exempt && self.policy.classes.iter().all(|class| class.buckets.contains(&bucket.id))
    }
}

/// Whether a rate counts every request.
#[must_use]
pub fn is_common(rate: &Rate) -> bool {
    rate.models.iter().any(|pattern| pattern == "*")
}

/// The accounts that a VM knows.
#[derive(Debug)]
pub struct Accounts {
    known: Bounded<Box<str>, Rc<Account>>,
    policies: Bounded<Vec<u8>, Rc<Compiled>>,
}

impl Accounts {
    /// A table for at most `capacity` accounts.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { known: Bounded::new(capacity), policies: Bounded::new(POLICIES_MAX) }
    }

    /// The account, if it is known.
    pub fn fetch(&mut self, id: &str) -> Option<Rc<Account>> {
        self.known.fetch(id).map(|account| Rc::clone(account))
    }

    /// Stores a snapshot; false where it is older than what is known (I11).
    pub fn store(&mut self, snapshot: Snapshot, fresh_until_us: u64, heard: bool) -> bool {
        if self.known.fetch(snapshot.account.as_str()).is_some_and(|known| known.version > snapshot.version) {
            return false;
        }
        let account =
            Account { fresh_until_us, heard, ..Account::new(snapshot, |policy| self.intern(policy)) };
        self.known.insert(account.id.clone(), Rc::new(account));
        true
    }

    /// Forgets all accounts.
    pub fn clear(&mut self) {
        self.known.clear();
    }

    /// Whether the account is known with a lower version.
    pub fn is_older(&mut self, id: &str, version: u64) -> bool {
        self.known.fetch(id).is_some_and(|known| known.version < version)
    }

    /// The ids of all accounts known here.
    pub fn ids(&mut self) -> Vec<Box<str>> {
        self.known.iter_mut().map(|(id, _)| id.clone()).collect()
    }

    fn intern(&mut self, policy: Policy) -> Rc<Compiled> {
        // Policies differ by plan, not by account: their JSON is the key.
        let key = policy.bytes();
        if let Some(known) = self.policies.fetch(key.as_slice()) {
            return Rc::clone(known);
        }
        let compiled = Rc::new(Compiled::new(policy));
        self.policies.insert(key, Rc::clone(&compiled));
        compiled
    }
}

/// What a VM knows of a key.
#[derive(Clone, Debug)]
pub enum KeyState {
    /// It exists.
    Known(Arc<KeyEntry>),
    /// The ledger said, within the last second, that it does not.
    Unknown,
    /// It must be looked up.
    NotHere,
}

/// The keys that a VM knows.
#[derive(Debug)]
pub struct KeyTable {
    /// With the feed position that each was true at.
    known: Bounded<Digest, (Arc<KeyEntry>, u64)>,
    missed: Bounded<Digest, u64>,
}

impl KeyTable {
    /// A table for at most `capacity` keys.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { known: Bounded::new(capacity), missed: Bounded::new(MISSES_MAX) }
    }

    /// What is known of a key.
    pub fn fetch(&mut self, digest: &Digest, now_us: u64) -> KeyState {
        if let Some((entry, _)) = self.known.fetch(digest) {
            return KeyState::Known(Arc::clone(entry));
        }
        match self.missed.fetch(digest) {
            Some(until_us) if *until_us > now_us => KeyState::Unknown,
            _ => KeyState::NotHere,
        }
    }

    /// Stores what the ledger said of a key at a feed position.
    pub fn store(&mut self, entry: KeyEntry, cursor: u64) {
        self.missed.remove(&entry.digest);
        self.known.insert(entry.digest, (Arc::new(entry), cursor));
    }

    /// Remembers, for at most a second, that a key does not exist.
    pub fn miss(&mut self, digest: Digest, now_us: u64) {
        self.known.remove(&digest);
        self.missed.insert(digest, now_us.saturating_add(MISS_US));
    }

    /// Forgets a key that changed at a feed position, unless what is known of it is as late: the next request
    /// looks it up.
    pub fn forget(&mut self, digest: &Digest, position: u64) {
        if self.known.fetch(digest).is_some_and(|(_, cursor)| *cursor >= position) {
            return;
        }
        self.known.remove(digest);
        self.missed.remove(digest);
    }

    /// Forgets all keys.
    pub fn clear(&mut self) {
        self.known.clear();
        self.missed.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(version: u64, plan: &str) -> Snapshot {
        let policy = Policy { plan: plan.to_owned(), ..Policy::default() };
        Snapshot {
            account: "a".to_owned(),
            version,
            term: 1,
            catalog: 1,
            valid_for_ms: 1,
            starts_in_ms: 0,
            status: AccountStatus::Active,
            policy,
            deny: Vec::new(),
        }
    }

    #[test]
    fn i11_a_lower_version_never_replaces_a_higher_one() {
        let mut accounts = Accounts::new(8);
        assert!(accounts.store(snapshot(2, "pro"), 0, true));
        assert!(!accounts.store(snapshot(1, "starter"), 0, true));
        assert_eq!(
            accounts.fetch("a").map(|account| account.policy.policy.plan.clone()).as_deref(),
            Some("pro")
        );
        assert!(accounts.is_older("a", 3) && !accounts.is_older("a", 2) && !accounts.is_older("b", 3));
    }

    #[test]
    fn a_change_voids_only_what_was_known_before_it() {
        let (account, key_id, auth_class) = ("a".into(), "k".into(), "api".into());
        let digest = Digest([1; 32]);
        let entry = KeyEntry { digest, account, key_id, auth_class, models: None, expires_at: None };
        let mut keys = KeyTable::new(4);
        keys.store(entry, 7);
        keys.forget(&digest, 7);
        assert!(matches!(keys.fetch(&digest, 0), KeyState::Known(_)), "its own creation is no news");
        keys.forget(&digest, 8);
        assert!(matches!(keys.fetch(&digest, 0), KeyState::NotHere));
    }

    #[test]
    fn a_miss_is_remembered_for_a_second_at_most() {
        let mut keys = KeyTable::new(4);
        let digest = Digest([1; 32]);
        assert!(matches!(keys.fetch(&digest, 0), KeyState::NotHere));
        keys.miss(digest, 0);
        assert!(matches!(keys.fetch(&digest, MISS_US - 1), KeyState::Unknown));
        assert!(matches!(keys.fetch(&digest, MISS_US), KeyState::NotHere));
    }
}
