//! The catalog file: reading, validation, compilation. Native only.
