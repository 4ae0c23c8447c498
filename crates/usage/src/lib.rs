//! Incremental readers of requests and answers, and provider profiles. Pure.
