//! The life of a request at the edge, without IO or clock. Pure.
