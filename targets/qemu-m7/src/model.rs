//! Written by `fusionproxy compile --emit-rust`; rewrite it with `cargo xtask models --write`.
#![allow(dead_code)]
/// Name of the network.
pub const NAME: &str = "nano";
/// Precision.
pub const PRECISION: &str = "int8";
/// Height of the frame in px.
pub const HEIGHT: usize = 120;
/// Width of the frame in px.
pub const WIDTH: usize = 160;
/// Size of the artifact in bytes.
pub const ARTIFACT_BYTES: usize = 33920;
/// Size of the arena in bytes, planned with `Schedule::SMALLEST`.
pub const ARENA_BYTES: usize = 168064;
/// Slots of the plan's tensor table.
pub const TENSORS: usize = 60;
/// Steps of the plan.
pub const STEPS: usize = 58;
/// Workers that the arena has scratch for.
pub const WORKERS: usize = 1;
/// Kernels to link: the parameter of `fusionproxy_kernels::Scalar`.
pub const KERNELS: u32 = 0x200401c5;
/// Names of the operators.
pub const OPERATOR_NAMES: [&str; 6] = ["conv", "binary", "reduce", "resize", "concat", "blend"];
