//! What an answer comes to: by the provider's counts, by what the edge counts, else estimated.

use std::cell::LazyCell;
use std::rc::Rc;

use tariff::meter::COUNT_MAX;
use tariff::{Meter, Micros, Unit, Usage};
use usage::response::{estimate_output_tokens, estimate_uncounted_tokens};
use usage::{Reading, Status};
use wire::{Outcome, UsageSource, UsageStatus};

use crate::admit::estimate::{asked_tier, estimate, millionths, one_of_each};
use crate::edge::Edge;
use crate::limits::AMOUNT_MAX;
use crate::pricing::Unpriced;
use crate::request::{Held, Hold, Request};
use crate::route::Operation;
use crate::route::dialect::Dialect;
use crate::settle::Origin;
use crate::settle::freeze::{Bill, Sale};
use crate::settle::unsold::{take_unpriced, without_seconds};
use crate::shared::SharedData;

/// Names of the tier of service that everything is served in that asks for no other.
const USUAL_TIERS: [&str; 3] = ["default", "standard", "on_demand"];

impl Edge {
    /// What the answer comes to (design: life of a request, settle).
    pub(crate) fn bill(
        &mut self,
        shared: &dyn SharedData,
        request: &Request,
        hold: &Hold,
        origin: impl FnOnce() -> Origin,
    ) -> Bill {
        let reading = request.answer.reader.as_deref().map(usage::ResponseReader::reading);
        let sale = self.sale(shared, request, hold, reading.as_ref());
        let bill = self.bill_by(request, hold, reading, &sale, origin);
        if bill.outcome != Outcome::Settled {
            return bill;
        }
        self.metrics.mismatched = self.metrics.mismatched.saturating_add(i64::from(sale.total_mismatch));
        Bill { sale: Some(sale), ..bill }
    }

    /// By which prices an answer is charged: those of the model that answered, where the requested one says so, in
    /// the tier of service that the answer names, else in the one that was asked for, unless that costs less, else in
    /// that of where it was served.
    fn sale(
        &mut self,
        shared: &dyn SharedData,
        request: &Request,
        hold: &Hold,
        reading: Option<&Reading>,
    ) -> Sale {
        let account = request.account.as_ref().filter(|_| hold.model.by_answered);
        let other = account.and_then(|account| {
            let card = account.policy.policy.card.as_deref();
            let answered = reading.and_then(answered_model);
            let catalog = self.catalog(shared, account.catalog)?;
            catalog.charged_by(&hold.model, answered.as_deref(), card).cloned()
        });
        let answered = reading.and_then(|reading| reading.service_tier.clone());
        // Of another model's tiers nothing was known when the hold was laid.
        let facts = request.body.facts.as_ref();
        let asked = other.as_ref().zip(account).map(|(other, account)| {
            let estimate = estimate(&request.operation, facts, account, other, &hold.stated);
            asked_tier(facts, other, &estimate).name().map(Box::from)
        });
        let asked = || asked.unwrap_or_else(|| hold.tier.clone());
        let model = other.as_ref().unwrap_or(&hold.model);
        // The usual one is not told apart, unless the catalog does.
        let usual = |tier: &str| USUAL_TIERS.contains(&tier) && model.tiers().all(|own| own != tier);
        let region = || reading.and_then(|reading| reading.region_tier.clone());
        let tier = answered.or_else(asked).filter(|tier| !usual(tier)).or_else(region);
        let provider_cost = reading.and_then(|reading| reading.provider_cost);
        let total_mismatch = reading.is_some_and(|reading| reading.total_mismatch);
        Sale { model: Rc::clone(model), tier, provider_cost, total_mismatch }
    }

