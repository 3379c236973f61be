//! Planning and running networks that the tests write themselves, against an interpreter that shares no memory.

mod executor;
mod net;
mod plan;
mod random;
mod reference;
