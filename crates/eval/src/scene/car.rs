//! A car: two convex bodies (shell and cabin) met by the ray, with wheels, glass, lamps and its warm parts.

use super::climate::Climate;
use super::light::Lighting;
use super::math::{V3, clamp01, draw, mix, noise, smoothstep};
use super::shape::{Ray, Surface};
use super::world::CAMERA_HEIGHT;

#[derive(Clone, Debug)]
pub(super) struct Car {
    id: u32,
    /// Ground point in the middle of the end that faces the camera.
    at: V3,
    /// We see its front.
    oncoming: bool,
    running: bool,
    pub(super) length: f32,
    pub(super) half_width: f32,
    shoulder: f32,
    roof: f32,
    paint: V3,
    lamps: f32,
    shell: [Plane; 11],
    cabin: [Plane; 7],
}

/// A half space: outward normal, and the distance of its border from the camera along that normal.
type Plane = (V3, f32);

#[derive(Clone, Copy)]
struct Contact {
    z: f32,
    p: V3,
    n: V3,
    cabin: bool,
    wheel: bool,
}

const PAINTS: [V3; 7] = [
    V3(0.42, 0.43, 0.44),
    V3(0.030, 0.031, 0.034),
    V3(0.60, 0.60, 0.58),
    V3(0.30, 0.030, 0.026),
    V3(0.045, 0.085, 0.22),
    V3(0.16, 0.17, 0.18),
    V3(0.10, 0.14, 0.11),
];
const S: f32 = core::f32::consts::FRAC_1_SQRT_2;
const WHEEL: f32 = 0.32;

impl Car {
    pub(super) fn new(id: u32, at: V3, oncoming: bool, running: bool, climate: &Climate) -> Self {
        let pick = ((draw(id, 81) * PAINTS.len() as f32) as usize).min(PAINTS.len() - 1);
        let tall = draw(id, 82);
        let mut car = Self {
            id,
            at,
            oncoming,
            running,
            length: mix(3.9, 4.7, draw(id, 83)),
            half_width: 0.88,
            shoulder: mix(0.84, 0.95, tall),
            roof: mix(1.40, 1.56, tall),
            paint: PAINTS[pick],
            lamps: if running { climate.lamps } else { 0.0 },
            shell: [(V3::ZERO, 0.0); 11],
            cabin: [(V3::ZERO, 0.0); 7],
        };
        let o = car.eye();
        car.shell = car.shell_planes().map(|(n, d)| (n, d - n.dot(o)));
        car.cabin = car.cabin_planes().map(|(n, d)| (n, d - n.dot(o)));
        car
    }

    /// The camera in the car's frame.
    fn eye(&self) -> V3 {
        V3(-self.at.0, CAMERA_HEIGHT, -self.at.2)
    }

    /// The lower body as half spaces of the car's frame (x across, y up, z away from the camera).
    fn shell_planes(&self) -> [Plane; 11] {
        let (w, l, h) = (self.half_width, self.length, self.shoulder);
        [
            (V3(1.0, 0.0, 0.0), w),
            (V3(-1.0, 0.0, 0.0), w),
            (V3(0.0, 1.0, 0.0), h),
            (V3(0.0, -1.0, 0.0), -0.24),
            (V3(0.0, 0.0, -1.0), 0.0),
            (V3(0.0, 0.0, 1.0), l),
            (V3(0.0, S, -S), (h - 0.13) * S),
            (V3(0.0, 0.27, 0.963), 0.963 * l + 0.27 * (h - 0.32)),
            (V3(S, S, 0.0), (w + h - 0.10) * S),
            (V3(-S, S, 0.0), (w + h - 0.10) * S),
            (V3(0.0, -S, -S), -0.42 * S),
        ]
    }

    /// The cabin, narrowing upwards.
    fn cabin_planes(&self) -> [Plane; 7] {
        let (w, l) = (self.half_width - 0.06, self.length);
        // (near end, its slope; far end, its slope): a bonnet at the front, a short boot behind.
        let (a, sa, b, sb) =
            if self.oncoming { (1.15, 0.98, l - 0.25, 0.45) } else { (0.16, 0.42, l - 1.15, 0.98) };
        let y = self.shoulder;
        let tilt = |nz: f32, slope: f32, z: f32| {
            let k = 1.0 / (1.0 + slope * slope).sqrt();
            (V3(0.0, slope * k, nz * k), (slope * y + nz * z) * k)
        };
        let k = 1.0 / (1.0_f32 + 0.36 * 0.36).sqrt();
        [
            (V3(k, 0.36 * k, 0.0), (w + 0.36 * y) * k),
            (V3(-k, 0.36 * k, 0.0), (w + 0.36 * y) * k),
            (V3(0.0, 1.0, 0.0), self.roof),
            (V3(0.0, -1.0, 0.0), -(y - 0.08)),
            tilt(-1.0, sa, a),
            tilt(1.0, sb, b),
            (V3(0.0, 0.94, -0.342), 0.94 * self.roof - 0.342 * (a + sa * (self.roof - y) - 0.04) + 0.035),
        ]
    }

