//! Synthetic street scenes, in visible light and as temperatures.
//!
//! A scene is an endless street, laid out from a seed, that a camera car drives along. One geometry is drawn twice: as
//! sRGB (shading, lamps, halos, fog, glare, sensor noise) and as temperatures (a radiometric thermal camera). The same
//! rays meet the same objects in both, so the pair is registered to the pixel unless a [`Misalignment`] is asked for.
//!
//! Everything is a function of seed, condition, size and time, in arithmetic that rounds alike on every platform.
//!
//! ```
//! use fusionproxy_eval::scene::{Condition, Scene, View};
//!
//! let mut scene = Scene::new(7, Condition::Night);
//! let view = View::new(160, 120);
//! let mut rgb = vec![0u8; view.pixels() * 3];
//! let mut centikelvin = vec![0u16; view.pixels()];
//! scene.render(&view, &mut rgb, &mut centikelvin)?;
//! # Ok::<(), fusionproxy_eval::scene::SceneError>(())
//! ```

mod building;
mod camera;
mod car;
mod climate;
mod ground;
mod light;
mod math;
mod person;
mod plant;
mod post;
mod shape;
mod thermal;
mod view;
mod world;

use camera::{Film, Light};
use climate::Climate;
use light::Lighting;
use math::{V3, hash};
use shape::{Ray, Shape};
use view::Warp;
use world::{Projection, World};

pub use climate::Condition;
pub use view::{Misalignment, SceneError, View, linear8};

/// Pixels of one row that share a list of objects.
const SEGMENT: usize = 32;

/// A street under one condition. Holds its working memory: after the first frame of a size, rendering does not allocate
/// unless more objects than ever before come into sight.
#[derive(Clone, Debug)]
pub struct Scene {
    seed: u32,
    condition: Condition,
    climate: Climate,
    film: Film,
    world: World,
    light: Vec<Light>,
    kelvin: Vec<f32>,
    line: Vec<f32>,
    row: Vec<u16>,
    segment: Vec<u16>,
}

impl Scene {
    /// The street of `seed` under `condition`.
    #[must_use]
    pub fn new(seed: u64, condition: Condition) -> Self {
        let seed = hash(seed as i32, (seed >> 32) as i32, 0x5eed);
        Self {
            seed,
            condition,
            climate: Climate::of(condition),
            film: Film::new(),
            world: World::default(),
            light: Vec::new(),
            kelvin: Vec::new(),
            line: Vec::new(),
            row: Vec::new(),
            segment: Vec::new(),
        }
    }

    /// The condition the scene was made with.
    #[must_use]
    pub fn condition(&self) -> Condition {
        self.condition
    }

    /// Draws the pair: `visible` as RGB8 (`height × width × 3`, packed, sRGB), `centikelvin` as radiometric Y16
    /// (`height × width`, hundredths of a kelvin, as a Lepton in TLinear mode at 0.01 K).
    ///
    /// # Errors
    /// [`SceneError`] when the view is empty, too large or not finite, or when a buffer has another length.
    pub fn render(
        &mut self,
        view: &View,
        visible: &mut [u8],
        centikelvin: &mut [u16],
    ) -> Result<(), SceneError> {
        view.check()?;
        view.check_buffer("visible", view.pixels() * 3, visible.len())?;
        view.check_buffer("centikelvin", view.pixels(), centikelvin.len())?;
        self.lay(view);
        let warp = Warp::of(view);
        if warp.is_identity() {
            self.trace::<true, true>(view, &Warp::IDENTITY);
        } else {
            self.trace::<true, false>(view, &Warp::IDENTITY);
            self.trace::<false, true>(view, &warp);
        }
        self.develop(view, visible);
        self.digitise(view, centikelvin);
        Ok(())
    }

    /// Draws the visible picture alone; the bytes are those of [`Scene::render`].
    ///
    /// # Errors
    /// As [`Scene::render`].
    pub fn render_visible(&mut self, view: &View, visible: &mut [u8]) -> Result<(), SceneError> {
        view.check()?;
        view.check_buffer("visible", view.pixels() * 3, visible.len())?;
        self.lay(view);
        self.trace::<true, false>(view, &Warp::IDENTITY);
        self.develop(view, visible);
        Ok(())
    }

    /// Draws the thermal picture alone; the words are those of [`Scene::render`]. A view of another size but the same
    /// aspect ratio sees the same field, as two cameras of one rig with unequal resolution do.
    ///
    /// # Errors
    /// As [`Scene::render`].
    pub fn render_infrared(&mut self, view: &View, centikelvin: &mut [u16]) -> Result<(), SceneError> {
        view.check()?;
        view.check_buffer("centikelvin", view.pixels(), centikelvin.len())?;
        self.lay(view);
        self.trace::<false, true>(view, &Warp::of(view));
        self.digitise(view, centikelvin);
        Ok(())
    }

    fn lay(&mut self, view: &View) {
        let projection = Projection::of(view.width, view.height);
        self.world.lay(self.seed, view.time(), &self.climate, &projection);
    }

