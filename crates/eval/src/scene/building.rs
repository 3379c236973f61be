//! A town house: a street front and an end wall, with windows, shop fronts and a cornice.

use super::light::Lighting;
use super::math::{V3, clamp01, draw, fbm, floor, hash, mix, noise, pulse, pulses, smoothstep, unit};
use super::shape::{Ray, Surface};

#[derive(Clone, Debug)]
pub(super) struct Building {
    id: u32,
    /// Plane of the street front, relative to the camera; its sign is the side.
    pub(super) x: f32,
    pub(super) near: f32,
    pub(super) far: f32,
    pub(super) height: f32,
    /// Length of the end wall, away from the street, m.
    pub(super) deep: f32,
    floor_height: f32,
    bay: f32,
    window: [f32; 2],
    wall: V3,
    trim: V3,
    brick: bool,
    shop: bool,
    warmth: f32,
}

const WALLS: [V3; 7] = [
    V3(0.42, 0.37, 0.29),
    V3(0.34, 0.19, 0.13),
    V3(0.50, 0.47, 0.42),
    V3(0.30, 0.31, 0.33),
    V3(0.46, 0.36, 0.23),
    V3(0.25, 0.16, 0.12),
    V3(0.38, 0.40, 0.38),
];
/// Height of the ground floor, m.
const GROUND_FLOOR: f32 = 3.7;

impl Building {
    pub(super) fn new(id: u32, x: f32, near: f32, far: f32, cell: i32) -> Self {
        let floor_height = mix(2.9, 3.3, draw(id, 61));
        // Neighbours differ: the number of floors alternates around a random mean.
        let storeys = 1.0 + floor(draw(id, 62) * 3.0) as f32 + f32::from(u8::from(cell & 1 == 0));
        let height = GROUND_FLOOR + storeys * floor_height + 0.9;
        let pick = ((draw(id, 63) * WALLS.len() as f32) as usize).min(WALLS.len() - 1);
        let bays = floor((far - near) / mix(2.4, 3.2, draw(id, 64))).max(2) as f32;
        Self {
            id,
            x,
            near,
            far,
            height,
            deep: 11.0,
            floor_height,
            bay: (far - near) / bays,
            window: [mix(1.0, 1.35, draw(id, 65)), mix(1.45, 1.9, draw(id, 66))],
            wall: WALLS[pick] * mix(0.8, 1.1, draw(id, 67)),
            trim: WALLS[pick].mix(V3::grey(0.55), 0.55),
            brick: pick == 1 || pick == 5,
            shop: draw(id, 68) < 0.55,
            warmth: 1.6 * (draw(id, 69) - 0.5),
        }
    }

    pub(super) fn hit(&self, ray: &Ray, light: &Lighting<'_>) -> Option<Surface> {
        let side = if self.x < 0.0 { -1.0 } else { 1.0 };
        let px1 = ray.pixel;
        let mut out: Option<Surface> = None;
        // The end wall faces the camera.
        if self.near > 0.5 {
            let z = self.near;
            let p = ray.at(z);
            let along = (p.0 - self.x) * side;
            let px = z * px1;
            let cov = clamp01(0.5 + along / px)
                * clamp01(0.5 + (self.deep - along) / px)
                * clamp01(0.5 + (self.height - p.1) / px)
                * clamp01(0.5 + p.1 / px);
            if cov > 0.0 {
                out = Some(self.wall_at(p, along, px, px, V3(0.0, 0.0, -1.0), 977, cov, light));
                if cov >= 1.0 {
                    return out;
                }
            }
        }
        if ray.dx * side > 1e-4 {
            let z = self.x / ray.dx;
            let p = ray.at(z);
            let px = z * px1;
            // Distances to the upright edges are measured on the picture; the near edge runs on for a pixel below the
            // end wall, so that no background shines through the corner.
            let s = ray.dx * side;
            let near_edge = if self.near > 0.5 { self.x * side / self.near } else { f32::MAX };
            let far_edge = self.x * side / self.far;
            let cov = clamp01(1.5 + (near_edge - s) / px1)
                * clamp01(0.5 + (s - far_edge) / px1)
                * clamp01(0.5 + (self.height - p.1) / px)
                * clamp01(0.5 + p.1 / px);
            if cov > 0.0 && z > 0.0 {
                let stretch = z * z * px1 / self.x.abs();
                let front = self.wall_at(p, p.2 - self.near, stretch, px, V3(-side, 0.0, 0.0), 0, cov, light);
                out = Some(match out {
                    None => front,
                    Some(end) => {
                        let rest = (1.0 - end.cover) * front.cover;
                        let sum = end.cover + rest;
                        let t = rest / sum;
                        Surface {
                            cover: sum,
                            rgb: end.rgb.mix(front.rgb, t),
                            kelvin: mix(end.kelvin, front.kelvin, t),
                            z: mix(end.z, front.z, t),
                        }
                    }
                });
            }
        }
        out
    }

