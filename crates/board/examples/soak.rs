//! Hours of a rig's life with random faults, one rig for each generation of the thermal camera.
//!
//! ```sh
//! cargo run --release -p fusionproxy-board --features sim --example soak -- 24 1
//! ```
//! simulates both for 24 hours, without a restart, from seed 1. It ends with an error if a fault went unseen, or full rate
//! was not back in time.
#![forbid(unsafe_code)]

use std::thread;

use fusionproxy_board::lepton::Model;
use fusionproxy_board::sim::{Soak, SoakReport};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [hours, seed] = args.as_slice() else { return Err("usage: soak HOURS SEED".into()) };
    let (hours, seed): (u64, u64) = (hours.parse()?, seed.parse()?);
    let duration_us = hours.checked_mul(3_600_000_000).ok_or("HOURS is too large")?;
    let lives = [Model::Lepton2, Model::Lepton3].map(|model| Soak { seed, duration_us, model });
    thread::scope(|scope| {
        for life in lives.map(|soak| scope.spawn(move || live(soak))) {
            life.join().map_err(|_| "the simulation panicked")??;
        }
        Ok(())
    })
}

/// Lives one life, told hour by hour.
fn live(soak: Soak) -> Result<(), String> {
    let (mut visible, mut infrared) = (vec![0; soak.memory_bytes()], vec![0; soak.memory_bytes()]);
    let tell = |r: &SoakReport| {
        println!(
            "{:?}, hour {}: {} pairs, {} healthy, {} faults, {} unseen, {} slow, longest gap {} ms",
            soak.model,
            r.virtual_us / 3_600_000_000,
            r.pairs,
            r.healthy_pairs,
            r.faults,
            r.unseen,
            r.slow,
            r.longest_gap_us / 1000
        );
    };
    let report = soak.run(&mut visible, &mut infrared, tell).map_err(|e| e.to_string())?;
    if report.unseen > 0 || report.slow > 0 {
        return Err(format!("seed {}: {report:#?}", soak.seed));
    }
    Ok(())
}
