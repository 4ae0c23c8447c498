//! The life of accounts, failing.

use jiff::Timestamp;
use ledger::dto;
use ledger::service::{Idempotency, Life, Reply, Written};

use super::Failing;

macro_rules! fails {
    ($($name:ident($($argument:ty),*) -> $reply:ty;)*) => {
        $(fn $name(&self, $(_: $argument),*) -> Reply<'_, $reply> { self.fail() })*
    };
}

type Wish = Option<Idempotency>;

impl Life for Failing {
    fails! {
        change_settings(Wish, String, dto::AccountChange) -> Written<dto::Account>;
        enrol(Wish, String, String, Option<Timestamp>) -> Written<dto::Enrolment>;
        leave(Wish, String, String) -> Written<dto::Account>;
    }
}
