//! Reading the journal and what went wrong: the fifth part of [`super::Service`].

use jiff::Timestamp;
use tokio::sync::mpsc;

use super::{Page, PageRequest, Reply, ServiceError};
use crate::dto;

/// The ledger, as those who look things up call it.
///
/// # Errors
/// As [`super::Service`].
pub trait Journal: Send + Sync + 'static {
    /// Lines of an account's journal that a filter lets through, latest first; the cursor is the number of the last
    /// line that was looked at. A page may hold fewer than asked for while there are more.
    fn entries(
        &self,
        account: String,
        filter: LineFilter,
        page: PageRequest<u64>,
    ) -> Reply<'_, Page<dto::Entry, u64>>;

    /// The lines of a request, in whichever account: its charge, and what gave it back.
    fn entries_of_request(&self, request: String) -> Reply<'_, Vec<dto::ExportedEntry>>;

    /// All lines that a filter lets through, latest first, in pieces: of one account or of all.
    fn export(&self, account: Option<String>, filter: LineFilter) -> Reply<'_, Export>;

    /// What an account had at an instant. `Invalid` where it lies too far back, or ahead.
    fn balance_at(&self, account: String, at: Timestamp) -> Reply<'_, dto::Balance>;

    /// What people should look at, latest first.
    fn incidents(&self, query: IncidentQuery, page: PageRequest<u64>) -> Reply<'_, Page<dto::Incident, u64>>;
}

/// An export under way; where it breaks off the last piece is the error.
pub type Export = mpsc::Receiver<Result<Vec<dto::ExportedEntry>, ServiceError>>;

/// Which lines; what is absent lets everything through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LineFilter {
    /// Of this kind.
    pub kind: Option<dto::EntryKind>,
    /// By this key.
    pub key: Option<String>,
    /// Charged as this model.
    pub model: Option<String>,
    /// Of this request.
    pub request: Option<String>,
    /// From this instant on …
    pub from: Option<Timestamp>,
    /// … and before this one.
    pub to: Option<Timestamp>,
}

/// Which incidents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IncidentQuery {
    /// Of this kind.
    pub code: Option<String>,
    /// About this account.
    pub account: Option<String>,
    /// From this instant on …
    pub from: Option<Timestamp>,
    /// … and before this one.
    pub to: Option<Timestamp>,
}

// === impl LineFilter ===

impl LineFilter {
    /// Whether a line passes; its time apart.
    #[must_use]
    pub fn lets_through(&self, line: &dto::Entry) -> bool {
        let is = |wanted: &Option<String>, found: &Option<String>| wanted.is_none() || wanted == found;
        let model = self.model.as_ref().is_none_or(|wanted| {
            // A variant is charged as `MODEL@VARIANT`.
            let found = line.model.as_deref().unwrap_or_default();
            found == wanted || found.split('@').next() == Some(wanted)
        });
        self.kind.is_none_or(|kind| kind == line.kind)
            && is(&self.key, &line.key)
            && is(&self.request, &line.request_id)
            && model
    }

    /// The span in milliseconds: first instant, first after it.
    #[must_use]
    pub fn span(&self) -> (i64, i64) {
        let begin = self.from.map_or(i64::MIN, Timestamp::as_millisecond);
        (begin, self.to.map_or(i64::MAX, Timestamp::as_millisecond))
    }
}
