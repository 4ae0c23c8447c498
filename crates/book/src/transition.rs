//! From one plan to another: which way that is, and what becomes of cycle, credits and what was paid. Pure.
//!
//! Commands decide when; here is what (M10, M11, L5, P11, P12, P13, C2).

use std::sync::Arc;

use tariff::{
    Cadence, Catalog, Consumption, CycleOnSwitch, LotsOnSwitch, Micros, Plan, Prorated, Proration, Ratio,
    SwitchAt, Tiers, Transition,
};

use crate::account::{Account, Cycle, Lot, LotEnd};
use crate::amount::{less, minus, plus, total};
use crate::calendar;
use crate::due;
use crate::entry::{EntryKind, GrantSource, Granted};
use crate::funds::Funds;
use crate::grants::expires_at;
use crate::limits::TOTAL_MAX;
use crate::pending::{Pending, Waits};
use crate::settings::Renewal;
use crate::standing::{Opening, cycle_of, has_cycle, next_no, next_term, zone_of};

/// The id of a lot in an account that is only reckoned with.
const SCRATCH: u64 = u64::MAX;

/// A move to a plan at an instant.
#[derive(Clone, Debug)]
pub struct Move<'c> {
    /// The plan.
    pub plan: &'c Plan,
    /// The way to take it; absent: the plan's own.
    pub cadence: Option<Arc<str>>,
    /// From when its billing periods are counted; absent: from the move.
    pub anchor: Option<i64>,
    /// The zone of the account's days from then on; absent: as it is.
    pub time_zone: Option<Arc<str>>,
    /// When.
    pub at: i64,
    /// What becomes of the cycle.
    pub cycle: CycleOnSwitch,
    /// What becomes of what the old plan granted.
    pub lots: LotsOnSwitch,
    /// What of the old price is given back.
    pub proration: Option<&'c Proration>,
    /// What is paid for the plan, in millionths of a US dollar; absent: nothing was told, its price counts.
    pub paid: Option<Micros>,
    /// True: what nodes may still take counts as used where something is given back.
    pub leased_counts: bool,
    /// True: the next billing period begins. A change that waits for its payment goes on waiting.
    pub renewal: bool,
}

/// What a move does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The entries; grants are the last ones, the credit for the old plan first.
    pub kinds: Vec<EntryKind>,
    /// Lots of the old plan that end with it, as they stood, with their ids.
    pub voided: Vec<(u64, Lot)>,
    /// What is granted, in the entries' order.
    pub granted: Vec<Granted>,
    /// The billing cycle after it.
    pub cycle: Option<Cycle>,
    /// What was given back of the old price.
    pub prorated: Option<Prorated>,
}

/// What the end of a billing period brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The next one, on the same plan.
    Renews,
    /// Another plan, on its own cadence.
    Moves(String),
    /// A wait, for a payment or (absent) for another plan: nothing is granted until then.
    Lapses(Option<Box<Pending>>),
    /// Nothing: a plan that has no cycles any more.
    Stops,
}

/// The rule for a switch to a plan: that for dearer or for cheaper ones. The same plan is dearer where it is paid for
/// longer at once.
#[must_use]
pub fn rule<'c>(account: &Account, catalog: &'c Catalog, to: &Plan, cadence: &Cadence) -> &'c Transition {
    if is_up(account, catalog, to, cadence) { &catalog.transitions.up } else { &catalog.transitions.down }
}

fn is_up(account: &Account, catalog: &Catalog, to: &Plan, cadence: &Cadence) -> bool {
    let Some(from) = catalog.plan(account.plan()) else { return true };
    if from.name == to.name {
        let length = |billing: tariff::Period| calendar::after(0, billing, 1);
        return length(cadence.billing) >= length(account.cadence(from).billing);
    }
    let price = |plan: &Plan| plan.default_cadence().price_per_second();
    match (price(from), price(to)) {
        // A plan on request is above all with a price.
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(from), Some(to)) => to >= from,
    }
}