    fn bill_by(
        &mut self,
        request: &Request,
        hold: &Hold,
        reading: Option<Reading>,
        sale: &Sale,
        origin: impl FnOnce() -> Origin,
    ) -> Bill {
        // Read where it matters, once.
        let origin = LazyCell::new(origin);
        let is_cut = || *origin == Origin::Cut;
        if let Some((bill, guessed)) =
            reading.as_ref().and_then(|reading| reported(request, reading, (hold, sale), is_cut))
        {
            self.metrics.unmetered = self.metrics.unmetered.saturating_add(i64::from(guessed));
            return bill;
        }
        let failed = request.answer.status.is_none_or(|status| status >= 400);
        match (*origin, failed) {
            (Origin::Host, _) | (Origin::Cut, true) => return Bill::nothing(Outcome::NoUpstream),
            (Origin::Upstream, true) => return Bill::nothing(Outcome::Released),
            (Origin::Upstream | Origin::Cut, false) => {}
        }
        if sells_units(request) {
            let error = reading.as_ref().is_some_and(|reading| reading.error_event);
            if error || request.answer.bytes == 0 {
                return Bill::nothing(Outcome::Released);
            }
            if let Some(bill) = counted(reading.as_ref(), (hold, sale), is_cut) {
                return bill;
            }
        }
        if let Operation::Flat(_) = request.operation {
            let mut usage = with_stated(Usage::new(), hold).with(Meter::Requests, 1);
            one_of_each(&hold.model, &request.operation, request.body.facts.as_ref(), &mut usage);
            let used = sale.charge(&usage, hold);
            let (source, status) = (Some(UsageSource::Counted), Some(UsageStatus::Complete));
            return Bill { source, status, usage, used, ..Bill::nothing(Outcome::Settled) };
        }
        // An answer without a body delivered nothing (204, 304, HEAD), nor did one with an error instead.
        let is_error = |reading: &Reading| reading.error_event && reading.delivered.content_bytes == 0;
        let is_nothing = |reading: &Reading| reading.is_blank || is_error(reading);
        if request.answer.bytes == 0 || request.answer.undecided || reading.as_ref().is_some_and(is_nothing) {
            return Bill::nothing(Outcome::Released);
        }
        self.metrics.unmetered = self.metrics.unmetered.saturating_add(1);
        if request.body.outlives {
            return in_full(request, reading.as_ref(), (hold, sale));
        }
        estimated(request, reading.as_ref(), (hold, sale), is_cut)
    }
}

impl Sale {
    /// What a usage costs at base price.
    fn price(&self, usage: &Usage) -> Result<Micros, Unpriced> {
        self.model.price(self.tier.as_deref(), usage)
    }

    /// What it is charged: where something of it has no price, all that has one, and no less than was held. That is what
    /// the ledger comes to, too; where the price is beyond belief, by its bound.
    fn charge(&self, usage: &Usage, hold: &Hold) -> Micros {
        let priced = || self.model.price_known(self.tier.as_deref(), usage);
        let least = || Micros(hold.held_credits());
        self.price(usage).unwrap_or_else(|Unpriced| priced().max(least())).min(Micros(AMOUNT_MAX))
    }

    /// What a usage costs the provider's customer.
    fn cost(&self, usage: &Usage) -> Micros {
        self.model.cost(self.tier.as_deref(), usage)
    }
}

impl Bill {
    pub(crate) fn nothing(outcome: Outcome) -> Self {
        Self {
            outcome,
            source: None,
            status: None,
            usage: Usage::new(),
            answered_model: None,
            used: Micros::ZERO,
            sale: None,
            unpriced: Vec::new(),
        }
    }
}

/// The provider's own counts, priced, and whether what it does not tell of had to be guessed.
fn reported(
    request: &Request,
    reading: &Reading,
    (hold, sale): (&Hold, &Sale),
    is_cut: impl Fn() -> bool,
) -> Option<(Bill, bool)> {
    let said = reading.usage.as_ref()?;
    let mut usage = match request.operation {
        Operation::Meter(dialect) if dialect.sells_units() => {
            units(said, Some(reading), (hold, sale), &is_cut)?
        }
        Operation::Meter(_) | Operation::Flat(_) | Operation::Exempt | Operation::Deny => {
            with_stated(without_seconds(said, sale), hold).with(Meter::Requests, 1)
        }
    };
    let unpriced = take_unpriced(&request.operation, (reading, said), sale, &mut usage);
    let stated = usage.clone();
    let mut left_out = fill_in(request, reading, hold, &mut usage);
    let facts = request.body.facts.as_ref();
    let guessed = one_of_each(&sale.model, &request.operation, facts, &mut usage) || !unpriced.is_empty();
    // Nobody knows what ends the answers of an API that is not known.
    let is_generic = matches!(request.operation, Operation::Meter(Dialect::Generic(_)));
    let is_broken_off = || is_generic && is_cut();
    let status = match reading.status {
        Status::Complete if guessed || left_out || is_broken_off() => UsageStatus::Partial,
        Status::Complete => UsageStatus::Complete,
        Status::Partial => UsageStatus::Partial,
        Status::Failed => UsageStatus::Failed,
    };
    let mut used = sale.charge(&usage, hold);
    if left_out {
        // What is estimated is never above the hold. What was stated may be, and then it alone is charged.
        let held = Micros(hold.held_credits());
        match sale.price(&stated).map(|price| price.min(Micros(AMOUNT_MAX))) {
            Ok(price) if price > held => (usage, used, left_out) = (stated, price, false),
            Ok(_) | Err(_) => used = used.min(held),
        }
    }
    let mut source = Some(if left_out { UsageSource::Estimated } else { UsageSource::Reported });
    if let Some((more, price)) = delivered_beyond(request, reading, &usage, (hold, sale))
        && price > used
    {
        (usage, used, source) = (more, price, Some(UsageSource::Estimated));
    }
    let answered_model = answered_model(reading);
    let nothing = Bill::nothing(Outcome::Settled);
    let bill = Bill { source, status: Some(status), usage, answered_model, used, unpriced, ..nothing };
    Some((bill, guessed))
}

