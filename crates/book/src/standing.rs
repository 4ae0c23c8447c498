//! What of an account its terms depend on: standing, rules, billing cycle.
//!
//! A term is opened whenever one of them is not what the last term was opened under. Pure: the windows that run
//! follow from the instant, what has run dry from the counts, what is lifted from the lots.

use std::borrow::Cow;
use std::sync::Arc;

use jiff::tz::TimeZone;
use tariff::catalog::{Cadence, Window};
use tariff::{
    Catalog, Exhaustion, ExhaustionAction, Expiry, Limit, Micros, Overage, Plan, RunningWindow, Standing,
};

use crate::account::{Account, Billing, Cycle, Term, TermPool};
use crate::calendar;
use crate::entry::EntryKind;
use crate::rules::{OVERAGE, Rules, runs_dry};
use crate::window::{self, Frame};

/// What a term is to be opened under.
#[derive(Clone, Copy)]
pub struct Opening<'a> {
    /// The catalog and its version.
    pub catalog: (&'a Catalog, u64),
    /// The plan.
    pub plan: &'a str,
    /// The billing cycle then.
    pub cycle: Option<&'a Cycle>,
    /// When.
    pub at: i64,
}

/// The account's time zone.
#[must_use]
pub fn zone_of(account: &Account) -> TimeZone {
    calendar::zone(account.settings.time_zone.as_deref().unwrap_or_default())
}

/// Whether an account on a plan has billing cycles: something is granted, paid, counted or bound by them, or the plan
/// ends with one.
#[must_use]
pub fn has_cycle(catalog: &Catalog, plan: &Plan, cadence: &Cadence) -> bool {
    let by_cycle = |limit: &Limit| matches!(limit.window, Window::Cycle | Window::Anchored(_));
    let exhaustion = plan.exhaustion.unwrap_or(catalog.exhaustion);
    let is_step = |step: &(Micros, String)| step.1 == plan.name;
    let tiers = catalog.tiers.iter().flat_map(|tiers| &tiers.by).flat_map(|by| &by.steps);
    !cadence.grants.is_empty()
        || !cadence.renews
        || tiers.into_iter().any(is_step)
        || cadence.price_usd.is_some_and(|price| price > Micros::ZERO)
        || plan.limits.iter().any(by_cycle)
        || exhaustion.action == ExhaustionAction::Overage
        || catalog.pools.iter().any(|pool| pool.expiry == Expiry::CommitmentEnd)
}

/// A cycle of a cadence, and the billing period that it lies in; nothing beyond the calendar's range.
#[must_use]
pub fn cycle_of(zone: &TimeZone, anchor: i64, number: u64, cadence: &Cadence) -> Option<Cycle> {
    let start = calendar::after_in(zone, anchor, cadence.cycle, number)?;
    let end = calendar::after_in(zone, anchor, cadence.cycle, number.checked_add(1)?)?;
    let mut billing = None;
    if cadence.billing != cadence.cycle {
        let number = calendar::elapsed_in(zone, anchor, cadence.billing, start);
        billing = Some(Billing {
            period: cadence.billing,
            start: calendar::after_in(zone, anchor, cadence.billing, number)?,
            end: calendar::after_in(zone, anchor, cadence.billing, number.checked_add(1)?)?,
        });
    }
    let price = cadence.price_usd;
    Some(Cycle { anchor, number, period: cadence.cycle, start, end, billing, price })
}

/// The entry that opens the term after the account's last one; nothing for an account without a term and a plan
/// that the catalog does not have.
#[must_use]
pub fn next_term(account: &Account, opening: Opening<'_>) -> Option<EntryKind> {
    let last = account.term();
    let no = next_no(account);
    let (catalog, version) = opening.catalog;
    let own = plan_of(account, catalog, opening.plan);
    let Some(plan) = own.as_deref() else {
        // No version of the catalog that is kept has the plan: the rules stay as they were.
        let term = last.map(|term| Term { no, opened_at: opening.at, ..term.clone() })?;
        return Some(EntryKind::Term { term: Box::new(term), rules: None });
    };
    let standing = standing(account, catalog, plan, opening.cycle, opening.at);
    let rules = rules(account, catalog, plan, &standing);
    let known = last
        .map(|term| term.rules)
        .filter(|known| account.rules.get(known).is_some_and(|known| **known == rules));
    let pools = catalog.pools_in_draw_order().into_iter().map(|pool| TermPool {
        pool: Arc::from(pool.name.as_str()),
        factor: plan.factor(&pool.name),
        asset: Arc::from(pool.asset.as_str()),
    });
    let term = Term {
        no,
        catalog: version,
        pools: pools.collect(),
        opened_at: opening.at,
        plan: Arc::from(plan.name.as_str()),
        cadence: account.settings.cadence.clone().unwrap_or_default(),
        standing,
        rules: known.unwrap_or(no),
    };
    let term = Box::new(term);
    Some(EntryKind::Term { term, rules: if known.is_some() { None } else { Some(Arc::new(rules)) } })
}