/// When a switch takes effect that nobody gave a time: a plan that costs nothing needs no payment, it comes with the
/// end of what was paid (P11); without a billing period there is nothing to wait for. An account that has lapsed is
/// given no plan with a price before it has paid. Between ways to take plans that cost nothing, one of which grants
/// again and again, the period ends first: whoever goes back and forth is granted once for each period.
#[must_use]
pub fn when(account: &Account, catalog: &Catalog, rule: &Transition, to: &Cadence) -> SwitchAt {
    let (runs, price) = (account.cycle.is_some(), to.price_usd);
    match rule.at {
        _ if account.lapsed.is_some() && costs(price) => SwitchAt::PaymentConfirmed,
        SwitchAt::PaymentConfirmed if !costs(price) && runs => SwitchAt::PeriodEnd,
        SwitchAt::PaymentConfirmed if !costs(price) => SwitchAt::Now,
        SwitchAt::PeriodEnd if !runs && is_prepaid(account, price) => SwitchAt::PaymentConfirmed,
        SwitchAt::PeriodEnd if !runs => SwitchAt::Now,
        SwitchAt::Now if runs && is_free_again(account, catalog, to) => SwitchAt::PeriodEnd,
        at => at,
    }
}

/// Whether neither what is left nor what follows costs anything, and one of them grants with every cycle.
fn is_free_again(account: &Account, catalog: &Catalog, to: &Cadence) -> bool {
    let Some(own) = catalog.plan(account.plan()).map(|plan| account.cadence(plan)) else { return false };
    let grants = |cadence: &Cadence| cadence.grants.iter().any(|grant| !grant.once);
    !costs(own.price_usd) && !costs(to.price_usd) && (grants(&own) || grants(to))
}

/// Whether a price has to be paid; one on request has.
#[must_use]
pub fn costs(price: Option<Micros>) -> bool {
    price.is_none_or(|price| price > Micros::ZERO)
}

/// Whether a billing period of a price begins with its payment alone.
#[must_use]
pub fn is_prepaid(account: &Account, price: Option<Micros>) -> bool {
    account.settings.renewal == Renewal::OnPayment && costs(price)
}

/// What a move does to an account.
///
/// The old plan's credits that end by then have expired, the others are void or stay; the cycle begins anew with the
/// plan's grants in full, unless it goes on as it is.
#[must_use]
pub fn moved(account: &Account, catalog: &Catalog, version: u64, to: &Move<'_>) -> Moved {
    let mut after = account.clone();
    let name: Arc<str> = Arc::from(to.plan.name.as_str());
    let mut kinds: Vec<EntryKind> = closed(account, to).collect();
    let ends = |kind: &EntryKind| matches!(kind, EntryKind::LotClosed { end: LotEnd::Void, .. });
    let void = kinds.iter().filter(|kind| ends(kind)).filter_map(|kind| match kind {
        EntryKind::LotClosed { lot, .. } => Some((*lot, account.lots.get(lot)?.clone())),
        _ => None,
    });
    let voided = void.filter(|(_, lot)| lot.remaining > Micros::ZERO).collect();
    let ended = account.pending.as_ref().filter(|pending| !to.renewal || pending.waits != Waits::Payment);
    kinds.extend(ended.map(|_| EntryKind::Pending { change: None }));
    kinds.extend(after.lapsed.take().map(|_| EntryKind::Lapsed { lapse: None }));
    after.settings.cadence.clone_from(&to.cadence);
    if to.time_zone.is_some() {
        after.settings.time_zone.clone_from(&to.time_zone);
    }
    if after.settings != account.settings {
        kinds.push(EntryKind::Settings { settings: Box::new(after.settings.clone()) });
    }
    if *name != *account.plan() {
        kinds.push(EntryKind::Plan { from: Arc::from(account.plan()), to: name.clone() });
    }
    let cadence = after.cadence(to.plan);
    let goes_on = account.cycle.as_ref().filter(|cycle| {
        to.cycle == CycleOnSwitch::Keep
            && to.anchor.is_none()
            && cycle.period == cadence.cycle
            && cycle.end > to.at
    });
    let goes_on = goes_on.map(|cycle| Cycle { price: to.paid.or(cycle.price), ..cycle.clone() });
    let credit = to.proration.and_then(|proration| credit(account, catalog, to, &cadence, proration));
    let given = credit.as_ref().map(|(_, grant)| grant).filter(|grant| grant.amount > Micros::ZERO).cloned();
    if let Some(grant) = &given {
        // It repays debt before the plan's grants do.
        after.grant(SCRATCH, to.at, grant);
    }
    let opening =
        Opening { catalog: (catalog, version), plan: &to.plan.name, cycle: goes_on.as_ref(), at: to.at };
    let cycle = goes_on.clone().or_else(|| first_cycle(&after, catalog, to, &cadence));
    let begun = match &goes_on {
        Some(cycle) => {
            let paid = (account.cycle.as_ref() != Some(cycle)).then(|| Some(cycle.clone()));
            let paid = paid.map(|cycle| EntryKind::Cycle { cycle });
            next_term(&after, opening).into_iter().chain(paid).collect()
        }
        None => {
            // Whoever comes from another plan has its first cycle on this one.
            let renewal = to.renewal && *name == *account.plan();
            due::begin(&after, opening, (to.plan, &cadence, cycle.clone()), renewal)
        }
    };
    let (grants, begun): (Vec<_>, Vec<_>) =
        begun.into_iter().partition(|kind| matches!(kind, EntryKind::Grant(_)));
    kinds.extend(begun);
    kinds.extend(given.map(EntryKind::Grant).into_iter().chain(grants));
    let granted = kinds.iter().filter_map(|kind| match kind {
        EntryKind::Grant(granted) => Some(granted.clone()),
        _ => None,
    });
    Moved { granted: granted.collect(), kinds, voided, cycle, prorated: credit.map(|(prorated, _)| prorated) }
}

