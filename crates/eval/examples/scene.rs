//! Writes a synthetic pair as two PNG files.
//!
//! ```sh
//! cargo run --release -p fusionproxy-eval --example scene -- night 7 640x480 0.0 /tmp/night
//! ```
//! writes `/tmp/night_vis.png` and `/tmp/night_ir.png` (8-bit, 2nd to 99.5th percentile).

use std::time::Instant;

use fusionproxy_eval::scene::{Condition, Scene, View, linear8};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [condition, seed, size, time, stem] = args.as_slice() else {
        return Err("usage: scene day|dusk|night|fog|glare SEED WIDTHxHEIGHT SECONDS STEM".into());
    };
    let condition = Condition::ALL
        .into_iter()
        .find(|c| c.name() == condition)
        .ok_or_else(|| format!("unknown condition {condition:?}: one of day, dusk, night, fog, glare"))?;
    let (width, height) = size.split_once('x').ok_or("size: give WIDTHxHEIGHT, such as 640x480")?;
    let view = View::new(width.parse()?, height.parse()?).at(time.parse()?);
    let mut scene = Scene::new(seed.parse()?, condition);
    let mut rgb = vec![0; view.pixels() * 3];
    let mut centikelvin = vec![0; view.pixels()];
    scene.render(&view, &mut rgb, &mut centikelvin)?;
    let start = Instant::now();
    scene.render(&view, &mut rgb, &mut centikelvin)?;
    let took = start.elapsed();

    let mut sorted = centikelvin.clone();
    sorted.sort_unstable();
    let at = |share: f64| f32::from(sorted[((sorted.len() - 1) as f64 * share) as usize]) * 0.01;
    let (low, high) = (at(0.02), at(0.995));
    let mut grey = vec![0; view.pixels()];
    linear8(&centikelvin, low, high, &mut grey);
    let (w, h) = (view.width as u32, view.height as u32);
    image::save_buffer(format!("{stem}_vis.png"), &rgb, w, h, image::ExtendedColorType::Rgb8)?;
    image::save_buffer(format!("{stem}_ir.png"), &grey, w, h, image::ExtendedColorType::L8)?;
    println!("{stem}: {:.1} ms, infrared shown from {low:.1} K to {high:.1} K", took.as_secs_f64() * 1e3);
    Ok(())
}
