//! What operators do beside the daily business of accounts: the second part of [`super::Service`].

use jiff::Timestamp;
use tariff::Catalog;
use wire::Digest;

use super::{Idempotency, Reply, Written};
use crate::dto;

/// The ledger, as those who run it call it.
///
/// # Errors
/// As [`super::Service`].
pub trait Operator: Send + Sync + 'static {
    /// Changes a key. `Conflict("key_revoked")`; `LimitReached` where a key that had ended would live again
    /// and the plan has no room; `Invalid` for an end in the past.
    fn change_key(
        &self,
        write: Option<Idempotency>,
        account: String,
        key: String,
        change: dto::KeyChange,
    ) -> Reply<'_, Written<dto::Key>>;

    /// Puts another key in a key's place. `Conflict` (`key_revoked`, `key_expired`, `key_replaced`, `key_exists`).
    fn rotate_key(
        &self,
        write: Option<Idempotency>,
        rotation: Rotation,
    ) -> Reply<'_, Written<dto::KeyRotated>>;

    /// The key of a digest, in whichever account.
    fn find_key(&self, digest: Digest) -> Reply<'_, dto::Key>;

    /// Revokes the key of a digest, in whichever account.
    fn revoke_digest(&self, write: Option<Idempotency>, digest: Digest) -> Reply<'_, Written<dto::Key>>;

    /// Adds credits or takes some back. The same reference with the same content is `Written::Existing`, with
    /// other content `Conflict("reference_conflict")`; `Conflict("insufficient_credits")` where more is taken
    /// back than there is and no debt is allowed.
    fn adjust(
        &self,
        write: Option<Idempotency>,
        account: String,
        adjustment: dto::Adjustment,
    ) -> Reply<'_, Written<dto::Entry>>;

    /// Gives a charge back; a second time is `Written::Existing`. `Conflict` (`not_a_charge`,
    /// `nothing_charged`).
    fn reverse(
        &self,
        write: Option<Idempotency>,
        account: String,
        entry: u64,
        reason: String,
    ) -> Reply<'_, Written<dto::Reversal>>;

    /// The catalog's versions, latest first.
    fn catalogs(&self) -> Reply<'_, Vec<dto::CatalogInfo>>;

    /// A version of the catalog; absent = the one in force. `NotFound(Catalog)`.
    fn catalog(&self, version: Option<u64>) -> Reply<'_, (u64, Catalog)>;

    /// What a catalog would change if it were published now.
    fn dry_run(&self, catalog: Catalog) -> Reply<'_, dto::CatalogVersion>;

    /// Why a request would be refused, or that it would not. `NotFound` for the account.
    fn explain(&self, account: String, request: dto::ExplainRequest) -> Reply<'_, dto::Explanation>;

    /// Ends a lot.
    fn void_lot(
        &self,
        write: Option<Idempotency>,
        account: String,
        lot: u64,
    ) -> Reply<'_, Written<dto::LotState>>;

    /// Moves a lot's end to a later instant, or away. `Conflict("lot_ended")`.
    fn extend_lot(
        &self,
        write: Option<Idempotency>,
        account: String,
        lot: u64,
        change: dto::LotChange,
    ) -> Reply<'_, Written<dto::LotState>>;
}

/// A key to put in another one's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// The account.
    pub account: String,
    /// The key that is replaced.
    pub replaces: String,
    /// The other one's id, minted by the caller.
    pub id: String,
    /// SHA-256 of the other one.
    pub digest: Digest,
    /// How long both are good, in seconds.
    pub overlap_seconds: u64,
    /// When the other one ends; absent = as the old one would have.
    pub expires_at: Option<Timestamp>,
}
