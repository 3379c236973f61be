//! Who and what stands where at a moment: an endless street laid out from hashes of its cells.
//!
//! World frame: x across the street (0 on the centre line, right positive), y up from the ground, z along it. The
//! camera car drives up the right lane; everything handed on is relative to the foot of the camera.

use super::building::Building;
use super::car::Car;
use super::climate::Climate;
use super::light::Source;
use super::math::{V3, draw, floor, hash, mix, smoothstep};
use super::person::{Gait, Person};
use super::plant::Tree;
use super::post::Post;
use super::shape::{Item, Shape};

/// Height of the camera above the road, m.
pub(super) const CAMERA_HEIGHT: f32 = 1.45;
/// The camera's place across the street, m.
pub(super) const CAMERA_X: f32 = 1.9;
/// Speed of the camera car, m/s.
const SPEED: f64 = 5.0;
/// Length of street of one building plot, m.
const PLOT: f32 = 15.0;
/// Nothing is drawn closer than this, m.
const NEAR: f32 = 1.3;
/// Objects that live on wrapped tracks fade in over the last metres before this distance.
const FAR: f32 = 92.0;
const PLOTS: usize = 12;
/// Distance between zebra crossings, m.
const ZEBRA: f64 = 64.0;

/// A light that the visible camera sees: centre in scene pixels, depth in metres.
#[derive(Clone, Copy, Debug)]
pub(super) struct Glow {
    pub(super) x: f32,
    pub(super) y: f32,
    pub(super) z: f32,
    /// Picture row of the ground below the light, where its reflection is mirrored.
    pub(super) ground: f32,
    pub(super) rgb: V3,
    /// Radius of the core, m.
    pub(super) size: f32,
}

/// Pinhole projection of a picture: focal length and principal point in pixels.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Projection {
    pub(super) focal: f32,
    pub(super) cx: f32,
    pub(super) cy: f32,
}

impl Projection {
    pub(super) fn of(width: usize, height: usize) -> Self {
        let (w, h) = (width as f32, height as f32);
        Self { focal: 0.95 * w.max(h * 1.2), cx: 0.5 * w, cy: 0.47 * h }
    }

    /// Pixel of a point relative to the camera's foot.
    pub(super) fn project(&self, p: V3) -> [f32; 2] {
        let k = self.focal / p.2;
        [self.cx + p.0 * k, self.cy - (p.1 - CAMERA_HEIGHT) * k]
    }

    /// Box in pixels around `x0…x1` by `y0…y1` at depth `z`, with a pixel to spare.
    pub(super) fn bounds(&self, x: [f32; 2], y: [f32; 2], z: f32) -> [f32; 4] {
        let [a, b] = self.project(V3(x[0], y[1], z));
        let [c, d] = self.project(V3(x[1], y[0], z));
        [a - 1.5, b - 1.5, c + 1.5, d + 1.5]
    }
}

/// The layout of one moment. Its vectors are reused from frame to frame.
#[derive(Clone, Debug, Default)]
pub(super) struct World {
    pub(super) seed: u32,
    /// The camera's way along the street, wrapped so that textures keep their precision.
    pub(super) camera_z: f32,
    pub(super) items: Vec<Item>,
    pub(super) lamps: Vec<Source>,
    pub(super) glows: Vec<Glow>,
    /// Relative z of the crossings in sight.
    pub(super) zebras: [f32; 2],
    roofs: [[f32; PLOTS]; 2],
    plot_start: f32,
}

/// Remainder and quotient: `x = n·period + r`, `0 ≤ r < period`.
fn wrap(x: f64, period: f64) -> (f32, i32) {
    let n = libm::floor(x / period);
    ((x - n * period) as f32, n as i32)
}

impl World {
    /// x of the facades relative to the camera; side 0 left, 1 right.
    pub(super) fn facade_x(&self, side: usize) -> f32 {
        [-9.2, 10.4][side] - CAMERA_X
    }

    /// Height of the building at relative `z`, 0 where there is a gap.
    pub(super) fn roof(&self, side: usize, z: f32) -> f32 {
        let i = floor((z - self.plot_start) / PLOT);
        // Behind the camera the street goes on as it is beside it.
        self.roofs[side].get(i.max(0) as usize).copied().unwrap_or(0.0)
    }

