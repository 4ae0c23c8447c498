//! What an account's owner and operator have set: how the plan is taken, where its days begin, what it may pay
//! with, what it has of its own. Neither money nor the work of time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tariff::{Catalog, ExhaustionAction, Micros, Overage, Overrides, Standing};

use crate::account::Account;

/// An account's settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// The way the plan is taken (`yearly`); absent: the plan's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cadence: Option<Arc<str>>,
    /// The IANA name of the zone that its days, weeks and months are of; absent: UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<Arc<str>>,
    /// Pools that must be opted in to, and are (P9).
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub opted_in: BTreeSet<String>,
    /// The most that it may owe for overage in one billing cycle, in micro-credits at base price; absent: what the
    /// catalog says (C8).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overage_cap: Option<Micros>,
    /// A payment method is registered: usage beyond the credits can be charged to it (C8).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub card_on_file: bool,
    /// Programmes that it is enrolled in, by name (C11).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub programmes: Vec<Enrolment>,
    /// Its own terms over the plan (C12, L14).
    #[serde(default, skip_serializing_if = "Overrides::is_empty")]
    pub overrides: Overrides,
    /// What begins the next billing period.
    #[serde(default, skip_serializing_if = "Renewal::is_auto")]
    pub renewal: Renewal,
    /// Shadow mode: everything is decided, counted and charged, nothing is refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shadow: bool,
    /// Its name in the operator's other systems.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// What it is found by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// A stay in a programme.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolment {
    /// The programme.
    pub programme: String,
    /// Its first instant.
    pub from: i64,
    /// The first instant after it.
    pub until: i64,
}

/// What begins the next billing period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Renewal {
    /// The end of the one before (P11).
    #[default]
    Auto,
    /// A call that says that it was paid; until then nothing is granted.
    OnPayment,
}

// === impl Settings ===

impl Settings {
    /// The cohort of an account in a catalog: the first that it belongs to at an instant (C9).
    #[must_use]
    pub fn cohort(catalog: &Catalog, created_at: i64, now: i64) -> Option<String> {
        let belongs = |cohort: &&tariff::Cohort| {
            created_at < cohort.created_before && cohort.until.is_none_or(|until| now < until)
        };
        catalog.cohorts.iter().find(belongs).map(|cohort| cohort.name.clone())
    }

    /// The programmes that it is in at an instant.
    #[must_use]
    pub fn programmes_at(&self, now: i64) -> Vec<String> {
        let runs = |stay: &&Enrolment| stay.from <= now && now < stay.until;
        self.programmes.iter().filter(runs).map(|stay| stay.programme.clone()).collect()
    }

    /// When time next changes what holds by them; nothing where it never does.
    #[must_use]
    pub fn next(&self, after: i64) -> Option<i64> {
        let ends = self.programmes.iter().flat_map(|stay| [stay.from, stay.until]);
        ends.filter(|end| *end > after).min()
    }
}

// === impl Renewal ===

impl Renewal {
    /// Whether it is that of accounts that say nothing.
    #[must_use]
    pub fn is_auto(&self) -> bool {
        *self == Self::Auto
    }
}

impl Account {
    /// What of the account its policy depends on and that is set, at an instant. What follows from its books
    /// (positive pools, dry limits, running windows) is for the caller to fill in.
    #[must_use]
    pub fn standing_by_settings(&self, catalog: &Catalog, plan: &str, now: i64) -> Standing {
        let settings = &self.settings;
        Standing {
            cohort: Settings::cohort(catalog, self.created_at, now),
            programmes: settings.programmes_at(now),
            opted_in: settings.opted_in.iter().cloned().collect(),
            overage: self.overage_allowed(catalog, plan),
            overrides: settings.overrides.clone(),
            lapsed: self.lapsed.is_some(),
            ..Standing::default()
        }
    }

