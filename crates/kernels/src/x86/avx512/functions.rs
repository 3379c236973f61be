//! The bodies of [`crate::x86::functions`], compiled for these instructions.

crate::x86::compiled::bodies!("avx512f,avx512bw,avx512vl,avx512dq,fma");