/// The old plan's lots that end with it; lots that end by the calendar at or before the move have expired.
fn closed<'a>(account: &'a Account, to: &'a Move<'_>) -> impl Iterator<Item = EntryKind> + 'a {
    let open = account.lots.iter().filter(|(_, lot)| lot.closing.is_none());
    open.filter_map(|(id, lot)| {
        let expired = lot.expires_at.is_some_and(|end| end <= to.at);
        let void = lot.of_plan && to.lots == LotsOnSwitch::Void;
        match (expired, void) {
            (true, _) => Some(EntryKind::LotClosed { lot: *id, end: LotEnd::Expired }),
            (false, true) => Some(EntryKind::LotClosed { lot: *id, end: LotEnd::Void }),
            (false, false) => None,
        }
    })
}

/// The cycle that runs at a move, counted from its anchor; nothing where the plan has none.
fn first_cycle(account: &Account, catalog: &Catalog, to: &Move<'_>, cadence: &Cadence) -> Option<Cycle> {
    if !has_cycle(catalog, to.plan, cadence) {
        return None;
    }
    let (zone, anchor) = (zone_of(account), to.anchor.unwrap_or(to.at));
    let cycle = cycle_of(&zone, anchor, calendar::elapsed_in(&zone, anchor, cadence.cycle, to.at), cadence)?;
    Some(Cycle { price: to.paid.or(cycle.price), ..cycle })
}

/// What of the old plan's price is given back, and the grant that gives it (P13).
fn credit(
    account: &Account,
    catalog: &Catalog,
    to: &Move<'_>,
    cadence: &Cadence,
    proration: &Proration,
) -> Option<(Prorated, Granted)> {
    let old = account.cadence(catalog.plan(account.plan())?);
    let cycle = account.cycle.as_ref()?;
    let used = proration.usage.iter().map(|(pool, _)| {
        let lots =
            account.lots.values().filter(|lot| lot.of_plan && lot.closing.is_none() && *lot.pool == **pool);
        let (granted, left) = lots.fold((Micros::ZERO, Micros::ZERO), |(granted, left), lot| {
            (plus(granted, lot.amount), plus(left, lot.remaining))
        });
        let leased = if to.leased_counts { leased_of(account, pool) } else { Micros::ZERO };
        (pool.clone(), minus(granted, less(left, leased)), granted)
    });
    let of = Consumption {
        // What was paid: a coupon is not given back, a price that has risen since neither.
        old_price: cycle.price.or(old.price_usd).unwrap_or(Micros::ZERO),
        // A price on request is no bound before it is paid.
        new_price: to.paid.or(cadence.price_usd).unwrap_or(Micros(i64::MAX)),
        elapsed_ms: u64::try_from(to.at.saturating_sub(cycle.billing_start())).unwrap_or(0),
        pools: used.collect(),
    };
    let prorated = proration.credit(&of)?;
    let pool = catalog.pool(&proration.to)?;
    let amount =
        catalog.purchases.credits(prorated.credit)?.min(less(TOTAL_MAX, account.totals(&pool.asset).granted));
    let granted = Granted {
        pool: Arc::from(pool.name.as_str()),
        asset: Arc::from(pool.asset.as_str()),
        source: GrantSource::Switch,
        amount,
        repaid: account.owed(&pool.asset).min(amount),
        expires_at: expires_at(account, pool.expiry, to.at),
        reference: format!("{}/{}/{}", account.plan(), to.plan.name, next_no(account)),
        once: false,
    };
    Some((prorated, granted))
}

