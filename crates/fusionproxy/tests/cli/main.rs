//! The command as a user types it: real files in, real files out.
#![forbid(unsafe_code)]

mod accuracy;
mod bad_input;
mod bench;
mod calibrate;
mod compile;
mod fuse;
mod reports;
mod support;
mod validate;
