//! The suite is in `tests/`: this crate has nothing else.
