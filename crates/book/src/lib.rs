//! The book-keeping core of the ledger: accounts, lots, terms, leases, the journal. Pure.
