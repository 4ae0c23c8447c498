//! What holds only for a time: prices from a date on, legacy terms, programmes.
//!
//! A catalog is read with all its dates; [`Catalog::at`] is what holds at one instant. The ledger puts each stretch
//! between two [`Catalog::boundaries`] in force as a version of its own, so that nobody who prices has to know the
//! time.

use serde::{Deserialize, Serialize};

use super::{Catalog, PlanRate};
use crate::period::Period;
use crate::price::Prices;

/// Prices from an instant on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatedPrices {
    /// The first instant, in milliseconds since 1970.
    pub from: i64,
    /// Unit prices at base price; absent: those before.
    pub prices: Option<Prices>,
    /// Prices of variants, by name; the others stay as they were.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variants: Vec<(String, Prices)>,
}

/// Accounts that keep other terms for a time (C9).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cohort {
    /// The name, unique among cohorts.
    pub name: String,
    /// Accounts created before this instant, in milliseconds since 1970.
    pub created_before: i64,
    /// The first instant at which it ends, in milliseconds since 1970; absent: it does not.
    pub until: Option<i64>,
    /// The rates that stand in the place of the plan's.
    pub rates: Vec<PlanRate>,
}

/// Models that enrolled accounts have for nothing, for a time (C11).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Programme {
    /// The name, unique among programmes.
    pub name: String,
    /// The models: patterns over the catalog's names of models.
    pub models: Vec<String>,
    /// The longest enrolment.
    pub lasts: Period,
}

impl Catalog {
    /// The instants at which something that the catalog states begins or ends, ascending, each once.
    #[must_use]
    pub fn boundaries(&self) -> Vec<i64> {
        let prices = self.models.iter().flat_map(|model| &model.dated).map(|dated| dated.from);
        let cohorts = self.cohorts.iter().filter_map(|cohort| cohort.until);
        let mut all: Vec<i64> = prices.chain(cohorts).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// What holds at an instant; what lies ahead is left out.
    #[must_use]
    pub fn at(&self, instant: i64) -> Self {
        let mut resolved = self.clone();
        for model in &mut resolved.models {
            let mut due = std::mem::take(&mut model.dated);
            due.retain(|dated| dated.from <= instant);
            due.sort_by_key(|dated| dated.from);
            for dated in due {
                model.prices = dated.prices.unwrap_or_else(|| std::mem::take(&mut model.prices));
                for (name, prices) in dated.variants {
                    if let Some(variant) = model.variants.iter_mut().find(|own| own.name == name) {
                        variant.prices = prices;
                    }
                }
            }
        }
        resolved.cohorts.retain(|cohort| cohort.until.is_none_or(|until| instant < until));
        for cohort in &mut resolved.cohorts {
            cohort.until = None;
        }
        resolved
    }
}
