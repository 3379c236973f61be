//! Where fused frames go. Each output has threads of its own and takes the newest picture when it is ready for one.

pub(crate) mod frames;
pub(crate) mod http;
pub(crate) mod loopback;
mod metrics;
