//! The ledger: stores, HTTP API and the `bursar` command line around the book.