    /// One point of a wall: `u` along it, pixel sizes along and up, the normal, a salt that tells the walls apart.
    #[allow(clippy::too_many_arguments)] // One call per wall, and every argument is a plain number of the same point.
    fn wall_at(
        &self,
        p: V3,
        u: f32,
        pu: f32,
        pv: f32,
        n: V3,
        salt: u32,
        cov: f32,
        light: &Lighting<'_>,
    ) -> Surface {
        let c = light.climate;
        let id = self.id ^ salt;
        let v = p.1;
        let lit = light.on(p, n);

        let stain = fbm(u * 0.45, v * 0.35, id);
        let mut grain = 0.5;
        if pv < 0.12 {
            grain = noise(u * 5.0, v * 5.0, id ^ 3);
        }
        let mut wall = self.wall * (0.72 + 0.38 * stain + 0.16 * (grain - 0.5));
        if self.brick && pu < 0.3 {
            // Courses of 8 cm and stretchers of 25 cm, mortar between.
            let row = floor(v / 0.08);
            let shift = if row & 1 == 0 { 0.0 } else { 0.125 };
            let mortar = 1.0
                - (1.0 - pulses(v, 0.08, 0.0, 0.014, pv)) * (1.0 - pulses(u + shift, 0.25, 0.0, 0.014, pu));
            wall = wall * (1.0 + 0.35 * (mortar - 0.22));
        }
        // Splash zone, and dirt below the cornice.
        wall = wall
            * mix(0.72, 1.0, smoothstep(0.0, 1.2, v))
            * mix(1.0, 0.85, smoothstep(2.0, 0.2, self.height - v));
        let sun = if c.sun.0 > 0.3 { clamp01(n.dot(c.sun_dir)) * light.sunlit(p) } else { 0.0 };
        let mut kelvin = c.wall + self.warmth + c.wall_sun * sun + 1.4 * (stain - 0.5) + 0.35 * (grain - 0.5);

        let upper = v - GROUND_FLOOR;
        let storey = floor(upper / self.floor_height);
        let in_bay = u / self.bay;
        let bay = floor(in_bay);
        let mut emit = V3::ZERO;
        let mut rgb = wall;

        // String course and cornice.
        let course = pulse(upper, -0.22, 0.02, pv) + pulse(self.height - v, 0.15, 0.55, pv);
        if course > 0.0 {
            rgb = rgb.mix(self.trim * (0.85 + 0.2 * stain), clamp01(course));
            kelvin -= 0.5 * clamp01(course);
        }

        let end_wall = salt != 0;
        let (pane, frame, level) =
            if upper > 0.0 && self.height - v > 1.0 && !(end_wall && hash(bay, 3, id) & 1 == 0) {
                let uu = (in_bay - bay as f32 - 0.5) * self.bay;
                let vv = upper - storey as f32 * self.floor_height - 0.85;
                let [w, h] = self.window;
                let hole = pulse(uu, -0.5 * w, 0.5 * w, pu) * pulse(vv, 0.0, h, pv);
                let surround =
                    pulse(uu, -0.5 * w - 0.11, 0.5 * w + 0.11, pu) * pulse(vv, -0.14, h + 0.12, pv);
                let bars = 1.0
                    - (1.0 - pulse(uu, -0.03, 0.03, pu))
                        * (1.0 - pulse(vv, h * 0.62, h * 0.62 + 0.06, pv))
                        * pulse(uu, -0.5 * w + 0.06, 0.5 * w - 0.06, pu)
                        * pulse(vv, 0.06, h - 0.06, pv);
                (hole * (1.0 - bars), surround - hole * (1.0 - bars), storey)
            } else if upper <= 0.0 && self.shop && !end_wall {
                let uu = u - floor(u / (self.bay * 2.0)) as f32 * self.bay * 2.0;
                let hole = pulse(uu, 0.35, self.bay * 2.0 - 0.35, pu) * pulse(v, 0.55, 2.75, pv);
                let bars = pulses(uu - 0.35, 1.6, 0.0, 0.05, pu);
                let sign = pulse(v, 2.9, 3.4, pv) * pulse(uu, 0.2, self.bay * 2.0 - 0.2, pu);
                let tint = draw(id, 71);
                rgb = rgb.mix(V3(0.10, 0.09, 0.08).mix(V3(0.28, 0.06, 0.05), tint * tint), sign);
                (hole * (1.0 - bars), hole * bars, -1)
            } else {
                (0.0, 0.0, 0)
            };
        let pane = clamp01(pane);
        let frame = clamp01(frame);
        rgb = rgb.mix(self.trim, frame * 0.8);
        kelvin += 0.6 * frame;
        if pane > 0.0 {
            let who = if level < 0 { floor(u / (self.bay * 2.0)) } else { bay };
            let h = hash(who, level, id ^ 0x77);
            let lit_window = unit(h) < c.windows * if level < 0 { 1.7 } else { 1.0 };
            // Glass mirrors the sky ahead; at night a curtain or a lamp shows behind it.
            let mirror = c.sky_low.mix(c.sky_top, 0.6) * 0.16 + V3::grey(0.012).tint(lit);
            let curtain = 0.55 + 0.45 * noise(u * 3.0, v * 0.4, h);
            rgb = rgb.mix(V3::ZERO, pane);
            if lit_window {
                let hue = unit(hash(who, level, id ^ 0x99));
                let lamp =
                    V3(1.0, 0.62, 0.28).mix(V3(0.85, 0.88, 0.95), if hue > 0.75 { 0.8 } else { hue * 0.3 });
                let strength = (0.16 + 0.34 * unit(h.rotate_left(9))) * if level < 0 { 1.25 } else { 1.0 };
                let top = smoothstep(0.0, 2.2, v - storey as f32 * self.floor_height) * 0.35 + 0.75;
                emit += lamp * (strength * curtain * top * pane / c.exposure.max(0.3));
            }
            emit += mirror * (pane * (0.7 + 0.5 * curtain));
            let heated = if lit_window { 2.2 } else { 0.4 };
            let room = 1.2 * (unit(h.rotate_left(17)) - 0.3);
            kelvin = mix(kelvin, c.glass + heated + room, pane);
        }
        Surface { cover: cov, rgb: rgb.tint(lit) + emit, kelvin, z: p.2 }
    }
}