    /// Depth at which the ray enters a convex body, with the normal there.
    fn enter(planes: &[Plane], d: V3) -> Option<(f32, V3)> {
        let (mut t0, mut t1, mut n0) = (0.0_f32, f32::MAX, V3(0.0, 0.0, -1.0));
        for &(n, gap) in planes {
            let speed = n.dot(d);
            if speed.abs() < 1e-6 {
                if gap < 0.0 {
                    return None;
                }
                continue;
            }
            let t = gap / speed;
            if speed < 0.0 {
                if t > t0 {
                    (t0, n0) = (t, n);
                }
            } else {
                t1 = t1.min(t);
            }
        }
        (t0 < t1 && t0 > 0.0).then_some((t0, n0))
    }

    fn contact(&self, d: V3) -> Option<Contact> {
        // The ray's parameter is the depth from the camera.
        let o = self.eye();
        let shell = Self::enter(&self.shell, d);
        let cabin = Self::enter(&self.cabin, d);
        let mut best: Option<Contact> = None;
        for (hit, cabin) in [(shell, false), (cabin, true)] {
            if let Some((z, n)) = hit
                && best.is_none_or(|b| z < b.z)
            {
                best = Some(Contact { z, p: o + d * z, n, cabin, wheel: false });
            }
        }
        // Wheels: a disc on the flank, and treads below the near end.
        let flank = if o.0 < 0.0 { -self.half_width - 0.004 } else { self.half_width + 0.004 };
        if d.0.abs() > 1e-5 {
            let z = (flank - o.0) / d.0;
            let p = o + d * z;
            let axle = if p.2 < 0.5 * self.length { 0.78 } else { self.length - 0.82 };
            let r2 = (p.2 - axle) * (p.2 - axle) + (p.1 - WHEEL) * (p.1 - WHEEL);
            if z > 0.0 && r2 < WHEEL * WHEEL && best.is_none_or(|b| z < b.z + 0.02) {
                best = Some(Contact { z, p, n: V3(flank.signum(), 0.0, 0.0), cabin: false, wheel: true });
            }
        }
        for axle in [0.55, self.length - 1.0] {
            let z = axle - o.2;
            let p = o + d * z;
            let tread = p.0.abs() > 0.62 && p.0.abs() < 0.84 && p.1 > 0.0 && p.1 < 0.3;
            if tread && z > 0.0 && best.is_none_or(|b| z < b.z) {
                best = Some(Contact { z, p, n: V3(0.0, 0.0, -1.0), cabin: false, wheel: true });
            }
        }
        best
    }

    pub(super) fn hit(&self, ray: &Ray, light: &Lighting<'_>) -> Option<Surface> {
        // Four samples on a rotated grid: the outline, the glass and the lamps are smoothed alike.
        const GRID: [(f32, f32); 4] = [(-0.125, -0.375), (0.375, -0.125), (0.125, 0.375), (-0.375, 0.125)];
        let (mut n, mut rgb, mut kelvin, mut z) = (0.0, V3::ZERO, 0.0, 0.0);
        // Light changes slowly over a pixel: samples on the same face share it.
        let mut lit = (V3::ZERO, V3::ZERO);
        for (ox, oy) in GRID {
            let d = V3(ray.dx + ox * ray.pixel, ray.dy + oy * ray.pixel, 1.0);
            if let Some(c) = self.contact(d) {
                if lit.0 != c.n {
                    lit = (c.n, light.on(c.p + self.at, c.n));
                }
                let (a, t) = self.shade(&c, lit.1, light.climate);
                rgb += a;
                kelvin += t;
                z += c.z;
                n += 1.0;
            }
        }
        if n == 0.0 {
            return None;
        }
        let k = 1.0 / n;
        Some(Surface { cover: n * 0.25, rgb: rgb * k, kelvin: kelvin * k, z: z * k })
    }

