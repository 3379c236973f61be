//! A street tree: a trunk and a lumpy, leafy crown.

use super::light::Lighting;
use super::math::{V3, capsule, clamp01, cover, draw, fbm, hash, mix, noise};
use super::shape::{Ray, Surface};

#[derive(Clone, Debug)]
pub(super) struct Tree {
    id: u32,
    at: V3,
    fade: f32,
    trunk: f32,
    crown: f32,
    lumps: [[f32; 3]; 7],
    tint: V3,
}

impl Tree {
    pub(super) fn new(id: u32, at: V3, fade: f32) -> Self {
        let trunk = mix(2.3, 3.0, draw(id, 31));
        let crown = mix(1.3, 2.1, draw(id, 32));
        let mut lumps = [[0.0; 3]; 7];
        for (i, lump) in lumps.iter_mut().enumerate() {
            let l = hash(i as i32, 33, id);
            let angle = core::f32::consts::TAU * (i as f32 + draw(l, 0)) / 7.0;
            let r = if i == 0 { 0.0 } else { crown * mix(0.38, 0.66, draw(l, 1)) };
            *lump = [
                r * libm::cosf(angle),
                trunk + crown * 0.95 + 0.92 * r * libm::sinf(angle),
                crown * mix(0.46, 0.66, draw(l, 2)),
            ];
        }
        let tint = V3(0.050, 0.092, 0.030).mix(V3(0.125, 0.115, 0.032), draw(id, 34));
        Self { id, at, fade, trunk, crown, lumps, tint }
    }

    /// Largest distance from the trunk, m.
    pub(super) fn reach(&self) -> f32 {
        self.crown * 1.5
    }

    pub(super) fn top(&self) -> f32 {
        self.trunk + self.crown * 2.4
    }

    pub(super) fn hit(&self, ray: &Ray, light: &Lighting<'_>) -> Option<Surface> {
        let z = self.at.2;
        let p = ray.at(z);
        let (u, v) = (p.0 - self.at.0, p.1);
        let px = z * ray.pixel;
        let stem = capsule(u, v, [0.0, -0.1], [0.06, self.trunk + 0.4], 0.15, 0.09)
            .min(capsule(u, v, [0.02, self.trunk - 0.5], [0.55, self.trunk + 0.7], 0.07, 0.03))
            .min(capsule(u, v, [0.02, self.trunk - 0.3], [-0.5, self.trunk + 0.8], 0.07, 0.03));
        let mut crown = f32::MAX;
        if v > self.trunk - 0.9 {
            for [cx, cy, r] in self.lumps {
                let d = ((u - cx) * (u - cx) + (v - cy) * (v - cy)).sqrt() - r;
                // Soft union: smooth minimum over 0.25 m.
                let h = clamp01(0.5 + 2.0 * (crown - d));
                crown = if crown > 1e3 { d } else { mix(crown, d, h) - 0.25 * h * (1.0 - h) };
            }
        }
        // Fraying moves the edge of the crown by at most 0.45 m.
        if crown > 0.46 + 0.5 * px.max(0.05) && stem > 0.5 * px {
            return None;
        }
        let leaf = fbm(u * 3.4, v * 3.4, self.id);
        let fine = noise(u * 11.0, v * 11.0, self.id ^ 7);
        // Leaves fray the edge and leave holes that show what is behind.
        let frayed = crown + 0.75 * (leaf - 0.45) + 0.20 * (fine - 0.5);
        let leaves = cover(frayed, px.max(0.05));
        let wood = cover(stem, px);
        let cov = (leaves + wood * (1.0 - leaves)) * self.fade;
        if cov <= 0.0 {
            return None;
        }
        let c = light.climate;
        let height = clamp01((v - self.trunk) / (2.2 * self.crown));
        let lean = clamp01(0.5 + 0.45 * u / self.crown) * 2.0 - 1.0;
        let n = V3(0.62 * lean, 0.45, -0.64);
        let lit = light.on(V3(p.0, p.1, z), n);
        let depth = mix(0.45, 1.25, clamp01(0.75 * fine + 0.55 * (leaf - 0.2))) * mix(0.62, 1.1, height);
        let green = self.tint.tint(lit) * depth;
        let bark = V3(0.085, 0.066, 0.050).tint(lit) * mix(0.6, 1.2, noise(u * 30.0, v * 4.0, self.id));
        let rgb = green.mix(bark, wood * (1.0 - leaves));
        let warm = c.foliage + 0.9 * (leaf - 0.5) + 0.7 * (fine - 0.5) - 0.8 * height;
        let kelvin = mix(warm, c.foliage + 0.8, wood * (1.0 - leaves));
        Some(Surface { cover: cov, rgb, kelvin, z })
    }
}