/// Puts in what the provider left out of its counts: its input as it was estimated for the hold, its output by what was
/// delivered. A prompt that is not counted is not for nothing. Whether anything was.
fn fill_in(request: &Request, reading: &Reading, hold: &Hold, usage: &mut Usage) -> bool {
    if !matches!(request.operation, Operation::Meter(dialect) if dialect.leaves_counts_out()) {
        return false;
    }
    let known = [
        (Meter::InputTokens, hold.input_estimate),
        (Meter::OutputTokens, estimate_output_tokens(&reading.delivered)),
    ];
    let mut left_out = false;
    for (meter, count) in known {
        if usage.iter().all(|(stated, _)| stated != meter) {
            usage.set(meter, count);
            left_out = true;
        }
    }
    left_out
}

/// What an answer comes to that broke off before the provider had counted all of its output, by what was delivered
/// since it last did: within the hold, as every estimate.
fn delivered_beyond(
    request: &Request,
    reading: &Reading,
    said: &Usage,
    (hold, sale): (&Hold, &Sale),
) -> Option<(Usage, Micros)> {
    if !matches!(request.operation, Operation::Meter(dialect) if dialect.answers_text()) || reading.ended {
        return None;
    }
    let (delivered, counted) = (&reading.delivered, said.get(Meter::OutputTokens));
    let uncounted = estimate_uncounted_tokens(delivered);
    // A count that came before any text is of its beginning.
    let is_first = delivered.uncounted_bytes == delivered.content_bytes;
    let output = if is_first { counted.max(uncounted) } else { counted.saturating_add(uncounted) };
    if output == counted {
        return None;
    }
    let usage = said.clone().with(Meter::OutputTokens, output.min(COUNT_MAX));
    let price = sale.price(&usage).ok()?.min(Micros(hold.held_credits()));
    Some((usage, price))
}

/// What a request used of a bucket.
pub(crate) fn used_of(take: &Held, bill: &Bill) -> i64 {
    let settled = bill.outcome == Outcome::Settled;
    match take.unit {
        Unit::Credits => bill.used.get(),
        Unit::Cost => bill.sale.as_ref().map_or(0, |sale| sale.cost(&bill.usage).get().min(AMOUNT_MAX)),
        Unit::Count(_) if take.admitted => take.amount,
        Unit::Count(meter) if settled => millionths(bill.usage.get(meter)),
        Unit::Count(_) => 0,
    }
}

/// The counts of an answer with those that the request states and the answer does not.
fn with_stated(mut usage: Usage, hold: &Hold) -> Usage {
    for (meter, count) in &hold.stated {
        if !usage.iter().any(|(said, _)| said == *meter) {
            usage.set(*meter, *count);
        }
    }
    usage
}

/// What items come to: the provider's counts, the items in its answer, and for the rest what the request asks for;
/// nothing but meters that the model is sold by. Nothing where none of them is known.
fn units(
    said: &Usage,
    reading: Option<&Reading>,
    (hold, sale): (&Hold, &Sale),
    is_cut: impl Fn() -> bool,
) -> Option<Usage> {
    let mut known = with_stated(said.clone(), hold);
    let delivered = reading.and_then(|reading| {
        // Of a document that was cut, only what is there was delivered. Events and other bytes do not say how many
        // items are in them.
        let nothing_yet = || !reading.ended && !reading.streamed && is_cut();
        reading.delivered.items.or_else(|| nothing_yet().then_some(0))
    });
    // What the model sells but in this tier makes the usage one without a price.
    let is_sold = |meter: Meter| sale.model.has(meter) || sale.sells(meter);
    let is_said = said.iter().any(|(meter, _)| meter == Meter::Images);
    if let Some(items) = delivered.filter(|_| !is_said && is_sold(Meter::Images)) {
        known.set(Meter::Images, items.min(COUNT_MAX));
    }
    let sold: Usage =
        known.iter().filter(|(meter, _)| *meter != Meter::Requests && is_sold(*meter)).collect();
    let flat = sale.model.is_flat();
    (flat || !sold.is_empty()).then(|| sold.with(Meter::Requests, 1))
}

