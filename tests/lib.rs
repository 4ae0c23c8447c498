//! End-to-end tests live beside this file, one file a subject; what they share is in `testbed`.