    fn shade(&self, c: &Contact, lit: V3, climate: &Climate) -> (V3, f32) {
        let (p, n) = (c.p, c.n);
        let rest = if self.running { climate.air + 1.5 } else { climate.parked };
        // Metal mirrors the sky: upward faces look cold at night.
        let sky = mix(climate.horizon, climate.zenith, 0.6);
        let mut kelvin = mix(rest, sky, 0.10 * clamp01(n.1))
            + 0.5 * (noise(p.0 * 4.0, p.2 * 2.0 + p.1 * 3.0, self.id) - 0.5);

        if c.wheel {
            let axle = if p.2 < 0.5 * self.length { 0.78 } else { self.length - 0.82 };
            let r = ((p.2 - axle) * (p.2 - axle) + (p.1 - WHEEL) * (p.1 - WHEEL)).sqrt() / WHEEL;
            let rim = if n.2 < -0.5 { 0.0 } else { 1.0 - smoothstep(0.58, 0.68, r) };
            let albedo = V3::grey(0.022).mix(V3::grey(0.26), rim);
            if self.running {
                // Brakes and flexing tyres.
                kelvin = mix(climate.air + 7.0, climate.air + 15.0, rim);
            } else {
                kelvin = rest - 0.4;
            }
            return (albedo.tint(lit), kelvin);
        }

        // Reflected sky by direction, stronger at grazing angles.
        let up = clamp01(0.5 + 0.5 * n.1);
        let env = climate.sky_low.mix(climate.sky_top, up) * (0.03 + 0.08 * clamp01(n.1));
        let mut rgb = self.paint.tint(lit) + env;
        let near = n.2 < -0.3 && p.2 < 0.45;
        let across = p.0.abs();
        if c.cabin {
            let t = (p.1 - self.shoulder) / (self.roof - self.shoulder);
            let slant = 0.36 * (p.1 - self.shoulder);
            let inset = self.half_width - 0.06 - slant - across;
            let on_roof = n.1 > 0.9;
            let glass = !on_roof
                && t > 0.06
                && t < 0.86
                && if n.0.abs() > 0.5 {
                    // Side windows with a pillar between.
                    let mid = self.length * 0.5;
                    (p.2 - mid).abs() > 0.05 && p.2 > 0.55 + 0.5 * t && p.2 < self.length - 1.25 + 0.2 * t
                } else {
                    inset > 0.09
                };
            if glass {
                let mirror = climate.sky_low.mix(climate.sky_top, 0.3) * (0.10 + 0.22 * clamp01(n.1));
                rgb = V3(0.014, 0.016, 0.018).tint(lit) + mirror;
                let cabin_heat = if self.running { 3.0 } else { -0.8 };
                kelvin = mix(climate.air + cabin_heat, sky, 0.10 * clamp01(n.1 + 0.3));
            }
        } else if near {
            let v = p.1;
            // Bumper, plate, lamps.
            if v < 0.46 {
                rgb = V3::grey(0.035).tint(lit) + env * 0.4;
            }
            let plate = across < 0.26 && (0.47..0.58).contains(&v);
            if plate {
                rgb = V3::grey(0.55).tint(lit);
            }
            if self.oncoming && across < 0.48 && (0.58..0.76).contains(&v) {
                // Grille: radiator air leaves here.
                rgb = V3::grey(0.02).tint(lit);
                kelvin += if self.running { 15.0 } else { 0.0 };
            }
            let (dx, dy) = ((across - 0.66) / 0.17, (v - if self.oncoming { 0.66 } else { 0.74 }) / 0.085);
            let lamp = 1.0 - smoothstep(0.75, 1.1, (dx * dx + dy * dy).sqrt());
            if lamp > 0.0 {
                let (off, on) = if self.oncoming {
                    (V3::grey(0.45), V3(7.0, 6.6, 5.8))
                } else {
                    (V3(0.28, 0.02, 0.015), V3(1.5, 0.05, 0.03))
                };
                rgb = rgb.mix(off.tint(lit) + on * self.lamps, lamp);
                kelvin += lamp * if self.running && self.lamps > 0.0 { 4.0 } else { 0.0 };
            }
            if self.running && !self.oncoming {
                // Exhaust, and the heat that collects behind the bumper.
                let e = ((p.0 + 0.48) * (p.0 + 0.48) + (v - 0.31) * (v - 0.31)).sqrt();
                kelvin += 26.0 * (1.0 - smoothstep(0.05, 0.11, e)) + 3.0 * (1.0 - smoothstep(0.26, 0.6, v));
            }
        }
        if !c.cabin && n.0.abs() > 0.9 {
            // Wheel arches, sill, door seams.
            let axle = if p.2 < 0.5 * self.length { 0.78 } else { self.length - 0.82 };
            let r = ((p.2 - axle) * (p.2 - axle) + (p.1 - WHEEL) * (p.1 - WHEEL)).sqrt();
            let arch = 1.0 - smoothstep(WHEEL + 0.035, WHEEL + 0.06, r);
            let mid = (p.2 - 0.5 * self.length).abs();
            let seam = f32::from(u8::from((mid - 0.06).abs() < 0.012 || (mid - 0.95).abs() < 0.012)) * 0.5;
            let sill = 1.0 - smoothstep(0.30, 0.36, p.1);
            rgb = rgb * (1.0 - 0.9 * arch.max(seam).max(0.7 * sill));
        }
        if self.running && !c.cabin {
            // Bonnet over the engine; underbody.
            let engine = if self.oncoming { 1.0 - smoothstep(0.7, 1.5, p.2) } else { 0.0 };
            kelvin += 9.0 * engine * clamp01(0.4 + n.1) + 4.0 * (1.0 - smoothstep(0.24, 0.42, p.1));
        }
        (rgb, kelvin)
    }
}