    /// Lays the street out as it is at `time` seconds.
    pub(super) fn lay(&mut self, seed: u32, time: f64, climate: &Climate, view: &Projection) {
        self.seed = seed;
        self.items.clear();
        self.lamps.clear();
        self.glows.clear();
        let way = SPEED * time;
        self.camera_z = wrap(way, 7680.0).0;
        self.zebras(seed, way, time, climate, view);
        self.walkers(seed, time, climate, view);
        self.traffic(seed, way, time, climate, view);
        self.furniture(seed, way, climate, view);
        // Nearest first; buildings stand behind everything in the street, and are appended nearest first per side.
        self.items.sort_unstable_by(|a, b| a.z.total_cmp(&b.z));
        self.plots(seed, way, view);
    }

    fn zebras(&mut self, seed: u32, way: f64, time: f64, climate: &Climate, view: &Projection) {
        let offset = 15.0 + 5.0 * f64::from(draw(seed, 7));
        let first = libm::ceil((way - offset) / ZEBRA) as i32;
        for (slot, k) in (first..first + 2).enumerate() {
            let z = (f64::from(k) * ZEBRA + offset - way) as f32;
            self.zebras[slot] = z;
            let group = hash(k, 11, seed);
            for i in 0..3 {
                let id = hash(i, 12, group);
                // A crossing is walked while the camera car approaches it, so that the road is free when it arrives.
                let progress = (50.0 - z) * 0.023 + 0.42 * (draw(id, 0) - 0.62);
                let leftward = i == 1;
                let across = mix(-6.0, 7.6, if leftward { 1.0 - progress } else { progress });
                if !(-8.5..9.5).contains(&across) {
                    continue;
                }
                let depth = z + mix(-1.3, 1.3, draw(id, 1));
                let gait = if leftward { Gait::Left } else { Gait::Right };
                self.person(id, V3(across - CAMERA_X, 0.0, depth), gait, time, climate, view);
            }
        }
    }

    fn walkers(&mut self, seed: u32, time: f64, climate: &Climate, view: &Projection) {
        const SLOTS: i32 = 9;
        for i in 0..SLOTS {
            let slot = hash(i, 21, seed);
            let away = draw(slot, 0) < 0.5;
            let pace = f64::from(mix(0.9, 1.5, draw(slot, 1))) * if away { 1.0 } else { -1.0 };
            let start = f64::from((i as f32 + draw(slot, 2)) * FAR / SLOTS as f32);
            let (z, lap) = wrap(start + (pace - SPEED) * time, f64::from(FAR));
            let id = hash(lap, 22, slot);
            let right = draw(id, 3) < 0.55;
            let x = if right { mix(6.7, 8.6, draw(id, 4)) } else { mix(-7.4, -4.9, draw(id, 4)) };
            let gait = if away { Gait::Away } else { Gait::Toward };
            self.person(id, V3(x - CAMERA_X, 0.0, z), gait, time, climate, view);
            if draw(id, 5) < 0.3 {
                let at = V3(x - CAMERA_X + 0.62, 0.0, z + 0.3);
                self.person(hash(lap, 23, slot), at, gait, time, climate, view);
            }
        }
    }

    fn person(&mut self, id: u32, at: V3, gait: Gait, time: f64, climate: &Climate, view: &Projection) {
        if !(NEAR..FAR + 10.0).contains(&at.2) {
            return;
        }
        let p = Person::new(id, at, gait, time, fade(at.2), climate);
        let bounds = view.bounds([at.0 - 0.55, at.0 + 0.55], [-0.05, 2.0], at.2);
        self.shadow(at, 0.34, 0.22, 0.55, 0.0, view);
        self.items.push(Item { z: at.2, bounds, shape: Shape::Person(p) });
    }

