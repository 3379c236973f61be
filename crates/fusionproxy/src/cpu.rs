//! The kernels and threads of this machine.

use fusionproxy_kernels::{Backend, Scalar};

/// Every backend that this CPU can run, fastest first; the scalar one, which is the specification, last.
pub fn backends() -> Vec<&'static dyn Backend> {
    #[cfg(target_arch = "x86_64")]
    let fast = fusionproxy_kernels::x86::backends();
    #[cfg(target_arch = "aarch64")]
    let fast = fusionproxy_kernels::aarch64::backends();
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let fast = std::iter::empty();
    fast.chain([&Scalar::ALL as &'static dyn Backend]).collect()
}

/// The fastest backend of this CPU.
pub fn best_backend() -> &'static dyn Backend {
    backends().first().copied().unwrap_or(&Scalar::ALL)
}

/// How many threads run at the same time on this machine; 1 where the system does not say.
pub fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}
