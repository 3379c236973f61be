//! Every backend of this CPU against the scalar kernels.

mod attention;
mod conv;
mod elementwise;
mod float;
mod norm;
mod support;
