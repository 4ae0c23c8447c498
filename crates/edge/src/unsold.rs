//! What an answer tells of that its model has no price for: left out of the usage, and named in the access log.

use tariff::{Meter, Usage};

use crate::freeze::Sale;

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

/// Takes calls of tools out that a model without a price for them has made beside tokens that have theirs, and images
/// that were made on the way and of which no tokens are told: the tokens are charged for what they are, and the usage is
/// marked (decision 44). What it was.
pub(crate) fn take_tools_out(sale: &Sale, usage: &mut Usage) -> Vec<(Meter, u64)> {
    let has_tokens = usage.iter().any(|(meter, count)| count > 0 && meter.is_of_tokens());
    let is_unsold = |meter: Meter| has_tokens && TOOLS.contains(&meter) && !sale.sells(meter);
    let unsold: Vec<_> = usage.iter().filter(|(meter, count)| *count > 0 && is_unsold(*meter)).collect();
    if !unsold.is_empty() {
        // Absent, not 0: nobody has counted none.
        *usage = usage.iter().filter(|(meter, _)| !is_unsold(*meter)).collect();
    }
    unsold
}
