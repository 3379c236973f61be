//! Every backend of this CPU against the scalar kernels.

mod conv;
mod elementwise;
mod norm;
mod support;