fn sells_units(request: &Request) -> bool {
    matches!(request.operation, Operation::Meter(dialect) if dialect.sells_units())
}

/// All that it holds: what it comes to will be known when nobody asks any more.
fn in_full(request: &Request, reading: Option<&Reading>, (hold, sale): (&Hold, &Sale)) -> Bill {
    let facts = request.body.facts.as_ref();
    let estimate = |account| estimate(&request.operation, facts, account, &hold.model, &hold.stated);
    let usage = request.account.as_deref().map(estimate).unwrap_or_default();
    let held = Micros(hold.held_credits());
    let (source, status) = (Some(UsageSource::Estimated), Some(UsageStatus::Failed));
    let used = sale.price(&usage).unwrap_or(held).min(held);
    let answered_model = reading.and_then(answered_model);
    Bill { source, status, usage, answered_model, used, ..Bill::nothing(Outcome::Settled) }
}

/// Items counted by the edge, in the answer or in the request; nothing where they are not all that the model is sold
/// by.
fn counted(
    reading: Option<&Reading>,
    (hold, sale): (&Hold, &Sale),
    is_cut: impl Fn() -> bool,
) -> Option<Bill> {
    let usage = units(&Usage::new(), reading, (hold, sale), &is_cut)?;
    let of_tokens = [Meter::InputTokens, Meter::OutputTokens];
    let is_known = |meter: Meter| usage.iter().any(|(known, _)| known == meter);
    if sale.model.items().chain(of_tokens).any(|meter| sale.model.is_paid(meter) && !is_known(meter)) {
        return None;
    }
    let used = sale.charge(&usage, hold);
    let ended = reading.map_or_else(|| !is_cut(), |reading| reading.ended);
    let status = if ended { UsageStatus::Complete } else { UsageStatus::Partial };
    let answered_model = reading.and_then(answered_model);
    let source = Some(UsageSource::Counted);
    Some(Bill {
        source,
        status: Some(status),
        usage,
        answered_model,
        used,
        ..Bill::nothing(Outcome::Settled)
    })
}

/// Estimated from what was delivered, never above the hold. Calls of tools that the answer tells of are counted, and not
/// estimated: where they come to more than the hold, they alone are charged.
fn estimated(
    request: &Request,
    reading: Option<&Reading>,
    (hold, sale): (&Hold, &Sale),
    is_cut: impl Fn() -> bool,
) -> Bill {
    let is_items = sells_units(request);
    let output = match reading.filter(|_| !is_items) {
        Some(reading) => estimate_output_tokens(&reading.delivered),
        None => request.answer.bytes.div_ceil(4),
    };
    let delivered =
        Usage::new().with(Meter::InputTokens, hold.input_estimate).with(Meter::OutputTokens, output);
    let told = reading.filter(|_| !is_items).map(|reading| reading.delivered.calls.metered());
    let told = told.into_iter().flatten().filter(|(_, count)| *count > 0);
    let (calls, unpriced): (Vec<_>, Vec<_>) = told.partition(|(meter, _)| sale.sells(*meter));
    let mut usage = if is_items {
        units(&delivered, reading, (hold, sale), is_cut).unwrap_or_default()
    } else {
        with_stated(delivered.iter().chain(calls.iter().copied()).collect(), hold)
    };
    usage.set(Meter::Requests, 1);
    one_of_each(&sale.model, &request.operation, request.body.facts.as_ref(), &mut usage);
    let held = Micros(hold.held_credits());
    let mut used = sale.price(&usage).unwrap_or(held).min(held);
    let (mut source, mut status) = (UsageSource::Estimated, UsageStatus::Failed);
    if !calls.is_empty() {
        let counted = with_stated(calls.into_iter().collect(), hold).with(Meter::Requests, 1);
        if let Some(price) = sale.price(&counted).ok().filter(|price| *price > held) {
            (usage, used) = (counted, price.min(Micros(AMOUNT_MAX)));
            (source, status) = (UsageSource::Counted, UsageStatus::Partial);
        }
    }
    let answered_model = reading.and_then(answered_model);
    let (source, status) = (Some(source), Some(status));
    Bill { source, status, usage, answered_model, used, unpriced, ..Bill::nothing(Outcome::Settled) }
}

/// The model that the provider says has answered, where that is a name: the ledger refuses a settlement with
/// anything else in it.
fn answered_model(reading: &Reading) -> Option<String> {
    let name = reading.answered_model.as_deref()?;
    let is_title = name.len() <= usage::limits::MODEL_BYTES_MAX && !name.chars().any(char::is_control);
    is_title.then(|| name.to_owned())
}
