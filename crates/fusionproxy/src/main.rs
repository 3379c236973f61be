//! The `fusionproxy` command.
#![forbid(unsafe_code)]

use std::process::ExitCode;

// Counts, so that the command can state how many allocations a frame cost.
#[global_allocator]
static ALLOCATOR: fusionproxy_kernels::CountingAllocator = fusionproxy_kernels::CountingAllocator;

fn main() -> ExitCode {
    fusionproxy::cli::main()
}
