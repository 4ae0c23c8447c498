//! A request on trial: what admission would make of it, asked by the same functions, without a host, records or rates.
//!
//! For the ledger, which explains refusals before they happen. What is left of a bucket, it knows better itself.

use std::rc::Rc;

use tariff::{EdgeCatalog, Rate, Unit, Usage};
use usage::{RequestFacts, RequestScanner};
use wire::{AccountStatus, Denial, KeyEntry, Snapshot};

use crate::account::{Account, Compiled};
use crate::admit::estimate::{estimate, hold_for};
use crate::admit::hold::denied_until;
use crate::admit::{Unfit, weigh};
use crate::pricing::Catalog;
use crate::reply::Refusal;
use crate::reply::refuse;
use crate::request::Hold;
use crate::route::Operation;
use crate::route::dialect::Dialect;
use crate::time::Now;

/// A request as somebody imagines it.
#[derive(Clone, Copy, Debug)]
pub struct Imagined<'a> {
    /// What it is.
    pub operation: &'a Operation,
    /// Its body, where its operation is metered.
    pub body: &'a [u8],
    /// The model that its path names, where it does.
    pub path_model: Option<&'a str>,
    /// The tier of service that its route is sold in.
    pub sold_tier: Option<&'a str>,
    /// Counts to hold for in the place of the estimate's.
    pub usage: &'a Usage,
}

/// What became of it.
#[derive(Debug)]
pub struct Trial {
    account: Account,
    outcome: Result<Hold, Refusal>,
}

/// What it would take of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taking<'a> {
    /// The bucket.
    pub bucket: &'a str,
    /// How much, in millionths; nothing where the request is free.
    pub amount: i64,
    /// What one unit is.
    pub unit: Unit,
    /// There is always enough.
    pub unlimited: bool,
}

// === impl Trial ===

impl Trial {
    /// Tries a request of an account; `key` is absent where it opens nothing.
    #[must_use]
    pub fn new(
        key: Option<&KeyEntry>,
        snapshot: Snapshot,
        catalog: &EdgeCatalog,
        request: &Imagined<'_>,
    ) -> Self {
        let account = Account::new(snapshot, |policy| Rc::new(Compiled::new(policy)));
        let outcome = judge(key, &account, catalog, request);
        Self { account, outcome }
    }

    /// Why it is refused, whatever there is to pay for it.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        self.outcome.as_ref().err()
    }

    /// What it is charged as, unless it is refused.
    #[must_use]
    pub fn charged_as(&self) -> Option<&str> {
        self.outcome.as_ref().ok().map(|hold| &*hold.model.name)
    }

    /// What it takes of each bucket; of none where it is refused.
    pub fn takes(&self) -> impl Iterator<Item = Taking<'_>> {
        let takes = self.outcome.iter().flat_map(|hold| &hold.takes);
        takes.map(|take| Taking {
            bucket: &take.bucket,
            amount: take.amount,
            unit: take.unit,
            unlimited: take.unlimited,
        })
    }

    /// The rates that it must pass as well; none where it is refused.
    pub fn rates(&self) -> impl Iterator<Item = &Rate> {
        self.outcome.iter().flat_map(|hold| self.account.policy.rates(&hold.model.model))
    }

    /// The refusal that a denial of the ledger makes.
    #[must_use]
    pub fn denied(&self, denial: &Denial, now: Now) -> Refusal {
        let denied = denied_until(denial, u64::MAX);
        refuse::denied(&self.account, denied, denial.resets_at.clone(), self.outcome.as_ref().ok(), now)
    }
}

/// What admission asks, in its order, up to the hold.
fn judge(
    key: Option<&KeyEntry>,
    account: &Account,
    catalog: &EdgeCatalog,
    request: &Imagined<'_>,
) -> Result<Hold, Refusal> {
    let key = key.ok_or_else(refuse::no_such_key)?;
    if account.status != AccountStatus::Active {
        return Err(refuse::not_active(account.status));
    }
    let facts = match request.operation {
        Operation::Meter(dialect) => Some(read(*dialect, request)?),
        Operation::Flat(_) | Operation::Exempt | Operation::Deny => None,
    };
    let (operation, facts) = (request.operation, facts.as_ref());
    let catalog = Catalog::new(catalog);
    let (model, stated) = weigh(key, account, &catalog, operation, facts).map_err(|unfit| match unfit {
        Unfit::Itself(refusal) | Unfit::ForAccount(refusal) => refusal,
    })?;
    let mut usage = estimate(operation, facts, account, &model, &stated);
    request.usage.iter().for_each(|(meter, count)| usage.set(meter, count));
    let hold = hold_for((operation, facts), &usage, key, account, Rc::clone(&model), stated);
    hold.ok_or_else(|| refuse::unknown_model(&model.model))
}

fn read(dialect: Dialect, request: &Imagined<'_>) -> Result<RequestFacts, Refusal> {
    let mut scanner = RequestScanner::new(dialect.requests());
    scanner.feed(request.body).map_err(refuse::unreadable)?;
    let mut facts = scanner.finish().map_err(refuse::unreadable)?;
    facts.sold_tier = request.sold_tier.map(Box::from);
    if let Some(model) = request.path_model {
        facts.model = Some(model.into());
    }
    Ok(facts)
}
