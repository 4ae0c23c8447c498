//! What a request may come to, as its hold sets it aside: estimated before anything of the answer is known.

use std::rc::Rc;

use tariff::{Meter, Micros, Unit, Usage};
use usage::RequestFacts;
use usage::request::Member;
use usage::request::edit::OutputBound;
use wire::KeyEntry;

use crate::account::Account;
use crate::limits::AMOUNT_MAX;
use crate::pricing::Priced;
use crate::request::{Held, Hold, Request};
use crate::route::Operation;
use crate::route::dialect::Dialect;

/// The hold that a request needs; none where its model has no price for what it may use, or one that nobody counts
/// by: an operation of a flat price has no tokens.
pub(crate) fn planned(
    request: &Request,
    key: &KeyEntry,
    account: &Account,
    model: Rc<Priced>,
    stated: Vec<(Meter, u64)>,
) -> Option<Hold> {
    let facts = request.body.facts.as_ref();
    let estimate = estimate(&request.operation, facts, account, &model, &stated);
    hold_for((&request.operation, facts), &estimate, key, account, model, stated)
}

/// The hold for so much, as [`planned`].
pub(crate) fn hold_for(
    (operation, facts): (&Operation, Option<&RequestFacts>),
    estimate: &Usage,
    key: &KeyEntry,
    account: &Account,
    model: Rc<Priced>,
    stated: Vec<(Meter, u64)>,
) -> Option<Hold> {
    let by_tokens = [Meter::InputTokens, Meter::OutputTokens].into_iter().any(|meter| model.is_paid(meter));
    if by_tokens && matches!(operation, Operation::Flat(_)) {
        return None;
    }
    // What no account can have is refused like all that it does not have.
    let tier = asked_tier(facts, &model, estimate);
    let price = match tier {
        Asked::Any(_) => dearest(&model, estimate)?,
        Asked::Usual | Asked::Tier(_) => model.price(tier.name(), estimate).ok()?,
    };
    let credits = price.get().min(AMOUNT_MAX);
    let takes = account.policy.buckets(&model.model, &key.auth_class).map(|own| Held {
        bucket: Rc::clone(own.id),
        tag: own.tag,
        amount: match own.bucket.unit {
            Unit::Credits => credits,
            Unit::Count(meter) => millionths(estimate.get(meter)),
            Unit::Cost => model.cost(tier.name(), estimate).get().min(AMOUNT_MAX),
        },
        unit: own.bucket.unit,
        admitted: own.bucket.admitted,
        unlimited: own.bucket.unlimited,
    });
    Some(Hold {
        epoch: None,
        node: 0,
        takes: takes.collect(),
        credits,
        tier: tier.name().map(Box::from),
        input_estimate: estimate.get(Meter::InputTokens),
        stated,
        open: None,
        lost: false,
        remaining: None,
        rate_limit: None,
        model,
    })
}

/// The tier of service that a request asks for.
#[derive(Clone, Copy)]
pub(crate) enum Asked<'m> {
    /// None, or one that costs the model's price or less.
    Usual,
    /// One that has a price of its own.
    Tier(&'m str),
    /// Whatever there is; charged in its route's tier where the answer names none.
    Any(Option<&'m str>),
}

impl<'m> Asked<'m> {
    pub(crate) fn name(self) -> Option<&'m str> {
        match self {
            Self::Tier(name) => Some(name),
            Self::Any(sold) => sold,
            Self::Usual => None,
        }
    }
}

/// Reads the tier of service that a request asks for, where its model has prices by them; what cannot be read is
/// whatever there is. One that would cost less by the estimate is not taken at the client's word: an upstream that
/// does not know the member serves the usual one, and its answer does not say so. What a route is sold in is the
/// operator's word: it is the usual one there.
pub(crate) fn asked_tier<'m>(facts: Option<&RequestFacts>, model: &'m Priced, estimate: &Usage) -> Asked<'m> {
    if model.tiers().next().is_none() {
        return Asked::Usual;
    }
    let listed = |text: &str| model.tiers().find(|own| own.eq_ignore_ascii_case(text));
    let sold = facts.and_then(|facts| facts.sold_tier.as_deref()).and_then(listed);
    let usual = sold.map_or(Asked::Usual, Asked::Tier);
    // Amazon's header, OpenAI's and Anthropic's member, and Amazon's.
    let beside = facts.and_then(|facts| facts.service_tier.as_deref()).map(|tier| Ok(Member::Text(tier)));
    let said = |path| facts.map(|facts| facts.member(path)).filter(|said| *said != Ok(Member::Absent));
    let fast = said("speed").filter(|said| *said == Ok(Member::Text("fast")));
    let fast = fast.filter(|_| model.tiers().any(|own| own == "fast"));
    match beside.or(fast).or_else(|| said("service_tier")).or_else(|| said("serviceTier.type")) {
        None => usual,
        Some(Ok(Member::Text(text))) if !text.eq_ignore_ascii_case("auto") => {
            let price = model.price(sold, estimate);
            let is_below = |own: Micros| price.is_ok_and(|price| own < price);
            let is_cheaper = |own: &str| model.price(Some(own), estimate).is_ok_and(is_below);
            listed(text).filter(|own| !is_cheaper(own)).map_or(usual, Asked::Tier)
        }
        Some(_) => Asked::Any(sold),
    }
}

