//! Reports of the access log as charges.

use book::sync::recover::{Outcome, Scope, recover};
use book::{Now, StoreError, Tx};
use serde_json::value::RawValue;
use tariff::Micros;

use crate::dto::{ReconcileResult, ReconciledReport};

/// Charges one report, unless it is charged.
pub fn one(tx: &mut impl Tx, now: Now, raw: &RawValue, scope: Scope) -> Result<ReconciledReport, StoreError> {
    let report: wire::Report = match serde_json::from_str(raw.get()) {
        Ok(report) => report,
        Err(error) => return Ok(unread(None, error.to_string())),
    };
    let request = Some(report.request.clone());
    let reported = match report.settlement() {
        Ok(Some(reported)) => reported,
        Ok(None) => return Ok(ended(request, ReconcileResult::Nothing)),
        Err(error) => return Ok(unread(request, error.to_string())),
    };
    Ok(match recover(tx, now, &reported, scope)? {
        Outcome::Charged { entry, amount, debt } => ReconciledReport {
            entry: entry.map(|entry| entry.to_string()),
            charged: Some(amount.into()),
            debt: (debt > Micros::ZERO).then(|| debt.into()),
            ..ended(request, ReconcileResult::Posted)
        },
        Outcome::Known => ended(request, ReconcileResult::Known),
        Outcome::Refused(reason) => {
            ReconciledReport { reason: Some(reason.to_owned()), ..ended(request, ReconcileResult::Refused) }
        }
    })
}

fn unread(request: Option<String>, reason: String) -> ReconciledReport {
    ReconciledReport { reason: Some(reason), ..ended(request, ReconcileResult::Unreadable) }
}

const fn ended(request_id: Option<String>, result: ReconcileResult) -> ReconciledReport {
    ReconciledReport { request_id, result, reason: None, entry: None, charged: None, debt: None }
}
