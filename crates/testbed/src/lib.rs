//! What tests, demo and bench stand on: a mock provider, Envoy, the ledger, stock clients.
