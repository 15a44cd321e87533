//! Looks into a directory without touching it.
//!
//! Invariant: read-only, and total: any bytes give an inspection, of a directory in use as well (whose last
//! batch may then look interrupted).
