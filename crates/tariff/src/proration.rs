//! What of a plan's price is given back when it is left before its end (P13). Exact, rounded down to a cent once.

use crate::catalog::Proration;
use crate::money::Micros;
use crate::ratio::Ratio;

/// Millionths of a US dollar in a cent.
pub const CENT: i64 = 10_000;
/// Milliseconds in a day of 24 hours.
const DAY_MS: u64 = 86_400_000;

/// What the plan that is left has been used for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consumption {
    /// What was paid for it, in millionths of a US dollar.
    pub old_price: Micros,
    /// What the other plan costs, in millionths of a US dollar.
    pub new_price: Micros,
    /// Milliseconds since its billing period began.
    pub elapsed_ms: u64,
    /// What was used, and what was granted, by pool.
    pub pools: Vec<(String, Micros, Micros)>,
}

/// What a proration comes to, with the steps to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prorated {
    /// The part that counts as used by time.
    pub time: Ratio,
    /// The part that counts as used by credits.
    pub usage: Ratio,
    /// The part that counts as consumed: the larger of the two, at least the floor.
    pub consumed: Ratio,
    /// What is given back, in millionths of a US dollar: whole cents.
    pub credit: Micros,
}

impl Proration {
    /// What is given back; nothing where it cannot be reckoned within 128 bits.
    #[must_use]
    pub fn credit(&self, of: &Consumption) -> Option<Prorated> {
        let time = self.time(of.elapsed_ms)?;
        let usage = self.used(&of.pools)?;
        let consumed = time.max(usage).max(self.floor).min(Ratio::ONE);
        let unused = whole(of.old_price).checked_mul(Ratio::ONE.checked_sub(consumed)?)?;
        let most = of.new_price.checked_sub(of.old_price)?;
        let credit = if self.capped { unused.min(whole(most)) } else { unused };
        let cents = credit.checked_div(whole(Micros(CENT)))?.floor()?;
        Some(Prorated { time, usage, consumed, credit: Micros(cents.checked_mul(CENT)?) })
    }

    /// `min(1, elapsed / days)`; by whole steps that have passed where the catalog wants them.
    fn time(&self, elapsed_ms: u64) -> Option<Ratio> {
        let all = u64::from(self.days).checked_mul(DAY_MS)?;
        let counted = match self.step_days.map(|step| u64::from(step).checked_mul(DAY_MS)) {
            Some(step) => {
                let step = step?;
                elapsed_ms.checked_div(step)?.checked_mul(step)?
            }
            None => elapsed_ms,
        };
        Some(Ratio::new(counted.into(), all.into())?.min(Ratio::ONE))
    }

    /// The weighted sum of what was used of the pools; a pool without grants counts nothing.
    fn used(&self, pools: &[(String, Micros, Micros)]) -> Option<Ratio> {
        self.usage.iter().try_fold(Ratio::ZERO, |sum, (pool, weight)| {
            let Some((_, used, granted)) = pools.iter().find(|(name, ..)| name == pool) else {
                return Some(sum);
            };
            if *granted <= Micros::ZERO {
                return Some(sum);
            }
            let part = whole(*used).checked_div(whole(*granted))?.min(Ratio::ONE);
            sum.checked_add(weight.checked_mul(part)?)
        })
    }
}

/// An amount as a ratio; what is below zero counts as zero.
fn whole(amount: Micros) -> Ratio {
    Ratio::whole(u64::try_from(amount.get()).unwrap_or(0))
}
