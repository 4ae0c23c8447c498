//! The book-keeping core of the ledger: accounts, lots, terms, leases and the journal.
//!
//! Pure: no clock, no randomness, no IO. An account is the fold of its entries; commands look at
//! the state and decide on entries, and nothing else changes an account. A store stands behind the
//! trait [`Tx`]; the same commands run on SQLite, in memory and in a simulator. Rules named in the
//! docs (M2, I1 …) are those of the project's rule list and protocol.
#![deny(clippy::arithmetic_side_effects, clippy::indexing_slicing)]

pub mod account;
pub mod amount;
pub mod balance;
pub mod calendar;
pub mod command;
pub mod correction;
pub mod counts;
pub mod draw;
pub mod due;
pub mod entry;
pub mod error;
pub mod fleet;
pub mod fold;
pub mod funds;
pub mod grants;
pub mod id;
pub mod invariant;
pub mod key;
pub mod lease;
pub mod limits;
pub mod memory;
pub mod notice;
pub mod payment;
pub mod pending;
pub mod posting;
pub mod rates;
pub mod rules;
pub mod settings;
pub mod snapshot;
pub mod standing;
pub mod sync;
pub mod transition;
pub mod tx;
pub mod window;

#[cfg(any(test, feature = "suite"))]
pub mod suite;

pub use account::{Account, Billing, Clip, Closing, Cycle, Lot, LotEnd, Soft, Term, TermPool, Totals};
pub use correction::{Adjusted, Extended, Reversed};
pub use entry::{Charge, Entry, EntryKind, GrantSource, Granted, Release, Slice};
pub use error::{Error, Refusal, StoreError};
pub use fleet::Fleet;
pub use id::AccountId;
pub use key::Key;
pub use lease::{Lease, Stated};
pub use notice::{Event, Notice, notice};
pub use payment::{Dealings, Payment, Purpose};
pub use pending::{Lapse, Pending, Waits};
pub use settings::{Enrolment, Renewal, Settings};
pub use tx::{Counters, Feed, Incident, LaneState, Node, Now, Tx};