    /// A soft dark ellipse on the ground; `warmth` is what it adds to the ground's temperature, K.
    fn shadow(&mut self, at: V3, rx: f32, rz: f32, dark: f32, warmth: f32, view: &Projection) {
        let (near, far) = (at.2 - 2.2 * rz, at.2 + 2.2 * rz);
        if near < 0.8 {
            return;
        }
        let a = view.bounds([at.0 - 2.2 * rx, at.0 + 2.2 * rx], [0.0, 0.0], near);
        let b = view.bounds([at.0 - 2.2 * rx, at.0 + 2.2 * rx], [0.0, 0.0], far);
        let bounds = [a[0].min(b[0]), b[1], a[2].max(b[2]), a[3]];
        let dark = dark * fade(at.2);
        // Just behind what casts it, so that the caster hides it.
        self.items.push(Item { z: at.2 + 0.02, bounds, shape: Shape::Shadow { at, rx, rz, dark, warmth } });
    }

    fn traffic(&mut self, seed: u32, way: f64, time: f64, climate: &Climate, view: &Projection) {
        // Ahead, same direction.
        let sway = libm::sin(time * 0.21 + f64::from(draw(seed, 31)) * 6.0) as f32;
        let id = hash(1, 32, seed);
        self.car(id, V3(0.15, 0.0, 36.0 + 5.0 * sway), false, true, climate, view);
        // Oncoming.
        for i in 0..2 {
            let slot = hash(i, 33, seed);
            let start = f64::from(i) * 60.0 + 14.0 + 30.0 * f64::from(draw(slot, 0));
            let (z, lap) = wrap(start - (SPEED + 8.5) * time, 120.0);
            self.car(hash(lap, 34, slot), V3(-2.05 - CAMERA_X, 0.0, z - 4.0), true, true, climate, view);
        }
        // Parked along the right kerb.
        let pitch = 6.2;
        let first = libm::floor(way / pitch) as i32;
        for k in first..first + 14 {
            let id = hash(k, 35, seed);
            let z = (f64::from(k) * pitch - way) as f32 + 0.9 * draw(id, 0);
            let clear = self.zebras.iter().all(|&q| z + 5.5 < q - 2.0 || z > q + 3.0);
            if clear && draw(id, 1) < 0.56 {
                self.car(id, V3(5.45 - CAMERA_X, 0.0, z), false, false, climate, view);
            }
        }
    }

    fn car(&mut self, id: u32, at: V3, oncoming: bool, running: bool, climate: &Climate, view: &Projection) {
        if !(NEAR..FAR + 30.0).contains(&at.2) {
            return;
        }
        let car = Car::new(id, at, oncoming, running, climate);
        let (l, w) = (car.length, car.half_width);
        let a = view.bounds([at.0 - w, at.0 + w], [0.0, 1.6], at.2);
        let b = view.bounds([at.0 - w, at.0 + w], [0.0, 1.6], at.2 + l);
        let bounds = [a[0].min(b[0]), a[1].min(b[1]), a[2].max(b[2]), a[3].max(b[3])];
        let warmth = if running { 5.0 } else { 0.6 };
        self.shadow(V3(at.0, 0.0, at.2 + 0.5 * l), w * 1.02, l * 0.50, 0.80, warmth, view);
        // The shadow was pushed with the depth of its centre; the body in front of it is nearer.
        self.items.push(Item { z: at.2, bounds, shape: Shape::Car(car) });
        if running && climate.lamps > 0.0 {
            let (rgb, y, size) = if oncoming {
                (V3(1.0, 0.96, 0.88) * 2.6, 0.66, 0.09)
            } else {
                (V3(1.0, 0.06, 0.03) * 0.42, 0.74, 0.10)
            };
            for side in [-0.66_f32, 0.66] {
                self.glow(V3(at.0 + side, y, at.2 - 0.02), rgb * climate.lamps, size, view);
            }
        }
    }

    fn glow(&mut self, at: V3, rgb: V3, size: f32, view: &Projection) {
        let [x, y] = view.project(at);
        let ground = view.project(V3(at.0, 0.0, at.2))[1];
        self.glows.push(Glow { x, y, z: at.2, ground, rgb: rgb * fade(at.2), size });
    }