    /// What may be used beyond the credits: nothing without a payment method (C8).
    fn overage_allowed(&self, catalog: &Catalog, plan: &str) -> Overage {
        let exhaustion = catalog.plan(plan).and_then(|plan| plan.exhaustion).unwrap_or(catalog.exhaustion);
        // Whoever has not paid is not lent to.
        let trusted = self.settings.card_on_file && self.lapsed.is_none();
        if exhaustion.action != ExhaustionAction::Overage || !trusted {
            return Overage::None;
        }
        match self.overage_cap(catalog, plan) {
            Some(_) => Overage::Capped,
            None => Overage::Unlimited,
        }
    }

    /// The most that may be owed for overage in one billing cycle: the account's own cap, else the plan's, else the
    /// catalog's; nothing: no bound (C8).
    #[must_use]
    pub fn overage_cap(&self, catalog: &Catalog, plan: &str) -> Option<Micros> {
        let exhaustion = catalog.plan(plan).and_then(|plan| plan.exhaustion).unwrap_or(catalog.exhaustion);
        self.settings.overage_cap.or(exhaustion.overage_cap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::AccountId;
    use tariff::{Cohort, Exhaustion};

    fn account(created_at: i64, settings: Settings) -> Account {
        Account { created_at, settings, ..Account::empty(AccountId::parse("acme").unwrap()) }
    }

    #[test]
    fn c9_a_cohort_is_half_open_at_both_ends() {
        let cohort = |name: &str, created_before, until| Cohort {
            name: name.to_owned(),
            created_before,
            until,
            rates: Vec::new(),
        };
        let cohorts = vec![cohort("legacy", 100, Some(200)), cohort("early", 150, None)];
        let catalog = Catalog { cohorts, ..Catalog::named("t") };
        let of = |created, now| Settings::cohort(&catalog, created, now);
        assert_eq!(of(99, 199).as_deref(), Some("legacy"));
        assert_eq!(of(100, 199).as_deref(), Some("early"));
        assert_eq!(of(99, 200).as_deref(), Some("early"));
        assert_eq!(of(150, 200), None);
    }

    #[test]
    fn c8_overage_needs_a_card_and_the_accounts_own_cap_goes_first() {
        let exhaustion = Exhaustion { action: ExhaustionAction::Overage, ..Exhaustion::default() };
        let mut catalog = Catalog { exhaustion, ..Catalog::named("t") };
        let overage = |catalog: &Catalog, card_on_file, overage_cap| {
            let settings = Settings { card_on_file, overage_cap, ..Settings::default() };
            account(0, settings).standing_by_settings(catalog, "p", 0).overage
        };
        assert_eq!(overage(&catalog, false, None), Overage::None);
        assert_eq!(overage(&catalog, false, Some(Micros(5))), Overage::None);
        assert_eq!(overage(&catalog, true, None), Overage::Unlimited);
        assert_eq!(overage(&catalog, true, Some(Micros(5))), Overage::Capped);
        catalog.exhaustion.overage_cap = Some(Micros(7));
        assert_eq!(overage(&catalog, true, None), Overage::Capped);
        let own = account(0, Settings { overage_cap: Some(Micros(5)), ..Settings::default() });
        assert_eq!(own.overage_cap(&catalog, "p"), Some(Micros(5)));
        assert_eq!(account(0, Settings::default()).overage_cap(&catalog, "p"), Some(Micros(7)));
        catalog.exhaustion.action = ExhaustionAction::Deny402;
        assert_eq!(overage(&catalog, true, None), Overage::None);
    }

    #[test]
    fn c11_a_stay_in_a_programme_is_half_open_and_wakes_the_account() {
        let stay = Enrolment { programme: "edu".to_owned(), from: 10, until: 20 };
        let settings = Settings { programmes: vec![stay], ..Settings::default() };
        let at = |now| settings.programmes_at(now).len();
        assert_eq!([at(9), at(10), at(19), at(20)], [0, 1, 1, 0]);
        assert_eq!([settings.next(0), settings.next(10), settings.next(20)], [Some(10), Some(20), None]);
    }
}
