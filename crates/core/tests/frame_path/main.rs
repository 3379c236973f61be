//! The frame path by its public interface: units, extremes, and properties over random geometries.

mod align;
mod colour;
mod frame;
mod gain;
mod golden;
mod health;
mod monitor;
mod pad;
mod pipeline;

/// Deterministic bytes for buffers whose contents a property does not choose itself (splitmix64).
fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    (0..len)
        .map(|_| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (z >> 56) as u8
        })
        .collect()
}
