//! What an answer tells of that its model has no price of: the usage is marked, and the access log names it.

use tariff::{Meter, Usage};
use usage::Reading;

use crate::route::Operation;
use crate::route::dialect::Dialect;
use crate::settle::freeze::Sale;

/// What is made for an answer beside its tokens.
const TOOLS: [Meter; 4] = [Meter::Searches, Meter::FileSearches, Meter::CodeRuns, Meter::Images];

impl Sale {
    /// Whether a meter has a price in the tier of service that is charged.
    pub(crate) fn sells(&self, meter: Meter) -> bool {
        self.model.has_in(self.tier.as_deref(), meter)
    }
}

/// The counts without seconds of sound that came with tokens, where tokens alone are what the model is sold by: the sound
/// is among them.
pub(crate) fn without_seconds(said: &Usage, sale: &Sale) -> Usage {
    said.iter().filter(|(meter, _)| *meter != Meter::Seconds || sale.sells(*meter)).collect()
}

/// What an answer tells of that has no price of its own, by which its usage is marked; out of the usage of text, calls of
/// tools are taken. Of items only what the model is sold by is asked for, but of an API that the configuration describes
/// all that it points at.
pub(crate) fn take_unpriced(
    operation: &Operation,
    (reading, said): (&Reading, &Usage),
    sale: &Sale,
    usage: &mut Usage,
) -> Vec<(Meter, u64)> {
    match operation {
        Operation::Meter(Dialect::Generic(_)) => {
            let is_unsold = |meter: Meter| meter != Meter::Requests && !sale.sells(meter);
            said.iter().filter(|(meter, count)| *count > 0 && is_unsold(*meter)).collect()
        }
        Operation::Meter(dialect) if dialect.sells_units() => Vec::new(),
        Operation::Meter(_) | Operation::Flat(_) | Operation::Exempt | Operation::Deny => {
            let mut unpriced = take_tools_out(sale, usage);
            unpriced.extend(foreign_tokens(reading, sale));
            unpriced
        }
    }
}

/// Tokens of images that another model made for the answer, where no price of such tokens is named: they cost what the
/// model's own output does, which may be a hundredth of theirs.
fn foreign_tokens(reading: &Reading, sale: &Sale) -> Option<(Meter, u64)> {
    let count = reading.delivered.calls.image_tokens;
    let is_named =
        || sale.model.is_flat() || sale.model.names(sale.tier.as_deref(), Meter::ImageOutputTokens);
    (count > 0 && !is_named()).then_some((Meter::ImageOutputTokens, count))
}

/// Takes calls of tools out that a model without a price for them has made beside tokens that have theirs, and images
/// that were made on the way and of which no tokens are told: the tokens are charged for what they are, and the usage is
/// marked (decision 44). What it was.
fn take_tools_out(sale: &Sale, usage: &mut Usage) -> Vec<(Meter, u64)> {
    let has_tokens = usage.iter().any(|(meter, count)| count > 0 && meter.is_of_tokens());
    let is_unsold = |meter: Meter| has_tokens && TOOLS.contains(&meter) && !sale.sells(meter);
    let unsold: Vec<_> = usage.iter().filter(|(meter, count)| *count > 0 && is_unsold(*meter)).collect();
    if !unsold.is_empty() {
        // Absent, not 0: nobody has counted none.
        *usage = usage.iter().filter(|(meter, _)| !is_unsold(*meter)).collect();
    }
    unsold
}
