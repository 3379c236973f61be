//! What a ray can meet, and what it finds there.

use super::building::Building;
use super::car::Car;
use super::light::Lighting;
use super::math::{V3, smoothstep};
use super::person::Person;
use super::plant::Tree;
use super::post::Post;
use super::world::CAMERA_HEIGHT;

/// A ray through a pixel: `x = dx·z`, `y = CAMERA_HEIGHT + dy·z` at depth `z`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ray {
    pub(super) dx: f32,
    pub(super) dy: f32,
    /// Size of a pixel at depth 1: a pixel at depth z covers `z·pixel` metres.
    pub(super) pixel: f32,
}

impl Ray {
    pub(super) fn at(&self, z: f32) -> V3 {
        V3(self.dx * z, CAMERA_HEIGHT + self.dy * z, z)
    }
}

/// Part of a pixel taken by an object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Surface {
    /// Share of the pixel, 0…1.
    pub(super) cover: f32,
    /// Linear radiance towards the camera, before the air between.
    pub(super) rgb: V3,
    /// Radiometric temperature, kelvin.
    pub(super) kelvin: f32,
    /// Depth for the air between, m.
    pub(super) z: f32,
}

/// An object with its depth order and the pixels it may touch (`x0, y0, x1, y1` in scene pixels).
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) z: f32,
    pub(super) bounds: [f32; 4],
    pub(super) shape: Shape,
}

#[derive(Clone, Debug)]
pub(super) enum Shape {
    Building(Building),
    Car(Car),
    Person(Person),
    Post(Post),
    Tree(Tree),
    /// Darkens the ground (and warms it, below a running car).
    Shadow {
        at: V3,
        rx: f32,
        rz: f32,
        dark: f32,
        warmth: f32,
    },
}

impl Shape {
    /// The part of the pixel that this object takes; `None` when it misses.
    ///
    /// A [`Shape::Shadow`] answers with black at the given cover; its temperature is an offset to what lies below.
    pub(super) fn hit(&self, ray: &Ray, light: &Lighting<'_>) -> Option<Surface> {
        match self {
            Self::Building(b) => b.hit(ray, light),
            Self::Car(c) => c.hit(ray, light),
            Self::Person(p) => p.hit(ray, light),
            Self::Post(p) => p.hit(ray, light),
            Self::Tree(t) => t.hit(ray, light),
            Self::Shadow { at, rx, rz, dark, warmth } => {
                if ray.dy > -1e-4 {
                    return None;
                }
                let z = -CAMERA_HEIGHT / ray.dy;
                let (u, v) = ((ray.dx * z - at.0) / rx, (z - at.2) / rz);
                let d = (u * u + v * v).sqrt();
                let cover = 1.0 - smoothstep(0.55, 2.0, d);
                (cover > 0.0).then_some(Surface { cover: cover * dark, rgb: V3::ZERO, kelvin: *warmth, z })
            }
        }
    }
}
