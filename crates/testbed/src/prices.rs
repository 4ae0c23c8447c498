//! An independent pricer: what the journal must say, computed from the provider's own record.
//!
//! Typed in from the ModelStack page (rules M3, M4 and M8), not read from the catalog, so that a
//! mistake in the catalog shows too. Integers only.

use anyhow::{Context, Result};

use crate::mock::Tokens;

/// Hundredths of a credit per 1M tokens: input and output, by the name of the model.
const MODELS: &[(&str, i128, i128)] = &[
    ("claude-opus-4.6", 5_000, 25_000),
    ("claude-sonnet-4.5", 3_000, 15_000),
    ("claude-haiku-4.5", 1_000, 5_000),
    ("gpt-5.2", 1_750, 14_000),
    ("gpt-5.1", 1_500, 12_000),
    ("gpt-5-mini", 1_250, 10_000),
    ("gemini-2.5-pro", 1_875, 15_000),
    ("gemini-2.5-flash", 600, 5_000),
    ("gpt-5", 1_250, 10_000),
    ("deepseek-v3.2", 280, 420),
    ("kimi-k2.5", 1_000, 3_000),
    ("qwen-3.5", 1_000, 3_000),
    ("grok-4.1", 4_500, 22_500),
];

/// Hundredths of what a top-up pays for use at base price, by plan.
const TOP_UP: &[(&str, i128)] = &[("starter", 85), ("pro", 75), ("max", 60), ("topup_only", 100)];

/// The most that one request is charged, in micro-credits: the catalog's bound, not the page's.
const CHARGE_MAX: i64 = 500_000_000;

/// An exact amount of hundredths of a micro-credit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exact(pub i128);

/// What one charge takes, in micro-credits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drawn {
    /// Of the included credits.
    pub included: i64,
    /// Of the top-ups.
    pub top_up: i64,
    /// Of nothing: debt.
    pub debt: i64,
}

/// What an account has left, in micro-credits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Purse {
    /// Included credits.
    pub included: i64,
    /// Top-ups.
    pub top_up: i64,
    /// Use that nothing has paid yet.
    pub debt: i64,
}

/// The exact price of a completion at base price.
///
/// # Errors
/// The page does not name the model.
pub fn price(model: &str, tokens: Tokens) -> Result<Exact> {
    let (_, input, output) = MODELS
        .iter()
        .find(|(name, ..)| *name == model)
        .with_context(|| format!("the page has no price for {model}"))?;
    // One credit per 1M tokens is one micro-credit per token.
    let input = input.checked_mul(tokens.prompt.into());
    let output = output.checked_mul(tokens.completion.into());
    let sum = input.zip(output).and_then(|(input, output)| input.checked_add(output));
    Ok(Exact(sum.context("the price is out of range")?))
}

impl Exact {
    /// A whole number of micro-credits.
    #[must_use]
    pub const fn micros(amount: i64) -> Self {
        Self((amount as i128).saturating_mul(100))
    }

    /// What of it is charged, and what is kept back as disputed, in micro-credits.
    #[must_use]
    pub fn bounded(self) -> (Self, i64) {
        let most = Self::micros(CHARGE_MAX);
        let excess = self.rounded().saturating_sub(CHARGE_MAX).max(0);
        (Self(self.0.min(most.0)), excess)
    }

    /// Rounded half up, in micro-credits.
    #[must_use]
    pub fn rounded(self) -> i64 {
        div_half_up(self.0, 100)
    }
}

impl Purse {
    /// Takes a charge: included credits at base price first, then top-ups at the plan's rate, then
    /// debt at that rate (M3, M4). Every slice but the last empties its source exactly; the last is
    /// rounded half up.
    pub fn draw(&mut self, plan: &str, price: Exact) -> Drawn {
        let rate = TOP_UP.iter().find(|(name, _)| *name == plan).map_or(100, |(_, rate)| *rate);
        let from_included = price.rounded().min(self.included);
        let rest = price.0.saturating_sub(i128::from(from_included).saturating_mul(100)).max(0);
        let whole = from_included == price.rounded();
        let due = if whole { 0 } else { div_half_up(rest.saturating_mul(rate), 10_000) };
        let from_top_up = due.min(self.top_up);
        // What no source covers is owed at base price.
        let short = due.saturating_sub(from_top_up);
        let debt = if short == 0 { 0 } else { uncovered(rest, from_top_up, rate) };
        self.included = self.included.saturating_sub(from_included);
        self.top_up = self.top_up.saturating_sub(from_top_up);
        self.debt = self.debt.saturating_add(debt);
        Drawn { included: from_included, top_up: from_top_up, debt }
    }
}

/// What is left of `rest` hundredths after a top-up paid `paid` micro-credits at `rate` percent.
fn uncovered(rest: i128, paid: i64, rate: i128) -> i64 {
    let left = rest.saturating_mul(rate).saturating_sub(i128::from(paid).saturating_mul(10_000));
    div_half_up(left, rate.saturating_mul(100))
}

fn div_half_up(value: i128, by: i128) -> i64 {
    let doubled = value.saturating_mul(2).saturating_add(by);
    i64::try_from(doubled.div_euclid(by.saturating_mul(2))).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(prompt: u64, completion: u64) -> Tokens {
        Tokens { prompt, completion, ..Tokens::default() }
    }

    #[test]
    fn the_straddle_of_the_page() {
        // M4: 2 credits included, a request priced 6 credits.
        let six = price("claude-sonnet-4.5", tokens(100_000, 20_000)).unwrap();
        assert_eq!(six.rounded(), 6_000_000);
        for (plan, top_up) in [("starter", 3_400_000), ("max", 2_400_000), ("topup_only", 4_000_000)] {
            let mut purse = Purse { included: 2_000_000, top_up: 50_000_000, debt: 0 };
            assert_eq!(purse.draw(plan, six), Drawn { included: 2_000_000, top_up, debt: 0 }, "{plan}");
        }
    }

    #[test]
    fn fractions_are_rounded_once() {
        // 2.8 micro-credits a token.
        assert_eq!(price("deepseek-v3.2", tokens(1, 0)).unwrap().rounded(), 3);
        assert_eq!(price("deepseek-v3.2", tokens(3, 0)).unwrap().rounded(), 8);
        assert_eq!(price("gpt-5-mini", tokens(1, 0)).unwrap().rounded(), 13);
    }
}