/// What nodes may still take of a pool, in its lots' credits.
fn leased_of(account: &Account, pool: &str) -> Micros {
    let left = |funds: &Funds| funds.left_of_pool(pool);
    let base = less(left(&Funds::unleased(account)), left(&Funds::at_face(account)));
    let factor = account.term().map_or(Ratio::ONE, |term| term.factor(pool));
    let whole = Ratio::whole(u64::try_from(base.get()).unwrap_or(0));
    let exact = whole.checked_mul(factor).and_then(Ratio::floor);
    exact.map_or(base, Micros)
}

/// What the end of a billing period brings, beside a change that waits for it.
#[must_use]
pub fn ending(account: &Account, catalog: &Catalog, plan: &Plan, cadence: &Cadence, cycle: &Cycle) -> Ending {
    let at = cycle.end;
    if at < cycle.billing_end() {
        return Ending::Renews;
    }
    if !cadence.renews {
        return match fallback(catalog) {
            Some(other) if other.name != plan.name => Ending::Moves(other.name.clone()),
            _ => Ending::Lapses(None),
        };
    }
    if let Some(tiers) = catalog.tiers.as_ref().filter(|tiers| tiers.has(&plan.name)) {
        let tier = tier(account, catalog, tiers, at);
        if tiers.rank(catalog, &tier) < tiers.rank(catalog, &plan.name) {
            return Ending::Moves(tier);
        }
    }
    if !is_prepaid(account, cadence.price_usd) {
        return Ending::Renews;
    }
    Ending::Lapses(Some(Box::new(Pending {
        cadence: account.settings.cadence.clone(),
        anchor: Some(cycle.anchor),
        ..Pending::of(&plan.name, Waits::Payment, cadence.price_usd)
    })))
}

/// The plan that an account falls to when its own ends: that below all tiers, else the first public one without a price
/// to pay (P11).
#[must_use]
pub fn fallback(catalog: &Catalog) -> Option<&Plan> {
    let below = catalog.tiers.as_ref().and_then(|tiers| catalog.plan(&tiers.none));
    below.or_else(|| catalog.plans.iter().find(|plan| plan.public && plan.price_usd == Some(Micros::ZERO)))
}

/// The plan that an account's purchases give it at an instant (C1, C2).
#[must_use]
pub fn tier(account: &Account, catalog: &Catalog, tiers: &Tiers, at: i64) -> String {
    let sums: Vec<Micros> = tiers
        .by
        .iter()
        .map(|rule| {
            let counts = |bought: &&crate::payment::Bought| {
                bought.cadence.as_deref() == Some(rule.cadence.as_str())
                    && calendar::after(bought.at, rule.window, 1).is_none_or(|end| at < end)
            };
            total(account.dealings.purchases.iter().filter(counts).map(|bought| bought.usd))
        })
        .collect();
    tiers.plan(catalog, &sums)
}

/// The entries of a change whose time has come; it is dropped where the catalog lacks its plan.
#[must_use]
pub fn come(
    account: &Account,
    catalog: &Catalog,
    version: u64,
    pending: &Pending,
    at: i64,
) -> Vec<EntryKind> {
    let Some(plan) = catalog.plan(&pending.to) else { return vec![EntryKind::Pending { change: None }] };
    let at_end = Move {
        plan,
        cadence: pending.cadence.clone(),
        anchor: pending.anchor,
        time_zone: None,
        at,
        cycle: CycleOnSwitch::Restart,
        lots: LotsOnSwitch::Void,
        proration: None,
        paid: pending.usd,
        leased_counts: false,
        renewal: true,
    };
    moved(account, catalog, version, &at_end).kinds
}