/// The plan as the account has it: with its own terms, less what is to be paid for where it has lapsed.
#[must_use]
pub fn plan_of<'c>(account: &Account, catalog: &'c Catalog, plan: &str) -> Option<Cow<'c, Plan>> {
    catalog.plan_as(plan, &account.settings.overrides, account.lapsed.is_some())
}

/// The number of the term after the account's last one.
#[must_use]
pub fn next_no(account: &Account) -> u64 {
    account.term().map_or(0, |term| term.no).saturating_add(1)
}

/// What of an account its policy depends on, at an instant.
#[must_use]
pub fn standing(
    account: &Account,
    catalog: &Catalog,
    plan: &Plan,
    cycle: Option<&Cycle>,
    at: i64,
) -> Standing {
    let windows = windows(account, catalog, plan, cycle, at);
    let mut positive: Vec<String> = catalog
        .bypasses
        .iter()
        .filter(|bypass| account.posted(&bypass.pool) > Micros::ZERO)
        .map(|bypass| bypass.pool.clone())
        .collect();
    positive.dedup();
    let dry = plan.limits.iter().filter(|limit| is_dry(account, limit, &windows));
    let dry = dry.map(|limit| limit.id.clone()).collect();
    Standing { positive, dry, windows, ..account.standing_by_settings(catalog, &plan.name, at) }
}

/// Whether what has been posted since the term began makes it another standing: a balance that lifts something came
/// or went, a limit that pools depend on was reached (P8, P10).
#[must_use]
pub fn has_turned(account: &Account) -> bool {
    let Some(term) = account.term() else { return false };
    let rules = account.rules(term);
    let turned =
        |pool: &String| (account.posted(pool) > Micros::ZERO) != term.standing.positive.contains(pool);
    let dried = |limit: &Limit| {
        is_dry(account, limit, &term.standing.windows) != term.standing.dry.contains(&limit.id)
    };
    rules.bypasses.iter().any(turned) || rules.limits.iter().any(dried)
}

fn exhaustion(catalog: &Catalog, plan: &Plan) -> Exhaustion {
    plan.exhaustion.unwrap_or(catalog.exhaustion)
}

fn frame(account: &Account, plan: &Plan, cycle: Option<&Cycle>, at: i64) -> Frame {
    let zone = zone_of(account);
    // A plan whose cycles count for nothing has none: its limits are counted from when the customer joined.
    let own = || {
        let number = calendar::elapsed_in(&zone, account.created_at.min(at), plan.cycle, at);
        cycle_of(&zone, account.created_at.min(at), number, &plan.default_cadence())
    };
    let cycle = cycle.cloned().or_else(own).map_or((at, i64::MAX), |cycle| (cycle.start, cycle.end));
    Frame { zone, cycle }
}

fn windows(
    account: &Account,
    catalog: &Catalog,
    plan: &Plan,
    cycle: Option<&Cycle>,
    at: i64,
) -> Vec<RunningWindow> {
    let overage = exhaustion(catalog, plan).action == ExhaustionAction::Overage;
    if plan.limits.is_empty() && !overage {
        return Vec::new();
    }
    let frame = frame(account, plan, cycle, at);
    let limits = plan.limits.iter().filter_map(|limit| window::running(&limit.id, limit.window, &frame, at));
    let overage = overage.then(|| window::running(OVERAGE, Window::Cycle, &frame, at)).flatten();
    limits.chain(overage).collect()
}

fn is_dry(account: &Account, limit: &Limit, windows: &[RunningWindow]) -> bool {
    let key = windows.iter().find(|window| window.limit == limit.id).map(|window| &*window.key);
    let reached = |max: Micros| key.is_some_and(|key| account.used(&limit.id, key) >= max);
    runs_dry(limit) && limit.max.is_some_and(reached)
}

/// What binds a term of that standing.
fn rules(account: &Account, catalog: &Catalog, plan: &Plan, standing: &Standing) -> Rules {
    // The windows stand in the term: what binds it stays the same from day to day.
    let timeless = Standing { windows: Vec::new(), positive: Vec::new(), ..standing.clone() };
    let bypasses = catalog.bypasses.iter().map(|bypass| bypass.pool.clone());
    let funding = catalog.funding(&plan.name, &timeless).unwrap_or_default();
    let comes_again = account.cadence(plan).grants.iter().any(|grant| !grant.once);
    // What may be owed for overage is counted by the cycle.
    let is_capped = funding.classes.iter().any(|class| class.overage == Overage::Capped);
    Rules {
        funding,
        limits: plan.limits.clone(),
        exempt: catalog.exempt.clone(),
        bypasses: bypasses.collect(),
        overage_cap: account.overage_cap(catalog, &plan.name),
        barren: !comes_again && !is_capped,
        plain: false,
    }
}
