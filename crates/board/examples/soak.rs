//! Hours of a rig's life with random faults, hour by hour.
//!
//! ```sh
//! cargo run --release -p fusionproxy-board --features sim --example soak -- 24 1
//! ```
//! simulates 24 hours from seed 1. It ends with an error at the first hour in which a fault went unseen, or full rate was
//! not back in time.
#![forbid(unsafe_code)]

use fusionproxy_board::lepton::Model;
use fusionproxy_board::sim::Soak;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [hours, seed] = args.as_slice() else { return Err("usage: soak HOURS SEED".into()) };
    let (hours, seed): (u64, u64) = (hours.parse()?, seed.parse()?);
    for hour in 0..hours {
        // Generations of the camera take turns.
        let model = if hour % 2 == 0 { Model::Lepton3 } else { Model::Lepton2 };
        let soak = Soak { seed: seed.wrapping_add(hour), duration_us: 3_600_000_000, model };
        let (mut visible, mut infrared) = (vec![0; soak.memory_bytes()], vec![0; soak.memory_bytes()]);
        let r = soak.run(&mut visible, &mut infrared)?;
        println!(
            "hour {hour}: {model:?}, {} pairs, {} healthy, {} faults, {} unseen, {} slow, longest gap {} ms",
            r.pairs,
            r.healthy_pairs,
            r.faults,
            r.unseen,
            r.slow,
            r.longest_gap_us / 1000
        );
        if r.unseen > 0 || r.slow > 0 {
            return Err(format!("hour {hour} of seed {seed}: {r:#?}").into());
        }
    }
    Ok(())
}