/// The price of a usage in the dearest tier of service.
fn dearest(model: &Priced, usage: &Usage) -> Option<Micros> {
    let tiers = model.tiers().map(Some).chain([None]);
    tiers.map(|tier| model.price(tier, usage).ok()).max().flatten()
}

/// What a request may use, for its hold: input from its size, output from its own bound, the plan's and the
/// model's, times the number of answers asked for, and what it states itself. Items are counted in tokens only
/// where their model is sold by them.
pub(crate) fn estimate(
    operation: &Operation,
    facts: Option<&RequestFacts>,
    account: &Account,
    model: &Priced,
    stated: &[(Meter, u64)],
) -> Usage {
    let mut usage = Usage::new().with(Meter::Requests, 1);
    stated.iter().for_each(|(meter, count)| usage.set(*meter, *count));
    one_of_each(model, operation, facts, &mut usage);
    let Some(facts) = facts else {
        return usage;
    };
    let dialect = match operation {
        Operation::Meter(dialect) => Some(*dialect),
        Operation::Flat(_) | Operation::Exempt | Operation::Deny => None,
    };
    let is_items = dialect.is_some_and(Dialect::sells_units);
    let output = match dialect {
        Some(dialect) if dialect.reads_only() => 0,
        _ => output_bound(dialect, facts, account, model),
    };
    for (meter, count) in [(Meter::InputTokens, facts.input_tokens()), (Meter::OutputTokens, output)] {
        if !is_items || model.has(meter) {
            usage.set(meter, count);
        }
    }
    usage
}

/// Of items and the like that have a price and that nobody has counted there is one, of seconds as many as sounds of
/// that size have, of images beside text as [`images_made`]: what is sold is never for nothing. Whether there were such.
pub(crate) fn one_of_each(
    model: &Priced,
    operation: &Operation,
    facts: Option<&RequestFacts>,
    usage: &mut Usage,
) -> bool {
    let mut guessed = false;
    for meter in model.items() {
        let count = if meter == Meter::Seconds {
            seconds_sent(operation, facts)
        } else if meter == Meter::Images {
            images_made(model, operation, usage)
        } else {
            1
        };
        if count > 0 && usage.iter().all(|(known, _)| known != meter) {
            usage.set(meter, count);
            guessed |= model.is_paid(meter);
        }
    }
    guessed
}

/// Images that nobody tells of: one where they are what is sold. Where text is, none were made for it, unless it states
/// tokens of images and these have no price of their own.
fn images_made(model: &Priced, operation: &Operation, usage: &Usage) -> u64 {
    let is_text = answers_text(operation) && model.is_paid(Meter::OutputTokens);
    let is_told = || usage.get(Meter::ImageOutputTokens) > 0 && !model.names(None, Meter::ImageOutputTokens);
    u64::from(!is_text || is_told())
}

fn answers_text(operation: &Operation) -> bool {
    matches!(operation, Operation::Meter(dialect) if dialect.answers_text())
}

/// Seconds of what a request sends, by its size, at least one; none of messages in which there is text alone.
fn seconds_sent(operation: &Operation, facts: Option<&RequestFacts>) -> u64 {
    let is_text = answers_text(operation);
    let sent = match facts {
        Some(facts) if is_text && facts.media_tokens == 0 => return 0,
        // Four letters of Base64 are three bytes.
        Some(facts) if is_text => facts.media_bytes.saturating_mul(3) / 4,
        Some(facts) => facts.file_bytes,
        None => 0,
    };
    sent.div_ceil(SOUND_BYTES_PER_SECOND).max(1)
}

fn output_bound(dialect: Option<Dialect>, facts: &RequestFacts, account: &Account, model: &Priced) -> u64 {
    let bound = dialect.and_then(Dialect::output_bound).map(|bound| bound.of_server(facts.is_old_chat));
    // None at all is what some servers take 0 for.
    let own = facts.own_bound(bound).filter(|asked| *asked > 0);
    // Names that the API does not know bound nothing, but what obeys them may be there.
    let asked = own.unwrap_or(model.max_output_default).max(facts.output_bound().unwrap_or(0));
    // Where the request names no bound, the cap itself is sent upstream, if it is known where.
    let is_sent = bound.is_some_and(|bound| own.is_some() || bound != OutputBound::Named);
    let cap = account.policy.policy.max_tokens.filter(|_| is_sent);
    let each = match (own, cap) {
        (None, Some(cap)) => cap,
        (Some(_), Some(cap)) => asked.min(cap),
        (_, None) => asked,
    };
    let texts = if dialect == Some(Dialect::OpenaiCompletions) { facts.texts("prompt") } else { 1 };
    each.saturating_mul(facts.answers()).saturating_mul(texts).min(tariff::meter::COUNT_MAX)
}

pub(crate) fn millionths(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX).saturating_mul(1_000_000).min(AMOUNT_MAX)
}

/// Bytes of a sound to one second: 128 kbit/s, what recordings are mostly uploaded with.
const SOUND_BYTES_PER_SECOND: u64 = 16_000;
