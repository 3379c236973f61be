//! Light that falls on a surface: sky, sun with building shadows, street lamps, the head lamps of the camera car.

use super::climate::Climate;
use super::math::{V3, clamp01, mix, smoothstep};
use super::world::World;

/// A street lamp as a source: position relative to the foot of the camera, metres.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source {
    pub(super) at: V3,
    pub(super) rgb: V3,
}

/// Square of the distance that a street lamp's light is followed, m².
const REACH2: f32 = 484.0;

/// What lights one frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lighting<'a> {
    pub(super) climate: &'a Climate,
    pub(super) world: &'a World,
    /// Whether anyone looks: tracing the thermal band alone needs no light.
    pub(super) needed: bool,
}

impl Lighting<'_> {
    /// Irradiance at `p` (relative to the camera's foot) on a surface with unit normal `n`.
    pub(super) fn on(&self, p: V3, n: V3) -> V3 {
        if !self.needed {
            return V3::ZERO;
        }
        let c = self.climate;
        let mut sum = c.ambient * (0.62 + 0.38 * n.1);
        if c.sun.0 > 0.0 {
            let facing = n.dot(c.sun_dir);
            if facing > 0.0 {
                sum += c.sun * (facing * self.sunlit(p));
            }
        }
        if c.lamps > 0.0 {
            for lamp in &self.world.lamps {
                let d = lamp.at - p;
                let r2 = d.dot(d);
                // Lamps shine downwards.
                if r2 >= REACH2 || d.1 <= 0.0 {
                    continue;
                }
                let inverse = 1.0 / (r2 * (r2 + 6.0)).max(1e-3);
                // Facing term with a floor: cloth and foliage scatter light that comes from the side.
                let facing = 0.25 + 0.75 * (n.dot(d).max(0.0) / r2.sqrt().max(0.3));
                let window = 1.0 - r2 * (1.0 / REACH2);
                sum += lamp.rgb * (c.lamps * facing * d.1 * d.1 * window * window * 26.0 * inverse);
            }
            sum += self.beam(p, n) * c.lamps;
        }
        sum
    }

    /// What is left of a surface at depth `z` behind the air, in both bands.
    pub(super) fn through_air(&self, rgb: V3, kelvin: f32, z: f32) -> (V3, f32) {
        let c = self.climate;
        let seen = libm::expf(-c.extinction * z);
        let warm = 1.0 - c.extinction_thermal * z;
        (c.haze.mix(rgb, seen), mix(c.air, kelvin, warm.max(0.0)))
    }

    /// Low beam of the camera car: bright below a cut-off at lamp height, a trace above.
    fn beam(&self, p: V3, n: V3) -> V3 {
        let z = p.2;
        if !(1.0..70.0).contains(&z) {
            return V3::ZERO;
        }
        let spread = (p.0 - 0.35) / (1.1 + 0.24 * z);
        let across = 1.0 / (1.0 + spread * spread * spread * spread);
        let cut = 0.52;
        let above = smoothstep(cut - 0.22, cut + 0.28, p.1);
        let reach = smoothstep(2.0, 9.0, z) / (1.0 + (z * 0.085) * (z * 0.085) * (z * 0.085));
        let facing = if n.1 > 0.9 { 0.5 } else { 0.25 + 0.75 * clamp01(-n.2) };
        V3(1.0, 0.95, 0.84) * (0.17 * across * reach * facing * (1.0 - 0.97 * above))
    }

    /// Share of the sun that gets past the buildings: a soft-edged shadow.
    pub(super) fn sunlit(&self, p: V3) -> f32 {
        let s = self.climate.sun_dir;
        let side = if s.0 < 0.0 { 0 } else { 1 };
        let plane = self.world.facade_x(side);
        let run = (plane - p.0) / s.0;
        if run <= 0.05 {
            return 1.0;
        }
        let height = p.1 + run * s.1;
        let roof = self.world.roof(side, p.2 + run * s.2);
        // Penumbra grows with the way to the edge.
        smoothstep(-0.03 * run - 0.05, 0.03 * run + 0.05, height - roof)
    }
}