    fn furniture(&mut self, seed: u32, way: f64, climate: &Climate, view: &Projection) {
        let pitch = 11.0;
        let first = libm::floor(way / pitch) as i32 - 1;
        for k in first..first + 11 {
            for (side, salt) in [(-1.0_f32, 41), (1.0, 42)] {
                let id = hash(k, salt, seed);
                let z = (f64::from(k) * pitch - way) as f32 + if side > 0.0 { 5.0 } else { 0.0 };
                // Lamps and trees take turns.
                if (k + i32::from(side > 0.0)).rem_euclid(2) == 0 {
                    self.lamp(
                        id,
                        V3(if side > 0.0 { 6.75 } else { -4.55 } - CAMERA_X, 0.0, z),
                        side,
                        climate,
                        view,
                    );
                } else if draw(id, 1) < 0.62 {
                    let x =
                        if side > 0.0 { mix(7.3, 8.2, draw(id, 2)) } else { mix(-6.3, -5.3, draw(id, 2)) };
                    let at = V3(x - CAMERA_X, 0.0, z + 2.5 * draw(id, 3));
                    if (NEAR..FAR).contains(&at.2) {
                        let tree = Tree::new(id, at, fade(at.2));
                        let r = tree.reach();
                        let bounds = view.bounds([at.0 - r, at.0 + r], [-0.05, tree.top() + 0.3], at.2);
                        self.shadow(at, 0.55, 0.45, 0.45, 0.0, view);
                        self.items.push(Item { z: at.2, bounds, shape: Shape::Tree(tree) });
                    }
                }
            }
        }
    }

    fn lamp(&mut self, id: u32, at: V3, side: f32, climate: &Climate, view: &Projection) {
        let post = Post::new(at, -side, climate.lamps);
        let head = post.head();
        // LED and sodium lamps stand mixed in real streets.
        let rgb = if draw(id, 4) < 0.35 { V3(1.0, 0.86, 0.66) } else { V3(1.0, 0.66, 0.32) };
        if climate.lamps > 0.0 && at.2 > -18.0 && at.2 < FAR {
            self.lamps.push(Source { at: head, rgb: rgb * fade(at.2) });
        }
        if !(NEAR..FAR).contains(&at.2) {
            return;
        }
        let (a, b) = (at.0.min(head.0) - 0.4, at.0.max(head.0) + 0.4);
        let bounds = view.bounds([a, b], [0.0, head.1 + 0.3], at.2);
        self.items.push(Item { z: at.2, bounds, shape: Shape::Post(post) });
        if climate.lamps > 0.0 {
            self.glow(head, rgb * (1.5 * climate.lamps), 0.16, view);
        }
    }

    fn plots(&mut self, seed: u32, way: f64, view: &Projection) {
        let first = libm::floor(way / f64::from(PLOT)) as i32;
        self.plot_start = (f64::from(first) * f64::from(PLOT) - way) as f32;
        for i in 0..PLOTS {
            for side in 0..2 {
                let k = first.wrapping_add(i as i32);
                let id = hash(k, 51 + side as i32, seed);
                let z = self.plot_start + i as f32 * PLOT;
                let gap = if draw(id, 0) < 0.45 { 0.0 } else { mix(1.0, 5.0, draw(id, 1)) };
                let b = Building::new(id, self.facade_x(side), z, z + PLOT - gap, k);
                self.roofs[side][i] = b.height;
                if z + PLOT - gap < NEAR {
                    continue;
                }
                let near = b.near.max(0.5);
                let near_box = view.bounds([b.x, b.x], [0.0, b.height], near);
                let far_box = view.bounds([b.x, b.x], [0.0, b.height], b.far);
                let mut bounds = [
                    near_box[0].min(far_box[0]),
                    near_box[1].min(far_box[1]),
                    near_box[2].max(far_box[2]),
                    near_box[3].max(far_box[3]),
                ];
                // The end wall reaches away from the street.
                if side == 0 {
                    bounds[0] = bounds[0].min(view.project(V3(b.x - b.deep, 0.0, near))[0] - 1.5);
                } else {
                    bounds[2] = bounds[2].max(view.project(V3(b.x + b.deep, 0.0, near))[0] + 1.5);
                }
                self.items.push(Item { z: near, bounds, shape: Shape::Building(b) });
            }
        }
    }
}

/// Objects appear over ten metres at the far end of their track.
fn fade(z: f32) -> f32 {
    1.0 - smoothstep(FAR - 12.0, FAR - 2.0, z)
}