    /// Traces one ray per pixel into the working buffers of the bands asked for.
    fn trace<const VISIBLE: bool, const THERMAL: bool>(&mut self, view: &View, warp: &Warp) {
        let projection = Projection::of(view.width, view.height);
        let width = view.width;
        if VISIBLE {
            self.light.clear();
            self.light.resize(view.pixels(), Light::default());
        }
        if THERMAL {
            self.kelvin.clear();
            self.kelvin.resize(view.pixels(), 0.0);
        }
        let lighting = Lighting { climate: &self.climate, world: &self.world, needed: VISIBLE };
        let items = &self.world.items;
        for y in 0..view.height {
            let line = warp.line(0, width, y);
            self.row.clear();
            self.row.extend((0..items.len()).filter(|&i| line.meets(&items[i].bounds)).map(|i| i as u16));
            for x0 in (0..width).step_by(SEGMENT) {
                let x1 = (x0 + SEGMENT).min(width);
                let part = warp.line(x0, x1, y);
                self.segment.clear();
                self.segment.extend(self.row.iter().filter(|&&i| part.meets(&items[usize::from(i)].bounds)));
                for x in x0..x1 {
                    let [sx, sy] = warp.apply(x as f32 + 0.5, y as f32 + 0.5);
                    let ray = Ray {
                        dx: (sx - projection.cx) / projection.focal,
                        dy: (projection.cy - sy) / projection.focal,
                        pixel: 1.0 / projection.focal,
                    };
                    let (light, kelvin) = pixel(&ray, &self.segment, &lighting);
                    if VISIBLE {
                        self.light[y * width + x] = light;
                    }
                    if THERMAL {
                        self.kelvin[y * width + x] = kelvin;
                    }
                }
            }
        }
    }

    /// Adds lamps and sun to the traced light, and encodes it.
    fn develop(&mut self, view: &View, visible: &mut [u8]) {
        let projection = Projection::of(view.width, view.height);
        for g in &self.world.glows {
            let seen = self.in_sight([g.x, g.y], g.z, g.size / g.z * projection.focal, &projection);
            if seen > 0.0 {
                camera::glow(&mut self.light, view.width, g, seen, &projection, &self.climate);
            }
        }
        if self.climate.glare > 0.0 {
            let d = self.climate.sun_dir;
            let at =
                [projection.cx + projection.focal * d.0 / d.2, projection.cy - projection.focal * d.1 / d.2];
            let seen = self.in_sight(at, 1e4, 0.02 * projection.focal, &projection);
            camera::sun(&mut self.light, view.width, seen, &projection, &self.climate);
        }
        let tick = hash(view.tick(), 0x0071_6e01, self.seed);
        self.film.develop(&self.light, view.width, &self.climate, tick, visible);
    }

    fn digitise(&mut self, view: &View, centikelvin: &mut [u16]) {
        self.line.clear();
        self.line.resize(view.width, 0.0);
        thermal::blur(&mut self.kelvin, view.width, &mut self.line);
        let tick = hash(view.tick(), 0x0071_6e02, self.seed);
        thermal::digitise(&self.kelvin, view.width, self.seed, tick, centikelvin);
    }

    /// Share of a disc (centre and radius in scene pixels) that no object nearer than `z` hides, from five rays.
    fn in_sight(&self, at: [f32; 2], z: f32, radius: f32, view: &Projection) -> f32 {
        let lighting = Lighting { climate: &self.climate, world: &self.world, needed: false };
        let r = 0.6 * radius;
        let mut seen = 0.0;
        for (ox, oy) in [(0.0, 0.0), (r, 0.0), (-r, 0.0), (0.0, r), (0.0, -r)] {
            let (x, y) = (at[0] + ox, at[1] + oy);
            let ray = Ray {
                dx: (x - view.cx) / view.focal,
                dy: (view.cy - y) / view.focal,
                pixel: 1.0 / view.focal,
            };
            let mut clear = 1.0;
            for item in &self.world.items {
                let [x0, y0, x1, y1] = item.bounds;
                if item.z > z - 0.05
                    || x < x0
                    || x > x1
                    || y < y0
                    || y > y1
                    || matches!(item.shape, Shape::Shadow { .. })
                {
                    continue;
                }
                if let Some(s) = item.shape.hit(&ray, &lighting)
                    && s.z < z - 0.05
                {
                    clear *= 1.0 - s.cover;
                }
            }
            seen += 0.2 * clear;
        }
        seen
    }
}

/// Composites the objects of one pixel from near to far, then the backdrop.
fn pixel(ray: &Ray, items: &[u16], lighting: &Lighting<'_>) -> (Light, f32) {
    let (mut rgb, mut kelvin) = (V3::ZERO, 0.0);
    // What still shines through, per band: shadows dim light and leave temperatures.
    let (mut clear, mut clear_thermal) = (1.0_f32, 1.0_f32);
    for &i in items {
        let shape = &lighting.world.items[usize::from(i)].shape;
        let Some(s) = shape.hit(ray, lighting) else { continue };
        let (seen, felt) = lighting.through_air(s.rgb, s.kelvin, s.z);
        rgb += seen * (clear * s.cover);
        clear *= 1.0 - s.cover;
        if matches!(shape, Shape::Shadow { .. }) {
            kelvin += clear_thermal * s.cover * s.kelvin;
        } else {
            kelvin += clear_thermal * s.cover * felt;
            clear_thermal *= 1.0 - s.cover;
        }
        if clear_thermal < 0.004 {
            return (Light { rgb, gloss: 0.0 }, kelvin / (1.0 - clear_thermal));
        }
    }
    let back = ground::backdrop(ray, lighting);
    rgb += back.rgb * clear;
    kelvin += back.kelvin * clear_thermal;
    (Light { rgb, gloss: back.gloss * clear }, kelvin)
}
