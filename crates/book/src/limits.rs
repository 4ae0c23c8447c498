//! Every bound of the book, in one place.

use tariff::Micros;

/// The most micro-credits in one grant, hold or use: 9 × 10^9 credits. Sums of a thousand of them fit.
pub const AMOUNT_MAX: Micros = Micros(1 << 53);
/// The most micro-credits that an account is ever granted in all, and the most of its debt.
pub const TOTAL_MAX: Micros = Micros(1 << 61);
/// The most lots with something left.
pub const LOTS_MAX: usize = 1_024;
/// Exhausted lots kept for the balance beside those; older ones are in the journal alone.
pub const LOTS_SPENT_KEPT: usize = 16;
/// Terms kept for late settlements; those of older terms post under the oldest kept one.
pub const TERMS_KEPT: usize = 256;
/// Latest terms whose windows are counted; in those of older terms nothing counts as used.
pub const COUNTED_TERMS: usize = 32;
/// Leases of one account on all nodes.
pub const LEASES_MAX: usize = 1_024;
/// Ended leases remembered per account, so that a want that was overtaken cannot revive one.
pub const LEASES_ENDED_KEPT: usize = 32;
/// Keys of one account, whatever the plan allows.
pub const KEYS_MAX: usize = 10_000;
/// Nodes open at a time.
pub const NODES_OPEN_MAX: usize = 10_000;
/// Accounts whose leases come home with the call that closes a node.
pub const HOME_AT_ONCE: usize = 1_000;
/// Closed nodes remembered.
pub const NODES_CLOSED_KEPT: usize = 100_000;
/// Changes kept for nodes that read late.
pub const CHANGES_KEPT: u64 = 100_000;
/// Changes in one answer.
pub const CHANGES_PER_ANSWER: usize = 2_000;
/// Cycles that are rolled one by one after a long rest; with more, only the last one is granted.
pub const CYCLES_ROLLED_MAX: u64 = 24;
/// Steps of due work in one command: far above what [`CYCLES_ROLLED_MAX`] and [`LOTS_MAX`] can need.
pub const DUE_STEPS_MAX: usize = 4_096;
/// How long a closed lot waits for settlements of its terms at most, in milliseconds.
pub const LOT_CLOSING_MS: i64 = 3_600_000;
/// How long a snapshot is good for, in milliseconds.
pub const SNAPSHOT_VALID_MS: i64 = 60_000;
/// When an asker that must wait for reports or returns asks again, in milliseconds.
pub const WAIT_MS: u64 = 100;
/// How long an account's askers are told to wait before they are refused, in milliseconds: two ticks.
pub const WAIT_MS_MAX: i64 = 2_000;
/// An account's askers go on waiting where the last of them was told to less than this ago, in milliseconds: they ask
/// every [`WAIT_MS`] and a tick. Who comes later is patient anew, also where a late call was the last.
pub const WAIT_AGAIN_MS: i64 = 750;
/// What a node says of its leases is passed over where it has said something up to so much later by its own clock, in
/// milliseconds; beyond, its clock was set back.
pub const STATED_LATE_MS: i64 = 120_000;
/// The least time between two recalls of one account, in milliseconds.
pub const RECALL_MS: i64 = 500;
/// How long a node must have been alone with an account's rates before it refills them by itself again, in
/// milliseconds.
pub const RATE_SOLE_AFTER_MS: i64 = 30_000;
/// How long nodes keep leased tokens that they do not use where more than half of the bucket is there, in
/// milliseconds.
pub const RATE_KEEP_MS: u64 = 20_000;
/// How long others wait for a node's answer to a withdrawal while it calls, in milliseconds.
pub const RATE_ANSWER_MS: i64 = 10_000;
/// How long rates are remembered that nobody asks for, in milliseconds.
pub const RATE_FORGOTTEN_MS: i64 = 600_000;
/// How far ahead of the ledger's wall clock a node's turn of rates is believed, in milliseconds: a day.
pub const RATE_TURN_AHEAD_MAX: u64 = 86_400_000;
/// Nodes that tokens of one account's rates are leased to at a time; others wait.
pub const RATE_USERS_MAX: usize = 256;
/// Withdrawals in one answer: as many as one call can reply to; the rest comes with the next ones.
pub const WITHDRAWALS_PER_ANSWER: usize = wire::RATE_REPORTS_MAX;
/// Purchases of an account that tiers are reckoned by; older ones are in the journal alone.
pub const PURCHASES_KEPT: usize = 1_024;
/// Recharges that wait to be paid; more are not requested.
pub const RECHARGES_WAITING_MAX: usize = 12;
/// Length of payment providers' names, in bytes.
pub const PROVIDER_MAX: usize = 32;
/// Length of coupons' codes, in bytes.
pub const COUPON_MAX: usize = 64;
/// Kinds of things that are kept, of one account.
pub const RESOURCES_MAX: usize = 32;
/// Length of names of things that are kept, in bytes.
pub const RESOURCE_NAME_MAX: usize = 64;
/// Programmes that an account is in at a time.
pub const PROGRAMMES_MAX: usize = 8;
/// Length of time zones' names, in bytes.
pub const TIME_ZONE_MAX: usize = 64;
/// Below which part of what an account had for its cycle its credits are called low, in percent.
pub const CREDITS_LOW_PERCENT: i128 = 20;
/// Labels of an account.
pub const LABELS_MAX: usize = 16;
/// Length of labels' names and values and of accounts' references, in bytes.
pub const LABEL_TEXT_MAX: usize = 128;
/// Length of account ids, in bytes.
pub const ACCOUNT_ID_MAX: usize = 64;
/// Length of key ids, in bytes.
pub const KEY_ID_MAX: usize = 64;
/// Length of keys' classes, in bytes.
pub const AUTH_CLASS_MAX: usize = 64;
/// How long a key may go on beside the one that replaces it, in milliseconds: 90 days.
pub const KEY_OVERLAP_MAX_MS: i64 = 90 * 86_400_000;
/// Length of request ids, in bytes.
pub const REQUEST_ID_MAX: usize = 128;
/// Length of model names, in bytes.
pub const MODEL_MAX: usize = 256;
/// Length of operation names, in bytes.
pub const OPERATION_MAX: usize = 64;
/// Length of bucket ids, in bytes.
pub const BUCKET_ID_MAX: usize = 128;
/// Length of grants' references, in bytes.
pub const REFERENCE_MAX: usize = 128;
/// Length of the reasons of corrections, in bytes.
pub const REASON_MAX: usize = 256;
/// Length of nodes' labels, in bytes.
pub const LABEL_MAX: usize = 253;
/// What of a refused event is kept with the incident, in bytes.
pub const INCIDENT_BODY_MAX: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_bounded_amounts_fit() {
        assert_eq!(
            (AMOUNT_MAX, TOTAL_MAX),
            (Micros(9_007_199_254_740_992), Micros(2_305_843_009_213_693_952))
        );
        assert!(AMOUNT_MAX.get().checked_mul(1_000).is_some() && TOTAL_MAX.get().checked_mul(3).is_some());
    }
}
