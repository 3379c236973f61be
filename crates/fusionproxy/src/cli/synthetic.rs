//! The built-in pair.

use anyhow::Result;
use fusionproxy_core::colour::luma_of;
use fusionproxy_eval::scene::{Condition, Scene, View};

use super::Size;

/// The street and the moment that the demonstration shows.
const SEED: u64 = 11;
const TIME_S: f64 = 1.0;

/// A registered synthetic pair.
pub(crate) struct Pair {
    /// RGB.
    pub(crate) visible: Vec<u8>,
    /// Luma of `visible`.
    pub(crate) luma: Vec<u8>,
    /// Temperatures, 0.01 K.
    pub(crate) centikelvin: Vec<u16>,
    /// Temperatures as 8 bit grey, 270 K to 320 K.
    pub(crate) infrared: Vec<u8>,
}

/// The demonstration's night street at `size`.
pub(crate) fn pair(size: Size) -> Result<Pair> {
    draw(size, Condition::Night)
}

/// The street at `size` under `condition`.
pub(crate) fn draw(size: Size, condition: Condition) -> Result<Pair> {
    let view = View::new(size.width, size.height).at(TIME_S);
    let mut visible = vec![0; view.pixels() * 3];
    let mut centikelvin = vec![0; view.pixels()];
    Scene::new(SEED, condition).render(&view, &mut visible, &mut centikelvin)?;
    let luma = visible.as_chunks::<3>().0.iter().map(|p| luma_of(*p)).collect();
    let mut infrared = vec![0; view.pixels()];
    fusionproxy_eval::scene::linear8(&centikelvin, 270.0, 320.0, &mut infrared);
    Ok(Pair { visible, luma, centikelvin, infrared })
}
