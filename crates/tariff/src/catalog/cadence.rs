//! How often a plan is paid, how often it grants, and what it grants.

use serde::{Deserialize, Serialize};

use super::Plan;
use crate::money::Micros;
use crate::period::Period;
use crate::ratio::Ratio;

/// One way to take a plan: monthly, weekly, yearly, or once (P11, M13, W1).
///
/// What is granted is stated for each and never derived from another (W5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cadence {
    /// The name (`monthly`).
    pub name: String,
    /// What one billing period costs, in millionths of a US dollar; absent: on request.
    pub price_usd: Option<Micros>,
    /// How often it is paid; a whole number of cycles.
    pub billing: Period,
    /// How often it grants, and the window of limits by the cycle.
    pub cycle: Period,
    /// What each cycle's start grants; amounts are positive, pools are named at most once.
    pub grants: Vec<Grant>,
    /// False: a pass, which ends with its first billing period (P11).
    pub renews: bool,
}

/// Credits that come with a cycle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The pool that the lot is in.
    pub pool: String,
    /// How many micro-credits, without the bonus.
    pub amount: Micros,
    /// What comes on top.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bonus: Option<Bonus>,
    /// True: with the account's first cycle on the plan, and never again (W1).
    #[serde(default)]
    pub once: bool,
}

/// What a grant gives on top (P3); it is part of the same lot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bonus {
    /// The part of the amount, rounded down to a micro-credit.
    pub rate: Ratio,
    /// When it is given.
    pub on: BonusOn,
}

/// When a bonus is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BonusOn {
    /// With every cycle.
    #[default]
    EveryCycle,
    /// Not with the first cycle on the plan.
    RenewalOnly,
}

/// What of a pool's grants outlives the cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollover {
    /// How many further cycles a lot lives; positive.
    pub cycles: u32,
    /// The most that is carried over into a cycle, in micro-credits; the oldest lots lose first. Absent: all.
    pub max: Option<Micros>,
}

impl Plan {
    /// The way to take the plan that its own fields state: paid and granted with each cycle.
    #[must_use]
    pub fn default_cadence(&self) -> Cadence {
        Cadence {
            name: name_of(self.cycle),
            price_usd: self.price_usd,
            billing: self.cycle,
            cycle: self.cycle,
            grants: self.grants.clone(),
            renews: true,
        }
    }

    /// The way to take the plan of that name: `monthly`, or one of [`Plan::cadences`].
    #[must_use]
    pub fn cadence(&self, name: &str) -> Option<Cadence> {
        let default = self.default_cadence();
        if default.name == name {
            return Some(default);
        }
        self.cadences.iter().find(|cadence| cadence.name == name).cloned()
    }

    /// The names of all ways to take the plan, its own first.
    pub fn cadence_names(&self) -> impl Iterator<Item = String> + '_ {
        [name_of(self.cycle)].into_iter().chain(self.cadences.iter().map(|cadence| cadence.name.clone()))
    }
}

/// What a plan paid this often is called: a word for the usual ones, else the period itself.
#[must_use]
pub fn name_of(billing: Period) -> String {
    match (billing.months(), billing.days(), billing.seconds()) {
        (1, 0, 0) => "monthly".to_owned(),
        (12, 0, 0) => "yearly".to_owned(),
        (0, 7, 0) => "weekly".to_owned(),
        (0, 1, 0) => "daily".to_owned(),
        _ => billing.to_string(),
    }
}

impl Grant {
    /// A grant of every cycle, without bonus.
    #[must_use]
    pub const fn every_cycle(pool: String, amount: Micros) -> Self {
        Self { pool, amount, bonus: None, once: false }
    }
}
