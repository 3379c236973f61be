//! A street lamp: pole, arm and head.

use super::light::Lighting;
use super::math::{V3, capsule, cover, mix};
use super::shape::{Ray, Surface};

#[derive(Clone, Debug)]
pub(super) struct Post {
    at: V3,
    /// +1 when the arm points right.
    arm: f32,
    lit: f32,
}

const HEIGHT: f32 = 6.6;
const ARM: f32 = 1.5;

impl Post {
    pub(super) fn new(at: V3, arm: f32, lit: f32) -> Self {
        Self { at, arm, lit }
    }

    /// Where the light comes from, relative to the camera's foot.
    pub(super) fn head(&self) -> V3 {
        V3(self.at.0 + self.arm * ARM, HEIGHT, self.at.2)
    }

    pub(super) fn hit(&self, ray: &Ray, light: &Lighting<'_>) -> Option<Surface> {
        let z = self.at.2;
        let p = ray.at(z);
        let (u, v) = ((p.0 - self.at.0) * self.arm, p.1);
        let px = z * ray.pixel;
        let pole = capsule(u, v, [0.0, 0.0], [0.0, HEIGHT - 0.7], 0.085, 0.055)
            .min(capsule(u, v, [0.0, 0.0], [0.0, 0.9], 0.11, 0.11))
            .min(capsule(u, v, [0.0, HEIGHT - 0.7], [0.35, HEIGHT - 0.05], 0.05, 0.045))
            .min(capsule(u, v, [0.35, HEIGHT - 0.05], [ARM - 0.3, HEIGHT + 0.08], 0.045, 0.04));
        let head = capsule(u, v, [ARM - 0.32, HEIGHT + 0.06], [ARM + 0.28, HEIGHT + 0.06], 0.09, 0.06);
        let (a, b) = (cover(pole, px), cover(head, px));
        let cov = a.max(b);
        if cov <= 0.0 {
            return None;
        }
        let n = V3(0.3, 0.1, -0.95);
        let metal = V3(0.12, 0.125, 0.13).tint(light.on(p, n));
        let lens = self.lit * b * cover(v - (HEIGHT + 0.05), px.max(0.02));
        let rgb = metal + V3(1.0, 0.82, 0.55) * (6.0 * lens);
        let c = light.climate;
        let kelvin = mix(c.air + 0.8, c.air + 3.0 + 14.0 * self.lit, b);
        Some(Surface { cover: cov, rgb, kelvin, z })
    }
}
