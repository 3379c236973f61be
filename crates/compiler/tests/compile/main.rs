//! The compiler on small ONNX models that the tests write themselves.

mod errors;
mod interface;
mod net;
mod patterns;
mod precision;
