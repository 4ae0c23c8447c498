//! Models and their prices in words.

use tariff::catalog::{Model, Plan, ServiceTier, Stated, Variant};
use tariff::{Meter, Micros, Prices, Ratio};

use super::phrase::{instant, joined, meter_name};
use super::{Facts, fact};

/// What a model or flat-price operation says.
pub fn model(model: &Model) -> Facts {
    let mut facts = vec![fact("price", price(&model.prices, &model.asset))];
    facts.extend(variants(model, "price", |own| Some(&own.prices)));
    facts.extend(service_tiers(model, ""));
    if model.by_answered {
        facts.push(fact("charged by", "the model that answers, where it is listed"));
    }
    facts.extend(
        model.stated.iter().map(|stated| (format!("asked for {}", meter_name(stated.meter)), asked(stated))),
    );
    facts.extend(later(model, "price"));
    facts.extend(model.cost.as_ref().map(|cost| fact("the provider takes", price(cost, "USD"))));
    facts.extend(model.provider.as_ref().map(|provider| fact("provider", provider)));
    if !model.aliases.is_empty() {
        facts.push(fact("aliases", model.aliases.join(", ")));
    }
    facts.push(fact("held without a bound", format!("{} output tokens", model.max_output_default)));
    facts.extend(model.feature.as_ref().map(|feature| fact("needs", feature)));
    facts
}

/// What a model costs on a plan.
pub fn offer(plan: &Plan, model: &Model) -> Facts {
    let own = plan.own_prices(&model.name, None);
    let base = own.unwrap_or(&model.prices);
    let mut facts = vec![(model.name.clone(), price(base, &model.asset))];
    let title = format!("  {}", model.name);
    facts.extend(variants(model, &title, |variant| {
        let of_variant = plan.own_prices(&model.name, Some(&variant.name)).unwrap_or(&variant.prices);
        // What costs the same as the model itself on this plan needs no line of its own.
        Some(of_variant).filter(|prices| *prices != base)
    }));
    facts.extend(service_tiers(model, &format!("  {} ", model.name)));
    if own.is_none() {
        facts.extend(later(model, " "));
    }
    facts
}

/// What tiers of service cost.
fn service_tiers<'m>(model: &'m Model, before: &'m str) -> impl Iterator<Item = (String, String)> {
    let tiers = model.service_tiers.iter();
    tiers.map(move |tier| (format!("{before}served as {}", tier.name), served(tier, &model.asset)))
}

/// Prices from dates on.
fn later(model: &Model, title: &str) -> Facts {
    let mut facts = Facts::new();
    for own in &model.dated {
        let from = instant(own.from);
        let prices = own.prices.iter().map(|own| (String::new(), own));
        let variants = own.variants.iter().map(|(name, own)| (format!(" ({name})"), own));
        facts.extend(
            prices
                .chain(variants)
                .map(|(of, own)| (format!("{title}{of} from {from}"), price(own, &model.asset))),
        );
    }
    facts
}

fn variants<'m>(
    model: &'m Model,
    name: &'m str,
    prices: impl Fn(&'m Variant) -> Option<&'m Prices>,
) -> impl Iterator<Item = (String, String)> {
    model.variants.iter().filter_map(move |variant| {
        let prices = prices(variant)?;
        let conditions =
            variant.when.iter().map(|(parameter, values)| format!("{parameter} {}", values.join(" or ")));
        let conditions: Vec<String> = conditions.collect();
        let text = format!("{}, with {}", price(prices, &model.asset), joined(&conditions));
        Some((format!("{name} ({})", variant.name), text))
    })
}

/// What a tier of service costs.
fn served(tier: &ServiceTier, asset: &str) -> String {
    let mut said: Vec<String> = tier.prices.iter().map(|prices| price(prices, asset)).collect();
    said.extend(tier.factor.map(|factor| format!("{factor} times the price")));
    said.extend(tier.cost.as_ref().map(|cost| format!("the provider takes {}", price(cost, "USD"))));
    said.join(", ")
}

fn asked(stated: &Stated) -> String {
    match &stated.parameter {
        None => format!("{} each time", stated.default),
        Some(parameter) => {
            format!("by `{parameter}`, {} where it is not said, at most {}", stated.default, stated.max)
        }
    }
}

/// A price list.
pub fn price(prices: &Prices, asset: &str) -> String {
    if prices.is_free() {
        return "free".to_owned();
    }
    // Micro-credits for one token are credits for a million; other units are sold by the piece.
    let unit = |(meter, unit): (Meter, Ratio)| {
        let name = meter_name(meter);
        if name.ends_with("tokens") {
            return format!("{unit} for 1M {name}");
        }
        let one = unit.checked_div(Ratio::whole(Micros::PER_CREDIT.unsigned_abs())).unwrap_or(unit);
        let single = one_of(&name);
        let exactly = |count: u64, name: &str| {
            let price = one.checked_mul(Ratio::whole(count))?;
            // What is cut off at the last digit is another number.
            let is_exact = Ratio::parse_decimal(&price.to_string()) == Ok(price);
            is_exact.then(|| format!("{price} for {name}"))
        };
        let longer = || {
            let of_time = exactly(60, "a minute").or_else(|| exactly(3_600, "an hour"));
            of_time.filter(|_| meter == Meter::Seconds)
        };
        exactly(1, &single).or_else(longer).unwrap_or_else(|| format!("{one} for {single}"))
    };
    let list = |above: u64| prices.iter_in(above).map(unit).collect::<Vec<_>>().join(", ");
    let longer = prices.tiers().filter(|above| *above > 0);
    let longer: String =
        longer.map(|above| format!("; above {above} input tokens {}", list(above))).collect();
    format!("{}{longer} ({asset})", list(0))
}

fn one_of(name: &str) -> String {
    let one = name.strip_suffix('s').unwrap_or(name);
    let article = if one.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {one}")
}
